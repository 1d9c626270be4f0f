//! The bytes of a TCP connection.

use crate::attribute::keys::{
    DOWNSTREAM_PEER_KEY, FRAME_BEGUN_KEY, RECEIVED_FRAME_BYTES_KEY, SENT_FRAME_BYTES_KEY,
};
use crate::attribute::Attributes;

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
