//! VMs that failed and were started again.

use std::collections::BTreeSet;

use crate::doctor::finding::Finding;
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&RELOADED];

const RELOADED: Symptom = Symptom {
    code: "vm-failed",
    severity: Severity::Problem,
    title: "A plugin's VM failed",
    why: "`wasm.<plugin>.vm_reload_*` counts that a VM died of a trap and was, or could not be, started \
         again. Until then its requests got 503, and what it had not reported is lost.",
    remedy:
        "Report the trap: Envoy's log has a line `Function: proxy_on_… failed` with a backtrace after it.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let Some(Admin { dump, stats, .. }) = &seen.admin else {
        return Vec::new();
    };
    let ours = dump.our_plugins();
    let names: BTreeSet<_> = ours.map(|(_, plugin)| plugin.name.as_str()).collect();
    let facts = names.into_iter().filter_map(|name| {
        let count = |what: &str| stats.get(&format!("wasm.{name}.vm_reload_{what}")).unwrap_or_default();
        let counts =
            [("success", "started again"), ("failure", "failed to start"), ("backoff", "refused meanwhile")]
                .map(|(stat, what)| (count(stat), what));
        let shown: Vec<_> = counts
            .iter()
            .filter(|(times, _)| *times > 0)
            .map(|(times, what)| format!("{times} × {what}"))
            .collect();
        (!shown.is_empty()).then(|| format!("{name}: {}", shown.join(", ")))
    });
    let facts: Vec<_> = facts.collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(&RELOADED, facts)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture::{plugin, running};

    #[test]
    fn reloads_are_counted_by_plugin() {
        let stats = "wasm.istio_stats.vm_reload_success: 1\nwasm.istio_stats.vm_reload_backoff: 6\n\
                     wasm.waf.vm_reload_success: 9\n";
        let sick = running(&[plugin("istio_stats", "{}")], stats);
        assert_eq!(find(&sick)[0].seen, ["istio_stats: 1 × started again, 6 × refused meanwhile"]);
        assert_eq!(find(&running(&[plugin("istio_stats", "{}")], "")), []);
    }
}
