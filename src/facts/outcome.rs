//! How a stream ended.

use super::needs::Needs;
use super::protocol::Protocol;
use crate::attribute::element::Element;
use crate::attribute::Attributes;
use crate::catalogue::dimension::Dimension;
use crate::catalogue::metric::Metric;

/// How a request ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// HTTP status; zero if there was no response.
    pub response_code: u64,
    /// Envoy's response flags as a bitmask.
    pub response_flags: u64,
    /// gRPC status, for gRPC only; `None` if nobody sent one.
    pub grpc_status: Option<i64>,
    /// What it took.
    pub measures: Measures,
}

/// What a request took; it differs from request to request, and no label shows it.
/// Sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Time from the first byte received to the last sent, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Size of the request with headers.
    pub request_bytes: u64,
    /// Size of the response with headers and trailers.
    pub response_bytes: u64,
}

/// Bytes of a request and its response that are our exchange's, not an application's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddedBytes {
    /// Told to the upstream peer.
    pub to_request: u64,
    /// Told to the downstream peer.
    pub to_response: u64,
}

/// How many metrics a finished request adds to.
pub const MEASURED: usize = 4;

/// No error. Envoy never derives it.
const GRPC_OK: i64 = 0;
/// The gRPC status UNKNOWN, an error of the server's.
const GRPC_UNKNOWN: i64 = 2;
/// A request that `grpc_json_transcoder` made gRPC of has its old method here.
const TRANSCODED: &str = "x-envoy-original-method";

// === impl Outcome ===

impl Outcome {
    /// Reads the end of a request, as far as labels and metrics show it; the header
    /// parts of the sizes are there only while it is logged.
    pub fn read(attributes: &Attributes<'_>, protocol: Protocol, needs: &Needs) -> Self {
        let label = |label| needs.any_label(&[label]);
        let number = |shown, element: Element| label(shown).then(|| attributes.count(element)).flatten();
        let is_grpc = protocol == Protocol::Grpc && label(Dimension::GrpcResponseStatus);
        Self {
            response_code: number(Dimension::ResponseCode, Element::ResponseCode).unwrap_or(0),
            response_flags: number(Dimension::ResponseFlags, Element::ResponseFlags).unwrap_or(0),
            grpc_status: is_grpc.then(|| grpc_status(attributes)).flatten(),
            measures: Measures::read(|element| attributes.count(element), needs),
        }
    }
}

// === impl Measures ===

impl Measures {
    /// Reads them, as far as metrics show them.
    pub fn read(count: impl Fn(Element) -> Option<u64>, needs: &Needs) -> Self {
        let read = |metric, element| needs.metric(metric).then(|| count(element)).flatten();
        Self {
            duration_ms: read(Metric::RequestDuration, Element::Duration).map(milliseconds),
            request_bytes: read(Metric::RequestBytes, Element::RequestSize).unwrap_or(0),
            response_bytes: read(Metric::ResponseBytes, Element::ResponseSize).unwrap_or(0),
        }
    }

    /// The same without bytes of either message that are no application's.
    #[must_use]
    pub fn without(self, added: AddedBytes) -> Self {
        Self {
            request_bytes: self.request_bytes.saturating_sub(added.to_request),
            response_bytes: self.response_bytes.saturating_sub(added.to_response),
            ..self
        }
    }

    /// What a finished request adds to each HTTP metric. Without a duration (the
    /// request never completed) that histogram gets nothing.
    pub fn measured(&self) -> [(Metric, Option<u64>); MEASURED] {
        [
            (Metric::Requests, Some(1)),
            (Metric::RequestDuration, self.duration_ms),
            (Metric::RequestBytes, Some(self.request_bytes)),
            (Metric::ResponseBytes, Some(self.response_bytes)),
        ]
    }
}

/// The status that the server sent. Where there is none Envoy derives one from the
/// HTTP status. What it makes of an error (14 of 503) gRPC's clients make of it, too;
/// but of 200, which came before the client or the server broke off (or whose trailers
/// `grpc_web` put into the body), it makes UNKNOWN; and of a client that spoke JSON to
/// `grpc_json_transcoder` the HTTP status is all that it got.
fn grpc_status(attributes: &Attributes<'_>) -> Option<i64> {
    let status = attributes.int(Element::GrpcStatus)?;
    let has = |path: &[&str]| attributes.bytes(path).is_some();
    let is_derived =
        || !has(&["response", "trailers", "grpc-status"]) && !has(&["response", "headers", "grpc-status"]);
    let tells_nothing = match attributes.count(Element::ResponseCode) {
        _ if status == GRPC_OK => false,
        Some(200) => status == GRPC_UNKNOWN && is_derived(),
        _ => has(&["request", "headers", TRANSCODED]) && is_derived(),
    };
    Some(status).filter(|_| !tells_nothing)
}

/// How long a TCP connection was open, in milliseconds; `None` until it is over.
pub fn duration_ms(attributes: &Attributes<'_>) -> Option<u64> {
    attributes.count(Element::Duration).map(milliseconds)
}

fn milliseconds(nanoseconds: u64) -> u64 {
    const NANOS_PER_MILLI: u64 = 1_000_000;
    nanoseconds / NANOS_PER_MILLI
}
