//! `google.protobuf.Struct`: a map from text to values that are texts or maps
//! again (numbers, lists and nulls are passed over).

use super::proto::{put_field, Malformed, Message};

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

/// The text of a `Value`; `None` if it holds something else.
///
/// # Errors
/// The bytes are no `Value`, or the text is not UTF-8.
pub fn text(value: &[u8]) -> Result<Option<&str>, Malformed> {
    let bytes = last_field(value, number::STRING_VALUE)?;
    bytes.map(core::str::from_utf8).transpose().map_err(|_| Malformed)
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
            seen.push((key.to_vec(), text(value)?, nested(value)?));
            Ok(())
        })
        .unwrap();
        let expected =
            [(b"LABELS".to_vec(), None, Some(&inner[..])), (b"NAME".to_vec(), Some("web-1"), None)];
        assert_eq!(seen, expected);
    }
}
