//! A label's value, made safe for the stat name it is going to be part of.

use std::rc::Rc;

use crate::host::excerpt::steers;

/// Longest value in bytes; the rest is cut off.
pub const MAX_VALUE_BYTES: usize = 256;

/// A missing value.
pub const UNKNOWN: &str = "unknown";
/// A missing canonical revision.
pub const LATEST: &str = "latest";
/// Stands for every peer and request value beyond the bound on series.
pub const OVERFLOW: &str = "overflow";

/// A value that cannot break out of its place in a stat name: no `;` (it ends
/// a tag), no `=.=` (Istio's regexes are not anchored, so it could begin
/// another one), no character that steers a terminal or turns the direction of
/// writing, no trailing dot (Envoy drops it), valid UTF-8, at most [`MAX_VALUE_BYTES`], never empty.
///
/// Shared, since the streams of a peer all have its values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelValue(Rc<str>);

// === impl LabelValue ===

impl LabelValue {
    /// Cleans bytes from anywhere; `None` if there are none.
    ///
    /// ```
    /// # use istio_stats::catalogue::label_value::LabelValue;
    /// let clean = |bytes: &[u8]| LabelValue::clean(bytes.to_vec()).map(|value| value.as_str().to_owned());
    /// assert_eq!(clean(b"web.example.com:80").as_deref(), Some("web.example.com:80"));
    /// assert_eq!(clean(b"a;.;reporter=.=x").as_deref(), Some("a_._reporter=_=x"));
    /// assert_eq!(clean(b"").as_deref(), None);
    /// ```
    pub fn clean(mut bytes: Vec<u8>) -> Option<Self> {
        if bytes.len() > MAX_VALUE_BYTES {
            // Not amid a character: what follows the cut must not be its tail.
            let is_tail = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
            let longest_tail = 3;
            let start = MAX_VALUE_BYTES.saturating_sub(longest_tail);
            let cut = (start..=MAX_VALUE_BYTES).rev().find(|at| !is_tail(*at));
            bytes.truncate(cut.unwrap_or(MAX_VALUE_BYTES));
        }
        // One after the other: two may share their middle. No later step makes new ones.
        for at in 1..bytes.len() {
            let is_tag = bytes.get(at.saturating_sub(1)..).is_some_and(|rest| rest.starts_with(b"=.="));
            if let Some(dot) = bytes.get_mut(at).filter(|_| is_tag) {
                *dot = b'_';
            }
        }
        let mut text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => lossy(error.as_bytes()),
        };
        if text.chars().any(is_unsafe) {
            text = text.chars().map(|c| if is_unsafe(c) { '_' } else { c }).collect();
        }
        if text.ends_with('.') {
            text.pop();
            text.push('_');
        }
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// Cleans a text.
    pub fn clean_str(text: &str) -> Option<Self> {
        Self::clean(text.as_bytes().to_vec())
    }

    /// The value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_unsafe(c: char) -> bool {
    c == ';' || steers(c)
}

/// Each invalid sequence becomes one `_`; never longer than the input.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push('_');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(bytes: &[u8]) -> String {
        LabelValue::clean(bytes.to_vec()).unwrap().as_str().to_owned()
    }

    #[test]
    fn separators_and_control_characters_are_replaced() {
        assert_eq!(clean(b"a;.;b=.=c;.;"), "a_._b=_=c_._");
        assert_eq!(clean("a\u{0}b\nc\u{7f}d\u{85}e".as_bytes()), "a_b_c_d_e");
        assert_eq!(clean("a\u{202e}b\u{2066}c\u{200f}d\u{61c}e\u{2028}f".as_bytes()), "a_b_c_d_e_f");
        assert_eq!(clean(b"=.=.=.="), "=_=_=_=");
        assert_eq!(clean(b"host."), "host_");
        assert_eq!(clean(b"."), "_");
        assert_eq!(clean(b"a\xff\xfeb\xe2\x82"), "a__b_");
        // A joiner is part of a word.
        for whole in ["zürich-東京", "می\u{200c}خواهم"] {
            assert_eq!(clean(whole.as_bytes()), whole);
        }
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(clean(&[b'a'; 300]).len(), 256);
        for lead in 0..8 {
            let text = "a".repeat(lead) + &"€".repeat(100);
            let cut = clean(text.as_bytes());
            assert!(text.starts_with(&cut) && (254..=256).contains(&cut.len()), "{lead}: {cut}");
        }
        // Nothing but tails: still cut, still clean.
        assert!(clean(&[0x80; 300]).len() <= 256);
        // The cut comes first: a dot that ends up last is replaced as well.
        assert_eq!(clean((("a".repeat(255)) + ".b").as_bytes()), "a".repeat(255) + "_");
    }

    #[test]
    fn any_bytes_become_a_safe_value_or_none() {
        let mut state = 7u32;
        for len in 0..600 {
            let bytes: Vec<u8> = (0..len)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let value = LabelValue::clean(bytes);
            assert_eq!(value.is_none(), len == 0);
            if let Some(value) = value {
                let text = value.as_str();
                assert!(
                    text.len() <= MAX_VALUE_BYTES
                        && !text.ends_with('.')
                        && !text.contains("=.=")
                        && !text.chars().any(is_unsafe)
                );
            }
        }
    }
}
