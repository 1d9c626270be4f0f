//! Reads most attributes of a request in one hostcall: as one CEL list.
//!
//! A list costs Envoy a little more than one attribute does, and each of its
//! elements a third of a read of its own. But it fails as a whole where one of
//! them is absent, and guards against that cost more than they save. So the list
//! follows the traffic: what each of the last streams had is in it as a value, what
//! each of them lacked as a test, which is cheap and never fails. What is not in
//! it, and everything where it fails, is read singly.

use std::cell::{Cell, RefCell};

use crate::attribute::Era;
use crate::host::{ExpressionToken, Host};
use crate::peer::places::{DYNAMIC_METADATA_KEYS, DYNAMIC_METADATA_NAMESPACE};
use crate::peer::{endpoint, DOWNSTREAM_PEER_KEY, UPSTREAM_PEER_KEY};
use crate::wire::pairs;

macro_rules! elements {
    ($($variant:ident $path:expr, $doc:literal;)*) => {
        /// An attribute that may be in a list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Element {
            $(#[doc = $doc] $variant,)*
        }

        impl Element {
            /// All of them.
            pub const ALL: [Self; [$(stringify!($variant)),*].len()] = [$(Self::$variant),*];

            /// Its path, for a read of its own.
            pub const fn path(self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant => $path,)*
                }
            }
        }
    };
}

elements! {
    ResponseCode &["response", "code"], "HTTP status.";
    ResponseFlags &["response", "flags"], "Envoy's response flags.";
    Duration &["request", "duration"], "In nanoseconds.";
    RequestSize &["request", "total_size"], "In bytes, with headers.";
    ResponseSize &["response", "total_size"], "In bytes, with headers and trailers.";
    UpstreamCluster &["xds", "cluster_name"], "Envoy's name for a set of upstream endpoints.";
    ContentType &["request", "headers", "content-type"], "Of the request.";
    ConnectionId &["connection", "id"], "Of the downstream connection.";
    DownstreamPeer &[DOWNSTREAM_PEER_KEY], "What our exchange left of the downstream peer.";
    UpstreamPeer &[UPSTREAM_PEER_KEY], "What our exchange left of the upstream peer.";
    IstioDownstreamPeer &["filter_state", "downstream_peer"], "What Istio's exchange left of the downstream peer.";
    IstioUpstreamPeer &["filter_state", "upstream_peer"], "What Istio's exchange left of the upstream peer.";
    DownstreamPeerMetadata &["metadata", "filter_metadata", DYNAMIC_METADATA_NAMESPACE, DYNAMIC_METADATA_KEYS[0]],
        "What a stock filter left of the downstream peer.";
    UpstreamPeerMetadata &["metadata", "filter_metadata", DYNAMIC_METADATA_NAMESPACE, DYNAMIC_METADATA_KEYS[1]],
        "What a stock filter left of the upstream peer.";
    Endpoint &endpoint::ATTRIBUTE, "Istio's metadata of the upstream endpoint.";
    UpstreamTls &["upstream", "tls_version"], "Version of TLS towards the upstream, if it is used.";
    UpstreamLocalSan &["upstream", "uri_san_local_certificate"], "Own identity towards the upstream.";
    UpstreamPeerSan &["upstream", "uri_san_peer_certificate"], "Identity of the upstream.";
}

/// Some of the elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Elements(u32);

/// What a list is made of: values first, then tests, each in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Content {
    values: Elements,
    tests: Elements,
}

/// The lists that one plugin reads, and what its streams had of late.
#[derive(Debug, Default)]
pub struct Bulk {
    era: Era,
    /// What the next stream is read by.
    chosen: Cell<Content>,
    /// What each of the last `streams` was asked for, and had or lacked.
    common: Cell<Content>,
    streams: Cell<u32>,
    lists: RefCell<Vec<List>>,
}

#[derive(Debug)]
struct List {
    content: Content,
    /// `None`: the host has no expressions, or cannot evaluate this one.
    token: Option<ExpressionToken>,
}

/// What a list brought of a stream, on the wire.
#[derive(Debug, Default)]
pub struct Fetched {
    content: Content,
    /// Empty if it failed.
    bytes: Vec<u8>,
}

/// The same by element, and what the stream had and lacked in the end.
#[derive(Debug)]
pub struct Batch<'a> {
    tried: Content,
    /// The same, unless it failed.
    content: Content,
    /// In the order of the list.
    items: [&'a [u8]; Element::ALL.len()],
    found: Cell<Elements>,
    lacked: Cell<Elements>,
}

/// What may be in a list as a value. (Istio's peers may be objects, of which each
/// field is read by itself.)
const VALUES: Elements =
    Elements(u32::MAX).without(Element::IstioDownstreamPeer).without(Element::IstioUpstreamPeer);
/// What may be in a list as a test: the test never fails.
const TESTABLE: Elements = Elements(0)
    .with(Element::ContentType)
    .with(Element::DownstreamPeer)
    .with(Element::UpstreamPeer)
    .with(Element::IstioDownstreamPeer)
    .with(Element::IstioUpstreamPeer)
    .with(Element::DownstreamPeerMetadata)
    .with(Element::UpstreamPeerMetadata)
    .with(Element::UpstreamTls);

/// Fewer are cheaper read singly.
const LEAST_VALUES: usize = 5;
/// Streams in a row that must agree before the list follows them: one that fails
/// costs as much as half a dozen reads.
const WINDOW: u32 = 8;
/// For each the host keeps some 25 kB. A plugin whose traffic is of one kind has one.
const MAX_LISTS: usize = 4;

// === impl Element ===

impl Element {
    /// Its name in an expression.
    fn text(self) -> String {
        let stored = |key| format!(r#"filter_state["wasm.{key}"]"#);
        match self {
            Self::DownstreamPeer => stored(DOWNSTREAM_PEER_KEY),
            Self::UpstreamPeer => stored(UPSTREAM_PEER_KEY),
            Self::ContentType => r#"request.headers["content-type"]"#.to_owned(),
            _ => self.path().join("."),
        }
    }

    /// An expression that tells whether one of [`TESTABLE`] may be there.
    fn test(self) -> String {
        let is_stored = |key| format!(r#""wasm.{key}" in filter_state"#);
        match self {
            Self::DownstreamPeer => is_stored(DOWNSTREAM_PEER_KEY),
            Self::UpstreamPeer => is_stored(UPSTREAM_PEER_KEY),
            Self::ContentType => r#""content-type" in request.headers"#.to_owned(),
            Self::DownstreamPeerMetadata | Self::UpstreamPeerMetadata => {
                format!("has(metadata.filter_metadata.{DYNAMIC_METADATA_NAMESPACE})")
            }
            _ => format!("has({})", self.text()),
        }
    }
}

// === impl Elements ===

impl Elements {
    const fn with(self, element: Element) -> Self {
        Self(self.0 | 1 << element as usize)
    }

    const fn without(self, element: Element) -> Self {
        Self(self.0 & !(1 << element as usize))
    }

    fn contains(self, element: Element) -> bool {
        self.0 >> element as usize & 1 == 1
    }

    fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// How many come before this one.
    fn before(self, element: Element) -> usize {
        (self.0 & !(u32::MAX << element as usize)).count_ones() as usize
    }

    fn iter(self) -> impl Iterator<Item = Element> {
        Element::ALL.into_iter().filter(move |element| self.contains(*element))
    }
}

// === impl Content ===

impl Content {
    fn without_tests(self) -> Self {
        Self { tests: Elements::default(), ..self }
    }

    fn and(self, other: Self) -> Self {
        Self { values: self.values.and(other.values), tests: self.tests.and(other.tests) }
    }

    fn count(self) -> usize {
        self.values.count().saturating_add(self.tests.count())
    }

    /// The expression.
    fn text(self, era: Era) -> String {
        let values = self.values.iter().map(|element| era.name_of(&element.text()).to_owned());
        let tests = self.tests.iter().map(Element::test);
        let mut text = String::new();
        for item in values.chain(tests) {
            text.push(if text.is_empty() { '[' } else { ',' });
            text.push_str(&item);
        }
        text.push(']');
        text
    }
}

// === impl Bulk ===

impl Bulk {
    /// No list yet: they come with the traffic.
    pub fn new(era: Era) -> Self {
        Self { era, ..Self::default() }
    }

    /// Reads what the stream is likely to have and to be asked for.
    pub fn fetch(&self, host: &dyn Host) -> Fetched {
        let chosen = self.chosen.get();
        if chosen.values.count() < LEAST_VALUES {
            return Fetched::default();
        }
        [chosen, chosen.without_tests()]
            .into_iter()
            .find_map(|content| {
                let token = self.list(host, content)?;
                Some(Fetched { content, bytes: host.evaluate_expression(token).unwrap_or_default() })
            })
            .unwrap_or_default()
    }

    fn list(&self, host: &dyn Host, content: Content) -> Option<ExpressionToken> {
        let mut lists = self.lists.borrow_mut();
        if let Some(known) = lists.iter().find(|list| list.content == content) {
            return known.token;
        }
        if lists.len() >= MAX_LISTS {
            if let Some(token) = lists.remove(0).token {
                host.delete_expression(token);
            }
        }
        let token = host.create_expression(&content.text(self.era)).ok();
        lists.push(List { content, token });
        token
    }

    /// Learns from a stream that was read, for the next ones.
    pub fn learn(&self, host: &dyn Host, batch: &Batch<'_>) {
        let stream =
            Content { values: batch.found.get().and(VALUES), tests: batch.lacked.get().and(TESTABLE) };
        if batch.failed() && batch.tried.values.and(stream.values) == batch.tried.values {
            // Nothing was missing, so it would go on failing.
            self.give_up(host, batch.tried);
        }
        let streams = self.streams.get().saturating_add(1);
        let common = if streams == 1 { stream } else { self.common.get().and(stream) };
        self.common.set(common);
        if streams < WINDOW {
            self.streams.set(streams);
            // What was missing once fails the list, so it goes at once.
            let chosen = self.chosen.get();
            self.chosen.set(Content { values: chosen.values.and(stream.values), ..chosen });
        } else {
            self.streams.set(0);
            self.chosen.set(common);
        }
    }

    fn give_up(&self, host: &dyn Host, content: Content) {
        let mut lists = self.lists.borrow_mut();
        let list = lists.iter_mut().find(|list| list.content == content);
        if let Some(token) = list.and_then(|list| list.token.take()) {
            host.delete_expression(token);
        }
    }
}

// === impl Batch ===

impl<'a> Batch<'a> {
    /// Finds the items of a list. It has them as keys.
    pub fn of(fetched: &'a Fetched) -> Self {
        let tried = fetched.content;
        let mut batch = Self {
            tried,
            content: Content::default(),
            items: Default::default(),
            found: Cell::default(),
            lacked: Cell::default(),
        };
        let Some((count, mut entries)) =
            pairs::walk(&fetched.bytes).filter(|(count, _)| *count == tried.count())
        else {
            return batch;
        };
        for slot in batch.items.iter_mut().take(count) {
            let Some((item, _)) = entries.next() else {
                return batch;
            };
            *slot = item;
        }
        batch.content = tried;
        batch
    }

    fn failed(&self) -> bool {
        self.content != self.tried
    }

    /// The bytes of an element; none if the stream lacks it. `None`: the list does
    /// not tell.
    pub fn get(&self, element: Element) -> Option<&'a [u8]> {
        let Content { values, tests } = self.content;
        let item = if values.contains(element) {
            self.items.get(values.before(element)).copied()
        } else if tests.contains(element) {
            let test = self.items.get(values.count().saturating_add(tests.before(element)));
            test.filter(|test| **test == [0]).map(|_| &[][..])
        } else {
            None
        };
        if let Some(bytes) = item {
            self.note(element, !bytes.is_empty());
        }
        item
    }

    /// The stream was asked for this element, and has it or not.
    pub fn note(&self, element: Element, found: bool) {
        if found {
            self.found.set(self.found.get().with(element));
        } else {
            self.lacked.set(self.lacked.get().with(element));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_an_expression_that_never_fails() {
        let texts: Vec<_> = TESTABLE.iter().map(Element::test).collect();
        let expected = [
            r#""content-type" in request.headers"#,
            r#""wasm.istio_stats.downstream_peer" in filter_state"#,
            r#""wasm.istio_stats.upstream_peer" in filter_state"#,
            "has(filter_state.downstream_peer)",
            "has(filter_state.upstream_peer)",
            "has(metadata.filter_metadata.istio_stats)",
            "has(metadata.filter_metadata.istio_stats)",
            "has(upstream.tls_version)",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn sets_of_elements() {
        for element in Element::ALL {
            let one = Elements::default().with(element);
            assert_eq!(one.iter().collect::<Vec<_>>(), [element]);
            assert_eq!(one.with(element), one);
            assert_eq!(one.without(element), Elements::default());
            assert_eq!(one.without(element).without(element), Elements::default());
            let others = Element::ALL.into_iter().filter(|other| *other != element);
            assert!(Elements(u32::MAX).without(element).iter().eq(others));
        }
    }
}
