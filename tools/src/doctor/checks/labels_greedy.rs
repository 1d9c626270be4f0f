//! Values that hold what ends a value.

use std::collections::BTreeMap;

use crate::doctor::family::{families, shorten};
use crate::doctor::finding::{Finding, STATS_TAGS};
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};
use crate::tags;

pub(crate) const SYMPTOMS: &[&Symptom] = &[&GREEDY];

const GREEDY: Symptom = Symptom {
    code: "label-too-long",
    severity: Severity::Problem,
    title: "A label's value holds other labels",
    why: "A line of `stats_tags` takes too much: its expression goes on behind the `;.;` that ends a value, \
         as `(.*)` does where `([^;]*)` is meant.",
    remedy: "Replace the line.",
};

/// What ends a value in the name that the plugin gave.
const VALUE_END: &str = ";.;";

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let mut values = BTreeMap::new();
    for family in families(seen) {
        for (label, value) in &family.example.0 {
            if value.contains(VALUE_END) {
                values.entry(label.as_str()).or_insert(value.as_str());
            }
        }
    }
    if values.is_empty() {
        return Vec::new();
    }
    let facts = values.iter().map(|(label, value)| format!("{label}={}", shorten(value)));
    vec![Finding::new(&GREEDY, facts).paste(STATS_TAGS, tags::anywhere(values.keys().copied()))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture::{only, page_only};

    #[test]
    fn values_that_go_on_too_long() {
        let seen = page_only("istio_requests_total{reporter=\"source;.;source_app=.=shop\"} 3\n");
        assert_eq!(only(find(&seen)).seen, ["reporter=source;.;source_app=.=shop"]);
    }
}
