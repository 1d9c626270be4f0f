//! The peer metadata that travels in a header: a workload as base64 of a
//! `google.protobuf.Struct`, with the keys of Istio's node metadata.

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use core::fmt;
use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value};

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
    /// Not a serialised `Struct`, or one nested too deep.
    Protobuf,
    /// A `Struct` that tells none of a workload's facts.
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

/// Encodes the facts that become labels, and no other: the receiver may be
/// anyone. Equal workloads encode to equal text, so that it can be a cache key.
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
    let texts = [
        ("CLUSTER_ID", &workload.cluster_id),
        ("MESH_ID", &workload.mesh_id),
        ("NAME", &workload.name),
        ("NAMESPACE", &workload.namespace),
        ("OWNER", &workload.owner),
        ("WORKLOAD_NAME", &workload.workload_name),
    ];
    let mut metadata = of_texts(texts);
    let labels = of_texts(LABEL_KEYS.into_iter().zip(&workload.labels));
    if !labels.fields.is_empty() {
        let kind = Some(Kind::StructValue(labels));
        metadata.fields.insert(LABELS.to_owned(), Value { kind });
    }
    BASE64.encode(metadata.encode_to_vec())
}

/// Decodes what a peer sent. Unknown keys, and values that are no text, are
/// passed over.
///
/// # Errors
/// The bytes hold no workload.
pub fn decode(encoded: &[u8]) -> Result<Workload, DecodeError> {
    if encoded.len() > MAX_ENCODED_BYTES || encoded == TOO_LARGE {
        return Err(DecodeError::TooLarge);
    }
    let bytes = BASE64.decode(encoded).map_err(|_| DecodeError::Base64)?;
    // Recursion is bounded by prost: 100 levels.
    let metadata = Struct::decode(bytes.as_slice()).map_err(|_| DecodeError::Protobuf)?;
    let text = |key| text(&metadata, key);
    let labels = match metadata.fields.get(LABELS).and_then(|value| value.kind.as_ref()) {
        Some(Kind::StructValue(labels)) => LABEL_KEYS.map(|key| self::text(labels, key)),
        _ => Default::default(),
    };
    let workload = Workload {
        name: text("NAME"),
        namespace: text("NAMESPACE"),
        workload_name: text("WORKLOAD_NAME"),
        cluster_id: text("CLUSTER_ID"),
        mesh_id: text("MESH_ID"),
        owner: text("OWNER"),
        ..Workload::default()
    }
    .with_labels(labels);
    if workload == Workload::default() {
        return Err(DecodeError::Empty);
    }
    Ok(workload)
}

fn of_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a Option<String>)>) -> Struct {
    let field = |(key, text): (&str, &Option<String>)| {
        let kind = Some(Kind::StringValue(text.clone()?));
        Some((key.to_owned(), Value { kind }))
    };
    Struct {
        fields: texts.into_iter().filter_map(field).collect(),
    }
}

fn text(of: &Struct, key: &str) -> Option<String> {
    match of.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => cut(text),
        _ => None,
    }
}
