//! Peers already decoded, by the whole of their encoded form.
//!
//! The key is never the id that a peer claims, or one client could speak for
//! another's node; and never a hash alone, which a client could make collide.

use core::hash::BuildHasher;
use std::rc::Rc;

use hashbrown::DefaultHashBuilder;

use super::metadata::DecodeError;
use super::{endpoint, forms};
use crate::collections::index::{is_same_key, Index};
use crate::workload::labels::WorkloadLabels;

/// A decoder's answer, kept also when it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The labels of the workload.
    Workload(Rc<WorkloadLabels>),
    /// Why it could not be decoded.
    Failed(&'static str),
}

/// A bounded cache in two generations: when the young one is full it becomes
/// the old one, and the old one is dropped. What is in use moves back to the
/// young one, so a flood of new peers costs decoding, never memory.
#[derive(Debug, Default)]
pub struct PeerCache {
    hasher: DefaultHashBuilder,
    young: Generation,
    old: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    entries: Vec<Entry>,
    /// By their encoded form.
    index: Index,
    bytes: usize,
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
        if let Some(found) = self.young.find(hash, form, encoded) {
            return found;
        }
        let decoded = self.old.find(hash, form, encoded).unwrap_or_else(|| form.decode(encoded));
        if self.young.is_full(encoded.len()) {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(hash, Entry { form, encoded: encoded.into(), decoded: decoded.clone() });
        decoded
    }
}

// === impl Form ===

impl Form {
    fn decode(self, encoded: &[u8]) -> Decoded {
        let decoded = match self {
            Self::Exchanged => {
                let workload = forms::decode(encoded).map_err(DecodeError::reason);
                workload.map(|workload| WorkloadLabels::new(&workload))
            }
            Self::Endpoint => endpoint::decode(encoded).ok_or("endpoint"),
        };
        match decoded {
            Ok(labels) => Decoded::Workload(Rc::new(labels)),
            Err(reason) => Decoded::Failed(reason),
        }
    }
}

// === impl Generation ===

impl Generation {
    fn find(&self, hash: u64, form: Form, encoded: &[u8]) -> Option<Decoded> {
        let entry = |number| self.entries.get(number);
        let is_it = |entry: &Entry| entry.form == form && is_same_key(&entry.encoded, encoded);
        let number = self.index.find(hash, |number| entry(number).is_some_and(is_it))?;
        Some(entry(number)?.decoded.clone())
    }

    fn insert(&mut self, hash: u64, entry: Entry) {
        self.bytes = self.bytes.saturating_add(entry.encoded.len());
        self.index.insert(hash, self.entries.len());
        self.entries.push(entry);
    }

    fn is_full(&self, more_bytes: usize) -> bool {
        self.entries.len() >= MAX_ENTRIES || self.bytes.saturating_add(more_bytes) > MAX_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_peers_is_bounded_and_keeps_who_is_in_use() {
        let mut cache = PeerCache::default();
        let Decoded::Workload(steady) = cache.endpoint(b"steady;ns;svc;v1;west") else { panic!("decodes") };
        for i in 0..20_000 {
            let text = format!("pod-{i};ns;svc;v1;west");
            assert!(matches!(cache.endpoint(text.as_bytes()), Decoded::Workload(_)));
            if i % 100 == 0 {
                let Decoded::Workload(again) = cache.endpoint(b"steady;ns;svc;v1;west") else {
                    panic!("decodes")
                };
                assert!(Rc::ptr_eq(&steady, &again), "decoded again at {i}");
            }
            for generation in [&cache.young, &cache.old] {
                assert!(generation.entries.len() <= MAX_ENTRIES && generation.bytes <= MAX_BYTES);
            }
        }
    }

    #[test]
    fn large_entries_are_bounded_by_their_bytes() {
        // One size fills a generation to the last byte, the other leaves a rest.
        for size in [8192, 5000] {
            let mut cache = PeerCache::default();
            let mut most = 0;
            for i in 0..1000u32 {
                let mut encoded = vec![b'!'; size];
                encoded[..4].copy_from_slice(&i.to_be_bytes());
                assert!(matches!(cache.exchanged(&encoded), Decoded::Failed(_)));
                most = most.max(cache.young.bytes);
                assert!(cache.old.bytes <= MAX_BYTES);
            }
            assert_eq!(most, MAX_BYTES - MAX_BYTES % size);
        }
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
