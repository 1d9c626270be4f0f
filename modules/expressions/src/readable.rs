//! The attributes of a stream that Envoy's interface for modules, version 0.2, shows: the one table that
//! the native module reads by, and that expressions are checked by.

use istio_stats::rules::expression::TOLD;

use crate::vocabulary;

/// What kind of value an attribute has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A text that is empty where there is none.
    MaybeEmpty,
    /// Bytes, as Envoy has whatever is in the filter state: no text, until `string()` makes it one.
    Bytes,
    /// A whole number.
    Int,
    /// A whole number that is never below zero, of CEL's type for such.
    Uint,
    /// A truth value.
    Flag,
    /// A time span, in nanoseconds; expressions have none.
    Duration,
}

/// How Envoy is asked for an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// By the interface's number of it.
    Attribute(u32),
    /// By the header that it is.
    RequestHeader(&'static str),
    /// By the times of the request.
    Times,
}

/// An attribute of two names.
#[derive(Clone, Copy, Debug)]
pub struct Plain {
    /// Its names.
    pub path: [&'static str; 2],
    /// Its kind.
    pub kind: Kind,
    /// How it is read.
    pub source: Source,
}

/// The name of the upstream cluster, by the interface's number.
pub const UPSTREAM_CLUSTER: u32 = 57;

/// The fields that are read of Istio's services of an upstream cluster.
pub const SERVICE_FIELDS: [&str; 3] = ["host", "name", "namespace"];

const fn plain(first: &'static str, second: &'static str, kind: Kind, number: u32) -> Plain {
    Plain { path: [first, second], kind, source: Source::Attribute(number) }
}

/// All attributes of two names; those that every request needs come first.
pub const PLAIN: [Plain; 44] = {
    use Kind::{Duration, Flag, Int, MaybeEmpty, Text, Uint};
    [
        plain("response", "code", Int, 15),
        plain("response", "flags", Int, 17),
        plain("connection", "id", Uint, 28),
        plain("request", "total_size", Int, 14),
        plain("response", "total_size", Int, 22),
        plain("xds", "cluster_name", Text, UPSTREAM_CLUSTER),
        plain("xds", "route_name", Text, 61),
        plain("upstream", "tls_version", Text, 43),
        plain("xds", "listener_direction", Int, 59),
        plain("connection", "mtls", Flag, 29),
        Plain { path: ["request", "duration"], kind: Duration, source: Source::Times },
        Plain { path: ["request", "host"], kind: Text, source: Source::RequestHeader(":authority") },
        plain("connection", "uri_san_peer_certificate", Text, 37),
        plain("connection", "uri_san_local_certificate", Text, 36),
        plain("upstream", "uri_san_local_certificate", Text, 48),
        plain("upstream", "uri_san_peer_certificate", Text, 49),
        plain("upstream", "subject_peer_certificate", Text, 45),
        plain("response", "grpc_status", Int, 18),
        plain("request", "protocol", Text, 10),
        plain("request", "path", Text, 0),
        plain("request", "url_path", Text, 1),
        plain("request", "scheme", Text, 3),
        plain("request", "method", Text, 4),
        plain("request", "referer", Text, 6),
        plain("request", "useragent", Text, 7),
        plain("request", "id", Text, 9),
        plain("request", "query", MaybeEmpty, 11),
        plain("request", "size", Int, 13),
        plain("response", "code_details", Text, 16),
        plain("response", "size", Int, 21),
        plain("source", "address", Text, 24),
        plain("source", "port", Int, 25),
        plain("destination", "address", Text, 26),
        plain("destination", "port", Int, 27),
        plain("connection", "requested_server_name", MaybeEmpty, 30),
        plain("connection", "tls_version", Text, 31),
        plain("connection", "subject_local_certificate", Text, 32),
        plain("connection", "subject_peer_certificate", Text, 33),
        plain("connection", "termination_details", Text, 40),
        plain("upstream", "address", Text, 41),
        plain("upstream", "port", Int, 42),
        plain("upstream", "subject_local_certificate", Text, 44),
        plain("xds", "virtual_host_name", Text, 63),
        plain("xds", "filter_chain_name", Text, 66),
    ]
};

impl Kind {
    /// Whether such a value may be long.
    pub fn has_length(self) -> bool {
        matches!(self, Self::Text | Self::MaybeEmpty | Self::Bytes)
    }
}

/// An attribute of two names, if it can be read.
pub fn find(first: &str, second: &str) -> Option<&'static Plain> {
    PLAIN.iter().find(|plain| plain.path == [first, second])
}

/// The kind of an attribute of an expression; `None`: it cannot be read.
pub fn kind(path: &[&str]) -> Option<Kind> {
    match *path {
        ["xds", "node", _, ..]
        | [TOLD, _]
        | ["request" | "response", "headers", _]
        | ["response", "trailers", _]
        | ["metadata", "filter_metadata", _, _]
        | ["xds", "cluster_metadata" | "route_metadata" | "upstream_host_metadata", "filter_metadata", _, _] => {
            Some(Kind::Text)
        }
        ["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", field] => {
            SERVICE_FIELDS.contains(&field).then_some(Kind::Text)
        }
        ["plugin_root_id"] => Some(Kind::Text),
        ["filter_state", _] => Some(Kind::Bytes),
        // What another filter may have set.
        [own] => (!vocabulary::is_attribute(own)).then_some(Kind::Bytes),
        [first, second] => find(first, second).map(|plain| plain.kind).filter(|kind| *kind != Kind::Duration),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields;

    #[test]
    fn what_can_be_read_is_among_what_envoy_has() {
        for Plain { path: [first, second], .. } in PLAIN {
            assert!(fields::of(first).unwrap().any(|known| known == second), "{first}.{second}");
            assert_eq!(PLAIN.iter().filter(|plain| plain.path == [first, second]).count(), 1);
        }
    }

    #[test]
    fn maps_and_lists_are_read_field_by_field() {
        for path in [
            "request.headers.x",
            "response.trailers.x",
            "xds.node.metadata.LABELS.app",
            "istio_stats_told.v0",
        ] {
            assert_eq!(kind(&path.split('.').collect::<Vec<_>>()), Some(Kind::Text), "{path}");
        }
        for path in [
            "request.headers",
            "xds.node",
            "request.time",
            "metadata.filter_metadata.x",
            "xds",
            "plugin_name",
        ] {
            assert_eq!(kind(&path.split('.').collect::<Vec<_>>()), None, "{path}");
        }
        let service =
            |field| kind(&["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", field]);
        assert_eq!((service("name"), service("port")), (Some(Kind::Text), None));
    }
}
