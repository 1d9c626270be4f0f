//! The peer metadata that travels in a header: a workload as base64 of a
//! `google.protobuf.Struct`, with the keys of Istio's node metadata.

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use core::fmt;

use crate::wire::proto::{put_field, Malformed, Message};
use crate::workload::{cut, Workload, LABEL_KEYS};

/// Longest encoded metadata that is looked at. Istio's own is about 1 kB.
pub const MAX_ENCODED_BYTES: usize = 8192;

/// Stands for metadata that was too long to be kept. No base64 begins with `!`.
pub const TOO_LARGE: &[u8] = b"!too_large";

/// Why bytes are no peer metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// More than [`MAX_ENCODED_BYTES`].
    TooLarge,
    /// Not base64.
    Base64,
    /// Not a serialised `Struct`.
    Protobuf,
    /// A `Struct` that tells none of a workload's facts.
    Empty,
}

/// The key of the nested struct with Kubernetes labels.
const LABELS: &str = "LABELS";

/// Field numbers of google/protobuf/struct.proto.
mod number {
    /// `Struct.fields`, a map: each entry is a message of its own.
    pub(super) const FIELDS: u32 = 1;
    /// The key of a map's entry, in any protobuf.
    pub(super) const KEY: u32 = 1;
    /// The value of a map's entry, in any protobuf.
    pub(super) const VALUE: u32 = 2;
    /// `Value.string_value`.
    pub(super) const STRING_VALUE: u32 = 3;
    /// `Value.struct_value`.
    pub(super) const STRUCT_VALUE: u32 = 5;
}

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

/// Encodes the facts that become labels, and no other: the receiver may be
/// anyone. Equal workloads encode to equal text (keys are sorted), so that it
/// can be a cache key.
///
/// ```
/// use istio_stats::peer::metadata;
/// use istio_stats::workload::Workload;
/// let workload = Workload { cluster_id: Some("east".to_owned()), ..Workload::default() };
/// let header = metadata::encode(&workload);
/// assert_eq!(header, "ChQKCkNMVVNURVJfSUQSBhoEZWFzdA==");
/// assert_eq!(metadata::decode(header.as_bytes()), Ok(workload));
/// ```
pub fn encode(workload: &Workload) -> String {
    let mut labels = Vec::new();
    for (key, label) in LABEL_KEYS.into_iter().zip(&workload.labels) {
        put_text(&mut labels, key, label);
    }
    let mut metadata = Vec::new();
    put_text(&mut metadata, "CLUSTER_ID", &workload.cluster_id);
    if !labels.is_empty() {
        put_entry(&mut metadata, LABELS, number::STRUCT_VALUE, &labels);
    }
    put_text(&mut metadata, "MESH_ID", &workload.mesh_id);
    put_text(&mut metadata, "NAME", &workload.name);
    put_text(&mut metadata, "NAMESPACE", &workload.namespace);
    put_text(&mut metadata, "OWNER", &workload.owner);
    put_text(&mut metadata, "WORKLOAD_NAME", &workload.workload_name);
    BASE64.encode(metadata)
}

/// Decodes what a peer sent. Unknown keys, and values that are no text, are
/// passed over; of a key that comes twice the last one counts.
///
/// # Errors
/// The bytes hold no workload.
pub fn decode(encoded: &[u8]) -> Result<Workload, DecodeError> {
    if encoded.len() > MAX_ENCODED_BYTES || encoded == TOO_LARGE {
        return Err(DecodeError::TooLarge);
    }
    let metadata = BASE64.decode(encoded).map_err(|_| DecodeError::Base64)?;
    let mut workload = Workload::default();
    let mut labels = Default::default();
    each_entry(&metadata, |key, value| {
        let fact = match key {
            b"CLUSTER_ID" => &mut workload.cluster_id,
            b"MESH_ID" => &mut workload.mesh_id,
            b"NAME" => &mut workload.name,
            b"NAMESPACE" => &mut workload.namespace,
            b"OWNER" => &mut workload.owner,
            b"WORKLOAD_NAME" => &mut workload.workload_name,
            _ if key == LABELS.as_bytes() => {
                labels = read_labels(value)?;
                return Ok(());
            }
            _ => return Ok(()),
        };
        *fact = text(value)?;
        Ok(())
    })?;
    let workload = workload.with_labels(labels);
    if workload == Workload::default() {
        return Err(DecodeError::Empty);
    }
    Ok(workload)
}

fn read_labels(value: &[u8]) -> Result<[Option<String>; LABEL_KEYS.len()], DecodeError> {
    let mut labels: [Option<String>; LABEL_KEYS.len()] = Default::default();
    let Some(entries) = last_field(value, number::STRUCT_VALUE)? else {
        return Ok(labels);
    };
    each_entry(entries, |key, value| {
        let known = LABEL_KEYS
            .iter()
            .zip(&mut labels)
            .find(|(known, _)| known.as_bytes() == key);
        if let Some((_, label)) = known {
            *label = text(value)?;
        }
        Ok(())
    })?;
    Ok(labels)
}

/// Shows key and `Value` of each entry of a `Struct`.
fn each_entry<'a>(
    of: &'a [u8],
    mut show: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut fields = Message::new(of);
    while let Some((number, entry)) = fields.next_field()? {
        if number == number::FIELDS {
            let key = last_field(entry, number::KEY)?.unwrap_or_default();
            let value = last_field(entry, number::VALUE)?.unwrap_or_default();
            show(key, value)?;
        }
    }
    Ok(())
}

/// The text of a `Value`; none if it holds something else.
fn text(value: &[u8]) -> Result<Option<String>, DecodeError> {
    let Some(bytes) = last_field(value, number::STRING_VALUE)? else {
        return Ok(None);
    };
    let text = core::str::from_utf8(bytes).map_err(|_| DecodeError::Protobuf)?;
    Ok(cut(text))
}

/// Of a field that is not repeated, protobuf has the last one count.
fn last_field(of: &[u8], wanted: u32) -> Result<Option<&[u8]>, Malformed> {
    let mut fields = Message::new(of);
    let mut last = None;
    while let Some((number, content)) = fields.next_field()? {
        if number == wanted {
            last = Some(content);
        }
    }
    Ok(last)
}

fn put_text(out: &mut Vec<u8>, key: &str, text: &Option<String>) {
    if let Some(text) = text {
        put_entry(out, key, number::STRING_VALUE, text.as_bytes());
    }
}

fn put_entry(out: &mut Vec<u8>, key: &str, kind: u32, content: &[u8]) {
    let mut value = Vec::new();
    put_field(&mut value, kind, content);
    let mut entry = Vec::new();
    put_field(&mut entry, number::KEY, key.as_bytes());
    put_field(&mut entry, number::VALUE, &value);
    put_field(out, number::FIELDS, &entry);
}
