//! What happens should a plugin fail.

use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&FAILURE_POLICY];

const FAILURE_POLICY: Symptom = Symptom {
    code: "failure-policy",
    severity: Severity::Problem,
    title: "A fault of a plugin would stop traffic",
    why: "The plugin's `failure_policy` is not `FAIL_OPEN`. Should its VM ever fail, Envoy answers every \
         request with 503 and closes every connection, on that worker thread, until it is restarted \
         (`FAIL_CLOSED`, the default) or has reloaded the VM (`FAIL_RELOAD`).",
    remedy: "Say that a proxy without metrics is better than none. In Istio's WasmPlugin: `failStrategy: \
         FAIL_OPEN`.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let Some(dump) = seen.dump() else {
        return Vec::new();
    };
    let ours = dump.our_plugins();
    let facts: Vec<_> = ours
        .filter(|(_, plugin)| plugin.failure_policy != "FAIL_OPEN")
        .map(|(chain, plugin)| {
            let policy = match plugin.failure_policy.as_str() {
                "" | "UNSPECIFIED" => "none, which means FAIL_CLOSED",
                policy => policy,
            };
            format!("{} of {}: {policy}", plugin.filter, chain.describe())
        })
        .collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(&FAILURE_POLICY, facts)
        .paste("`config` of each of these plugins", "failure_policy: FAIL_OPEN")]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::fixture::{plugin_with, running};

    #[test]
    fn other_failure_policies_are_named() {
        let open = plugin_with(json!({"failure_policy": "FAIL_OPEN"}));
        assert_eq!(find(&running(&[open], "")), []);
        for (plugin, policy) in [
            (json!({}), "none, which means FAIL_CLOSED"),
            (json!({"failure_policy": "FAIL_RELOAD"}), "FAIL_RELOAD"),
        ] {
            let [finding] = find(&running(&[plugin_with(plugin)], "")).try_into().unwrap();
            assert_eq!(finding.seen, [format!("istio_stats of listener in (HTTP): {policy}")]);
        }
    }
}
