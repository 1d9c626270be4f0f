//! Which attribute a callback finds at a path, and as which bytes.

use crate::host::{HeaderMap, HostError};

use super::contexts::Contexts;
use super::hostcall::INTERNAL_FAILURE;
use super::phase::{request_header, Phase};
use super::stream::Stream;
use super::value::Value;

/// The attribute at `path`, if this callback has it.
pub(super) fn find(contexts: &Contexts, path: &[&str]) -> Option<Value> {
    let phase = contexts.seen_phase();
    let stream = contexts.acted_on();
    let available = match stream {
        Some(_) => phase.has_stream_attribute(path),
        None => Phase::has_root_attribute(path),
    };
    if !available {
        return None;
    }
    let set = |path: &[&str]| {
        let own = stream.and_then(|stream| stream.attributes.at(path));
        own.or_else(|| contexts.attributes.at(path)).cloned()
    };
    // Headers have a size while they are readable; TCP has none of them.
    let is_http = set(&["request", "protocol"]).is_some();
    let only_body = |map| is_http && !phase.can_read_headers(map);
    let body = |message: &str| Some(set(&[message, "size"]).unwrap_or(Value::Int(0)));
    match (path, set(path)) {
        (["request", "total_size"], Some(_)) if only_body(HeaderMap::Request) => body("request"),
        (["response", "total_size"], Some(_)) if only_body(HeaderMap::Response) => body("response"),
        (_, Some(value)) => Some(value),
        (["response", "grpc_status"], None) => {
            let trailer = set(&["response", "trailers", "grpc-status"]);
            let sent = trailer.and_then(|sent| sent.to_wire().ok());
            let sent = sent.or_else(|| stream?.headers(HeaderMap::Response).first("grpc-status"));
            match (sent, set(&["response", "code"])) {
                (Some(sent), _) => Some(Value::Int(core::str::from_utf8(&sent).ok()?.parse().unwrap_or(-1))),
                (None, Some(Value::Int(code))) => Some(Value::Int(grpc_status_of(code))),
                _ => None,
            }
        }
        (_, None) => derived(stream?, path).map(Value::Bytes),
    }
}

/// What Envoy makes of an HTTP status where the response has no gRPC status.
fn grpc_status_of(code: i64) -> i64 {
    match code {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// What a stream shows as an attribute without one being set: headers and filter state.
fn derived(stream: &Stream, path: &[&str]) -> Option<Vec<u8>> {
    let stored = |key: &str| stream.filter_state.get(key).cloned();
    match path {
        ["request", "headers", name] => stream.headers(HeaderMap::Request).first(name),
        ["response", "headers", name] => stream.headers(HeaderMap::Response).first(name),
        ["request", field] => stream.headers(HeaderMap::Request).first(request_header(field)?),
        [key] => stored(key),
        ["filter_state", key] => stored(key.strip_prefix("wasm.")?),
        _ => None,
    }
}

/// The bytes that the attribute at `path` is read as.
///
/// # Errors
/// The status for one that has no byte form.
pub(super) fn bytes(path: &[&str], value: &Value) -> Result<Vec<u8>, u32> {
    match (value, path) {
        (Value::Map(_), _) if is_message(path) => Err(INTERNAL_FAILURE),
        // `request`, `connection` and the like.
        (Value::Map(_), [_]) => Err(HostError::SERIALIZATION_FAILURE),
        _ => value.to_wire(),
    }
}

/// Whether Envoy has a protobuf message there, whose encoding is not modelled.
fn is_message(path: &[&str]) -> bool {
    match path {
        ["xds", "node"] | ["metadata"] => true,
        ["xds", field] => field.ends_with("_metadata"),
        _ => false,
    }
}
