//! Whether Envoy's `stats_matcher` lets the plugin's stats through.

use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::metric::Metric;
use istio_stats::catalogue::stat_name;
use regex::RegexBuilder;
use serde_json::Value;

use crate::doctor::config::{list, text};
use crate::doctor::finding::Finding;
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::stats::WASM;
use crate::doctor::symptom::Symptom;
use crate::names::{self, Names};

/// Metrics that the matcher throws away.
pub(crate) fn excluded(seen: &Seen) -> Vec<Finding> {
    let Some(admin) = &seen.admin else {
        return Vec::new();
    };
    let matcher = &admin.config.stats_matcher;
    let all = || seen.names.prefixes().flat_map(|prefix| Metric::ALL.map(|metric| (prefix, metric)));
    let excluded: Vec<_> = all()
        .filter(|(prefix, metric)| !admits(matcher, &full_name(prefix, *metric)))
        .map(|(prefix, metric)| names::full(prefix, metric))
        .collect();
    if excluded.is_empty() {
        return Vec::new();
    }
    let which = if excluded.len() == all().count() { "all metrics".to_owned() } else { excluded.join(", ") };
    let finding = Finding::new(Symptom::Excluded, [format!("{which}, by stats_matcher: {matcher}")]);
    vec![match matcher.get("inclusion_list") {
        Some(_) => finding.paste(
            "`stats_config.stats_matcher.inclusion_list.patterns` of the bootstrap",
            "- prefix: wasmcustom",
        ),
        None => finding,
    }]
}

/// Whether none of the plugin's stats exists, because the matcher wants it so.
pub(crate) fn excludes_all(admin: &Admin, names: &Names) -> bool {
    let matcher = &admin.config.stats_matcher;
    let excludes =
        |prefix| Metric::ALL.into_iter().all(|metric| !admits(matcher, &full_name(prefix, metric)));
    names.prefixes().all(excludes)
}

/// A stat's name as the matcher sees it.
fn full_name(prefix: &str, metric: Metric) -> String {
    let labels = metric.labels().dimensions().iter().map(|label| match label {
        Dimension::Reporter => (label.name(), "source"),
        _ => (label.name(), "unknown"),
    });
    format!("{WASM}{}", stat_name::encode_with_prefix(prefix, labels, metric.name()))
}

/// Whether a `StatsMatcher` lets a stat through.
fn admits(matcher: &Value, name: &str) -> bool {
    let any = |list_path: &str| list(matcher, list_path).iter().any(|pattern| matches(pattern, name));
    if matcher.get("reject_all") == Some(&Value::Bool(true)) {
        return false;
    }
    if matcher.get("inclusion_list").is_some() {
        return any("/inclusion_list/patterns");
    }
    !any("/exclusion_list/patterns")
}

/// A `StringMatcher`.
fn matches(pattern: &Value, name: &str) -> bool {
    let ignore_case = pattern.get("ignore_case") == Some(&Value::Bool(true));
    let fold = |text: &str| if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
    let (name, wanted) = (fold(name), |key: &str| pattern.get(key).and_then(Value::as_str).map(fold));
    if let Some(text) = wanted("exact") {
        return name == text;
    }
    if let Some(text) = wanted("prefix") {
        return name.starts_with(&text);
    }
    if let Some(text) = wanted("suffix") {
        return name.ends_with(&text);
    }
    if let Some(text) = wanted("contains") {
        return name.contains(&text);
    }
    // The whole name has to match.
    let regex = format!("^(?:{})$", text(pattern, "/safe_regex/regex"));
    RegexBuilder::new(&regex).build().is_ok_and(|regex| regex.is_match(&name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn excluded_by(matcher: &Value) -> Vec<Finding> {
        let mut admin = Admin::default();
        admin.config.stats_matcher = matcher.clone();
        let all = excludes_all(&admin, &Names::default());
        let findings = excluded(&Seen { admin: Some(admin), ..Seen::default() });
        assert_eq!(all, findings.iter().any(|finding| finding.seen[0].starts_with("all metrics")));
        findings
    }

    fn inclusion(pattern: &Value) -> Value {
        json!({"inclusion_list": {"patterns": [{"prefix": "cluster."}, pattern]}})
    }

    #[test]
    fn these_let_everything_through() {
        for matcher in [
            Value::Null,
            json!({"reject_all": false}),
            json!({"exclusion_list": {"patterns": [{"prefix": "cluster."}, {"exact": "istio"}]}}),
            inclusion(&json!({"prefix": "wasmcustom"})),
            inclusion(&json!({"prefix": "WASMcustom", "ignore_case": true})),
            inclusion(&json!({"contains": "istio_"})),
            inclusion(&json!({"safe_regex": {"regex": "wasmcustom\\..*istio_.*"}})),
        ] {
            assert_eq!(excluded_by(&matcher), [], "{matcher}");
        }
    }

    #[test]
    fn these_throw_all_away() {
        for matcher in [
            json!({"reject_all": true}),
            json!({"exclusion_list": {"patterns": [{"prefix": "wasm"}]}}),
            inclusion(&json!({"prefix": "istio"})),
            inclusion(&json!({"prefix": "reporter="})),
            inclusion(&json!({"prefix": "WASMCUSTOM"})),
            // Not the whole name.
            inclusion(&json!({"safe_regex": {"regex": "wasmcustom"}})),
        ] {
            assert_eq!(excluded_by(&matcher).len(), 1, "{matcher}");
        }
    }

    #[test]
    fn some_metrics_are_named() {
        let matcher = inclusion(&json!({"suffix": "_total"}));
        let [finding] = excluded_by(&matcher).try_into().unwrap();
        assert!(finding.seen[0].starts_with("istio_request_duration_milliseconds, istio_request_bytes, "));
        assert_eq!(finding.paste[0].lines, "- prefix: wasmcustom");
    }

    #[test]
    fn names_have_the_configured_prefix() {
        let mut admin = Admin::default();
        admin.config.stats_matcher = inclusion(&json!({"contains": "mesh_"}));
        let names = Names::with_prefixes(["mesh_".to_owned(), "istio_".to_owned()]);
        assert!(!excludes_all(&admin, &names) && excludes_all(&admin, &Names::default()));
        let findings = excluded(&Seen { admin: Some(admin), names, ..Seen::default() });
        assert!(findings[0].seen[0].starts_with("istio_requests_total, "), "{findings:?}");
    }
}
