//! The workload at the other end: where its facts come from, and the cache of
//! what was decoded.

pub mod cache;
pub mod endpoint;
pub mod forms;
pub mod frame;
pub mod metadata;
pub mod side;
pub mod sources;
pub mod told;

use std::rc::Rc;
use std::time::Instant;

use crate::attachment::Attachment;
use crate::attribute::element::Element;
use crate::attribute::keys::NO_PEER;
use crate::attribute::Attributes;
use crate::workload::further::Further;
use crate::workload::labels::WorkloadLabels;
use cache::{Decoded, PeerCache};
use side::Side;
use sources::{Sources, Tells};

/// What is known of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    labels: Option<Rc<WorkloadLabels>>,
    /// Whether Istio's filters told its identity, if it has one.
    is_identified: bool,
    /// Why the peer itself told nothing, if it did not.
    absence: Option<Absence>,
    /// What our exchange added to a message to tell the peer who we are.
    added_bytes: u64,
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

/// What one VM keeps of all peers that it met.
#[derive(Debug, Default)]
pub struct Peers {
    sources: Sources,
    cache: PeerCache,
}

/// The peer that is asked for, and who may speak for it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The kind of the stream.
    pub attachment: Attachment,
    /// Which peer.
    pub side: Side,
    /// Whether what the peer says of itself counts.
    pub is_believed: bool,
    /// Whether the metadata of the upstream's endpoint may speak for it, also when
    /// there was no response. A waypoint does not use it.
    pub by_endpoint: bool,
}

// === impl Peers ===

impl Peers {
    /// Keeps of each what is asked for.
    pub fn asking(further: Further) -> Self {
        Self { sources: Sources::default(), cache: PeerCache::asking(further) }
    }

    /// Asks each source in turn; the first that answers wins.
    pub fn find(&mut self, attributes: &Attributes<'_>, wanted: Wanted) -> Peer {
        let Wanted { attachment, side, is_believed, by_endpoint } = wanted;
        let told = self.sources.look(attributes, attachment, side, self.cache.further());
        let is_identified = matches!(told, Some((_, Tells::AnIdentity)));
        let (told, added_bytes) = told.as_ref().map_or((None, 0), |(told, _)| {
            let (told, added_bytes) = told::split(told);
            (Some(told), added_bytes)
        });
        let absence = match told {
            None => Absence::Pending,
            Some(_) if !is_believed => Absence::NoExchange,
            Some(nobody) if nobody == NO_PEER || forms::is_nobody(nobody) => Absence::NoExchange,
            Some(encoded) => match self.cache.exchanged(encoded) {
                Decoded::Workload(labels) => {
                    return Peer { labels: Some(labels), is_identified, absence: None, added_bytes }
                }
                Decoded::Failed(reason) => Absence::Undecodable(reason),
            },
        };
        let mut labels = None;
        if by_endpoint && side == Side::Upstream {
            let endpoint = attributes.bytes(Element::Endpoint);
            if let Some(Decoded::Workload(known)) = endpoint.map(|encoded| self.cache.endpoint(&encoded)) {
                labels = Some(known);
            }
        }
        Peer { labels, is_identified: false, absence: Some(absence), added_bytes }
    }

    /// Some time passed: looks everywhere again, if it is time for that.
    pub fn on_tick(&mut self, now: Instant) {
        self.sources.on_tick(now);
    }
}

// === impl Peer ===

impl Peer {
    /// The side that the reporter's labels do not speak of.
    pub fn unasked() -> Self {
        Self { labels: None, is_identified: false, absence: Some(Absence::NoExchange), added_bytes: 0 }
    }

    /// The peer's labels, if it is known.
    pub fn labels(&self) -> Option<&WorkloadLabels> {
        self.labels.as_deref()
    }

    /// The same if its [`Fact::Identity`] counts: Istio's filters have it from the control
    /// plane. What a peer says of itself in our exchange is none.
    ///
    /// [`Fact::Identity`]: crate::workload::fact::Fact::Identity
    pub fn identified(&self) -> Option<&WorkloadLabels> {
        self.labels().filter(|_| self.is_identified)
    }

    /// Whether the peer may still tell who it is.
    pub fn is_pending(&self) -> bool {
        self.absence == Some(Absence::Pending)
    }

    /// Bytes of a message to this peer that are our exchange's, as far as it said so.
    pub fn added_bytes(&self) -> u64 {
        self.added_bytes
    }

    /// Why its metadata could not be decoded, if that is so.
    pub fn decode_error(&self) -> Option<&'static str> {
        match self.absence {
            Some(Absence::Undecodable(reason)) => Some(reason),
            _ => None,
        }
    }
}
