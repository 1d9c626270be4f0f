//! Labels that the plugin did not write.

use std::collections::BTreeMap;

use crate::doctor::family::{base, names};
use crate::doctor::finding::Finding;
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&SPURIOUS];

const SPURIOUS: Symptom = Symptom {
    code: "label-spurious",
    severity: Severity::Problem,
    title: "A label appeared that nobody set",
    why: "A line of `stats_tags` found its pattern inside another label's value or name. Istio's bootstraps \
         have such lines: `cache\\.(.+?)\\.`, `component\\.(.+?)\\.` and `tag\\.(.+?);\\.` make a service \
         `redis-cache.prod` grow a label `cache=\"prod\"`.",
    remedy: "The plugin's labels stay right, and so do queries that name theirs; what compares whole label \
         sets finds no match. Make the line begin at the name's start, or drop the label where Prometheus \
         scrapes.",
};

/// Labels that no standard metric has, but Istio's bootstraps look for.
const ISTIO_EXTRAS: [&str; 4] = ["cache", "component", "tag", "wasm_filter"];

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let written = seen.admin.as_ref().map(|admin| (admin, admin.stats.labels_by_metric()));
    let mut facts = BTreeMap::new();
    let names = names(&seen.page);
    for sample in seen.page.samples.iter().filter(|sample| seen.names.has(&sample.name)) {
        let metric = base(&sample.name, &names);
        for (label, value) in &sample.labels.0 {
            let is_spurious = match &written {
                Some((admin, written)) => written
                    .get(metric)
                    .is_some_and(|labels| !labels.contains(label.as_str()) && !is_fixed(admin, label)),
                None => ISTIO_EXTRAS.contains(&label.as_str()) && !seen.names.is_build(metric),
            };
            if is_spurious {
                let source =
                    sample.labels.0.iter().find(|(other, text)| other != label && text.contains(value));
                let source = source.map(|(other, text)| format!(", out of {other}={text:?}"));
                facts.entry(label.as_str()).or_insert_with(|| {
                    format!("{label}={value:?} on {metric}{}", source.unwrap_or_default())
                });
            }
        }
    }
    if facts.is_empty() {
        return Vec::new();
    }
    let labels: Vec<_> = facts.keys().copied().collect();
    let drop = format!("- action: labeldrop\n  regex: {}", labels.join("|"));
    vec![Finding::new(&SPURIOUS, facts.into_values())
        .paste("`metric_relabel_configs` of the scrape, if these labels are nowhere else", drop)]
}

fn is_fixed(admin: &Admin, label: &str) -> bool {
    let by_config = admin.dump.tags.iter().any(|tag| tag.fixed && tag.name == label);
    // Of a histogram's buckets.
    by_config || label == "le" || admin.fixed_labels.iter().any(|fixed| fixed == label)
}

#[cfg(test)]
mod tests;
