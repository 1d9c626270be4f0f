//! What Envoy lets a plugin read, and when. Tried on Envoy 1.36 to 1.40.

use crate::host::{Data, HeaderMap};

/// The callback that the plugin is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The root context is configured. There is no stream.
    Configure,
    /// The root context's timer. There is no stream, unless made effective.
    Tick,
    /// A stream context was created.
    StreamCreated,
    /// The request's headers arrived.
    RequestHeaders,
    /// The response's headers are about to leave.
    ResponseHeaders,
    /// Data of a TCP connection arrived; the upstream is connected by now.
    Data(Data),
    /// The stream is logged: the only phase with both header maps.
    Log,
    /// The stream context is about to be deleted: after the log or, over HTTP/3, without
    /// one. The headers are gone.
    Delete,
}

// === impl Phase ===

impl Phase {
    /// Whether the callback belongs to the root context.
    pub(super) fn is_root(self) -> bool {
        matches!(self, Self::Configure | Self::Tick)
    }

    pub(super) fn can_read_headers(self, map: HeaderMap) -> bool {
        self == Self::Log || self.can_write_headers(map)
    }

    pub(super) fn can_write_headers(self, map: HeaderMap) -> bool {
        match map {
            HeaderMap::Request => self == Self::RequestHeaders,
            HeaderMap::Response => self == Self::ResponseHeaders,
        }
    }

    /// Whether the attribute at `path` can be there at all, without a stream.
    pub(super) fn has_root_attribute(path: &[&str]) -> bool {
        match path {
            ["xds", "node", ..] | ["node", ..] => true,
            // Before Envoy 1.33 the direction was readable at any time.
            ["plugin_name" | "plugin_root_id" | "plugin_vm_id" | "listener_direction"] => true,
            _ => false,
        }
    }

    /// Whether the attribute at `path` of a stream can be there at all.
    pub(super) fn has_stream_attribute(self, path: &[&str]) -> bool {
        let response_began = !matches!(self, Self::StreamCreated | Self::RequestHeaders);
        match path {
            ["request", "headers", ..] => self.can_read_headers(HeaderMap::Request),
            ["request", field] if request_header(field).is_some() => {
                self.can_read_headers(HeaderMap::Request)
            }
            ["request", "url_path" | "query"] => self.can_read_headers(HeaderMap::Request),
            // Only once the request is complete.
            ["request", "duration"] => matches!(self, Self::Log | Self::Delete),
            ["response", "headers", ..] => self.can_read_headers(HeaderMap::Response),
            ["response", "trailers", ..] => self == Self::Log,
            ["response", "code" | "code_details" | "grpc_status" | "backend_latency"] => response_began,
            ["upstream", "num_endpoints" | "request_attempt_count"] => true,
            ["upstream", ..] => response_began,
            ["xds", "upstream_host_metadata" | "upstream_host_locality_metadata", ..]
            | ["upstream_host_metadata", ..] => response_began,
            _ => true,
        }
    }
}

/// The header that a request attribute is another name of.
pub(super) fn request_header(field: &str) -> Option<&'static str> {
    Some(match field {
        "host" => ":authority",
        "path" => ":path",
        "method" => ":method",
        "scheme" => ":scheme",
        "referer" => "referer",
        "useragent" => "user-agent",
        "id" => "x-request-id",
        _ => return None,
    })
}
