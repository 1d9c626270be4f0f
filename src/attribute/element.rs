//! The attributes that a list may bring: one table of them.

use super::era::Era;
use super::keys::{
    DOWNSTREAM_PEER_KEY, DYNAMIC_METADATA_KEYS, DYNAMIC_METADATA_NAMESPACE, ENDPOINT, MESSAGES,
    UPSTREAM_PEER_KEY,
};
use crate::collections::set::{Numbered, Set};

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
    UpstreamCluster &["xds", "cluster_name"], "Envoy's name for a set of upstream endpoints.";
    Route &["xds", "route_name"], "Name of the route: Istio has special ones.";
    ContentType &["request", "headers", "content-type"], "Of the request.";
    GrpcStatus &["response", "grpc_status"], "Of gRPC, as the server sent it or as Envoy derived it.";
    RequestHost &["request", "host"], "What the client calls the service.";
    DownstreamPeer &[DOWNSTREAM_PEER_KEY], "What our exchange left of the downstream peer.";
    UpstreamPeer &[UPSTREAM_PEER_KEY], "What our exchange left of the upstream peer.";
    IstioDownstreamPeer &["filter_state", "downstream_peer"],
        "What Istio's exchange left of the downstream peer: maybe an object, of which each field is read by itself.";
    IstioUpstreamPeer &["filter_state", "upstream_peer"], "What Istio's exchange left of the upstream peer.";
    DownstreamPeerMetadata &["metadata", "filter_metadata", DYNAMIC_METADATA_NAMESPACE, DYNAMIC_METADATA_KEYS[0]],
        "What a stock filter left of the downstream peer.";
    UpstreamPeerMetadata &["metadata", "filter_metadata", DYNAMIC_METADATA_NAMESPACE, DYNAMIC_METADATA_KEYS[1]],
        "What a stock filter left of the upstream peer.";
    Endpoint &ENDPOINT, "Istio's metadata of the upstream endpoint.";
    UpstreamTls &["upstream", "tls_version"], "Version of TLS towards the upstream, if it is used.";
    UpstreamLocalSan &["upstream", "uri_san_local_certificate"], "Own identity towards the upstream.";
    UpstreamPeerSan &["upstream", "uri_san_peer_certificate"], "Identity of the upstream.";
    Messages &MESSAGES, "How many messages of gRPC passed, as text.";
    Duration &["request", "duration"], "In nanoseconds.";
    RequestSize &["request", "total_size"], "In bytes, with headers.";
    ResponseSize &["response", "total_size"], "In bytes, with headers and trailers.";
    ConnectionId &["connection", "id"], "Of the downstream connection.";
}

/// Some of the elements.
pub type Elements = Set<Element>;

/// Those that differ from request to request of the same kind: numbers of eight bytes.
/// Last in the table, and in a list.
pub const NUMBERS: Elements = Elements::of_numbers(&[
    Element::Duration as usize,
    Element::RequestSize as usize,
    Element::ResponseSize as usize,
    Element::ConnectionId as usize,
]);
/// The same with the one that is a text, before them.
pub const VOLATILE: Elements = Elements::of_bits(NUMBERS.bits() | 1 << Element::Messages as usize);

// === impl Element ===

impl Element {
    /// Its name in an expression: a single name is a property that a module set.
    pub(super) fn text(self, era: Era) -> String {
        match self.entry() {
            Some((map, key)) => format!(r#"{map}["{key}"]"#),
            None => era.name_of(&self.path().join(".")).to_owned(),
        }
    }

    /// An expression that tells whether it may be there, and never fails.
    pub(super) fn test(self, era: Era) -> String {
        if let Some((map, key)) = self.entry() {
            return format!(r#""{key}" in {map}"#);
        }
        match *self.path() {
            ["metadata", "filter_metadata", namespace, _] => {
                format!("has(metadata.filter_metadata.{namespace})")
            }
            // Of a host without metadata this is a null.
            ["xds", metadata, "filter_metadata", namespace, _] => {
                let name = format!("xds.{metadata}");
                let name = era.name_of(&name);
                format!("has({name}) && {name} != null && has({name}.filter_metadata.{namespace})")
            }
            _ => format!("has({})", self.text(era)),
        }
    }

    /// The map that it is in, and its key there, where that is no name.
    fn entry(self) -> Option<(&'static str, String)> {
        match *self.path() {
            [key] => Some(("filter_state", format!("wasm.{key}"))),
            ["filter_state", key] => Some(("filter_state", key.to_owned())),
            ["request", "headers", name] => Some(("request.headers", name.to_owned())),
            _ => None,
        }
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
        let tests = |era| Element::ALL.into_iter().map(move |element| element.test(era));
        let expected = [
            "has(response.code)",
            "has(response.flags)",
            "has(xds.cluster_name)",
            "has(xds.route_name)",
            r#""content-type" in request.headers"#,
            "has(response.grpc_status)",
            "has(request.host)",
            r#""wasm.istio_stats.downstream_peer" in filter_state"#,
            r#""wasm.istio_stats.upstream_peer" in filter_state"#,
            r#""downstream_peer" in filter_state"#,
            r#""upstream_peer" in filter_state"#,
            "has(metadata.filter_metadata.istio_stats)",
            "has(metadata.filter_metadata.istio_stats)",
            "has(xds.upstream_host_metadata) && xds.upstream_host_metadata != null && \
                has(xds.upstream_host_metadata.filter_metadata.istio)",
            "has(upstream.tls_version)",
            "has(upstream.uri_san_local_certificate)",
            "has(upstream.uri_san_peer_certificate)",
            r#""envoy.filters.http.grpc_stats" in filter_state"#,
            "has(request.duration)",
            "has(request.total_size)",
            "has(response.total_size)",
            "has(connection.id)",
        ];
        assert!(tests(Era::Xds).eq(expected), "{:#?}", tests(Era::Xds).collect::<Vec<_>>());
        assert!(tests(Era::Legacy).eq(expected.map(|test| test.replace("xds.", ""))));
    }
}
