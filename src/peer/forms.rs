//! What Istio's own filters leave of a peer in the filter state, in each form
//! that they have had.
//!
//! The form is told by its first bytes, so that nobody has to know which
//! Istio wrote it, and one cache serves them all.

use super::metadata::{self, unless_empty, DecodeError, MAX_ENCODED_BYTES};
use super::side::Side;
use crate::wire::flatbuffer::Table;
use crate::wire::pairs::Pairs;
use crate::wire::structs;
use crate::workload::fact::Fact;
use crate::workload::further::Further;
use crate::workload::{cut, Workload};

/// Istio's word for a peer that tells nothing: under the key of its id until
/// 1.18, under a key of its own, this very word, from 1.19 to 1.23.
pub(super) const PEER_UNKNOWN: &str = "envoy.wasm.metadata_exchange.peer_unknown";

/// An object with fields (Istio 1.24), read as a whole: a map that tells none.
/// Its fields have to be read one by one.
pub(super) const OBJECT: [u8; 4] = [0; 4];

/// The field of the FlatBuffers table FlatNode with Kubernetes labels, a vector of
/// tables. (Where its other fields are says [`Fact`].)
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
/// use istio_stats::peer::forms::decode;
/// let workload = decode(b"\x01\0\0\0\x07\0\0\0\x04\0\0\0cluster\0west\0").unwrap();
/// assert_eq!(workload.get(istio_stats::workload::fact::Fact::ClusterId), Some("west"));
/// ```
pub fn decode(encoded: &[u8]) -> Result<Workload, DecodeError> {
    decode_into(Workload::default(), encoded)
}

/// The same of a workload that is asked for more.
///
/// # Errors
/// The bytes hold no workload.
pub fn decode_into(workload: Workload, encoded: &[u8]) -> Result<Workload, DecodeError> {
    if encoded.len() > MAX_ENCODED_BYTES {
        return Err(DecodeError::TooLarge);
    }
    match *encoded {
        // The upper half of a number of 32 bits, a count or an offset, that is
        // no larger than the cap. No text holds a NUL.
        [_, _, 0, 0, ..] => match Pairs::parse(encoded) {
            Some(pairs) => decode_pairs(workload, pairs),
            None => decode_flat_node(workload, encoded),
        },
        // The tag of `Struct.fields`. In no header and no base64.
        [b'\n', ..] => metadata::decode_struct(workload, encoded),
        _ => metadata::decode_into(workload, encoded),
    }
}

/// Whether the value of a marker says that no peer will tell anything. Since
/// 1.24 the marker is a flag.
pub(super) fn is_nobody(value: &[u8]) -> bool {
    value == b"true" || value == PEER_UNKNOWN.as_bytes()
}

fn decode_pairs(mut workload: Workload, pairs: Pairs<'_>) -> Result<Workload, DecodeError> {
    for (key, value) in pairs {
        if metadata::is_labels(key) {
            for (key, value) in Pairs::parse(value).into_iter().flatten() {
                put(workload.label(key), core::str::from_utf8(value).ok());
            }
        } else {
            put(workload.entry(key), core::str::from_utf8(value).ok());
        }
    }
    unless_empty(workload)
}

fn decode_flat_node(mut workload: Workload, bytes: &[u8]) -> Result<Workload, DecodeError> {
    let table = Table::root(bytes)?;
    for fact in Fact::ALL {
        if let Some(field) = fact.row().flat_node {
            let text = table.text(field)?;
            workload = workload.with(fact, text.unwrap_or_default());
        }
    }
    for index in 0.. {
        let Some(label) = table.table(FLAT_NODE_LABELS, index)? else {
            break;
        };
        let key = label.text(KEY)?.unwrap_or_default();
        put(workload.label(key.as_bytes()), label.text(VALUE)?);
    }
    unless_empty(workload)
}

fn put(fact: Option<&mut Option<String>>, text: Option<&str>) {
    if let Some(fact) = fact {
        *fact = text.and_then(cut);
    }
}

/// Reads the fields of an object (Istio 1.24) that are asked for, and serialises them as
/// the Istios after it do themselves, for [`decode`].
pub fn gather(side: Side, further: &Further, read: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<u8> {
    // Of the downstream peer only certificates tell the identity.
    let identity = (side == Side::Upstream).then_some(Fact::Identity);
    let identity = identity.filter(|fact| !further.facts.contains(*fact));
    let fields = further.facts().chain(identity).filter_map(|fact| fact.row().object);
    let entry = |field| {
        let text = String::from_utf8(read(field)?).ok()?;
        let mut entry = Vec::new();
        structs::put_text(&mut entry, field, &text);
        Some((field, entry))
    };
    metadata::sorted(fields.filter_map(entry).collect())
}
