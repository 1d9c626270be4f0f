//! Values from anywhere in a message: in one line, and not too long.

use serde_json::Value;

/// Longest excerpt of a value in a message, in characters.
pub const EXCERPT_CHARS: usize = 80;

/// A text in quotes, as JSON, cut to a readable length.
pub fn quoted(text: &str) -> String {
    excerpt(&Value::String(text.to_owned()))
}

/// The same of bytes that may be no text: one that was cut shows it.
pub fn quoted_bytes(bytes: &[u8]) -> String {
    quoted(&String::from_utf8_lossy(bytes.get(..EXCERPT_CHARS).unwrap_or(bytes)))
}

/// Whether a character steers whoever shows it instead of being shown: control
/// characters, those that turn the direction of writing, and what ends a line or a
/// paragraph. (U+200C and U+200D, which some scripts need, are none.)
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The value as JSON, cut to a readable length, in one line: JSON escapes the
/// control characters below the space, others that steer become `_`.
pub fn excerpt(value: &Value) -> String {
    // Display would bring the pretty printer along.
    let text = serde_json::to_string(value).unwrap_or_default();
    let mut chars = text.chars().map(|c| if steers(c) { '_' } else { c });
    let mut excerpt: String = chars.by_ref().take(EXCERPT_CHARS).collect();
    if chars.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}
