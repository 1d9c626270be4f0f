//! Whether the plugin is attached twice where once is enough.

use crate::artefact::Artefact;
use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&TWICE];

const TWICE: Symptom = Symptom {
    code: "attached-twice",
    severity: Severity::Problem,
    title: "The stats plugin is attached twice",
    why: "Both count every request, into the same metrics.",
    remedy: "Remove one of them: a filter or an access logger, not both.",
};

/// Two of our plugins where one is enough.
pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let Some(dump) = seen.dump() else {
        return Vec::new();
    };
    let pairs = dump.chains.iter().flat_map(|chain| seen.names.prefixes().map(move |prefix| (chain, prefix)));
    let facts: Vec<_> = pairs
        .filter_map(|(chain, prefix)| {
            let same = chain
                .plugins(Artefact::IstioStats)
                .filter(|one| one.metric_prefix().as_deref() == Some(prefix));
            let filters: Vec<_> = same.map(|plugin| plugin.filter.as_str()).collect();
            (filters.len() > 1).then(|| format!("{} has {}", chain.describe(), filters.join(" and ")))
        })
        .collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(&TWICE, facts)]
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;
    use crate::doctor::fixture::{facts, listener, of_listeners, plugin};

    fn attached(filters: &[Value], loggers: &[Value]) -> Seen {
        let listener = listener("INBOUND", filters, loggers);
        of_listeners(&json!({"static_listeners": [{"listener": listener}]}), &[], "")
    }

    #[test]
    fn one_plugin_for_each_prefix_is_enough() {
        let istio = plugin("istio_stats", "{}");
        let mesh = plugin("istio_stats", r#"{"metric_prefix": "mesh_"}"#);
        let one = std::slice::from_ref;
        assert_eq!(find(&attached(one(&istio), &[])), []);
        assert_eq!(find(&attached(&[istio.clone(), mesh.clone()], &[])), []);
        for plugin in [istio, mesh] {
            let both = attached(one(&plugin), one(&plugin));
            assert_eq!(facts(&find(&both)), ["listener in (HTTP) has istio_stats and istio_stats"]);
        }
    }
}
