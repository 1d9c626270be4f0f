//! What Envoy refused.

use crate::doctor::finding::Finding;
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&REJECTED];

const REJECTED: Symptom = Symptom {
    code: "configuration-rejected",
    severity: Severity::Problem,
    title: "Envoy refused a listener or a filter",
    why: "What was refused is not in effect: Envoy goes on with what it had before, or without. The reason \
         is Envoy's own.",
    remedy:
        "Correct what the reason names and send it again. A path of a module is a path where Envoy runs, \
         inside its container.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let Some(admin) = &seen.admin else {
        return Vec::new();
    };
    let listeners = admin
        .dump
        .rejected
        .iter()
        .map(|rejected| format!("listener {}: {}", rejected.listener, rejected.reason));
    let facts: Vec<_> = listeners.chain(refused_extensions(admin)).collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(&REJECTED, facts)]
}

/// Filters of extension discovery whose last configuration is not in effect.
pub(super) fn refused_extensions(admin: &Admin) -> Vec<String> {
    let stats = &admin.stats;
    let count = |name: &str, what: &str| {
        stats.get(&format!("extension_config_discovery.{name}.{what}")).unwrap_or_default()
    };
    let refused =
        stats.between("extension_config_discovery.", ".update_rejected").filter(|(name, rejected)| {
            // One that was accepted since is in effect.
            *rejected > 0 && count(name, "update_success") == 0
        });
    refused
        .map(|(name, times)| {
            format!(
                "{name}: {times} configurations refused, none accepted; the reason is in Envoy's log only"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::loaded;
    use super::*;
    use crate::doctor::fixture::{facts, listener, of_listeners, plugin, running};

    #[test]
    fn a_listener_was_refused() {
        let error = json!({"details": "Invalid path: /x", "failed_configuration": listener("INBOUND", &[plugin("istio_stats", "{}")], &[])});
        // Envoy lists it a second time without its name.
        let seen = of_listeners(
            &json!({"dynamic_listeners": [{"name": "in", "error_state": error}, {"error_state": error}]}),
            &[],
            "",
        );
        assert_eq!(facts(&find(&seen)), ["listener in: Invalid path: /x"]);
        assert_eq!(loaded::find(&seen), []);
    }

    const EXTENSION: &str = "extension_config_discovery.http_filter.istio_stats";

    #[test]
    fn an_extension_was_refused_unless_a_later_one_was_accepted() {
        let refused = format!("{EXTENSION}.update_rejected: 1\n{EXTENSION}.update_success: 0\n");
        let found = facts(&find(&running(&[], &refused)));
        assert!(found[0].starts_with("http_filter.istio_stats: 1 configurations refused"), "{found:?}");
        let accepted = format!("{EXTENSION}.update_rejected: 1\n{EXTENSION}.update_success: 1\n");
        assert_eq!(find(&running(&[], &accepted)), []);
    }
}
