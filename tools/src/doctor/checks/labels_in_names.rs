//! Labels that stayed in the names of metrics, or will.

use std::collections::BTreeSet;

use istio_stats::catalogue::dimension::Dimension;

use crate::artefact::Artefact;
use crate::doctor::attached::Attached;
use crate::doctor::family::{families, shorten, Family};
use crate::doctor::finding::{Finding, STATS_TAGS};
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::symptom::{Severity, Symptom};
use crate::tags;

pub(crate) const SYMPTOMS: &[&Symptom] = &[&LABEL_IN_NAME, &SWALLOWED];

const LABEL_IN_NAME: Symptom = Symptom {
    code: "label-in-name",
    severity: Severity::Problem,
    title: "Labels are inside metric names",
    why: "A Wasm plugin can give Envoy only a name for a metric, so it writes the labels into that name. \
         The bootstrap's `stats_tags` take them out; a label without a line there stays, and every one of \
         its values makes a metric of its own.",
    remedy:
        "Add the lines to `stats_config.stats_tags` of the bootstrap, and restart Envoy. In Istio name the \
         labels in `extraStatTags`, and restart the pods.",
};

const SWALLOWED: Symptom = Symptom {
    code: "label-swallowed",
    severity: Severity::Problem,
    title: "A label has the value of another one",
    why: "A line of `stats_tags` matches inside another label: `(app=\\.=` also finds the end of \
         `source_app=.=`. It takes that value, and its own stays inside the metric's name.",
    remedy:
        "Replace the line by one that begins at the name's start. In Istio, whose `extraStatTags` cannot \
         do that, call the label something that no other label ends with.",
};

/// What ends a label in a sanitised name; the `=.=` between label and value looks
/// the same.
const SEPARATOR: &str = "___";

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let known = known_labels(seen);
    let families = families(seen);
    let mut stuck = BTreeSet::new();
    let mut swallowed = BTreeSet::new();
    let mut stuck_in = Vec::new();
    let mut swallowed_in = Vec::new();
    for family in families.iter().filter(|family| !family.prefix.is_empty()) {
        let labels = labels_in(family, seen, &known);
        let (taken, left): (BTreeSet<_>, BTreeSet<_>) =
            labels.into_iter().partition(|label| family.labels.contains(label.as_str()));
        if !taken.is_empty() {
            swallowed_in.push(family);
        } else if !left.is_empty() {
            stuck_in.push(family);
        }
        swallowed.extend(taken);
        stuck.extend(left);
    }
    let mut findings = Vec::new();
    if !stuck.is_empty() {
        let seen_of = [
            format!("metrics: {}, {}", stuck_in.len(), example(&stuck_in)),
            format!("labels: {}", join(&stuck)),
        ];
        findings.push(with_lines(Finding::new(&LABEL_IN_NAME, seen_of), seen, &stuck, &known));
    } else if let Some(finding) = expected_in_names(seen) {
        findings.push(finding);
    }
    if !swallowed.is_empty() {
        let mut facts = vec![example(&swallowed_in)];
        facts.extend(swallowed.iter().map(|label| describe_swallowed(label, &swallowed_in)));
        let lines = tags::anywhere(swallowed.iter().map(String::as_str));
        findings.push(Finding::new(&SWALLOWED, facts).paste(STATS_TAGS, lines));
    }
    findings
}

/// Before anything was counted: labels that the configuration asks for and the
/// bootstrap has no line for.
fn expected_in_names(seen: &Seen) -> Option<Finding> {
    let admin = seen.admin.as_ref()?;
    let counted =
        admin.stats.plugin.iter().any(|stat| stat.labels.iter().any(|(label, _)| label == "reporter"));
    if counted {
        return None;
    }
    // Labels of the native form are in no name.
    let by_names = admin.dump.plugins(Artefact::IstioStats).filter(|(_, plugin)| !plugin.is_native);
    let plugins: Vec<_> = by_names.map(|(_, plugin)| plugin).collect();
    let wanted: BTreeSet<_> = plugins.iter().flat_map(|plugin| configured_labels(plugin)).collect();
    let lacking: BTreeSet<_> = wanted.into_iter().filter(|label| !admin.dump.has_tag(label)).collect();
    if lacking.is_empty() {
        return None;
    }
    let facts = [format!("nothing was counted yet; the bootstrap has no line for: {}", join(&lacking))];
    Some(with_lines(Finding::new(&LABEL_IN_NAME, facts), seen, &lacking, &known_labels(seen)))
}

/// The labels that this plugin emits on one metric or other.
fn configured_labels(plugin: &Attached) -> Vec<String> {
    let Some(config) = plugin.stats_config() else {
        return Vec::new();
    };
    let standard = config.labels.unwrap_or_else(|| Dimension::ALL.map(|one| one.name().to_owned()).to_vec());
    let added = config.overrides.into_iter().flat_map(|change| change.dimensions).map(|(label, _)| label);
    standard.into_iter().chain(added).collect()
}

/// All labels that there may be, as far as it is known.
fn known_labels(seen: &Seen) -> BTreeSet<String> {
    let mut known: BTreeSet<_> = Dimension::ALL.map(|one| one.name().to_owned()).into();
    known.insert("reason".to_owned());
    if let Some(Admin { dump, stats, .. }) = &seen.admin {
        known.extend(dump.plugins(Artefact::IstioStats).flat_map(|(_, plugin)| configured_labels(plugin)));
        known.extend(stats.plugin.iter().flat_map(|stat| stat.labels.iter().map(|(label, _)| label.clone())));
    }
    known
}

/// The lines for the labels; for Istio, which needs all of them in one line, all.
fn with_lines(finding: Finding, seen: &Seen, labels: &BTreeSet<String>, known: &BTreeSet<String>) -> Finding {
    let is_istio = seen.dump().map(|dump| dump.is_istio);
    let mut finding = finding;
    if is_istio != Some(true) {
        finding = finding.paste(STATS_TAGS, tags::anywhere(labels.iter().map(String::as_str)));
    }
    if is_istio != Some(false) {
        let standard: Vec<_> = Dimension::ALL.iter().map(|one| one.name()).collect();
        let more = known.union(labels).map(String::as_str);
        let more = more.filter(|label| !standard.contains(label) && !matches!(*label, "component" | "tag"));
        let all: Vec<_> = standard.iter().copied().chain(more).collect();
        let annotation = format!("sidecar.istio.io/extraStatTags: {}", all.join(","));
        finding = finding.paste("the pod's annotations, if this is a proxy of Istio's", annotation);
    }
    finding
}

/// The labels inside a family's name.
fn labels_in(family: &Family<'_>, seen: &Seen, known: &BTreeSet<String>) -> Vec<String> {
    if seen.names.is_build(family.metric) {
        return build_labels_in(family.prefix);
    }
    let starts = family.prefix.char_indices().map(|(at, _)| family.prefix.split_at(at));
    let starts = starts.filter(|(before, _)| before.is_empty() || before.ends_with(SEPARATOR));
    let found: Vec<_> = starts
        .filter_map(|(_, rest)| {
            let begins =
                |label: &&String| rest.strip_prefix(label.as_str()).is_some_and(|r| r.starts_with(SEPARATOR));
            known.iter().find(begins).cloned()
        })
        .collect();
    if found.is_empty() && family.prefix.ends_with(SEPARATOR) {
        // Of a label that is not known here: name and value take turns.
        return family
            .prefix
            .split(SEPARATOR)
            .step_by(2)
            .filter(|label| !label.is_empty())
            .map(str::to_owned)
            .collect();
    }
    found
}

/// `component_proxy_tag_1_25_0__`, or a part of it.
fn build_labels_in(prefix: &str) -> Vec<String> {
    let mut labels = Vec::new();
    if prefix.starts_with("component_") {
        labels.push("component".to_owned());
    }
    if prefix.starts_with("tag_") || prefix.contains("_tag_") {
        labels.push("tag".to_owned());
    }
    labels
}

/// Whose value the label has instead of its own.
fn describe_swallowed(label: &str, families: &[&Family<'_>]) -> String {
    for family in families {
        let Some(value) = family.example.get(label) else {
            continue;
        };
        let is_source =
            |(other, text): &&(String, String)| other != label && other.ends_with(label) && text == value;
        if let Some((other, _)) = family.example.0.iter().find(is_source) {
            return format!("{label}={value:?} is the value of {other}");
        }
    }
    format!("{label} is a label, too, with another value")
}

fn example(families: &[&Family<'_>]) -> String {
    families.first().map_or(String::new(), |family| format!("for example {}", shorten(family.name)))
}

fn join(labels: &BTreeSet<String>) -> String {
    labels.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
