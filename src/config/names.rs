//! How fields, metrics and labels are called.

use super::bounds::MAX_NAME_BYTES;
use crate::host::excerpt::{quoted, EXCERPT_CHARS};

/// Whether `name` is the snake_case `key` or its camelCase form.
pub(super) fn is_key(key: &str, name: &str) -> bool {
    let mut camel = String::with_capacity(key.len());
    let mut upper = false;
    for c in key.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                camel.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => camel.push(c),
        }
    }
    name == key || name == camel
}

/// What [`is_identifier`] asks for.
pub(super) const IDENTIFIER: &str = "letters, digits and _, at most 256";

/// Names that Prometheus takes as they are and that cannot break a stat name.
pub fn is_identifier(name: &str) -> bool {
    if name.len() > MAX_NAME_BYTES {
        return false;
    }
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The path of the field `key` of the object at `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A key that anybody chose, in a path: in quotes unless it is a plain name.
pub(super) fn named(key: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=EXCERPT_CHARS).contains(&key.len()) && key.chars().all(is_plain) {
        key.to_owned()
    } else {
        quoted(key)
    }
}
