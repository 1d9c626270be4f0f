//! What kind of traffic a stream carries.

use crate::attribute::element::Element;
use crate::attribute::Attributes;

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
