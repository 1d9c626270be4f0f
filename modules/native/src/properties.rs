//! The attributes that the core asks for, by the paths and in the bytes that Wasm has them.

mod connection;
pub(crate) mod request;

use istio_stats::host::HostError;

use crate::subject::Subject;

/// The service behind an upstream cluster, as a whole.
const BY_FIELDS: HostError = HostError { call: "get_metadata", status: HostError::SERIALIZATION_FAILURE };

/// An attribute of a stream; `Ok(None)` if it is absent, or none that this interface shows.
///
/// # Errors
/// It is a list or map, of which only the fields can be read.
pub(crate) fn read(subject: &Subject, path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
    match subject {
        Subject::Http(filter) => request::read(*filter, path),
        Subject::Tcp(connection, passed) => connection::read(*connection, passed, path),
    }
}
