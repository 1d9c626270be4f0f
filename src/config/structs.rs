//! A configuration given as a `google.protobuf.Struct`: Envoy hands it on as the
//! serialised message, not as JSON.

use serde_json::{Map, Value};

use crate::wire::proto::{FieldValue, Malformed, Message};
use crate::wire::structs::{each_entry, plain_number};

/// How deep lists and objects may nest.
const MAX_DEPTH: usize = 16;

/// Field numbers of `Value` and `ListValue` in google/protobuf/struct.proto.
mod number {
    pub(super) const NUMBER_VALUE: u32 = 2;
    pub(super) const STRING_VALUE: u32 = 3;
    pub(super) const BOOL_VALUE: u32 = 4;
    pub(super) const STRUCT_VALUE: u32 = 5;
    pub(super) const LIST_VALUE: u32 = 6;
    pub(super) const VALUES: u32 = 1;
}

/// Decodes a serialised `Struct`.
///
/// # Errors
/// The bytes are none, or nest too deep.
pub(super) fn decode(bytes: &[u8]) -> Result<Map<String, Value>, Malformed> {
    object(bytes, MAX_DEPTH)
}

fn object(bytes: &[u8], depth: usize) -> Result<Map<String, Value>, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let mut fields = Map::new();
    each_entry(bytes, |key, content| {
        let key = core::str::from_utf8(key).map_err(|_| Malformed)?;
        fields.insert(key.to_owned(), value(content, depth)?);
        Ok::<(), Malformed>(())
    })?;
    Ok(fields)
}

fn value(bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    let mut message = Message::new(bytes);
    let mut last = Value::Null;
    while let Some((number, field)) = message.next_value()? {
        last = match (number, field) {
            (number::NUMBER_VALUE, FieldValue::Fixed64(bits)) => plain_number(f64::from_bits(bits)),
            (number::STRING_VALUE, FieldValue::Content(text)) => {
                Value::String(core::str::from_utf8(text).map_err(|_| Malformed)?.to_owned())
            }
            (number::BOOL_VALUE, FieldValue::Varint(flag)) => Value::Bool(flag != 0),
            (number::STRUCT_VALUE, FieldValue::Content(nested)) => Value::Object(object(nested, depth)?),
            (number::LIST_VALUE, FieldValue::Content(nested)) => Value::Array(list(nested, depth)?),
            _ => Value::Null,
        };
    }
    Ok(last)
}

fn list(bytes: &[u8], depth: usize) -> Result<Vec<Value>, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let mut message = Message::new(bytes);
    let mut elements = Vec::new();
    while let Some((number, content)) = message.next_field()? {
        if number == number::VALUES {
            elements.push(value(content, depth)?);
        }
    }
    Ok(elements)
}
