//! The messages of a gRPC stream.

use crate::attribute::Attributes;
use crate::catalogue::metric::Metric;

/// Messages that passed on a gRPC stream so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// From the client.
    pub requests: u64,
    /// From the server.
    pub responses: u64,
}

// === impl Messages ===

impl Messages {
    /// Reads the counts that Envoy's `grpc_stats` filter keeps with
    /// `emit_filter_state: true`, as text: requests, comma, responses. They are
    /// live while the stream is open. `None`: not gRPC, or no such filter.
    pub fn read(attributes: &Attributes<'_>) -> Option<Self> {
        let counts = attributes.bytes(&["filter_state", "envoy.filters.http.grpc_stats"])?;
        let (requests, responses) = core::str::from_utf8(&counts).ok()?.split_once(',')?;
        Some(Self { requests: requests.parse().ok()?, responses: responses.parse().ok()? })
    }

    /// What was added since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            responses: self.responses.saturating_sub(earlier.responses),
        }
    }
    /// What they add to each metric of messages.
    pub fn measured(self) -> [(Metric, Option<u64>); 2] {
        [(Metric::RequestMessages, Some(self.requests)), (Metric::ResponseMessages, Some(self.responses))]
    }
}
