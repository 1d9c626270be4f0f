//! The peer metadata that travels in a header: a workload as base64 of a
//! `google.protobuf.Struct`, with the keys of Istio's node metadata.

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use core::fmt;

use crate::wire::flatbuffer;
use crate::wire::proto::Malformed;
use crate::wire::structs::{self, each_entry};
use crate::workload::{cut, Workload, LABEL_KEYS};

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

/// What was told of a workload so far.
#[derive(Default)]
pub(super) struct Facts {
    workload: Workload,
    labels: [Option<String>; LABEL_KEYS.len()],
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
    to_header(&encode_struct(workload))
}

/// The same before base64: a serialised `Struct`.
pub fn encode_struct(workload: &Workload) -> Vec<u8> {
    let put_fact = |out: &mut Vec<u8>, key, fact: &Option<String>| {
        if let Some(text) = fact {
            structs::put_text(out, key, text);
        }
    };
    let mut labels = Vec::new();
    for (key, label) in LABEL_KEYS.into_iter().zip(&workload.labels) {
        put_fact(&mut labels, key, label);
    }
    let mut metadata = Vec::new();
    put_fact(&mut metadata, "CLUSTER_ID", &workload.cluster_id);
    if !labels.is_empty() {
        structs::put_struct(&mut metadata, LABELS, &labels);
    }
    put_fact(&mut metadata, "MESH_ID", &workload.mesh_id);
    put_fact(&mut metadata, "NAME", &workload.name);
    put_fact(&mut metadata, "NAMESPACE", &workload.namespace);
    put_fact(&mut metadata, "OWNER", &workload.owner);
    put_fact(&mut metadata, "WORKLOAD_NAME", &workload.workload_name);
    metadata
}

/// A serialised `Struct` as the header carries it.
pub fn to_header(metadata: &[u8]) -> String {
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
    if encoded == MALFORMED {
        return Err(DecodeError::Protobuf);
    }
    decode_struct(&BASE64.decode(encoded).map_err(|_| DecodeError::Base64)?)
}

/// The same before base64: a serialised `Struct` of node metadata, or of the
/// fields of Istio's object.
///
/// # Errors
/// As [`decode`].
pub fn decode_struct(metadata: &[u8]) -> Result<Workload, DecodeError> {
    let mut facts = Facts::default();
    each_entry(metadata, |key, value| {
        if is_labels(key) {
            let labels = structs::nested(value)?.unwrap_or_default();
            return each_entry(labels, |key, value| put(facts.label(key), value));
        }
        put(facts.fact(key), value)
    })?;
    facts.workload()
}

/// What is not asked for need not even be a text.
fn put(fact: Option<&mut Option<String>>, value: &[u8]) -> Result<(), DecodeError> {
    if let Some(fact) = fact {
        *fact = structs::text(value)?.and_then(cut);
    }
    Ok(())
}

/// Whether Kubernetes labels are what is under this key.
pub(super) fn is_labels(key: &[u8]) -> bool {
    key == LABELS.as_bytes() || key == b"labels"
}

// === impl Facts ===

impl Facts {
    /// The fact with this key in node metadata, or this name in Istio's object.
    pub(super) fn fact(&mut self, key: &[u8]) -> Option<&mut Option<String>> {
        let Self { workload, labels } = self;
        let [app, _, _, service, revision, version] = labels;
        // A loop over texts takes half of the code that a match on them does.
        let facts = [
            (["CLUSTER_ID", "cluster"], &mut workload.cluster_id),
            (["NAMESPACE", "namespace"], &mut workload.namespace),
            (["WORKLOAD_NAME", "workload"], &mut workload.workload_name),
            (["NAME", "name"], &mut workload.name),
            (["MESH_ID", ""], &mut workload.mesh_id),
            (["OWNER", ""], &mut workload.owner),
            (["app", ""], app),
            (["version", ""], version),
            (["service", ""], service),
            (["revision", ""], revision),
        ];
        let mut facts = facts.into_iter().filter(|_| !key.is_empty());
        facts.find(|(keys, _)| keys.iter().any(|known| known.as_bytes() == key)).map(|(_, fact)| fact)
    }

    /// The Kubernetes label with this key.
    pub(super) fn label(&mut self, key: &[u8]) -> Option<&mut Option<String>> {
        let mut labels = LABEL_KEYS.iter().zip(&mut self.labels);
        labels.find(|(known, _)| known.as_bytes() == key).map(|(_, label)| label)
    }

    /// The workload that has these facts.
    pub(super) fn workload(self) -> Result<Workload, DecodeError> {
        let workload = self.workload.with_labels(self.labels);
        if workload == Workload::default() {
            return Err(DecodeError::Empty);
        }
        Ok(workload)
    }
}
