//! The attributes that the core asks for, by the paths and in the bytes that Wasm has them.

mod connection;

use istio_stats::host::HostError;

use crate::abi::{Filter, Headers, Metadata};
use crate::service;
use crate::subject::Subject;

/// Envoy's numbers of attributes.
pub(crate) mod attribute {
    /// The upstream cluster's name.
    pub(crate) const UPSTREAM_CLUSTER: u32 = 57;
    /// Whether the client showed a certificate.
    pub(super) const MUTUAL_TLS: u32 = 29;
}

/// How an attribute is read.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
}

/// All that are read as they are: their place in two names, kind and number.
const PLAIN: [(&str, &str, Kind, u32); 41] = {
    use Kind::{Number, Text};
    [
        ("response", "code", Number, 15),
        ("response", "flags", Number, 17),
        ("connection", "id", Number, 28),
        ("request", "total_size", Number, 14),
        ("response", "total_size", Number, 22),
        ("xds", "cluster_name", Text, attribute::UPSTREAM_CLUSTER),
        ("xds", "route_name", Text, 61),
        ("upstream", "tls_version", Text, 43),
        ("xds", "listener_direction", Number, 59),
        ("connection", "uri_san_peer_certificate", Text, 37),
        ("connection", "uri_san_local_certificate", Text, 36),
        ("upstream", "uri_san_local_certificate", Text, 48),
        ("upstream", "uri_san_peer_certificate", Text, 49),
        ("upstream", "subject_peer_certificate", Text, 45),
        ("response", "grpc_status", Number, 18),
        ("request", "protocol", Text, 10),
        ("request", "path", Text, 0),
        ("request", "url_path", Text, 1),
        ("request", "scheme", Text, 3),
        ("request", "method", Text, 4),
        ("request", "referer", Text, 6),
        ("request", "useragent", Text, 7),
        ("request", "id", Text, 9),
        ("request", "query", Text, 11),
        ("request", "size", Number, 13),
        ("response", "code_details", Text, 16),
        ("response", "size", Number, 21),
        ("source", "address", Text, 24),
        ("source", "port", Number, 25),
        ("destination", "address", Text, 26),
        ("destination", "port", Number, 27),
        ("connection", "requested_server_name", Text, 30),
        ("connection", "tls_version", Text, 31),
        ("connection", "subject_local_certificate", Text, 32),
        ("connection", "subject_peer_certificate", Text, 33),
        ("connection", "termination_details", Text, 40),
        ("upstream", "address", Text, 41),
        ("upstream", "port", Number, 42),
        ("upstream", "subject_local_certificate", Text, 44),
        ("xds", "virtual_host_name", Text, 63),
        ("xds", "filter_chain_name", Text, 66),
    ]
};

/// Keys of upstream clusters' metadata whose values are truths.
const MARKS: [(&str, &str); 2] = [("istio", "disable_mx"), ("istio", "external")];

/// The service behind an upstream cluster, as a whole.
const BY_FIELDS: HostError = HostError { call: "get_metadata", status: HostError::SERIALIZATION_FAILURE };

/// An attribute of a stream; `Ok(None)` if it is absent, or none that this interface shows.
///
/// # Errors
/// It is a list or map, of which only the fields can be read.
pub(crate) fn read(subject: &Subject, path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
    match subject {
        Subject::Http(filter) => of_request(*filter, path),
        Subject::Tcp(connection, passed) => connection::read(*connection, passed, path),
    }
}

fn of_request(filter: Filter, path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
    Ok(match *path {
        ["connection", "mtls"] => Some(truth(filter.flag(attribute::MUTUAL_TLS))),
        ["request", "duration"] => filter.duration().map(|duration| duration.to_le_bytes().to_vec()),
        ["request", "host"] => filter.header(Headers::Request, ":authority"),
        [first, second] if first != "filter_state" => match plain(first, second) {
            Some((Kind::Text, number)) => filter.text(number),
            Some((Kind::Number, number)) => filter.number(number).map(bytes),
            None => None,
        },
        ["filter_state", key] => filter.filter_state(key),
        // What a module kept: as Wasm's modules name it.
        [key] => filter.filter_state(&format!("wasm.{key}")).or_else(|| filter.filter_state(key)),
        ["request", "headers", name] => filter.header(Headers::Request, name),
        ["response", "headers", name] => filter.header(Headers::Response, name),
        ["response", "trailers", name] => filter.header(Headers::ResponseTrailers, name),
        ["metadata", "filter_metadata", namespace, key] => {
            metadata(filter, Metadata::Dynamic, namespace, key)
        }
        ["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0"] => {
            if service::is_known(filter) {
                return Err(BY_FIELDS);
            }
            None
        }
        ["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", name] => {
            service::field(filter, name)
        }
        ["xds", of, "filter_metadata", namespace, key] => {
            let of = match of {
                "cluster_metadata" => Metadata::UpstreamCluster,
                "upstream_host_metadata" => Metadata::Endpoint,
                "route_metadata" => Metadata::Route,
                _ => return Ok(None),
            };
            metadata(filter, of, namespace, key)
        }
        _ => None,
    })
}

/// How an attribute that is read as it is is read.
fn plain(first: &str, second: &str) -> Option<(Kind, u32)> {
    let (.., kind, number) = PLAIN.iter().find(|(a, b, ..)| *b == second && *a == first)?;
    Some((*kind, *number))
}

fn bytes(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// Where there is no TLS there is no attribute that it is mutual.
fn truth(flag: Option<bool>) -> Vec<u8> {
    vec![u8::from(flag.unwrap_or(false))]
}

/// What is of another kind than is asked for makes Envoy write a line to its log: of each key the usual kind
/// is asked for first, and of most no other.
fn metadata(filter: Filter, of: Metadata, namespace: &str, key: &str) -> Option<Vec<u8>> {
    let text = || filter.metadata_text(of, namespace, key);
    if MARKS.contains(&(namespace, key)) {
        filter.metadata_flag(of, namespace, key).map(|flag| vec![u8::from(flag)]).or_else(text)
    } else {
        text()
    }
}
