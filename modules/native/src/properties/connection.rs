//! The same of a TCP connection, of which the interface shows less: no metadata of upstream clusters, endpoints
//! or routes.

use expressions::readable::{self, Kind, Plain, Source, UPSTREAM_CLUSTER};
use istio_stats::host::HostError;

use super::BY_FIELDS;
use crate::abi::network::Connection;
use crate::service;
use crate::subject::Passed;

/// An attribute of a connection; `Ok(None)` if it is absent, or none that this interface shows.
///
/// # Errors
/// Only the fields of it can be read.
pub(super) fn read(
    connection: Connection,
    passed: &Passed,
    path: &[&str],
) -> Result<Option<Vec<u8>>, HostError> {
    Ok(match *path {
        ["request", "size"] => Some(passed.get().to_le_bytes().to_vec()),
        [first, second] if first != "filter_state" => plain(connection, first, second),
        ["filter_state", key] => connection.filter_state(key),
        // What a module kept: as Wasm's modules name it.
        [key] => connection.filter_state(&format!("wasm.{key}")).or_else(|| connection.filter_state(key)),
        ["metadata", "filter_metadata", namespace, key] => connection.metadata_text(namespace, key),
        ["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0"] => {
            if service(connection, "host").is_some() {
                return Err(BY_FIELDS);
            }
            None
        }
        ["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", field] => {
            service(connection, field)
        }
        _ => None,
    })
}

fn plain(connection: Connection, first: &str, second: &str) -> Option<Vec<u8>> {
    let Plain { kind, source, .. } = readable::find(first, second)?;
    let Source::Attribute(number) = *source else {
        return None;
    };
    match kind {
        Kind::Text | Kind::Bytes => connection.text(number),
        Kind::MaybeEmpty => Some(connection.text(number).unwrap_or_default()),
        // Of a connection without TLS there is none.
        Kind::Flag => Some(vec![u8::from(connection.flag(number).unwrap_or(false))]),
        Kind::Int | Kind::Uint | Kind::Duration => {
            connection.number(number).map(|number| number.to_le_bytes().to_vec())
        }
    }
}

/// What the name of the upstream cluster tells of the service.
fn service(connection: Connection, field: &str) -> Option<Vec<u8>> {
    service::of_name(&connection.text(UPSTREAM_CLUSTER)?, field)
}
