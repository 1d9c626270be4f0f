//! Peers already decoded, by the whole of their encoded form.
//!
//! The key is never the id that a peer claims, or one client could speak for
//! another's node; and never a hash alone, which a client could make collide.

use core::hash::BuildHasher;
use std::rc::Rc;

use hashbrown::DefaultHashBuilder;

use super::metadata::DecodeError;
use super::{endpoint, forms};
use crate::collections::generations::{Cached, Generations};
use crate::collections::index::is_same_key;
use crate::workload::further::Further;
use crate::workload::labels::WorkloadLabels;
use crate::workload::Workload;

/// A decoder's answer, kept also when it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The labels of the workload.
    Workload(Rc<WorkloadLabels>),
    /// Why it could not be decoded.
    Failed(&'static str),
}

/// What all peers told, decoded.
#[derive(Debug, Default)]
pub struct PeerCache {
    /// What is kept of each.
    further: Further,
    hasher: DefaultHashBuilder,
    known: Generations<Entry>,
}

#[derive(Debug)]
struct Entry {
    form: Form,
    encoded: Box<[u8]>,
    decoded: Decoded,
}

/// What bytes are said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// What the peer told.
    Exchanged,
    /// The metadata of its endpoint.
    Endpoint,
}

/// Entries of one generation; Istio's own cache holds 500 too.
pub const MAX_ENTRIES: usize = 500;
/// Encoded bytes that one generation may hold: 500 peers of 1 kB.
pub const MAX_BYTES: usize = 512 * 1024;

// === impl PeerCache ===

impl PeerCache {
    /// One that keeps what is asked for.
    pub fn asking(further: Further) -> Self {
        Self { further, ..Self::default() }
    }

    /// What is kept of each peer.
    pub fn further(&self) -> &Further {
        &self.further
    }

    /// The workload in what a peer told, in any form.
    pub fn exchanged(&mut self, encoded: &[u8]) -> Decoded {
        self.get(Form::Exchanged, encoded)
    }

    /// The workload in an endpoint's metadata.
    pub fn endpoint(&mut self, encoded: &[u8]) -> Decoded {
        self.get(Form::Endpoint, encoded)
    }

    fn get(&mut self, form: Form, encoded: &[u8]) -> Decoded {
        let hash = self.hasher.hash_one(encoded);
        let is_it = |entry: &Entry| entry.form == form && is_same_key(&entry.encoded, encoded);
        if let Some(known) = self.known.find(hash, is_it, drop) {
            return known.decoded.clone();
        }
        let decoded = form.decode(encoded, &self.further);
        self.known.insert(hash, Entry { form, encoded: encoded.into(), decoded: decoded.clone() }, drop);
        decoded
    }
}

// === impl Form ===

impl Form {
    fn decode(self, encoded: &[u8], further: &Further) -> Decoded {
        let decoded = match self {
            Self::Exchanged => {
                let workload = Workload::default().asking(&further.labels);
                let workload = forms::decode_into(workload, encoded).map_err(DecodeError::reason);
                workload.map(|workload| WorkloadLabels::with(&workload, further))
            }
            Self::Endpoint => endpoint::decode(encoded).ok_or("endpoint"),
        };
        match decoded {
            Ok(labels) => Decoded::Workload(Rc::new(labels)),
            Err(reason) => Decoded::Failed(reason),
        }
    }
}

// === impl Entry ===

impl Cached for Entry {
    const MAX_BYTES: usize = MAX_BYTES;
    const MAX_ENTRIES: usize = MAX_ENTRIES;

    fn bytes(&self) -> usize {
        self.encoded.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_decoded_once() {
        let mut cache = PeerCache::default();
        let mut decoded = || match cache.endpoint(b"steady;ns;svc;v1;west") {
            Decoded::Workload(labels) => labels,
            Decoded::Failed(reason) => panic!("{reason}"),
        };
        assert!(Rc::ptr_eq(&decoded(), &decoded()));
    }

    #[test]
    fn a_peer_cannot_speak_for_an_endpoint() {
        let mut cache = PeerCache::default();
        let text = b"steady;ns;svc;v1;west";
        for _ in 0..2 {
            assert!(matches!(cache.exchanged(text), Decoded::Failed(_)));
            assert!(matches!(cache.endpoint(text), Decoded::Workload(_)));
        }
    }
}
