//! The metadata exchange: tells the proxy at the other end who we are, and
//! learns who it is.
//!
//! Istio's protocol, spoken by its sidecars and gateways, too. What a peer says
//! is put into the stream's filter state as it came; whoever wants to know
//! decodes it (see [`crate::peer`]).

pub mod config;
pub mod contexts;
pub mod http;
pub mod tcp;

use crate::attribute::direction::Direction;
use crate::attribute::era::Era;
use crate::attribute::Attributes;
use crate::config::{issue, Trust};
use crate::host::excerpt::quoted_bytes;
use crate::host::{Host, HostError};
use crate::peer::frame;
use crate::peer::metadata::{self, MAX_ENCODED_BYTES};
use crate::peer::side::Side;
use crate::peer::told;
use crate::wire::text::printable;
use crate::workload::node;
use config::Config;

/// One configured metadata exchange in one VM.
///
/// The default, and an unusable configuration, is one that tells nothing and
/// learns nothing; it still keeps the headers from passing through.
#[derive(Debug, Default)]
pub struct Exchange {
    era: Era,
    config: Option<Config>,
    /// `None`: each stream's listener tells it. (Listeners of both directions may have one root context.)
    direction: Option<Direction>,
    own: Own,
}

/// What a peer is told; absent parts are not sent. Computed once.
#[derive(Debug, Default)]
struct Own {
    metadata: Option<String>,
    id: Option<String>,
    /// Both, as the first bytes of a TCP connection.
    frame: Option<Vec<u8>>,
}

/// Metadata that additional labels may make as long. What receives it has a limit for all
/// headers of a message, mostly 60 kB, which the application fills, too. (Without them it
/// takes 0.5 kB, and 5 kB if each fact is as long as may be.)
pub const MAX_SENT_BYTES: usize = 4096;

/// Longest id of a node that is sent; with the longest names of Kubernetes it has 600 bytes.
pub const MAX_ID_BYTES: usize = 1024;

/// Istio's name of the upstream cluster for traffic to unknown destinations.
const PASSTHROUGH: &[u8] = b"PassthroughCluster";

// === impl Exchange ===

impl Exchange {
    /// Configures from the host's plugin configuration and node metadata. Bad
    /// input ends in one log line per problem, never in an error.
    pub fn configure(host: &dyn Host) -> Self {
        let era = Era::detect(host);
        let warn = |message: &str| host.log_once(log::Level::Warn, &format!("metadata-exchange: {message}"));

        let bytes = host.plugin_configuration().unwrap_or_else(|error| {
            warn(&format!("configuration: {error}; using the defaults"));
            Vec::new()
        });
        let (config, issues) = Config::compile(&bytes);
        let consequence = if config.is_none() { "; nothing is exchanged" } else { "" };
        for (level, line) in issue::shown(&issues) {
            host.log_once(level, &format!("metadata-exchange: configuration: {line}{consequence}"));
        }
        let Some(config) = config else {
            return Self::default();
        };

        let (workload, warnings) = node::read_further(host, &config.additional_labels);
        for warning in warnings {
            warn(&warning);
        }
        let mut workload = workload.overridden(&config.local);
        let id = read_node_id(&Attributes::new(host, era)).unwrap_or_else(|problem| {
            warn(&problem);
            None
        });
        let mut own_metadata = metadata::encode_struct(&workload);
        let mut left_out = 0u32;
        while metadata::to_header(&own_metadata).len() > MAX_SENT_BYTES && workload.drop_further() {
            left_out = left_out.saturating_add(1);
            own_metadata = metadata::encode_struct(&workload);
        }
        if left_out > 0 {
            let why = format!("more than {MAX_SENT_BYTES} bytes to send");
            warn(&format!("additional_labels: {why}; the last {left_out} of them are left out"));
        }
        let own = Own {
            metadata: Some(metadata::to_header(&own_metadata)).filter(|text| !text.is_empty()),
            frame: (!own_metadata.is_empty()).then(|| frame::encode(&own_metadata, id.as_deref())).flatten(),
            id,
        };
        let direction = Direction::of_root(&Attributes::new(host, era));
        Self { era, config: Some(config), direction, own }
    }

    fn attributes<'a>(&self, host: &'a dyn Host) -> Attributes<'a> {
        Attributes::new(host, self.era)
    }

    fn direction(&self, attributes: &Attributes<'_>) -> Direction {
        self.direction.unwrap_or_else(|| Direction::read(attributes))
    }

    /// Whether this peer may be listened to; a downstream one is answered, too.
    fn trusts(&self, side: Side, attributes: &Attributes<'_>) -> bool {
        match self.config.as_ref().map(|config| config.trust) {
            Some(Trust::Always) => true,
            Some(Trust::Mtls) => side.showed_certificate(attributes),
            None => false,
        }
    }

    /// Whether this side tells the upstream peer who it is, and so asks it for
    /// the same.
    fn asks_upstream(&self, attributes: &Attributes<'_>, direction: Direction) -> bool {
        let Some(config) = &self.config else {
            return false;
        };
        direction != Direction::Inbound
            && !is_marked(attributes, "disable_mx")
            && !(config.skip_external && is_external(attributes))
    }
}

impl Exchange {
    /// What a TCP peer is told.
    fn own_frame(&self) -> Option<&[u8]> {
        self.own.frame.as_deref()
    }

    /// Whether this side begins the exchange over TCP: only towards an upstream
    /// cluster that says it expects it, in its metadata or by our configuration.
    fn begins_tcp(&self, attributes: &Attributes<'_>, direction: Direction) -> bool {
        let Some(config) = &self.config else {
            return false;
        };
        if direction == Direction::Inbound {
            return false;
        }
        let mark = ["xds", "cluster_metadata", "filter_metadata", "istio-stats", "tcp_exchange"];
        if attributes.flag(&mark) == Some(true) {
            return true;
        }
        let listed = &config.tcp_upstream_clusters;
        let is_listed = |name: &[u8]| listed.iter().any(|listed| listed.as_bytes() == name);
        !listed.is_empty() && attributes.bytes(&["xds", "cluster_name"]).as_deref().is_some_and(is_listed)
    }
}

/// Whether the route leads out of the mesh.
fn is_external(attributes: &Attributes<'_>) -> bool {
    attributes.bytes(&["xds", "cluster_name"]).as_deref() == Some(PASSTHROUGH)
        || is_marked(attributes, "external")
}

/// Whether Istio's control plane marked the upstream cluster so. (A mark that is
/// absent, as usual, costs a fifth of a read.)
fn is_marked(attributes: &Attributes<'_>, mark: &str) -> bool {
    let mark = attributes.bytes(&["xds", "cluster_metadata", "filter_metadata", "istio", mark]);
    // A boolean is one byte; Istio's filter takes the text as well.
    matches!(mark.as_deref(), Some([1] | b"true"))
}

/// The id of the node, if it can stand in a header.
fn read_node_id(attributes: &Attributes<'_>) -> Result<Option<String>, String> {
    let Some(bytes) = attributes.bytes(&["xds", "node", "id"]) else {
        return Ok(None);
    };
    match printable(&bytes) {
        Some(id) if id.len() <= MAX_ID_BYTES => Ok(Some(id.to_owned())),
        _ => Err(format!("node id {} cannot be a header's value; not sent", quoted_bytes(&bytes))),
    }
}

/// Leaves what an HTTP peer told where the stats plugin finds it, and how many bytes
/// of the message to it are ours.
fn store_told(host: &dyn Host, key: &str, encoded: &[u8], added_bytes: usize) {
    let encoded = match encoded.len() {
        0 => return,
        1..=MAX_ENCODED_BYTES => encoded,
        _ => metadata::TOO_LARGE,
    };
    // Envoy keeps the filter state over an internal redirect: the first peer stays.
    note(host, key, host.set_property(key, &told::join(encoded, added_bytes)));
}

/// The same of a TCP peer, and whatever else there is to leave.
fn store(host: &dyn Host, key: &str, value: &[u8]) {
    store_told(host, key, value, 0);
}

/// A request is served whatever fails here, so a failure is for the curious only, and for
/// them once: clients may be able to repeat it.
fn note(host: &dyn Host, what: &str, result: Result<(), HostError>) {
    if let Err(error) = result {
        host.log_once(log::Level::Debug, &format!("metadata-exchange: {what}: {error}"));
    }
}
