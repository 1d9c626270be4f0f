//! Who called whom.

use super::identity::Identity;
use super::outcome::AddedBytes;
use super::service::Service;
use crate::catalogue::label_value::LabelValue;
use crate::catalogue::reporter::Reporter;
use crate::peer::side::Side;
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
    /// Whether a peer that labels speak of may still tell who it is.
    pub fn is_pending(&self) -> bool {
        match self.reporter {
            Reporter::Source => self.upstream.is_pending(),
            Reporter::Destination => self.downstream.is_pending(),
            Reporter::Waypoint => self.downstream.is_pending() || self.upstream.is_pending(),
        }
    }

    /// What expressions call the identity of the peer on this side: its principal, as
    /// far as a certificate shows it.
    pub fn principal(&self, side: Side) -> Option<&LabelValue> {
        match (self.reporter, side) {
            (Reporter::Source, Side::Upstream) => self.identity.destination_principal.as_ref(),
            (Reporter::Destination | Reporter::Waypoint, Side::Downstream) => {
                self.identity.source_principal.as_ref()
            }
            _ => None,
        }
    }

    /// The peer on this side.
    pub fn peer(&self, side: Side) -> &Peer {
        match side {
            Side::Downstream => &self.downstream,
            Side::Upstream => &self.upstream,
        }
    }

    /// What our exchange added to request and response to tell peers who we are.
    pub fn added_bytes(&self) -> AddedBytes {
        AddedBytes { to_request: self.upstream.added_bytes(), to_response: self.downstream.added_bytes() }
    }

    /// Whether the metadata of a peer could not be decoded.
    pub fn has_decode_errors(&self) -> bool {
        self.decode_errors().next().is_some()
    }

    /// Why the metadata of peers could not be decoded.
    pub fn decode_errors(&self) -> impl Iterator<Item = &'static str> + '_ {
        [&self.downstream, &self.upstream].into_iter().filter_map(Peer::decode_error)
    }
}
