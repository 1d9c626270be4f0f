//! The workload at the other end: where its facts come from, and the cache of
//! what was decoded.

pub mod cache;
pub mod endpoint;
pub mod metadata;

use std::rc::Rc;

use crate::attribute::Attributes;
use crate::labels::WorkloadLabels;
use cache::{Decoded, PeerCache};

/// Which peer is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that this proxy accepted the stream from.
    Downstream,
    /// The one that this proxy sent the stream on to.
    Upstream,
}

/// What is known of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It told who it is.
    Found(Rc<WorkloadLabels>),
    /// Nothing is known of it.
    Absent(Absence),
}

/// Why nothing is known of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// No metadata came.
    NoMetadata,
    /// What came could not be decoded; the reason is a metric's label.
    Undecodable(&'static str),
}

/// Where the metadata exchange leaves the peer's metadata: our own keys, since
/// writing Istio's would clash with its filters (istio/istio#60294).
pub const DOWNSTREAM_PEER_KEY: &str = "istio_stats.downstream_peer";
/// The same for the upstream peer.
pub const UPSTREAM_PEER_KEY: &str = "istio_stats.upstream_peer";

// === impl Peer ===

impl Peer {
    /// Asks each source in turn; the first that answers wins. Endpoint metadata
    /// speaks only for the upstream side (also when there was no response) and
    /// only where `endpoint` allows it: a waypoint does not use it.
    pub fn discover(attributes: &Attributes<'_>, side: Side, endpoint: bool, cache: &mut PeerCache) -> Self {
        let key = match side {
            Side::Downstream => DOWNSTREAM_PEER_KEY,
            Side::Upstream => UPSTREAM_PEER_KEY,
        };
        let exchanged = attributes.bytes(&[key]).map(|encoded| cache.exchanged(&encoded));
        if let Some(Decoded::Workload(labels)) = exchanged {
            return Self::Found(labels);
        }
        if endpoint && side == Side::Upstream {
            let endpoint = attributes.bytes(&endpoint::ATTRIBUTE);
            if let Some(Decoded::Workload(labels)) = endpoint.map(|encoded| cache.endpoint(&encoded)) {
                return Self::Found(labels);
            }
        }
        Self::Absent(match exchanged {
            Some(Decoded::Failed(reason)) => Absence::Undecodable(reason),
            _ => Absence::NoMetadata,
        })
    }

    /// The peer's labels, if it is known.
    pub fn labels(&self) -> Option<&WorkloadLabels> {
        match self {
            Self::Found(labels) => Some(labels),
            Self::Absent(_) => None,
        }
    }
}
