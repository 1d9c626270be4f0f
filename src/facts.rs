//! One stream's facts: everything the labels and values of its metrics need,
//! read from the proxy in one place. What follows is pure.

use crate::attribute::Attributes;
use crate::host::{HeaderMap, Host};
use crate::label::LabelValue;
use crate::peer::{DOWNSTREAM_PEER_KEY, FRAME_BEGUN_KEY, RECEIVED_FRAME_BYTES_KEY, SENT_FRAME_BYTES_KEY};
use crate::reporter::Reporter;

/// What kind of traffic a stream carries; the label `request_protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Any HTTP that is not gRPC.
    Http,
    /// gRPC over HTTP.
    Grpc,
    /// A TCP connection.
    Tcp,
}

/// Facts that hold from the first byte to the last: who talks to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// First URI SAN of the certificate that the source showed.
    pub source_principal: Option<LabelValue>,
    /// First URI SAN of the certificate that the destination showed.
    pub destination_principal: Option<LabelValue>,
    /// The peer's Kubernetes namespace by its principal, which mutual TLS
    /// vouches for, unlike what its metadata claims.
    pub peer_namespace: Option<LabelValue>,
    /// Whether the downstream connection is mutual TLS. Not asked at the
    /// source, which sees only its own workload there.
    pub mutual_tls: Option<bool>,
}

/// How a request ended. Sizes are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// HTTP status; zero if there was no response.
    pub response_code: u64,
    /// Envoy's response flags as a bitmask.
    pub response_flags: u64,
    /// gRPC status, for gRPC only. Envoy derives it from the HTTP status where
    /// the response has none.
    pub grpc_status: Option<i64>,
    /// Time from the first byte received to the last sent, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Size of the request with headers.
    pub request_bytes: u64,
    /// Size of the response with headers and trailers.
    pub response_bytes: u64,
}

/// Messages that passed on a gRPC stream so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// From the client.
    pub requests: u64,
    /// From the server.
    pub responses: u64,
}

/// Bytes that passed on a TCP connection so far, without those of the metadata
/// exchange. Sent and received as the client sees this proxy, whatever the
/// reporter: received from the client, sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// To the client.
    pub sent: u64,
    /// From the client.
    pub received: u64,
}

/// The gRPC status when there was no response to derive one from: UNKNOWN.
const GRPC_UNKNOWN: i64 = 2;

// === impl Protocol ===

impl Protocol {
    /// By the request's `content-type`: `application/grpc`, or that with a
    /// message format (`+proto`). Readable while a stream starts or is logged.
    pub fn of_request(host: &dyn Host) -> Self {
        let content_type = host.header(HeaderMap::Request, "content-type");
        match content_type.ok().flatten().as_deref() {
            Some(b"application/grpc") => Self::Grpc,
            Some(value) if value.starts_with(b"application/grpc+") => Self::Grpc,
            _ => Self::Http,
        }
    }

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }
}

// === impl Identity ===

impl Identity {
    /// Reads principals and policy as this reporter can know them.
    pub fn read(attributes: &Attributes<'_>, reporter: Reporter) -> Self {
        if reporter == Reporter::Source {
            let destination_principal = attributes.label(&["upstream", "uri_san_peer_certificate"]);
            return Self {
                source_principal: attributes.label(&["upstream", "uri_san_local_certificate"]),
                peer_namespace: destination_principal.as_ref().and_then(spiffe_namespace),
                destination_principal,
                mutual_tls: None,
            };
        }
        let source_principal = attributes.label(&["connection", "uri_san_peer_certificate"]);
        // A waypoint shows its own certificate, which is not the destination's.
        let own_certificate = || attributes.label(&["connection", "uri_san_local_certificate"]);
        Self {
            peer_namespace: source_principal.as_ref().and_then(spiffe_namespace),
            source_principal,
            destination_principal: (reporter == Reporter::Destination).then(own_certificate).flatten(),
            mutual_tls: attributes.flag(&["connection", "mtls"]),
        }
    }

    /// The label `connection_security_policy`.
    pub fn security_policy(&self) -> &'static str {
        match self.mutual_tls {
            Some(true) => "mutual_tls",
            Some(false) => "none",
            None => crate::label::UNKNOWN,
        }
    }
}

/// The namespace in a SPIFFE id: what follows the first `/ns/`, up to the next
/// slash, as Istio's own filter reads it.
fn spiffe_namespace(principal: &LabelValue) -> Option<LabelValue> {
    const MARK: &[u8] = b"/ns/";
    let id = principal.as_str();
    let at = id.as_bytes().windows(MARK.len()).position(|window| window == MARK)?;
    let namespace = id.get(at.checked_add(MARK.len())?..)?.split('/').next()?;
    LabelValue::clean_str(namespace)
}

// === impl Outcome ===

impl Outcome {
    /// Reads the end of a request; the header parts of the sizes are there only
    /// while it is logged.
    pub fn read(attributes: &Attributes<'_>, protocol: Protocol) -> Self {
        const NANOS_PER_MILLI: u64 = 1_000_000;
        let count = |path| attributes.count(path).unwrap_or(0);
        let duration = attributes.count(&["request", "duration"]);
        let grpc_status = || attributes.int(&["response", "grpc_status"]).unwrap_or(GRPC_UNKNOWN);
        Self {
            response_code: count(&["response", "code"]),
            response_flags: count(&["response", "flags"]),
            grpc_status: (protocol == Protocol::Grpc).then(grpc_status),
            duration_ms: duration.map(|nanos| nanos / NANOS_PER_MILLI),
            request_bytes: count(&["request", "total_size"]),
            response_bytes: count(&["response", "total_size"]),
        }
    }
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
}

// === impl Bytes ===

impl Bytes {
    /// Reads the counts of Envoy's TCP proxy. They are live, so nothing needs to
    /// look at the data.
    pub fn read(attributes: &Attributes<'_>) -> Self {
        let count = |path| attributes.count(path).unwrap_or(0);
        Self { sent: count(&["response", "size"]), received: count(&["request", "size"]) }
    }

    /// Reads how much of them are frames of the exchange: the counts are those of
    /// the client's connection, so frames are in them where this side accepted
    /// it, and not where it began the exchange.
    pub fn read_frames(attributes: &Attributes<'_>) -> Self {
        let count = |key| {
            let text = attributes.bytes(&[key]).and_then(|bytes| String::from_utf8(bytes).ok())?;
            text.parse().ok()
        };
        let unfinished = || {
            let is_there = |key| attributes.bytes(&[key]).is_some();
            is_there(FRAME_BEGUN_KEY) && !is_there(DOWNSTREAM_PEER_KEY)
        };
        let received = count(RECEIVED_FRAME_BYTES_KEY);
        Self {
            sent: count(SENT_FRAME_BYTES_KEY).unwrap_or(0),
            // Nothing of the application passed while a frame is unfinished.
            received: received.unwrap_or_else(|| if unfinished() { u64::MAX } else { 0 }),
        }
    }

    /// What was added since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(earlier.sent),
            received: self.received.saturating_sub(earlier.received),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_read_from_a_spiffe_id() {
        let namespace = |id: &str| {
            let namespace = spiffe_namespace(&LabelValue::clean_str(id).unwrap());
            namespace.map(|value| value.as_str().to_owned())
        };
        assert_eq!(namespace("spiffe://east.local/ns/shop/sa/web").as_deref(), Some("shop"));
        assert_eq!(namespace("spiffe://east.local/ns/shop").as_deref(), Some("shop"));
        assert_eq!(namespace("spiffe://td/ns/a/ns/b/sa/x").as_deref(), Some("a"));
        assert_eq!(namespace("spiffe://td/ns//sa/x"), None);
        assert_eq!(namespace("spiffe://td/vm/web"), None);
    }
}
