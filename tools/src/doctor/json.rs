//! Reading JSON whose parts may be missing.

use istio_stats::wire::structs::{flag_text, number_text};
use serde_json::Value;

/// The text at a path; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).map_or("", as_text)
}

/// The text that this is; empty if it is none.
pub(crate) fn as_text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The text at a path, or what the plugin makes of a number or a boolean there;
/// empty if there is none.
pub(crate) fn written(value: &Value, path: &str) -> String {
    match value.pointer(path) {
        Some(Value::Number(number)) => number.as_f64().and_then(number_text).unwrap_or_default(),
        Some(Value::Bool(flag)) => flag_text(*flag).to_owned(),
        _ => text(value, path).to_owned(),
    }
}

/// The list at a path; empty if there is none.
pub(crate) fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The number at a path; zero if there is none.
pub(crate) fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

/// Whether there is `true` at a path.
pub(crate) fn is_true(value: &Value, path: &str) -> bool {
    value.pointer(path).and_then(Value::as_bool).unwrap_or_default()
}
