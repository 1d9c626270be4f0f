//! One stream's facts: everything the labels and values of its metrics need,
//! read from the proxy in one place. What follows is pure.

pub mod connections;
pub mod needs;
pub mod service;

use crate::attribute::element::Element;
use crate::attribute::keys::{
    DOWNSTREAM_PEER_KEY, FRAME_BEGUN_KEY, RECEIVED_FRAME_BYTES_KEY, SENT_FRAME_BYTES_KEY,
};
use crate::attribute::{Attributes, Path};
use crate::catalogue::dimension::Dimension;
use crate::catalogue::label_value::LabelValue;
use crate::catalogue::metric::Metric;
use crate::catalogue::reporter::Reporter;
use crate::facts::needs::Needs;

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
    /// Whether the downstream connection is mutual TLS, or left a tunnel that is.
    /// Not asked at the source, which sees only its own workload there.
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
    pub fn of_request(attributes: &Attributes<'_>) -> Self {
        match attributes.bytes(Element::ContentType).as_deref() {
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
    /// Reads principals and policy as this reporter can know them, as far as
    /// labels show them.
    pub fn read(attributes: &Attributes<'_>, reporter: Reporter, needs: &Needs) -> Self {
        use Dimension as D;
        let read =
            |labels: &[D], path: Path<'_>| needs.any_label(labels).then(|| attributes.label(path)).flatten();
        // The principal of the peer tells its namespace, too.
        let (own_label, peer_labels, own_path, peer_path) = match reporter {
            Reporter::Source => (
                D::SourcePrincipal,
                [D::DestinationPrincipal, D::DestinationWorkloadNamespace, D::DestinationServiceNamespace],
                Path::Listed(Element::UpstreamLocalSan),
                Path::Listed(Element::UpstreamPeerSan),
            ),
            Reporter::Destination | Reporter::Waypoint => (
                D::DestinationPrincipal,
                [D::SourcePrincipal, D::SourceWorkloadNamespace, D::ConnectionSecurityPolicy],
                Path::Named(&["connection", "uri_san_local_certificate"]),
                Path::Named(&["connection", "uri_san_peer_certificate"]),
            ),
        };
        let shows_any = needs.any_label(&[own_label]) || needs.any_label(&peer_labels);
        // Without TLS to the upstream one look tells that both are absent.
        if !shows_any || reporter == Reporter::Source && attributes.bytes(Element::UpstreamTls).is_none() {
            return Self::default();
        }
        let is_waypoint = reporter == Reporter::Waypoint;
        // What left a tunnel shows no certificate; Istio's waypoint keeps whose it was.
        let of_tunnel = || read(&peer_labels, Path::Named(&["filter_state", "io.istio.peer_principal"]));
        let tunnel = is_waypoint.then(of_tunnel).flatten();
        let mutual_tls = match reporter {
            Reporter::Source => None,
            _ if !needs.any_label(&[D::ConnectionSecurityPolicy]) => None,
            _ if tunnel.is_some() => Some(true),
            _ => attributes.flag(&["connection", "mtls"]),
        };
        let peer = tunnel.or_else(|| read(&peer_labels, peer_path));
        // A waypoint shows its own certificate, which is not the destination's.
        let of_own = || read(&[own_label], own_path);
        let own = (!is_waypoint).then(of_own).flatten();
        let peer_namespace = peer.as_ref().and_then(spiffe_namespace);
        let (source_principal, destination_principal) =
            if reporter == Reporter::Source { (own, peer) } else { (peer, own) };
        Self { source_principal, destination_principal, peer_namespace, mutual_tls }
    }

    /// The label `connection_security_policy`.
    pub fn security_policy(&self) -> &'static str {
        match self.mutual_tls {
            Some(true) => "mutual_tls",
            Some(false) => "none",
            None => crate::catalogue::label_value::UNKNOWN,
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
    /// Reads the end of a request, as far as labels and metrics show it; the
    /// header parts of the sizes are there only while it is logged.
    pub fn read(attributes: &Attributes<'_>, protocol: Protocol, needs: &Needs) -> Self {
        let count = |needed: bool, element: Element| needed.then(|| attributes.count(element)).flatten();
        let label = |label| needs.any_label(&[label]);
        let is_grpc = protocol == Protocol::Grpc && label(Dimension::GrpcResponseStatus);
        let grpc_status = || attributes.int(&["response", "grpc_status"]).unwrap_or(GRPC_UNKNOWN);
        Self {
            response_code: count(label(Dimension::ResponseCode), Element::ResponseCode).unwrap_or(0),
            response_flags: count(label(Dimension::ResponseFlags), Element::ResponseFlags).unwrap_or(0),
            grpc_status: is_grpc.then(grpc_status),
            duration_ms: needs.metric(Metric::RequestDuration).then(|| duration_ms(attributes)).flatten(),
            request_bytes: count(needs.metric(Metric::RequestBytes), Element::RequestSize).unwrap_or(0),
            response_bytes: count(needs.metric(Metric::ResponseBytes), Element::ResponseSize).unwrap_or(0),
        }
    }
}

/// How long a request took, or a TCP connection was open, in milliseconds;
/// `None` until it is over.
pub fn duration_ms(attributes: &Attributes<'_>) -> Option<u64> {
    const NANOS_PER_MILLI: u64 = 1_000_000;
    attributes.count(Element::Duration).map(|nanos| nanos / NANOS_PER_MILLI)
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
        let count = |path: &[&str]| attributes.count(path).unwrap_or(0);
        Self { sent: count(&["response", "size"]), received: count(&["request", "size"]) }
    }

    /// Reads how much of them are frames of the exchange: the counts are those of
    /// the client's connection, so frames are in them where this side accepted
    /// it, and not where it began the exchange.
    pub fn read_frames(attributes: &Attributes<'_>) -> Self {
        let count = |key| {
            let text =
                attributes.bytes(&[key]).and_then(|bytes| String::from_utf8(bytes.into_owned()).ok())?;
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
