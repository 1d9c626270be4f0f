//! The frame of the metadata exchange over TCP, as Istio's proxies write it in
//! front of a connection's data.
//!
//! A magic number and the payload's length, 32 bits each in network order; the
//! payload is a `google.protobuf.Any` of a `Struct` with the sender's metadata,
//! itself a `Struct`, and its node's id.

use crate::wire::proto::{put_field, Malformed};
use crate::wire::structs::{self, last_field};

/// Begins a frame.
pub const MAGIC: [u8; 4] = 0x3D23_0467u32.to_be_bytes();

/// Longest payload that is taken for one. Istio's are about 1 kB.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024;

/// Length of what precedes the payload.
pub const HEADER_BYTES: usize = 8;

/// What the beginning of a connection's data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A frame's beginning, so far.
    Incomplete,
    /// Something else: the application's own.
    NotAFrame,
    /// A frame of this length in all.
    Frame {
        /// Header and payload, in bytes.
        frame_bytes: usize,
        /// An `Any`; whatever it holds.
        payload: &'a [u8],
    },
}

const METADATA_KEY: &str = "x-envoy-peer-metadata";
const ID_KEY: &str = "x-envoy-peer-metadata-id";
const STRUCT_TYPE: &[u8] = b"type.googleapis.com/google.protobuf.Struct";

/// Field numbers of google/protobuf/any.proto.
const TYPE_URL: u32 = 1;
const VALUE: u32 = 2;

/// Looks for a frame at the beginning of `data`. A length beyond
/// [`MAX_PAYLOAD_BYTES`] is not waited for: it is no frame.
///
/// ```
/// use istio_stats::peer::frame::{parse, Parsed};
/// assert_eq!(parse(b"GET / HTTP/1.1"), Parsed::NotAFrame);
/// assert_eq!(parse(b"\x3d\x23\x04\x67\0\0\0\x02h"), Parsed::Incomplete);
/// let frame = Parsed::Frame { frame_bytes: 10, payload: b"hi" };
/// assert_eq!(parse(b"\x3d\x23\x04\x67\0\0\0\x02hi and more"), frame);
/// ```
pub fn parse(data: &[u8]) -> Parsed<'_> {
    let magic = data.get(..MAGIC.len()).unwrap_or(data);
    if !MAGIC.starts_with(magic) {
        return Parsed::NotAFrame;
    }
    let Some((_, rest)) = data.split_at_checked(MAGIC.len()) else {
        return Parsed::Incomplete;
    };
    let Some((length, rest)) = rest.split_first_chunk::<4>() else {
        return Parsed::Incomplete;
    };
    match usize::try_from(u32::from_be_bytes(*length)) {
        Ok(length) if length <= MAX_PAYLOAD_BYTES => match rest.get(..length) {
            Some(payload) => Parsed::Frame { frame_bytes: HEADER_BYTES.saturating_add(length), payload },
            None => Parsed::Incomplete,
        },
        _ => Parsed::NotAFrame,
    }
}

/// A frame with this metadata (a serialised `Struct`) and node id; `None` if it
/// would be too long.
pub fn encode(metadata: &[u8], id: Option<&str>) -> Option<Vec<u8>> {
    let mut both = Vec::new();
    structs::put_struct(&mut both, METADATA_KEY, metadata);
    if let Some(id) = id {
        structs::put_text(&mut both, ID_KEY, id);
    }
    let mut payload = Vec::new();
    put_field(&mut payload, TYPE_URL, STRUCT_TYPE);
    put_field(&mut payload, VALUE, &both);
    if payload.len() > MAX_PAYLOAD_BYTES {
        return None;
    }
    let length = u32::try_from(payload.len()).ok()?;
    Some([&MAGIC[..], &length.to_be_bytes(), &payload].concat())
}

/// The metadata in a frame's payload, a serialised `Struct`; `None` if the
/// sender told none.
///
/// # Errors
/// The payload is no `Any` of a `Struct`.
pub fn metadata_of(payload: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let both = last_field(payload, VALUE)?.unwrap_or_default();
    let mut metadata = None;
    structs::each_entry(both, |key, value| {
        if key == METADATA_KEY.as_bytes() {
            metadata = structs::nested(value)?;
        }
        Ok::<(), Malformed>(())
    })?;
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_found_at_every_split() {
        let mut frame = encode(b"metadata", Some("node~1")).unwrap();
        let frame_bytes = frame.len();
        frame.extend_from_slice(b"application data");
        for end in 0..frame.len() {
            match parse(&frame[..end]) {
                Parsed::Incomplete => assert!(end < frame_bytes),
                Parsed::Frame { frame_bytes: found, payload } => {
                    assert!(end >= frame_bytes);
                    assert_eq!(found, frame_bytes);
                    assert_eq!(metadata_of(payload), Ok(Some(&b"metadata"[..])));
                }
                Parsed::NotAFrame => panic!("at {end}"),
            }
        }
    }

    #[test]
    fn a_wrong_magic_is_known_at_its_first_wrong_byte() {
        for wrong in 0..MAGIC.len() {
            let mut data = MAGIC;
            data[wrong] ^= 1;
            assert_eq!(parse(&data[..=wrong]), Parsed::NotAFrame);
        }
    }

    #[test]
    fn a_huge_length_is_not_waited_for() {
        let header = |length: u32| [MAGIC, length.to_be_bytes()].concat();
        assert_eq!(parse(&header(16 * 1024)), Parsed::Incomplete);
        for length in [16 * 1024 + 1, u32::MAX] {
            assert_eq!(parse(&header(length)), Parsed::NotAFrame);
        }
        assert_eq!(encode(&[0; 17 * 1024], None), None);
    }

    #[test]
    fn any_payload_is_metadata_or_not_and_never_a_panic() {
        let frame = encode(b"metadata", Some("node~1")).unwrap();
        let payload = &frame[HEADER_BYTES..];
        for end in 0..payload.len() {
            let _ = metadata_of(&payload[..end]);
            for bit in 0..8 {
                let mut flipped = payload.to_vec();
                flipped[end] ^= 1 << bit;
                let _ = metadata_of(&flipped);
            }
        }
        assert_eq!(metadata_of(b""), Ok(None));
        assert_eq!(metadata_of(b"\xff"), Err(Malformed));
    }

    #[test]
    fn what_is_too_long_is_not_written() {
        let length = |bytes: usize| encode(&vec![b'x'; bytes], None).map(|frame| frame.len());
        let longest = (0..=MAX_PAYLOAD_BYTES).rev().find_map(length);
        assert_eq!(longest, Some(MAGIC.len() + 4 + MAX_PAYLOAD_BYTES));
    }
}
