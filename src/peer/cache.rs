//! Peers already decoded, by the whole of their encoded form.
//!
//! The key is never the id that a peer claims, or one client could speak for
//! another's node; and never a hash alone, which a client could make collide.

use std::rc::Rc;

use hashbrown::HashMap;

use super::{endpoint, metadata};
use crate::labels::WorkloadLabels;

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
    young: Generation,
    old: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    exchanged: HashMap<Box<[u8]>, Decoded>,
    endpoints: HashMap<Box<[u8]>, Decoded>,
    bytes: usize,
}

/// Entries of one generation; Istio's own cache holds 500 too.
const MAX_ENTRIES: usize = 500;
/// Encoded bytes that one generation may hold: 500 peers of 1 kB.
const MAX_BYTES: usize = 512 * 1024;

// === impl PeerCache ===

impl PeerCache {
    /// The workload in a header value of the metadata exchange.
    pub fn exchanged(&mut self, encoded: &[u8]) -> Decoded {
        self.get(
            encoded,
            |generation| &mut generation.exchanged,
            |encoded| match metadata::decode(encoded) {
                Ok(workload) => Decoded::Workload(Rc::new(WorkloadLabels::new(&workload))),
                Err(error) => Decoded::Failed(error.reason()),
            },
        )
    }

    /// The workload in an endpoint's metadata.
    pub fn endpoint(&mut self, encoded: &[u8]) -> Decoded {
        self.get(
            encoded,
            |generation| &mut generation.endpoints,
            |encoded| match endpoint::decode(encoded) {
                Some(labels) => Decoded::Workload(Rc::new(labels)),
                None => Decoded::Failed("endpoint"),
            },
        )
    }

    fn get(
        &mut self,
        encoded: &[u8],
        map: impl Fn(&mut Generation) -> &mut HashMap<Box<[u8]>, Decoded>,
        decode: impl FnOnce(&[u8]) -> Decoded,
    ) -> Decoded {
        if let Some(found) = map(&mut self.young).get(encoded) {
            return found.clone();
        }
        let decoded = match map(&mut self.old).get(encoded) {
            Some(found) => found.clone(),
            None => decode(encoded),
        };
        if self.young.is_full(encoded.len()) {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.bytes = self.young.bytes.saturating_add(encoded.len());
        map(&mut self.young).insert(encoded.into(), decoded.clone());
        decoded
    }
}

// === impl Generation ===

impl Generation {
    fn is_full(&self, more_bytes: usize) -> bool {
        let entries = self.exchanged.len().saturating_add(self.endpoints.len());
        entries >= MAX_ENTRIES || self.bytes.saturating_add(more_bytes) > MAX_BYTES
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
                assert!(generation.endpoints.len() <= MAX_ENTRIES && generation.bytes <= MAX_BYTES);
            }
        }
    }

    #[test]
    fn large_entries_are_bounded_by_their_bytes() {
        let mut cache = PeerCache::default();
        for i in 0..1000u32 {
            let mut encoded = vec![b'!'; 8192];
            encoded[..4].copy_from_slice(&i.to_be_bytes());
            assert!(matches!(cache.exchanged(&encoded), Decoded::Failed(_)));
        }
        assert!(cache.young.bytes + cache.old.bytes <= 2 * MAX_BYTES);
        assert!(cache.young.exchanged.len() + cache.old.exchanged.len() <= 128);
    }
}
