//! The places where a proxy may keep what a peer told.
//!
//! A proxy uses one or two of them, and a look into an empty one costs 0.5 µs.
//! So those that have held something before are asked first, and the others
//! only when these are empty; those of old proxies then not always.

use std::borrow::Cow;

use super::{istio, Side};
use crate::attribute::element::Element;
use crate::attribute::{Attributes, Path};
use crate::config::Attachment;

/// Where one place has the downstream and the upstream peer, if it has it.
type Place = [Option<Path<'static>>; 2];

/// All places; where several hold something, the first counts.
const PLACES: [Place; 9] = [
    // Our own exchange, over HTTP and TCP.
    [listed(Element::DownstreamPeer), listed(Element::UpstreamPeer)],
    // Istio since 1.24: fields of an object; since 1.25 also all at once.
    [listed(Element::IstioDownstreamPeer), listed(Element::IstioUpstreamPeer)],
    // The same of the connection to the upstream: the exchange of a TCP client.
    [None, named(&["upstream_filter_state", "upstream_peer"])],
    // Istio 1.6 to 1.23: a FlatBuffers table. The host itself looks into both
    // filter states, and adds the prefix `wasm.`.
    [named(&["downstream_peer"]), named(&["upstream_peer"])],
    // Istio 1.4 and 1.5: a `Struct`.
    [named(&["envoy.wasm.metadata_exchange.downstream"]), named(&["envoy.wasm.metadata_exchange.upstream"])],
    // Where a stock filter puts the header (`envoy.filters.http.header_to_metadata`).
    [listed(Element::DownstreamPeerMetadata), listed(Element::UpstreamPeerMetadata)],
    // From here on it can only be said that there is nobody. Since 1.24.
    [named(&["filter_state", "peer_not_found"]), named(&["upstream_filter_state", "peer_not_found"])],
    // Istio 1.19 to 1.23.
    [named(&[istio::PEER_UNKNOWN]), named(&[istio::PEER_UNKNOWN])],
    // Until 1.18 in the place of the peer's id.
    [named(&["downstream_peer_id"]), named(&["upstream_peer_id"])],
];
/// Index of the first place that only tells that there is nobody.
const FIRST_OF_NOBODY: usize = 6;

/// Which places there are for a kind of stream, by bit.
struct Bits {
    all: u16,
    /// Those that proxies of today have: always asked, or the first peer after
    /// many streams without would be missed.
    todays: u16,
}

const OF_TCP: Bits = Bits { all: 0b1_1111_1111, todays: 0b0_0110_0111 };
/// "Nobody" tells that none may still answer: of no use where all is over.
const OF_HTTP: Bits = Bits { all: 0b0_0011_1111, todays: 0b0_0010_0011 };

/// Streams without a peer, after each report, for which all places are asked.
const ALWAYS: u32 = 16;
/// Later it is one in so many.
const ONE_IN: u32 = 16;

/// Which places have held something, in one VM.
#[derive(Debug, Default)]
pub struct Places {
    /// A bit for each place.
    known: u16,
    /// Streams since the last tick with nothing in a known place.
    misses: u32,
}

const fn listed(element: Element) -> Option<Path<'static>> {
    Some(Path::Listed(element))
}

const fn named(names: &'static [&'static str]) -> Option<Path<'static>> {
    Some(Path::Named(names))
}

// === impl Places ===

impl Places {
    /// What a place holds of this peer, encoded in one form or another.
    pub(super) fn look<'a>(
        &mut self,
        attributes: &Attributes<'a>,
        attachment: Attachment,
        side: Side,
    ) -> Option<Cow<'a, [u8]>> {
        let places = match attachment {
            Attachment::Http => OF_HTTP,
            Attachment::Tcp => OF_TCP,
        };
        let known = self.known & places.all;
        self.look_into(attributes, side, known).or_else(|| {
            let everywhere = self.misses < ALWAYS || self.misses % ONE_IN == 0;
            self.misses = self.misses.wrapping_add(1);
            let others = if everywhere { places.all } else { places.todays };
            self.look_into(attributes, side, others & !known)
        })
    }

    /// Lets the next streams look everywhere again.
    pub(crate) fn on_tick(&mut self) {
        self.misses = 0;
    }

    fn look_into<'a>(
        &mut self,
        attributes: &Attributes<'a>,
        side: Side,
        places: u16,
    ) -> Option<Cow<'a, [u8]>> {
        for (n, [downstream, upstream]) in (0u16..).zip(&PLACES) {
            let bit = 1 << n;
            let path = if side == Side::Upstream { upstream } else { downstream };
            let Some(path) = path.filter(|_| places & bit != 0) else {
                continue;
            };
            let found = attributes.bytes(path);
            let found = found.filter(|bytes| usize::from(n) < FIRST_OF_NOBODY || istio::is_nobody(bytes));
            if let Some(bytes) = found {
                self.known |= bit;
                if *bytes != istio::OBJECT {
                    return Some(bytes);
                }
                let field = |name: &str| attributes.bytes([path.names(), &[name]].concat().as_slice());
                return Some(istio::gather(|name| field(name).map(Cow::into_owned)).into());
            }
        }
        None
    }
}
