//! From bytes to an object: JSON, or a `google.protobuf.Struct`.

use serde_json::{Map, Value};

use super::issue::Issue;
use super::notes::Notes;
use super::object::Object;
use super::structs;
use crate::host::excerpt::{excerpt, quoted_bytes};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Compiles a plugin configuration, whose object `read` reads; `None` if the
/// bytes are unusable.
pub fn compile<T>(bytes: &[u8], read: impl FnOnce(&mut Object<'_>) -> T) -> (Option<T>, Vec<Issue>) {
    let fields = match root(bytes) {
        Ok(fields) => fields,
        Err(issue) => return (None, vec![issue]),
    };
    let mut notes = Notes::default();
    let mut object = Object::new("", &fields, &mut notes);
    let config = read(&mut object);
    object.finish();
    (Some(config), notes.issues)
}

/// Parses a configuration: JSON whose root is an object, or a serialised
/// `google.protobuf.Struct` (no JSON is one). Nothing at all counts as `{}`,
/// since an Envoy user may leave the configuration out; a byte order mark, which
/// editors put before a text, is none of it.
///
/// # Errors
/// The issue to report when the bytes are anything else.
pub fn root(bytes: &[u8]) -> Result<Map<String, Value>, Issue> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    let parsed = match core::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
        Err(_) => Err("not UTF-8".to_owned()),
    };
    let message = match parsed {
        Ok(Value::Object(fields)) => return Ok(fields),
        Ok(other) => format!("expected a JSON object, found {}", excerpt(&other)),
        Err(error) => match structs::decode(bytes) {
            Ok(fields) => return Ok(fields),
            Err(_) => format!("not JSON ({error}): {}", quoted_bytes(bytes)),
        },
    };
    Err(Issue { level: log::Level::Error, path: String::new(), message })
}

/// Takes a field out of a configuration: its value, and the rest as JSON. `None`: there is no
/// such field, and what is no configuration is left to whoever reads it to complain of.
pub fn take(bytes: &[u8], field: &str) -> Option<(Value, Vec<u8>)> {
    let mut fields = root(bytes).ok()?;
    let taken = fields.remove(field)?;
    Some((taken, serde_json::to_vec(&fields).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_taken_out() {
        let (node, rest) = take(br#"{"node": {"id": "me"}, "max_series": 7}"#, "node").unwrap();
        assert_eq!((node["id"].as_str(), rest.as_slice()), (Some("me"), &br#"{"max_series":7}"#[..]));
        for whole in [&br#"{"max_series": 7}"#[..], b"[", b"\xff", b""] {
            assert_eq!(take(whole, "node"), None);
        }
    }

    #[test]
    fn a_byte_order_mark_is_none_of_the_text() {
        assert!(root("\u{feff}".as_bytes()).unwrap().is_empty());
        assert_eq!(root("\u{feff} {\"a\": 1}".as_bytes()), root(b"{\"a\": 1}"));
        assert!(root("\u{feff}\u{feff}{}".as_bytes()).is_err());
        assert!(root("{\u{feff}}".as_bytes()).is_err());
    }

    #[test]
    fn a_root_that_is_no_object_is_an_error() {
        assert!(root(b" \n").unwrap().is_empty());
        assert_eq!(root(b"[1]").unwrap_err().to_string(), "expected a JSON object, found [1]");
        let said = root(b"{oops").unwrap_err().to_string();
        assert!(said.starts_with("not JSON (") && said.contains("{oops"), "{said}");
        let said = root(b"{\xff").unwrap_err().message;
        assert_eq!(said, "not JSON (not UTF-8): \"{\u{fffd}\"");
        assert!(root("[".repeat(100_000).as_bytes()).is_err());
    }
}
