//! Takes labels out of a stat name as Envoy does with the regular expressions of
//! a bootstrap's `stats_tags`, by hand: a real engine would take most of the
//! time.

use std::ops::Range;

use istio_stats::catalogue::label_value::LabelValue;

/// What Envoy puts before the name of every metric of a Wasm plugin.
pub const PREFIX: &str = "wasmcustom.";

const AFTER_TAG: &str = "=.=";
const AFTER_VALUE: &str = ";.;";

/// The groups of a match: what is taken off the name, and the label's value.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'a> {
    pub removed: Range<usize>,
    pub value: &'a str,
}

/// `^wasmcustom\.(?:[^;]*;\.;)*?(TAG=\.=([^;]*);\.;)`, as our bootstraps have it.
pub fn anchored<'a>(name: &'a str, tag: &str) -> Option<Found<'a>> {
    let mut at = PREFIX.len();
    if !name.starts_with(PREFIX) {
        return None;
    }
    loop {
        let rest = &name[at..];
        let length = rest.find(';').filter(|end| rest[*end..].starts_with(AFTER_VALUE))?;
        let segment = at..at + length + AFTER_VALUE.len();
        if let Some(value) = rest[..length].strip_prefix(tag).and_then(|rest| rest.strip_prefix(AFTER_TAG)) {
            return Some(Found { removed: segment, value });
        }
        at = segment.end;
    }
}

/// `(TAG=\.=(.*?);\.;)`, as Istio makes one of each of its `extraStatTags`.
pub fn unanchored<'a>(name: &'a str, tag: &str) -> Option<Found<'a>> {
    let begin = format!("{tag}{AFTER_TAG}");
    name.match_indices(&begin).find_map(|(at, _)| {
        let start = at + begin.len();
        let length = name[start..].find(AFTER_VALUE)?;
        let value = &name[start..start + length];
        // The dot of a regular expression matches no line feed.
        let removed = at..start + length + AFTER_VALUE.len();
        (!value.contains('\n')).then_some(Found { removed, value })
    })
}

/// Checks that a stat name is labels, each once and with a clean value, and then
/// `istio_` and a metric's name; returns that name and the labels.
pub fn well_formed(stat_name: &str) -> (&str, Vec<(&str, &str)>) {
    let mut parts: Vec<_> = stat_name.split(AFTER_VALUE).collect();
    let metric = parts.pop().and_then(|last| last.strip_prefix("istio_")).unwrap_or_default();
    assert!(is_identifier(metric), "no metric in {stat_name:?}");
    let labels: Vec<_> = parts.iter().filter_map(|part| part.split_once(AFTER_TAG)).collect();
    assert_eq!(labels.len(), parts.len(), "not all are labels in {stat_name:?}");
    for (n, (tag, value)) in labels.iter().enumerate() {
        assert!(labels.iter().take(n).all(|(known, _)| known != tag), "{tag} twice in {stat_name:?}");
        assert!(is_identifier(tag), "label {tag:?} in {stat_name:?}");
        let clean = LabelValue::clean_str(value);
        assert_eq!(clean.as_ref().map_or("", LabelValue::as_str), *value, "in {stat_name:?}");
    }
    (metric, labels)
}

/// Whether Prometheus takes the name as it is.
pub fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
