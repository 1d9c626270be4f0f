//! The messages of a gRPC stream.

use crate::attribute::element::Element;
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

/// How many metrics messages add to.
pub const MEASURED: usize = 2;

// === impl Messages ===

impl Messages {
    /// Reads the counts that Envoy's `grpc_stats` filter keeps with
    /// `emit_filter_state: true`. They are live while the stream is open. `None`: not
    /// gRPC, or no such filter.
    pub fn read(attributes: &Attributes<'_>) -> Option<Self> {
        Self::parse(&attributes.bytes(Element::Messages)?)
    }

    /// The same as text: requests, comma, responses.
    pub fn parse(counts: &[u8]) -> Option<Self> {
        let (requests, responses) = core::str::from_utf8(counts).ok()?.split_once(',')?;
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
    pub fn measured(self) -> [(Metric, Option<u64>); MEASURED] {
        [(Metric::RequestMessages, Some(self.requests)), (Metric::ResponseMessages, Some(self.responses))]
    }
}
