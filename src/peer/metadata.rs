//! The peer metadata that travels in a header: a workload as base64 of a
//! `google.protobuf.Struct`, with the keys of Istio's node metadata.

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use core::fmt;

use crate::wire::flatbuffer;
use crate::wire::proto::Malformed;
use crate::wire::structs::{self, each_entry};
use crate::workload::{cut, Workload};

/// Longest encoded metadata that is looked at. Istio's own is about 1 kB.
pub const MAX_ENCODED_BYTES: usize = 8192;

/// Stands for metadata that was too long to be kept. No base64 begins with `!`.
pub const TOO_LARGE: &[u8] = b"!too_large";

/// Stands for metadata that came in another form and was malformed.
pub const MALFORMED: &[u8] = b"!protobuf";

/// Why bytes are no peer metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// More than [`MAX_ENCODED_BYTES`].
    TooLarge,
    /// Not base64.
    Base64,
    /// Not a serialised `Struct`.
    Protobuf,
    /// Not a FlatBuffers table.
    FlatBuffer,
    /// It tells none of a workload's facts.
    Empty,
}

/// The key of the nested struct with Kubernetes labels.
const LABELS: &str = "LABELS";

/// Encoders pad; senders that do not are understood, too.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

// === impl DecodeError ===

impl DecodeError {
    /// One word, for a metric's label.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Base64 => "base64",
            Self::Protobuf => "protobuf",
            Self::FlatBuffer => "flatbuffer",
            Self::Empty => "empty",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "more than 8192 bytes",
            Self::Base64 => "not base64",
            Self::Protobuf => "not a serialised google.protobuf.Struct",
            Self::FlatBuffer => "not a FlatBuffers table",
            Self::Empty => "no workload in it",
        })
    }
}

impl core::error::Error for DecodeError {}

impl From<Malformed> for DecodeError {
    fn from(_: Malformed) -> Self {
        Self::Protobuf
    }
}

impl From<flatbuffer::Malformed> for DecodeError {
    fn from(_: flatbuffer::Malformed) -> Self {
        Self::FlatBuffer
    }
}

/// Encodes what is told of the workload: the receiver may be anyone. Equal workloads encode to equal text (keys are sorted), so that it
/// can be a cache key.
///
/// ```
/// use istio_stats::peer::metadata;
/// use istio_stats::workload::{fact::Fact, Workload};
/// let workload = Workload::default().with(Fact::ClusterId, "east");
/// let header = metadata::encode(&workload);
/// assert_eq!(header, "ChQKCkNMVVNURVJfSUQSBhoEZWFzdA==");
/// assert_eq!(metadata::decode(header.as_bytes()), Ok(workload));
/// ```
pub fn encode(workload: &Workload) -> String {
    to_header(&encode_struct(workload))
}

/// The same before base64: a serialised `Struct`.
pub fn encode_struct(workload: &Workload) -> Vec<u8> {
    let (mut entries, mut labels) = (Vec::new(), Vec::new());
    for (is_label, key, text) in workload.entries() {
        let mut entry = Vec::new();
        structs::put_text(&mut entry, key, text);
        if is_label { &mut labels } else { &mut entries }.push((key, entry));
    }
    if !labels.is_empty() {
        let mut entry = Vec::new();
        structs::put_struct(&mut entry, LABELS, &sorted(labels));
        entries.push((LABELS, entry));
    }
    sorted(entries)
}

/// The entries of a `Struct` in the order of their keys.
///
/// There are few, and a sort is 4 kB of code.
pub(super) fn sorted(entries: Vec<(&str, Vec<u8>)>) -> Vec<u8> {
    let mut sorted = Vec::with_capacity(entries.len());
    for entry in entries {
        let place = sorted.partition_point(|(key, _)| *key <= entry.0);
        sorted.insert(place, entry);
    }
    sorted.into_iter().flat_map(|(_, entry)| entry).collect()
}

/// A serialised `Struct` as the header carries it.
pub fn to_header(metadata: &[u8]) -> String {
    BASE64.encode(metadata)
}

/// Decodes what a peer sent. Unknown keys, and values that are neither text, number
/// nor boolean, are passed over; of a key that comes twice the last one counts.
///
/// # Errors
/// The bytes hold no workload.
pub fn decode(encoded: &[u8]) -> Result<Workload, DecodeError> {
    decode_into(Workload::default(), encoded)
}

/// The same of a workload that is asked for more.
pub(super) fn decode_into(workload: Workload, encoded: &[u8]) -> Result<Workload, DecodeError> {
    if encoded.len() > MAX_ENCODED_BYTES || encoded == TOO_LARGE {
        return Err(DecodeError::TooLarge);
    }
    if encoded == MALFORMED {
        return Err(DecodeError::Protobuf);
    }
    decode_struct(workload, &BASE64.decode(encoded).map_err(|_| DecodeError::Base64)?)
}

/// The same before base64: a serialised `Struct` of node metadata, or of the
/// fields of Istio's object.
pub(super) fn decode_struct(mut workload: Workload, metadata: &[u8]) -> Result<Workload, DecodeError> {
    each_entry(metadata, |key, value| {
        if is_labels(key) {
            let labels = structs::nested(value)?.unwrap_or_default();
            return each_entry(labels, |key, value| put(workload.label(key), value));
        }
        put(workload.entry(key), value)
    })?;
    unless_empty(workload)
}

/// What is not asked for need not even be a text.
fn put(fact: Option<&mut Option<String>>, value: &[u8]) -> Result<(), DecodeError> {
    if let Some(fact) = fact {
        *fact = structs::text(value)?.and_then(|text| cut(&text));
    }
    Ok(())
}

/// Whether Kubernetes labels are what is under this key.
pub(super) fn is_labels(key: &[u8]) -> bool {
    key == LABELS.as_bytes() || key == b"labels"
}

/// The workload, if anything is known of it.
pub(super) fn unless_empty(workload: Workload) -> Result<Workload, DecodeError> {
    if workload.is_unknown() {
        return Err(DecodeError::Empty);
    }
    Ok(workload)
}
