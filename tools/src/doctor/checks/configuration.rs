//! Mistakes in the plugins' configurations.

use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&CONFIG_ERRORS];

const CONFIG_ERRORS: Symptom = Symptom {
    code: "configuration-mistakes",
    severity: Severity::Problem,
    title: "A plugin's configuration has mistakes",
    why: "What a plugin cannot follow it skips; the rest is in effect. A configuration that is no JSON \
         object makes it inert: traffic flows, nothing is counted. `istio_stats_config_errors` counts the \
         mistakes, also those in expressions, which only Envoy finds.",
    remedy: "Correct the fields. Envoy's log has a line for each: look for `istio-stats: configuration`.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let counted = seen.total("istio_stats_config_errors").unwrap_or_default();
    let mut facts = Vec::new();
    if let Some(dump) = seen.dump() {
        for chain in &dump.chains {
            for plugin in &chain.plugins {
                let mistakes = plugin.mistakes();
                facts.extend(
                    mistakes
                        .iter()
                        .map(|issue| format!("{} of {}: {issue}", plugin.filter, chain.describe())),
                );
            }
        }
    }
    if facts.is_empty() && counted > 0.0 {
        facts.push(format!("istio_stats_config_errors is {counted}"));
    }
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(&CONFIG_ERRORS, facts)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::fixture::{facts, listener, of_listeners, page_only, plugin, running};

    #[test]
    fn a_filter_of_extension_discovery_is_found_where_it_was_delivered() {
        let placeholder = json!({"name": "istio_stats", "config_discovery": {}});
        let delivered = json!({"@type": "x.EcdsConfigDump", "ecds_filters": [{"ecds_filter": plugin("istio_stats", "[]")}]});
        let seen = of_listeners(
            &json!({"static_listeners": [{"listener": listener("INBOUND", &[placeholder], &[])}]}),
            &[delivered],
            "",
        );
        assert_eq!(facts(&find(&seen)).len(), 1);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let seen = running(&[plugin("istio_stats", r#"{"reporter": "SIDEWAYS"}"#)], "");
        let found = facts(&find(&seen));
        assert!(found[0].starts_with("istio_stats of listener in (HTTP): reporter: "), "{found:?}");
    }

    #[test]
    fn mistakes_that_only_envoy_finds_are_counted() {
        let seen = page_only("istio_stats_config_errors{} 2\n");
        assert_eq!(facts(&find(&seen)), ["istio_stats_config_errors is 2"]);
    }
}
