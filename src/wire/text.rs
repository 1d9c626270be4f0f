//! Texts among bytes of which nobody tells what they are.

/// The text that these bytes are, if they can be one that a person wrote: valid
/// UTF-8, and no control character, which numbers, flags and messages mostly have.
pub fn printable(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_shows_it() {
        for text in ["", "frontend", "zürich 東京"] {
            assert_eq!(printable(text.as_bytes()), Some(text));
        }
        for bytes in [&[1][..], &80u64.to_le_bytes(), b"\x0a\x05istio", "a\u{85}".as_bytes(), b"\xff", b"a\n"]
        {
            assert_eq!(printable(bytes), None, "{bytes:?}");
        }
    }
}
