//! The destination service of a stream: its host, short name and namespace.

use core::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use crate::attribute::element::Element;
use crate::attribute::{Attributes, Null};
use crate::catalogue::label_value::LabelValue;
use crate::catalogue::reporter::Reporter;
use crate::collections::recent::Recent;
use crate::wire::pairs::Pairs;
use crate::wire::text::printable;

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

/// What is known of upstream clusters (Envoy's), by name, so that their metadata
/// is not read for every stream. A new configuration may change it: whoever
/// keeps this forgets it every few seconds.
#[derive(Debug, Default)]
pub struct UpstreamClusters {
    hasher: DefaultHashBuilder,
    known: Recent<Vec<u8>, UpstreamCluster>,
}

/// What names the service behind an upstream cluster.
#[derive(Clone, Debug)]
enum UpstreamCluster {
    /// Its own name.
    Special(LabelValue),
    /// Its metadata.
    Described(Service),
    /// Nothing.
    Nameless,
}

// === impl Service ===

impl Service {
    /// Reads what the stream says of its service. `base` names the host where
    /// no upstream metadata does: the request's host if it may be trusted, or
    /// the local canonical service for inbound traffic.
    ///
    /// Istio's order: special route, special upstream cluster, metadata, base. `route`
    /// is the special one, if it is.
    pub fn read(
        attributes: &Attributes<'_>,
        upstream_clusters: &mut UpstreamClusters,
        route: Option<LabelValue>,
        base: impl FnOnce() -> Option<LabelValue>,
    ) -> Self {
        let named = |name, host| Self { host, name, namespace: None };
        // Asked for also where the route wins: each request shall read the same.
        match upstream_clusters.read(attributes) {
            _ if route.is_some() => named(route, base()),
            UpstreamCluster::Special(name) => named(Some(name), base()),
            UpstreamCluster::Described(service) => service.completed(base),
            UpstreamCluster::Nameless => {
                let host = base();
                named(host.clone(), host)
            }
        }
    }

    /// One `istio.services` entry. `field` reads one of its fields: what is no text is
    /// as good as absent, and recognised as in the node's metadata.
    fn of_fields<B: AsRef<[u8]>>(field: impl Fn(&str) -> Option<B>) -> Self {
        let field = |name: &str| LabelValue::clean_str(printable(field(name)?.as_ref())?);
        Self { host: field("host"), name: field("name"), namespace: field("namespace") }
    }

    /// Without a name the service is called by the first label of its host.
    fn completed(self, base: impl FnOnce() -> Option<LabelValue>) -> Self {
        let Self { host, name, namespace } = self;
        let host = host.or_else(base);
        let first_label = |host: &LabelValue| {
            let (label, _) = host.as_str().split_once('.').unwrap_or((host.as_str(), ""));
            LabelValue::clean_str(label)
        };
        Self { name: name.or_else(|| host.as_ref().and_then(first_label)), host, namespace }
    }

    /// Whether the request's `Host` may name the service: outbound unless
    /// switched off; where clients from anywhere choose it, only if asked for.
    pub fn trusts_host_header(reporter: Reporter, configured: Option<bool>) -> bool {
        configured.unwrap_or(reporter == Reporter::Source)
    }
}

/// What Istio calls the service behind a special route, if the request took one.
pub fn of_special_route(attributes: &Attributes<'_>) -> Option<LabelValue> {
    match &*attributes.bytes(Element::Route)? {
        b"block_all" => LabelValue::clean_str("BlackHoleCluster"),
        b"allow_any" => LabelValue::clean_str("PassthroughCluster"),
        _ => None,
    }
}

// === impl UpstreamClusters ===

impl UpstreamClusters {
    /// Forgets all: what is asked for next is read again.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    fn read(&mut self, attributes: &Attributes<'_>) -> UpstreamCluster {
        // Without one there is no metadata of it either.
        let Some(name) = attributes.bytes(Element::UpstreamCluster) else {
            return UpstreamCluster::Nameless;
        };
        let number = self.hasher.hash_one(&*name);
        if let Some(known) = self.known.get(number, |known| **known == *name) {
            return known.clone();
        }
        let read = UpstreamCluster::of_name(attributes, &name);
        self.known.put(number, name.into_owned(), read.clone());
        read
    }
}

// === impl UpstreamCluster ===

impl UpstreamCluster {
    fn of_name(attributes: &Attributes<'_>, name: &[u8]) -> Self {
        let is_it = |special: &&&str| special.as_bytes() == name;
        let special = SPECIAL_UPSTREAM_CLUSTERS.iter().find(is_it);
        if let Some(name) = special.and_then(|name| LabelValue::clean_str(name)) {
            return Self::Special(name);
        }
        Self::described(attributes)
    }

    fn described(attributes: &Attributes<'_>) -> Self {
        match attributes.unless_null(&SERVICE_METADATA) {
            Ok(None) => Self::Nameless,
            Ok(Some(metadata)) => {
                let fields = Pairs::parse(&metadata);
                Self::Described(Service::of_fields(|name| fields?.get(name.as_bytes())))
            }
            Err(Null) => {
                let field =
                    |name: &str| attributes.bytes([&SERVICE_METADATA[..], &[name]].concat().as_slice());
                Self::Described(Service::of_fields(field))
            }
        }
    }
}
