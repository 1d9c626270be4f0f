//! The attributes that a list may bring: one table of them.

use super::keys::{
    DOWNSTREAM_PEER_KEY, DYNAMIC_METADATA_KEYS, DYNAMIC_METADATA_NAMESPACE, ENDPOINT, SPECIAL_ROUTES,
    UPSTREAM_PEER_KEY,
};
use crate::collections::set::{Numbered, Set};

macro_rules! elements {
    ($($variant:ident $path:expr, $stands_as:ident, $meant:expr, $doc:literal;)*) => {
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

            /// The values with which it counts as there; none are listed: any.
            pub(super) const fn meant(self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant => $meant,)*
                }
            }

            const fn stands_as(self) -> StandsAs {
                match self {
                    $(Self::$variant => StandsAs::$stands_as,)*
                }
            }
        }
    };
}

elements! {
    ResponseCode &["response", "code"], Value, ANY, "HTTP status.";
    ResponseFlags &["response", "flags"], Value, ANY, "Envoy's response flags.";
    UpstreamCluster &["xds", "cluster_name"], Value, ANY, "Envoy's name for a set of upstream endpoints.";
    SpecialRoute &["xds", "route_name"], Test, &SPECIAL_ROUTES,
        "Name of the route, if it is one of Istio's special ones.";
    ContentType &["request", "headers", "content-type"], Either, ANY, "Of the request.";
    RequestHost &["request", "host"], Value, ANY, "What the client calls the service.";
    DownstreamPeer &[DOWNSTREAM_PEER_KEY], Either, ANY, "What our exchange left of the downstream peer.";
    UpstreamPeer &[UPSTREAM_PEER_KEY], Either, ANY, "What our exchange left of the upstream peer.";
    IstioDownstreamPeer &["filter_state", "downstream_peer"], Test, ANY,
        "What Istio's exchange left of the downstream peer: maybe an object, of which each field is read by itself.";
    IstioUpstreamPeer &["filter_state", "upstream_peer"], Test, ANY,
        "What Istio's exchange left of the upstream peer.";
    DownstreamPeerMetadata &["metadata", "filter_metadata", DYNAMIC_METADATA_NAMESPACE, DYNAMIC_METADATA_KEYS[0]],
        Either, ANY, "What a stock filter left of the downstream peer.";
    UpstreamPeerMetadata &["metadata", "filter_metadata", DYNAMIC_METADATA_NAMESPACE, DYNAMIC_METADATA_KEYS[1]],
        Either, ANY, "What a stock filter left of the upstream peer.";
    Endpoint &ENDPOINT, Value, ANY, "Istio's metadata of the upstream endpoint.";
    UpstreamTls &["upstream", "tls_version"], Either, ANY, "Version of TLS towards the upstream, if it is used.";
    UpstreamLocalSan &["upstream", "uri_san_local_certificate"], Value, ANY, "Own identity towards the upstream.";
    UpstreamPeerSan &["upstream", "uri_san_peer_certificate"], Value, ANY, "Identity of the upstream.";
    Duration &["request", "duration"], Value, ANY, "In nanoseconds.";
    RequestSize &["request", "total_size"], Value, ANY, "In bytes, with headers.";
    ResponseSize &["response", "total_size"], Value, ANY, "In bytes, with headers and trailers.";
    ConnectionId &["connection", "id"], Value, ANY, "Of the downstream connection.";
}

/// Counts as there whatever its value is.
const ANY: &[&str] = &[];

/// Some of the elements.
pub type Elements = Set<Element>;

/// What an element may stand in a list as. A value that is absent makes the list
/// fail; a test whether it is there never does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StandsAs {
    Value,
    Test,
    Either,
}

/// What may be in a list as a value.
pub const VALUES: Elements = those_that_stand_as(StandsAs::Value);
/// Those that differ from request to request of the same kind: numbers of eight bytes.
/// Last in the table, and in a list.
pub const VOLATILE: Elements = Elements::of_numbers(&[
    Element::Duration as usize,
    Element::RequestSize as usize,
    Element::ResponseSize as usize,
    Element::ConnectionId as usize,
]);
/// What may be in a list as a test.
pub const TESTABLE: Elements = those_that_stand_as(StandsAs::Test);

const fn those_that_stand_as(wanted: StandsAs) -> Elements {
    let mut bits = 0;
    let mut rest: &[Element] = &Element::ALL;
    while let Some((element, others)) = rest.split_first() {
        let stands_as = element.stands_as() as u8;
        if stands_as == wanted as u8 || stands_as == StandsAs::Either as u8 {
            bits |= 1 << *element as usize;
        }
        rest = others;
    }
    Elements::of_bits(bits)
}

// === impl Element ===

impl Element {
    /// Its name in an expression: a single name is a property that a module set.
    pub(super) fn text(self) -> String {
        match *self.path() {
            [key] => format!(r#"filter_state["wasm.{key}"]"#),
            ["request", "headers", name] => format!(r#"request.headers["{name}"]"#),
            ref path => path.join("."),
        }
    }

    /// An expression that tells whether it may be there, if that never fails.
    pub(super) fn test(self) -> String {
        match *self.path() {
            [key] => format!(r#""wasm.{key}" in filter_state"#),
            ["request", "headers", name] => format!(r#""{name}" in request.headers"#),
            ["metadata", "filter_metadata", namespace, _] => {
                format!("has(metadata.filter_metadata.{namespace})")
            }
            _ => {
                let name = self.text();
                let is_meant: Vec<_> =
                    self.meant().iter().map(|value| format!("{name} == \"{value}\"")).collect();
                if is_meant.is_empty() {
                    format!("has({name})")
                } else {
                    format!("has({name}) && ({})", is_meant.join(" || "))
                }
            }
        }
    }

    /// Whether it counts as there with this value.
    pub(super) fn admits(self, value: &[u8]) -> bool {
        self.meant().is_empty() || self.meant().iter().any(|meant| meant.as_bytes() == value)
    }
}

impl Numbered for Element {
    fn number(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_an_expression_that_never_fails() {
        let testable = Element::ALL.into_iter().filter(|element| TESTABLE.contains(*element));
        let texts: Vec<_> = testable.map(Element::test).collect();
        let expected = [
            r#"has(xds.route_name) && (xds.route_name == "allow_any" || xds.route_name == "block_all")"#,
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
    fn objects_and_what_is_rarely_asked_for_are_no_values() {
        let others = Element::ALL.into_iter().filter(|element| !VALUES.contains(*element));
        assert!(others.eq([Element::SpecialRoute, Element::IstioDownstreamPeer, Element::IstioUpstreamPeer]));
    }
}
