//! Whether anything is twice on the page.

use std::collections::{BTreeSet, HashSet};

use super::native_filter;
use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&DUPLICATES];

const DUPLICATES: Symptom = Symptom {
    code: "duplicate-series",
    severity: Severity::Problem,
    title: "The page has series or families twice",
    why: "Two sources export metrics of one name, or a line of `stats_tags` cuts values so short that two \
         become equal. Where the labels are the same, too, Prometheus keeps one sample and drops the \
         other.",
    remedy: "Find the other source: another Wasm plugin, access logger or filter that uses the same prefix. \
         Compare the lines of `stats_tags` with those that `istio-stats tags` prints.",
};

/// The same twice on the page, of whatever origin.
pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    if !native_filter::find(seen).is_empty() {
        return Vec::new();
    }
    let mut families = BTreeSet::new();
    let mut known = HashSet::new();
    for family in seen.page.families.iter().filter(|family| seen.names.has(family)) {
        if !known.insert(family) {
            families.insert(family.as_str());
        }
    }
    let mut series = BTreeSet::new();
    let mut known = HashSet::new();
    for sample in seen.page.samples.iter().filter(|sample| seen.names.has(&sample.name)) {
        if !known.insert((&sample.name, &sample.labels)) {
            series.insert(sample.name.as_str());
        }
    }
    let mut facts = Vec::new();
    if !families.is_empty() {
        facts.push(format!("two # TYPE lines for {}", join(&families)));
    }
    if !series.is_empty() {
        facts.push(format!("two samples with the same labels of {}", join(&series)));
    }
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(&DUPLICATES, facts)]
}

fn join(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture::page_only;
    use crate::names::Names;

    #[test]
    fn families_and_series_stand_there_once() {
        let text = "# TYPE istio_a counter\nistio_a{x=\"1\"} 1\nistio_a{x=\"2\"} 1\n";
        assert_eq!(find(&page_only(text)), []);
        assert_eq!(
            find(&page_only(&text.repeat(2)))[0].seen,
            ["two # TYPE lines for istio_a", "two samples with the same labels of istio_a"]
        );
    }

    #[test]
    fn families_of_another_prefix_are_somebody_elses() {
        let twice = page_only(&"# TYPE istio_a counter\nistio_a{} 1\n".repeat(2));
        let names = Names::with_prefixes(["mesh_".to_owned()]);
        assert_eq!(find(&Seen { names, ..twice }), []);
    }
}
