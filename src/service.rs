//! The destination service of a stream: its host, short name and namespace.

use crate::attribute::Attributes;
use crate::label::LabelValue;
use crate::reporter::Reporter;
use crate::wire::pairs::Pairs;

/// What the labels `destination_service*` say; absent parts have other sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Host name.
    pub host: Option<LabelValue>,
    /// Short name.
    pub name: Option<LabelValue>,
    /// Kubernetes namespace.
    pub namespace: Option<LabelValue>,
}

/// Istio's names for traffic to no known service: upstream clusters, which
/// then are the service's name as they stand.
const SPECIAL_UPSTREAM_CLUSTERS: [&str; 5] = [
    "BlackHoleCluster",
    "PassthroughCluster",
    "InboundPassthroughCluster",
    "InboundPassthroughClusterIpv4",
    "InboundPassthroughClusterIpv6",
];

/// What Istio writes about the service into an upstream cluster's metadata.
const SERVICE_METADATA: [&str; 6] = ["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0"];

// === impl Service ===

impl Service {
    /// Reads what the stream says of its service. `base` names the host where
    /// no upstream metadata does: the request's host if it may be trusted, or
    /// the local canonical service for inbound traffic.
    ///
    /// Istio's order: route, then special upstream cluster, then metadata, then base.
    pub fn read(attributes: &Attributes<'_>, base: impl FnOnce() -> Option<LabelValue>) -> Self {
        let named = |name: &str, host| Self { host, name: LabelValue::clean_str(name), namespace: None };
        match attributes.bytes(&["xds", "route_name"]).as_deref() {
            Some(b"block_all") => return named("BlackHoleCluster", base()),
            Some(b"allow_any") => return named("PassthroughCluster", base()),
            _ => {}
        }
        if let Some(upstream_cluster) = attributes.bytes(&["xds", "cluster_name"]) {
            let is_it = |name: &&&str| name.as_bytes() == upstream_cluster;
            if let Some(name) = SPECIAL_UPSTREAM_CLUSTERS.iter().find(is_it) {
                return named(name, base());
            }
        }
        match attributes.bytes(&SERVICE_METADATA) {
            Some(metadata) => Self::from_metadata(&metadata, base),
            None => {
                let host = base();
                Self { name: host.clone(), host, namespace: None }
            }
        }
    }

    /// One `istio.services` entry, in the host's map form. Without a name the
    /// service is called by the first label of its host.
    fn from_metadata(metadata: &[u8], base: impl FnOnce() -> Option<LabelValue>) -> Self {
        let fields = Pairs::parse(metadata);
        let field = |key: &str| {
            let value = fields.as_ref()?.get(key.as_bytes())?;
            LabelValue::clean(value.to_vec())
        };
        let host = field("host").or_else(base);
        let first_label = |host: &LabelValue| {
            let (label, _) = host.as_str().split_once('.').unwrap_or((host.as_str(), ""));
            LabelValue::clean_str(label)
        };
        Self {
            name: field("name").or_else(|| host.as_ref().and_then(first_label)),
            namespace: field("namespace"),
            host,
        }
    }

    /// Whether the request's `Host` may name the service: outbound unless
    /// switched off; where clients from anywhere choose it, only if asked for.
    pub fn trusts_host_header(reporter: Reporter, configured: Option<bool>) -> bool {
        configured.unwrap_or(reporter == Reporter::Source)
    }
}
