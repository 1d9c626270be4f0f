//! What Istio's own filters leave of a peer in the filter state, in each form
//! that they have had.
//!
//! The form is told by its first bytes, so that nobody has to know which
//! Istio wrote it, and one cache serves them all.

use super::metadata::{self, DecodeError, Facts, MAX_ENCODED_BYTES};
use crate::wire::flatbuffer::Table;
use crate::wire::pairs::Pairs;
use crate::wire::structs;
use crate::workload::{cut, Workload};

/// Istio's word for a peer that tells nothing: under the key of its id until
/// 1.18, under a key of its own, this very word, from 1.19 to 1.23.
pub(super) const PEER_UNKNOWN: &str = "envoy.wasm.metadata_exchange.peer_unknown";

/// An object with fields (Istio 1.24), read as a whole: a map that tells none.
/// Its fields have to be read one by one.
pub(super) const OBJECT: [u8; 4] = [0; 4];

/// The fields of that object that become labels.
const OBJECT_FIELDS: [&str; 7] =
    ["app", "cluster", "namespace", "revision", "service", "version", "workload"];

/// Fields of the FlatBuffers table FlatNode, by the keys that the same facts
/// have in node metadata.
const FLAT_NODE: [(usize, &[u8]); 6] = [
    (0, b"NAME"),
    (1, b"NAMESPACE"),
    (3, b"OWNER"),
    (4, b"WORKLOAD_NAME"),
    (7, b"MESH_ID"),
    (9, b"CLUSTER_ID"),
];
/// The field with its Kubernetes labels, a vector of tables.
const FLAT_NODE_LABELS: usize = 2;
/// Fields of those tables.
const KEY: usize = 0;
const VALUE: usize = 1;

/// Decodes what was found of a peer, our header's text included.
///
/// * Istio 1.4 and 1.5: a serialised `Struct` of node metadata.
/// * 1.6 to 1.23: a FlatBuffers table.
/// * Since 1.25: a `Struct` of an object's fields, which the host shows as
///   serialised pairs.
///
/// # Errors
/// The bytes hold no workload.
///
/// ```
/// use istio_stats::peer::istio::decode;
/// let workload = decode(b"\x01\0\0\0\x07\0\0\0\x04\0\0\0cluster\0west\0").unwrap();
/// assert_eq!(workload.cluster_id.as_deref(), Some("west"));
/// ```
pub fn decode(encoded: &[u8]) -> Result<Workload, DecodeError> {
    if encoded.len() > MAX_ENCODED_BYTES {
        return Err(DecodeError::TooLarge);
    }
    match *encoded {
        // The upper half of a number of 32 bits, a count or an offset, that is
        // no larger than the cap. No text holds a NUL.
        [_, _, 0, 0, ..] => match Pairs::parse(encoded) {
            Some(pairs) => decode_pairs(pairs),
            None => decode_flat_node(encoded),
        },
        // The tag of `Struct.fields`. In no header and no base64.
        [b'\n', ..] => metadata::decode_struct(encoded),
        _ => metadata::decode(encoded),
    }
}

/// Whether the value of a marker says that no peer will tell anything. Since
/// 1.24 the marker is a flag.
pub(super) fn is_nobody(value: &[u8]) -> bool {
    value == b"true" || value == PEER_UNKNOWN.as_bytes()
}

fn decode_pairs(pairs: Pairs<'_>) -> Result<Workload, DecodeError> {
    let mut facts = Facts::default();
    for (key, value) in pairs {
        if metadata::is_labels(key) {
            for (key, value) in Pairs::parse(value).into_iter().flatten() {
                put(facts.label(key), core::str::from_utf8(value).ok());
            }
        } else {
            put(facts.fact(key), core::str::from_utf8(value).ok());
        }
    }
    facts.workload()
}

fn decode_flat_node(bytes: &[u8]) -> Result<Workload, DecodeError> {
    let node = Table::root(bytes)?;
    let mut facts = Facts::default();
    for (field, key) in FLAT_NODE {
        put(facts.fact(key), node.text(field)?);
    }
    for index in 0.. {
        let Some(label) = node.table(FLAT_NODE_LABELS, index)? else {
            break;
        };
        let key = label.text(KEY)?.unwrap_or_default();
        put(facts.label(key.as_bytes()), label.text(VALUE)?);
    }
    facts.workload()
}

fn put(fact: Option<&mut Option<String>>, text: Option<&str>) {
    if let Some(fact) = fact {
        *fact = text.and_then(cut);
    }
}

/// Reads the fields of an object (Istio 1.24) and serialises them as the Istios
/// after it do themselves, for [`decode`].
pub fn gather(read: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut object = Vec::new();
    for field in OBJECT_FIELDS {
        if let Some(text) = read(field).and_then(|bytes| String::from_utf8(bytes).ok()) {
            structs::put_text(&mut object, field, &text);
        }
    }
    object
}
