//! The workload at the other end: where its facts come from, and the cache of
//! what was decoded.

pub mod cache;
pub mod endpoint;
pub mod frame;
pub mod istio;
pub mod metadata;
pub mod places;

use std::rc::Rc;

use crate::attribute::element::Element;
use crate::attribute::keys::NO_PEER;
use crate::attribute::Attributes;
use crate::config::Attachment;
use crate::workload::labels::WorkloadLabels;
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
pub struct Peer {
    labels: Option<Rc<WorkloadLabels>>,
    /// Why the peer itself told nothing, if it did not.
    absence: Option<Absence>,
}

/// Why a peer told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// No metadata came, or not yet.
    Pending,
    /// None will come.
    NoExchange,
    /// What came could not be decoded; the reason is a metric's label.
    Undecodable(&'static str),
}

// === impl Side ===

impl Side {
    /// Whether this peer showed a certificate. Any has a subject or a SAN;
    /// Istio's have only the SAN.
    pub fn showed_certificate(self, attributes: &Attributes<'_>) -> bool {
        match self {
            Self::Downstream => attributes.flag(&["connection", "mtls"]) == Some(true),
            Self::Upstream => {
                attributes.bytes(Element::UpstreamPeerSan).is_some()
                    || attributes.bytes(&["upstream", "subject_peer_certificate"]).is_some()
            }
        }
    }
}

// === impl Peer ===

impl Peer {
    /// Asks each source in turn; the first that answers wins. What the peer says
    /// itself counts only if it is `believed`. Endpoint metadata
    /// speaks only for the upstream side (also when there was no response) and
    /// only where `endpoint` allows it: a waypoint does not use it.
    pub fn discover(
        attributes: &Attributes<'_>,
        attachment: Attachment,
        side: Side,
        believed: bool,
        endpoint: bool,
        cache: &mut PeerCache,
    ) -> Self {
        let told = cache.places.look(attributes, attachment, side);
        let absence = match told.as_deref() {
            None => Absence::Pending,
            Some(_) if !believed => Absence::NoExchange,
            Some(nobody) if nobody == NO_PEER || istio::is_nobody(nobody) => Absence::NoExchange,
            Some(encoded) => match cache.exchanged(encoded) {
                Decoded::Workload(labels) => return Self::new(Some(labels), None),
                Decoded::Failed(reason) => Absence::Undecodable(reason),
            },
        };
        let mut labels = None;
        if endpoint && side == Side::Upstream {
            let endpoint = attributes.bytes(Element::Endpoint);
            if let Some(Decoded::Workload(known)) = endpoint.map(|encoded| cache.endpoint(&encoded)) {
                labels = Some(known);
            }
        }
        Self::new(labels, Some(absence))
    }

    /// The side that the reporter's labels do not speak of.
    pub fn unasked() -> Self {
        Self::new(None, Some(Absence::NoExchange))
    }

    fn new(labels: Option<Rc<WorkloadLabels>>, absence: Option<Absence>) -> Self {
        Self { labels, absence }
    }

    /// The peer's labels, if it is known.
    pub fn labels(&self) -> Option<&WorkloadLabels> {
        self.labels.as_deref()
    }

    /// Whether the peer may still tell who it is.
    pub fn is_pending(&self) -> bool {
        self.absence == Some(Absence::Pending)
    }

    /// Why its metadata could not be decoded, if that is so.
    pub fn decode_error(&self) -> Option<&'static str> {
        match self.absence {
            Some(Absence::Undecodable(reason)) => Some(reason),
            _ => None,
        }
    }
}
