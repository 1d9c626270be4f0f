//! The same of a TCP connection, of which the interface shows less: no metadata of upstream clusters, endpoints
//! or routes.

use istio_stats::host::HostError;

use super::{attribute, bytes, plain, truth, Kind, BY_FIELDS};
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
        ["request", "size"] => Some(bytes(passed.get())),
        ["connection", "mtls"] => Some(truth(connection.flag(attribute::MUTUAL_TLS))),
        [first, second] if first != "filter_state" => match plain(first, second) {
            Some((Kind::Text, number)) => connection.text(number),
            Some((Kind::Number, number)) => connection.number(number).map(bytes),
            None => None,
        },
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

/// What the name of the upstream cluster tells of the service.
fn service(connection: Connection, field: &str) -> Option<Vec<u8>> {
    service::of_name(&connection.text(attribute::UPSTREAM_CLUSTER)?, field)
}
