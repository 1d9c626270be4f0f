//! The lines of `stats_tags` to paste.

use crate::tags;

/// The lines for these labels, good for any configuration: a running Envoy does
/// not tell where its labels stand.
pub(crate) fn lines<'a>(labels: impl IntoIterator<Item = &'a str>) -> String {
    let lines: Vec<_> = labels.into_iter().map(|label| tags::anywhere(label).trim().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_new_labels_have_lines() {
        assert_eq!(
            lines(["source_app", "team"]),
            r"- { tag_name: source_app, regex: '^wasmcustom\.(?:[^;]*;\.;)*?(source_app=\.=([^;]*);\.;)' }
- { tag_name: team, regex: '^wasmcustom\.(?:[^;]*;\.;)*?(team=\.=([^;]*);\.;)' }"
        );
        assert!(lines(["tag"]).contains("component"));
    }
}
