//! Whether Envoy's `stats_matcher` lets the plugin's stats through.

use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::metric::Metric;
use istio_stats::catalogue::stat_name;
use regex::RegexBuilder;
use serde_json::Value;

use crate::doctor::finding::Finding;
use crate::doctor::json::{list, text};
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::symptom::{Severity, Symptom};
use crate::names::{self, Names};

use crate::stat_names::WASM_PREFIX;

pub(crate) const SYMPTOMS: &[&Symptom] = &[&EXCLUDED];

const EXCLUDED: Symptom = Symptom {
    code: "stats-excluded",
    severity: Severity::Problem,
    title: "Envoy's stats_matcher throws the metrics away",
    why: "`stats_config.stats_matcher` decides by the full internal name of a stat, which begins with \
         `wasmcustom.` here, not with `istio_`. What is excluded is counted nowhere, and the plugin is not \
         told.",
    remedy: "Let the names through. In Istio the same is the annotation \
         `sidecar.istio.io/statsInclusionPrefixes`.",
};

/// Metrics that the matcher throws away.
pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let Some(admin) = &seen.admin else {
        return Vec::new();
    };
    let matcher = &admin.dump.stats_matcher;
    let all = || seen.names.prefixes().flat_map(|prefix| Metric::ALL.map(|metric| (prefix, metric)));
    let excluded: Vec<_> = all()
        .filter(|(prefix, metric)| !admits(matcher, &full_name(prefix, *metric)))
        .map(|(prefix, metric)| names::full(prefix, metric))
        .collect();
    if excluded.is_empty() {
        return Vec::new();
    }
    let which = if excluded.len() == all().count() { "all metrics".to_owned() } else { excluded.join(", ") };
    let finding = Finding::new(&EXCLUDED, [format!("{which}, by stats_matcher: {matcher}")]);
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
    let matcher = &admin.dump.stats_matcher;
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
    format!("{WASM_PREFIX}{}", stat_name::encode_with_prefix(prefix, labels, metric.name()))
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
mod tests;
