//! The exchange in front of a TCP connection's data.
//!
//! The side that connects writes its frame before the client's first bytes, but
//! only to upstream clusters known to expect one: a Wasm filter cannot see what
//! was negotiated for the connection. The side that accepts knows a frame by
//! its magic number, takes it off, and answers with its own before the
//! upstream's first bytes. Everything else passes unchanged; a protocol whose
//! server speaks first loses the exchange, never a byte.

use core::mem;

use super::{note, store, Exchange};
use crate::attribute::direction::Direction;
use crate::attribute::keys::{
    DOWNSTREAM_PEER_KEY, FRAME_BEGUN_KEY, NO_PEER, RECEIVED_FRAME_BYTES_KEY, SENT_FRAME_BYTES_KEY,
    UPSTREAM_PEER_KEY,
};
use crate::attribute::Attributes;
use crate::host::{Data, Flow, Host, HostError};
use crate::peer::frame::{self, Parsed};
use crate::peer::side::Side;

/// The exchange on one connection.
#[derive(Debug, Default)]
pub struct TcpExchange {
    /// The client's first bytes went on: nothing of the exchange can follow.
    client_passed: bool,
    /// The same for the upstream's.
    upstream_passed: bool,
    /// The upstream peer was sent our frame and may answer.
    asked_upstream: bool,
    /// Lengths of what was held because it may be a frame, of which more has to
    /// come: Envoy counts held bytes again whenever more arrives.
    recounted_bytes: usize,
    /// The downstream peer sent its frame and is owed ours.
    owes_answer: bool,
}

// === impl TcpExchange ===

impl TcpExchange {
    /// The client sent something: learns the downstream peer, tells the upstream one.
    pub fn on_downstream_data(
        &mut self,
        exchange: &Exchange,
        host: &dyn Host,
        len_bytes: usize,
        end: bool,
    ) -> Flow {
        if self.client_passed || (len_bytes == 0 && !end) {
            return Flow::Continue;
        }
        let attributes = exchange.attributes(host);
        let direction = exchange.direction(&attributes);
        if direction != Direction::Outbound {
            match take_frame(host, Data::Downstream, end) {
                Taken::NotYet => return self.await_frame(host, len_bytes),
                Taken::Nothing => {
                    self.tell_not_the_clients(host, 0);
                    store(host, DOWNSTREAM_PEER_KEY, NO_PEER);
                }
                Taken::Frame(frame) => self.learn_downstream(exchange, host, &attributes, &frame),
            }
        }
        self.client_passed = true;
        let begins = len_bytes > 0 && !self.upstream_passed && exchange.begins_tcp(&attributes, direction);
        match exchange.own_frame().filter(|_| begins) {
            Some(own) => self.ask_upstream(host, own),
            None => store(host, UPSTREAM_PEER_KEY, NO_PEER),
        }
        Flow::Continue
    }

    /// The upstream sent something: learns the upstream peer, answers the downstream one.
    pub fn on_upstream_data(
        &mut self,
        exchange: &Exchange,
        host: &dyn Host,
        len_bytes: usize,
        end: bool,
    ) -> Flow {
        if self.upstream_passed || (len_bytes == 0 && !end) {
            return Flow::Continue;
        }
        if self.asked_upstream {
            match take_frame(host, Data::Upstream, end) {
                Taken::NotYet => return Flow::Hold,
                Taken::Nothing => store(host, UPSTREAM_PEER_KEY, NO_PEER),
                Taken::Frame(frame) => {
                    let trusted = exchange.trusts(Side::Upstream, &exchange.attributes(host));
                    store_frame(host, UPSTREAM_PEER_KEY, &frame, trusted);
                }
            }
        }
        self.upstream_passed = true;
        if mem::take(&mut self.owes_answer) {
            if let Some(own) = exchange.own_frame() {
                let result = host.replace_data(Data::Upstream, 0, own);
                if result.is_ok() {
                    store_count(host, SENT_FRAME_BYTES_KEY, own.len());
                }
                note(host, "answer", result);
            }
        }
        Flow::Continue
    }

    /// Nothing that passes from here on is looked at.
    pub fn is_over(&self) -> bool {
        self.client_passed && self.upstream_passed
    }

    fn await_frame(&mut self, host: &dyn Host, held_bytes: usize) -> Flow {
        if self.recounted_bytes == 0 {
            store(host, FRAME_BEGUN_KEY, b"1");
        }
        self.recounted_bytes = self.recounted_bytes.saturating_add(held_bytes);
        Flow::Hold
    }

    /// Tells how much of what Envoy counted was no data of the client's.
    fn tell_not_the_clients(&self, host: &dyn Host, frame_bytes: usize) {
        let bytes = self.recounted_bytes.saturating_add(frame_bytes);
        if bytes > 0 {
            store_count(host, RECEIVED_FRAME_BYTES_KEY, bytes);
        }
    }

    fn learn_downstream(
        &mut self,
        exchange: &Exchange,
        host: &dyn Host,
        attributes: &Attributes<'_>,
        frame: &[u8],
    ) {
        self.tell_not_the_clients(host, frame.len());
        let trusted = exchange.trusts(Side::Downstream, attributes);
        store_frame(host, DOWNSTREAM_PEER_KEY, frame, trusted);
        self.owes_answer = trusted && !self.upstream_passed;
    }

    fn ask_upstream(&mut self, host: &dyn Host, own: &[u8]) {
        let result = host.replace_data(Data::Downstream, 0, own);
        self.asked_upstream = result.is_ok();
        note(host, "preamble", result);
    }
}

/// What stood at the beginning of a connection's data.
enum Taken {
    /// It may be a frame, but it is not whole.
    NotYet,
    /// No frame; the data is as it was.
    Nothing,
    /// A frame, which was taken off the data.
    Frame(Vec<u8>),
}

fn take_frame(host: &dyn Host, direction: Data, end: bool) -> Taken {
    let longest = frame::HEADER_BYTES.saturating_add(frame::MAX_PAYLOAD_BYTES);
    let taken = host.data(direction, longest).and_then(|mut data| match frame::parse(&data) {
        Parsed::Incomplete if !end => Ok(Taken::NotYet),
        Parsed::Incomplete | Parsed::NotAFrame => Ok(Taken::Nothing),
        Parsed::Frame { frame_bytes, .. } => {
            host.replace_data(direction, frame_bytes, b"")?;
            data.truncate(frame_bytes);
            Ok(Taken::Frame(data))
        }
    });
    taken.unwrap_or_else(|error: HostError| {
        note(host, "frame", Err(error));
        Taken::Nothing
    })
}

/// Stores the metadata in a frame, in the form that HTTP's headers have.
fn store_frame(host: &dyn Host, key: &str, frame: &[u8], trusted: bool) {
    let Parsed::Frame { payload, .. } = frame::parse(frame) else {
        return;
    };
    match frame::metadata_of(payload) {
        Ok(Some(metadata)) if trusted => {
            store(host, key, crate::peer::metadata::to_header(metadata).as_bytes());
        }
        Err(_) if trusted => store(host, key, crate::peer::metadata::MALFORMED),
        _ => store(host, key, NO_PEER),
    }
}

fn store_count(host: &dyn Host, key: &str, bytes: usize) {
    store(host, key, bytes.to_string().as_bytes());
}
