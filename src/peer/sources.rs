//! The places where a proxy may keep what a peer told: one table of them.
//!
//! A proxy uses one or two of them, and a look into an empty one costs 0.5 µs.
//! So those that have held something before are asked first, and the others
//! only when these are empty; those of old proxies only for a few streams, once in
//! a while.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::forms;
use super::side::Side;
use crate::attachment::Attachment;
use crate::attribute::element::Element;
use crate::attribute::{Attributes, Path};
use crate::collections::set::Set;
use crate::workload::further::Further;

/// One place. A new one is a row of [`SOURCES`] and, where its form is new, a
/// decoder in [`forms`].
struct Source {
    /// Where the downstream peer is, if it is ever there.
    downstream: Option<Path<'static>>,
    /// Where the upstream peer is.
    upstream: Option<Path<'static>>,
    /// When it is asked, by [`Attachment`].
    asked: [Asked; Attachment::CHOICES.len()],
    tells: Tells,
}

/// When a source is asked that has not held anything yet.
#[derive(Clone, Copy)]
enum Asked {
    /// Of each stream: proxies of today have it, and the first peer after many
    /// streams without would be missed.
    Always,
    /// Of a few streams a minute: only old proxies have it.
    Sometimes,
    /// It cannot be there, or what it tells is of no use.
    Never,
}

/// What can be learnt from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// Who the peer is, by its own words.
    APeer,
    /// The same; and Istio's control plane may have told its identity.
    AnIdentity,
    /// Only that there is none: of use while one might still answer.
    Nobody,
}

/// All sources; where several hold something, the first counts.
const SOURCES: [Source; 9] = {
    use Asked::{Always, Never, Sometimes};
    use Tells::{APeer, AnIdentity, Nobody};
    [
        // Our own exchange, over HTTP and TCP.
        Source {
            downstream: listed(Element::DownstreamPeer),
            upstream: listed(Element::UpstreamPeer),
            asked: [Always, Always],
            tells: APeer,
        },
        // Istio since 1.24: fields of an object; since 1.25 also all at once.
        Source {
            downstream: listed(Element::IstioDownstreamPeer),
            upstream: listed(Element::IstioUpstreamPeer),
            asked: [Always, Always],
            tells: AnIdentity,
        },
        // The same of the connection to the upstream: the exchange of a TCP client.
        Source {
            downstream: None,
            upstream: named(&["upstream_filter_state", "upstream_peer"]),
            asked: [Sometimes, Always],
            tells: AnIdentity,
        },
        // Istio 1.6 to 1.23: a FlatBuffers table. The host itself looks into both
        // filter states, and adds the prefix `wasm.`.
        Source {
            downstream: named(&["downstream_peer"]),
            upstream: named(&["upstream_peer"]),
            asked: [Sometimes, Sometimes],
            tells: APeer,
        },
        // Istio 1.4 and 1.5: a `Struct`.
        Source {
            downstream: named(&["envoy.wasm.metadata_exchange.downstream"]),
            upstream: named(&["envoy.wasm.metadata_exchange.upstream"]),
            asked: [Sometimes, Sometimes],
            tells: APeer,
        },
        // Where a stock filter puts the header (`envoy.filters.http.header_to_metadata`).
        Source {
            downstream: listed(Element::DownstreamPeerMetadata),
            upstream: listed(Element::UpstreamPeerMetadata),
            asked: [Always, Always],
            tells: APeer,
        },
        // Istio since 1.24.
        Source {
            downstream: named(&["filter_state", "peer_not_found"]),
            upstream: named(&["upstream_filter_state", "peer_not_found"]),
            asked: [Never, Always],
            tells: Nobody,
        },
        // Istio 1.19 to 1.23.
        Source {
            downstream: named(&[forms::PEER_UNKNOWN]),
            upstream: named(&[forms::PEER_UNKNOWN]),
            asked: [Never, Sometimes],
            tells: Nobody,
        },
        // Until 1.18 in the place of the peer's id.
        Source {
            downstream: named(&["downstream_peer_id"]),
            upstream: named(&["upstream_peer_id"]),
            asked: [Never, Sometimes],
            tells: Nobody,
        },
    ]
};

/// Streams without a peer for which all sources are asked.
const EVERYWHERE: u32 = 16;
/// When they are asked again.
const AGAIN: Duration = Duration::from_secs(60);

/// Some of the sources, by their rows.
type Rows = Set<usize>;

/// Which sources have held something, in one VM.
#[derive(Debug, Default)]
pub struct Sources {
    known: Rows,
    /// Streams with nothing in a known source, of those for which all are asked.
    misses: u32,
    asked_at: Option<Instant>,
}

const fn listed(element: Element) -> Option<Path<'static>> {
    Some(Path::Listed(element))
}

const fn named(names: &'static [&'static str]) -> Option<Path<'static>> {
    Some(Path::Named(names))
}

/// The sources that streams of one kind are asked.
struct Asks {
    always: Rows,
    ever: Rows,
}

const OF_HTTP: Asks = Asks::of(Attachment::Http);
const OF_TCP: Asks = Asks::of(Attachment::Tcp);

// === impl Asks ===

impl Asks {
    /// Counted out once, by the compiler: each stream asks.
    const fn of(attachment: Attachment) -> Self {
        let (mut always, mut ever, mut bit) = (0, 0, 1u32);
        let mut rest: &[Source] = &SOURCES;
        while let Some((source, others)) = rest.split_first() {
            let [http, tcp] = source.asked;
            let asked = match attachment {
                Attachment::Http => http,
                Attachment::Tcp => tcp,
            };
            match asked {
                Asked::Always => (always, ever) = (always | bit, ever | bit),
                Asked::Sometimes => ever |= bit,
                Asked::Never => {}
            }
            bit = bit.wrapping_shl(1);
            rest = others;
        }
        Self { always: Rows::of_bits(always), ever: Rows::of_bits(ever) }
    }
}

// === impl Sources ===

impl Sources {
    /// What a source holds of this peer, encoded in one form or another, and what it
    /// can tell.
    pub(super) fn look<'a>(
        &mut self,
        attributes: &Attributes<'a>,
        attachment: Attachment,
        side: Side,
        further: &Further,
    ) -> Option<(Cow<'a, [u8]>, Tells)> {
        let Asks { always, ever } = match attachment {
            Attachment::Http => OF_HTTP,
            Attachment::Tcp => OF_TCP,
        };
        let known = self.known.and(ever);
        self.look_into(attributes, side, known, further).or_else(|| {
            let rows = if self.misses < EVERYWHERE { ever } else { always };
            self.misses = self.misses.saturating_add(1);
            self.look_into(attributes, side, rows.minus(known), further)
        })
    }

    /// Lets the next streams look everywhere, if the last ones did long ago; also if the
    /// clock went back: nobody knows how long ago that was.
    pub(super) fn on_tick(&mut self, now: Instant) {
        let since = self.asked_at.and_then(|at| now.checked_duration_since(at));
        if since.is_none_or(|since| since >= AGAIN) {
            self.misses = 0;
            self.asked_at = Some(now);
        }
    }

    fn look_into<'a>(
        &mut self,
        attributes: &Attributes<'a>,
        side: Side,
        rows: Rows,
        further: &Further,
    ) -> Option<(Cow<'a, [u8]>, Tells)> {
        for (row, source) in SOURCES.iter().enumerate().filter(|(row, _)| rows.contains(*row)) {
            let path = match side {
                Side::Downstream => source.downstream,
                Side::Upstream => source.upstream,
            };
            let Some((path, bytes)) = path.and_then(|path| Some((path, attributes.bytes(path)?))) else {
                continue;
            };
            if source.tells == Tells::Nobody && !forms::is_nobody(&bytes) {
                continue;
            }
            self.known.insert(row);
            if *bytes != forms::OBJECT {
                return Some((bytes, source.tells));
            }
            let field = |name: &str| attributes.bytes([path.names(), &[name]].concat().as_slice());
            let object = forms::gather(side, further, |name| field(name).map(Cow::into_owned));
            return Some((object.into(), source.tells));
        }
        None
    }
}
