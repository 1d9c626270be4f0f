//! The attributes of a request, one by one, and as lists that were prepared before.

use std::borrow::Cow;

use expressions::readable::{self, Kind, Plain, Source};
use istio_stats::host::HostError;
use istio_stats::wire::pairs;

use super::BY_FIELDS;
use crate::abi::{owned, Filter, Headers, Metadata};
use crate::service;

/// Attributes that are read together: each may be none that can be read so.
#[derive(Debug)]
pub(crate) struct List(Box<[Option<Read<'static>>]>);

/// How Envoy is asked for an attribute.
#[derive(Debug)]
enum Read<'a> {
    Attribute(Kind, u32),
    Duration,
    Header(Headers, &'a str),
    FilterState(Cow<'a, str>),
    Metadata(Metadata, &'a str, &'a str),
    /// The same of one that is usually a truth. What is of another kind than is asked for makes Envoy write a line
    /// to its log: of each key the usual kind is asked for first, and of most no other.
    Mark(Metadata, &'a str, &'a str),
}

/// Keys of upstream clusters' metadata whose values are truths.
const MARKS: [(&str, &str); 2] = [("istio", "disable_mx"), ("istio", "external")];

/// An attribute of a request; `Ok(None)` if it is absent, or none that this interface shows.
///
/// # Errors
/// Only the fields of it can be read.
pub(super) fn read(filter: Filter, path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
    match *path {
        ["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0"] => {
            if service::is_known(filter) {
                return Err(BY_FIELDS);
            }
            Ok(None)
        }
        ["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", name] => {
            Ok(service::field(filter, name))
        }
        _ => {
            let found = Read::of(path).and_then(|read| owned(|bytes| read.append(filter, bytes)));
            // What a module did not keep a filter may have.
            let key = path.first().filter(|_| path.len() == 1);
            Ok(found.or_else(|| key.and_then(|key| owned(|bytes| filter.filter_state(key, bytes)))))
        }
    }
}

// === impl List ===

impl List {
    /// Of these paths.
    pub(crate) fn of(paths: &[&'static [&'static str]]) -> Self {
        Self(paths.iter().map(|path| Read::of(path)).collect())
    }

    /// Its attributes, as a list on the wire. Those that are absent are empty.
    pub(crate) fn read(&self, filter: Filter) -> Vec<u8> {
        let Self(reads) = self;
        pairs::list(reads.len(), reads.iter(), |read, bytes| {
            if let Some(read) = read {
                read.append(filter, bytes);
            }
        })
    }
}

// === impl Read ===

impl<'a> Read<'a> {
    fn of(path: &[&'a str]) -> Option<Self> {
        Some(match *path {
            [first, second] if first != "filter_state" => Self::plain(first, second)?,
            ["filter_state", key] => Self::FilterState(key.into()),
            // What a module kept: as Wasm's modules name it.
            [key] => Self::FilterState(["wasm.", key].concat().into()),
            ["request", "headers", name] => Self::Header(Headers::Request, name),
            ["response", "headers", name] => Self::Header(Headers::Response, name),
            ["response", "trailers", name] => Self::Header(Headers::ResponseTrailers, name),
            ["metadata", "filter_metadata", namespace, key] => {
                Self::Metadata(Metadata::Dynamic, namespace, key)
            }
            ["xds", of, "filter_metadata", namespace, key] => {
                let of = match of {
                    "cluster_metadata" => Metadata::UpstreamCluster,
                    "upstream_host_metadata" => Metadata::Endpoint,
                    "route_metadata" => Metadata::Route,
                    _ => return None,
                };
                let is_mark = MARKS.contains(&(namespace, key));
                let read = if is_mark { Self::Mark } else { Self::Metadata };
                read(of, namespace, key)
            }
            _ => return None,
        })
    }

    fn plain(first: &str, second: &str) -> Option<Self> {
        let Plain { kind, source, .. } = readable::find(first, second)?;
        Some(match *source {
            Source::Attribute(number) => Self::Attribute(*kind, number),
            Source::RequestHeader(name) => Self::Header(Headers::Request, name),
            Source::Times => Self::Duration,
        })
    }

    /// Appends its bytes; false if it is absent.
    fn append(&self, filter: Filter, to: &mut Vec<u8>) -> bool {
        match *self {
            Self::Attribute(Kind::Text | Kind::Bytes, number) => filter.text(number, to),
            Self::Attribute(Kind::MaybeEmpty, number) => {
                filter.text(number, to);
                true
            }
            // Of a connection without TLS there is none.
            Self::Attribute(Kind::Flag, number) => {
                to.push(u8::from(filter.flag(number).unwrap_or(false)));
                true
            }
            Self::Attribute(Kind::Int | Kind::Uint | Kind::Duration, number) => {
                append(filter.number(number).map(u64::to_le_bytes), to)
            }
            Self::Duration => append(filter.duration().map(i64::to_le_bytes), to),
            Self::Header(headers, name) => filter.header(headers, name, to),
            Self::FilterState(ref key) => filter.filter_state(key, to),
            Self::Metadata(of, namespace, key) => filter.metadata_text(of, namespace, key, to),
            Self::Mark(of, namespace, key) => {
                let flag = filter.metadata_flag(of, namespace, key).map(|flag| [u8::from(flag)]);
                append(flag, to) || filter.metadata_text(of, namespace, key, to)
            }
        }
    }
}

fn append<const N: usize>(bytes: Option<[u8; N]>, to: &mut Vec<u8>) -> bool {
    bytes.map(|bytes| to.extend_from_slice(&bytes)).is_some()
}
