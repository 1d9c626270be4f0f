//! What it answers about streams.

use super::tcp::told;
use super::{Envoy, Told};

/// The name of the upstream cluster, by the interface's number.
const UPSTREAM_CLUSTER: u32 = 57;
/// The protocol of a request. A connection that has one is not counted.
const PROTOCOL: u32 = 10;

const UPSTREAM_CLUSTERS: [&str; 8] = [
    "outbound|80|v1|reviews.shop.svc.cluster.local",
    "outbound|443||api.example.com",
    "inbound|8080||",
    "inbound|6000||ledger.shop.svc.cluster.local",
    "outbound|||",
    "||||||||",
    "PassthroughCluster",
    "outbound|80||.svc..",
];
/// What means something to one reader or another.
const TEXTS: [&str; 12] = [
    "application/grpc+proto",
    "spiffe://cluster.local/ns/shop/sa/web",
    "spiffe://a/ns//sa/",
    "sidecar~10.0.0.1",
    "CgwKBE5BTUUSBBoCaGk=",
    "CiEKB0NMVVNURVIaFkt1YmVybmV0ZXM=",
    "//8=",
    "peer_not_found",
    "reviews;shop;reviews;v1;west",
    "a;b",
    "=.=;.;",
    "TLSv1.3",
];
const NUMBERS: [u64; 8] = [0, 1, 2, 200, 503, 1 << 63, u64::MAX, u32::MAX as u64];
/// Longer than any text that is looked at.
const LONG: usize = 5000;

impl Envoy {
    pub(super) fn attribute(&mut self, stream: usize, attribute: u32) -> Told {
        if self.is_friendly && attribute == PROTOCOL {
            return Told::Absent;
        }
        let usual: &[&str] = if attribute == UPSTREAM_CLUSTER { &UPSTREAM_CLUSTERS } else { &TEXTS };
        self.tell(stream, usual)
    }

    pub(super) fn header(&mut self, stream: usize, name: &[u8]) -> Told {
        self.read_name(name);
        self.tell(stream, &TEXTS)
    }

    pub(super) fn set_header(&mut self, stream: usize, name: &[u8], value: &[u8]) -> bool {
        self.read_name(name);
        if value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
            self.wrong("a header that breaks the request");
        }
        self.stream(stream).told = Vec::new();
        self.is_friendly || self.take(|input| input.flag())
    }

    pub(super) fn metadata(&mut self, stream: usize, namespace: &[u8], key: &[u8]) -> Told {
        self.read_name(namespace);
        self.read_name(key);
        self.tell(stream, &TEXTS)
    }

    /// What was kept, or else anything.
    pub(super) fn filter_state(&mut self, stream: usize, key: &[u8]) -> Told {
        self.read_name(key);
        let of = self.stream(stream);
        match of.filter_state.get(key) {
            Some(kept) => {
                of.told = kept.clone();
                told(&of.told)
            }
            None => self.tell(stream, &TEXTS),
        }
    }

    pub(super) fn set_filter_state(&mut self, stream: usize, key: &[u8], value: Vec<u8>) -> bool {
        self.read_name(key);
        let is_possible = self.is_friendly || self.take(|input| input.flag());
        let of = self.stream(stream);
        of.told = Vec::new();
        if is_possible {
            of.filter_state.insert(key.to_vec(), value);
        }
        is_possible
    }

    pub(super) fn number(&mut self, stream: usize) -> Option<u64> {
        self.stream(stream).told = Vec::new();
        self.take(|input| match input.below(10) {
            0 => None,
            1 => Some(input.number().into()),
            known => NUMBERS.get(known - 2).copied(),
        })
    }

    pub(super) fn flag(&mut self, stream: usize) -> Option<bool> {
        self.stream(stream).told = Vec::new();
        self.take(|input| [None, Some(false), Some(true)][input.below(3)])
    }

    fn read_name(&mut self, name: &[u8]) {
        if std::str::from_utf8(name).is_err() {
            self.wrong("a name is no text");
        }
    }

    fn tell(&mut self, stream: usize, usual: &[&str]) -> Told {
        let answer = self.take(|input| match input.below(8) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(input.bytes().to_vec()),
            3 => Some(input.long_bytes().to_vec()),
            4 => Some(vec![input.byte(); LONG]),
            5 => Some([usual[input.below(usual.len())].as_bytes(), input.bytes()].concat()),
            _ => Some(usual[input.below(usual.len())].into()),
        });
        let Some(answer) = answer else {
            self.stream(stream).told = Vec::new();
            return Told::Absent;
        };
        let of = self.stream(stream);
        of.told = answer;
        told(&of.told)
    }
}
