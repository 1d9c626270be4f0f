//! Who called whom.

use super::identity::Identity;
use super::service::Service;
use crate::catalogue::reporter::Reporter;
use crate::peer::Peer;

/// All that the source, destination and service labels need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The side this proxy reports from.
    pub reporter: Reporter,
    /// The workload that this proxy accepted the stream from.
    pub downstream: Peer,
    /// The workload that it sent the stream to.
    pub upstream: Peer,
    /// What TLS says of both.
    pub identity: Identity,
    /// The service that was called.
    pub service: Service,
}

// === impl Call ===

impl Call {
    /// Whether a peer may still tell who it is.
    pub fn is_pending(&self) -> bool {
        self.downstream.is_pending() || self.upstream.is_pending()
    }

    /// Why the metadata of peers could not be decoded.
    pub fn decode_errors(&self) -> impl Iterator<Item = &'static str> + '_ {
        [&self.downstream, &self.upstream].into_iter().filter_map(Peer::decode_error)
    }
}
