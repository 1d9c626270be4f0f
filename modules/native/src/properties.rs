//! The attributes that the core asks for, by the paths and in the bytes that Wasm has them.

mod connection;

use expressions::readable::{self, Kind, Plain, Source};
use istio_stats::host::HostError;

use crate::abi::{Filter, Headers, Metadata};
use crate::service;
use crate::subject::Subject;

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
        [first, second] if first != "filter_state" => plain(filter, first, second),
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

fn plain(filter: Filter, first: &str, second: &str) -> Option<Vec<u8>> {
    let Plain { kind, source, .. } = readable::find(first, second)?;
    match *source {
        Source::Attribute(number) => {
            value(*kind, || filter.text(number), || filter.number(number), || filter.flag(number))
        }
        Source::RequestHeader(name) => filter.header(Headers::Request, name),
        Source::Times => filter.duration().map(|duration| duration.to_le_bytes().to_vec()),
    }
}

/// An attribute of this kind, by whichever read is of it.
fn value(
    kind: Kind,
    text: impl FnOnce() -> Option<Vec<u8>>,
    number: impl FnOnce() -> Option<u64>,
    flag: impl FnOnce() -> Option<bool>,
) -> Option<Vec<u8>> {
    match kind {
        Kind::Text => text(),
        Kind::MaybeEmpty => Some(text().unwrap_or_default()),
        // Of a connection without TLS there is none.
        Kind::Flag => Some(vec![u8::from(flag().unwrap_or(false))]),
        Kind::Int | Kind::Uint | Kind::Duration => number().map(|number| number.to_le_bytes().to_vec()),
    }
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
