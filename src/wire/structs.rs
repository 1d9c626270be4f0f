//! `google.protobuf.Struct`: a map from text to values that are texts, what can be
//! written as one, or maps again (lists and nulls are passed over).

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::proto::{put_field, FieldValue, Malformed, Message};

/// Field numbers of google/protobuf/struct.proto.
mod number {
    /// `Struct.fields`, a map: each entry is a message of its own.
    pub(super) const FIELDS: u32 = 1;
    /// The key of a map's entry, in any protobuf.
    pub(super) const KEY: u32 = 1;
    /// The value of a map's entry, in any protobuf.
    pub(super) const VALUE: u32 = 2;
    /// `Value.null_value`, the first of its kinds.
    pub(super) const NULL_VALUE: u32 = 1;
    /// `Value.number_value`.
    pub(super) const NUMBER_VALUE: u32 = 2;
    /// `Value.string_value`.
    pub(super) const STRING_VALUE: u32 = 3;
    /// `Value.bool_value`.
    pub(super) const BOOL_VALUE: u32 = 4;
    /// `Value.struct_value`.
    pub(super) const STRUCT_VALUE: u32 = 5;
    /// `Value.list_value`, the last of its kinds.
    pub(super) const LIST_VALUE: u32 = 6;
}

/// Shows key and `Value` of each entry of a `Struct`.
///
/// # Errors
/// The bytes are no `Struct`, or `show` failed.
pub fn each_entry<'a, E: From<Malformed>>(
    of: &'a [u8],
    mut show: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), E>,
) -> Result<(), E> {
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

/// The text of a `Value`, or what a person would have written for its number or
/// boolean; `None` if it holds something else.
///
/// # Errors
/// The bytes are no `Value`, or the text is not UTF-8.
pub fn text(value: &[u8]) -> Result<Option<Cow<'_, str>>, Malformed> {
    let mut message = Message::new(value);
    let mut last = None;
    while let Some((number, field)) = message.next_value()? {
        last = match (number, field) {
            (number::STRING_VALUE, FieldValue::Content(bytes)) => {
                Some(core::str::from_utf8(bytes).map_err(|_| Malformed)?.into())
            }
            (number::NUMBER_VALUE, FieldValue::Fixed64(bits)) => {
                number_text(f64::from_bits(bits)).map(Cow::Owned)
            }
            (number::BOOL_VALUE, FieldValue::Varint(flag)) => Some(flag_text(flag != 0).into()),
            (number::NULL_VALUE..=number::LIST_VALUE, _) => None,
            _ => last,
        };
    }
    Ok(last)
}

/// A number as people write it: protobuf has doubles only, and `7` is one of them.
/// Null for what is none.
pub fn plain_number(double: f64) -> Value {
    let whole = double as i64;
    if whole as f64 == double {
        return Value::Number(Number::from(whole));
    }
    Number::from_f64(double).map_or(Value::Null, Value::Number)
}

/// The same as a text: `1`, `1.1`.
pub fn number_text(double: f64) -> Option<String> {
    Some(plain_number(double)).filter(Value::is_number).map(|number| number.to_string())
}

/// A boolean as people write it.
pub fn flag_text(flag: bool) -> &'static str {
    if flag {
        "true"
    } else {
        "false"
    }
}

/// The nested `Struct` of a `Value`; `None` if it holds something else.
///
/// # Errors
/// The bytes are no `Value`.
pub fn nested(value: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    last_field(value, number::STRUCT_VALUE)
}

/// Of a field that is not repeated, protobuf has the last one count.
///
/// # Errors
/// The bytes are no message.
pub fn last_field(of: &[u8], wanted: u32) -> Result<Option<&[u8]>, Malformed> {
    let mut fields = Message::new(of);
    let mut last = None;
    while let Some((number, content)) = fields.next_field()? {
        if number == wanted {
            last = Some(content);
        }
    }
    Ok(last)
}

/// Appends an entry with a text to a `Struct`.
pub fn put_text(out: &mut Vec<u8>, key: &str, text: &str) {
    put_entry(out, key, number::STRING_VALUE, text.as_bytes());
}

/// Appends an entry with a nested `Struct`.
pub fn put_struct(out: &mut Vec<u8>, key: &str, nested: &[u8]) {
    put_entry(out, key, number::STRUCT_VALUE, nested);
}

fn put_entry(out: &mut Vec<u8>, key: &str, kind: u32, content: &[u8]) {
    let mut value = Vec::new();
    put_field(&mut value, kind, content);
    let mut entry = Vec::new();
    put_field(&mut entry, number::KEY, key.as_bytes());
    put_field(&mut entry, number::VALUE, &value);
    put_field(out, number::FIELDS, &entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_back() {
        let mut inner = Vec::new();
        put_text(&mut inner, "app", "web");
        let mut outer = Vec::new();
        put_struct(&mut outer, "LABELS", &inner);
        put_text(&mut outer, "NAME", "web-1");
        let mut seen = Vec::new();
        each_entry::<Malformed>(&outer, |key, value| {
            seen.push((key.to_vec(), text(value)?.map(Cow::into_owned), nested(value)?));
            Ok(())
        })
        .unwrap();
        let expected = [
            (b"LABELS".to_vec(), None, Some(&inner[..])),
            (b"NAME".to_vec(), Some("web-1".to_owned()), None),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn numbers_are_written_as_people_do() {
        let written = |double| number_text(double);
        for (double, text) in
            [(1.0, "1"), (1.1, "1.1"), (-2.5, "-2.5"), (0.0, "0"), (123_456_789_012.0, "123456789012")]
        {
            assert_eq!(written(double).as_deref(), Some(text));
        }
        assert_eq!((written(f64::NAN), written(f64::INFINITY)), (None, None));
    }
}
