//! The exchange in HTTP headers.
//!
//! Both headers are taken away in both directions, whatever they hold, so that
//! neither an application nor the world sees them. The side that sends asks:
//! the other answers on the response, and only with what it was asked for.

use super::{note, store_told, Exchange, Own};
use crate::attribute::direction::Direction;
use crate::attribute::keys::{DOWNSTREAM_PEER_KEY, UPSTREAM_PEER_KEY};
use crate::host::{HeaderMap, Host};
use crate::peer::side::Side;

/// Header with the sender's encoded metadata.
pub const METADATA_HEADER: &str = "x-envoy-peer-metadata";
/// Header with the id of the sender's node.
pub const ID_HEADER: &str = "x-envoy-peer-metadata-id";

/// The exchange on one HTTP stream.
#[derive(Debug, Default)]
pub struct HttpExchange {
    /// The upstream peer was told who we are, in so many bytes.
    asked_upstream: Option<usize>,
    /// The downstream peer told its metadata and may have ours.
    answer_metadata: bool,
    /// The downstream peer told its node's id and may have ours.
    answer_id: bool,
}

// === impl HttpExchange ===

impl HttpExchange {
    /// The request passes: learns the downstream peer, tells the upstream one.
    pub fn on_request_headers(&mut self, exchange: &Exchange, host: &dyn Host) {
        let attributes = exchange.attributes(host);
        let direction = exchange.direction(&attributes);
        // Before headers change: that makes Envoy forget the route.
        let own = exchange.asks_upstream(&attributes, direction).then_some(&exchange.own);
        self.asked_upstream = own.map(|own| own.header_bytes(true, true));
        let own_metadata = own.and_then(|own| own.metadata.as_deref());
        let own_id = own.and_then(|own| own.id.as_deref());

        let map = HeaderMap::Request;
        if direction == Direction::Outbound {
            // Who the application is we know, whatever it says, and it gets no answer.
            put_header(host, map, METADATA_HEADER, own_metadata);
            return put_header(host, map, ID_HEADER, own_id);
        }
        let metadata = exchange_header(host, map, METADATA_HEADER, own_metadata);
        let id = exchange_header(host, map, ID_HEADER, own_id);
        let told = !metadata.is_empty() || !id.is_empty();
        if told && exchange.trusts(Side::Downstream, &attributes) {
            self.answer_metadata = !metadata.is_empty();
            self.answer_id = !id.is_empty();
            let answer_bytes = exchange.own.header_bytes(self.answer_metadata, self.answer_id);
            store_told(host, DOWNSTREAM_PEER_KEY, &metadata, answer_bytes);
        }
    }

    /// The response passes: learns the upstream peer, answers the downstream one.
    pub fn on_response_headers(&mut self, exchange: &Exchange, host: &dyn Host) {
        let map = HeaderMap::Response;
        let metadata = exchange.own.metadata.as_deref().filter(|_| self.answer_metadata);
        let id = exchange.own.id.as_deref().filter(|_| self.answer_id);
        replace_header(host, map, ID_HEADER, id);

        let Some(asked_bytes) = self.asked_upstream else {
            // What was not asked for is no answer, and not listened to.
            return replace_header(host, map, METADATA_HEADER, metadata);
        };
        let told = exchange_header(host, map, METADATA_HEADER, metadata);
        if !told.is_empty() && exchange.trusts(Side::Upstream, &exchange.attributes(host)) {
            store_told(host, UPSTREAM_PEER_KEY, &told, asked_bytes);
        }
    }
}

/// Puts `own` in the place of a header of the request, whatever it holds.
///
/// An absent header is not removed blindly: a change of the request's headers
/// makes Envoy find the route again.
fn put_header(host: &dyn Host, map: HeaderMap, name: &str, own: Option<&str>) {
    if own.is_some() || host.header(map, name) != Ok(None) {
        replace_header(host, map, name, own);
    }
}

/// The same; returns the (first) value that it held. Absent and empty are the same to the
/// caller; an empty one is removed, too.
fn exchange_header(host: &dyn Host, map: HeaderMap, name: &str, own: Option<&str>) -> Vec<u8> {
    let found = host.header(map, name);
    if own.is_some() || found != Ok(None) {
        replace_header(host, map, name, own);
    }
    found.ok().flatten().unwrap_or_default()
}

/// Puts `own` in the place of a header, or nothing, whatever it holds.
fn replace_header(host: &dyn Host, map: HeaderMap, name: &str, own: Option<&str>) {
    let replaced = match own {
        Some(own) => host.set_header(map, name, own.as_bytes()),
        None => host.remove_header(map, name),
    };
    note(host, name, replaced);
}

// === impl Own ===

impl Own {
    /// The size of our headers, as Envoy counts it.
    fn header_bytes(&self, metadata: bool, id: bool) -> usize {
        let headers = [(METADATA_HEADER, &self.metadata, metadata), (ID_HEADER, &self.id, id)];
        let sizes = headers.into_iter().filter(|(.., sent)| *sent).filter_map(|(name, value, _)| {
            value.as_ref().map(|value| name.len().saturating_add(value.len()))
        });
        sizes.fold(0, usize::saturating_add)
    }
}
