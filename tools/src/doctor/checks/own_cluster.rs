//! Whether this Envoy knows its own Kubernetes cluster.

use istio_stats::catalogue::label_value::UNKNOWN;
use istio_stats::workload::fact::Fact;

use crate::doctor::attached::Attached;
use crate::doctor::calls::{self, Party, CLUSTER_ID_LINES};
use crate::doctor::dump::Dump;
use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&NO_CLUSTER_ID];

const NO_CLUSTER_ID: Symptom = Symptom {
    code: "no-cluster-id",
    severity: Severity::Problem,
    title: "This Envoy does not know its Kubernetes cluster",
    why:
        "`CLUSTER_ID` is not in the bootstrap's `node.metadata`, or is neither text, number nor boolean. The \
         label of this side is `unknown`, and peers learn nothing better.",
    remedy:
        "Say it there, as Kiali or the control plane know it, byte for byte. Where node metadata cannot be \
         set, `local.cluster_id` in the configuration of both plugins does the same.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let mut facts = match seen.dump() {
        Some(dump) => nameless_plugins(dump),
        None => nameless_series(seen),
    };
    let unreadable = seen.dump().and_then(|dump| dump.unreadable_cluster_id).filter(|_| !facts.is_empty());
    facts.extend(unreadable.map(|what| format!("CLUSTER_ID is {what}")));
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(&NO_CLUSTER_ID, facts).paste("the bootstrap", CLUSTER_ID_LINES)]
}

/// Plugins whose own cluster neither the node nor their configuration tells.
fn nameless_plugins(dump: &Dump) -> Vec<String> {
    if dump.cluster_id.is_some() {
        return Vec::new();
    }
    // An unusable configuration is another symptom.
    let is_nameless =
        |plugin: &Attached| plugin.local().is_some_and(|local| local.get(Fact::ClusterId).is_none());
    let nameless = dump.all_plugins().filter(|(_, plugin)| is_nameless(plugin));
    nameless.map(|(chain, plugin)| format!("{} of {}", plugin.filter, chain.describe())).collect()
}

fn nameless_series(seen: &Seen) -> Vec<String> {
    let nameless = |reporter: &str, party: Party| {
        let samples =
            calls::kinds(seen).flat_map(|(attachment, prefix)| calls::counted(seen, attachment, prefix));
        let own: Vec<_> = samples.filter(|sample| calls::reporter(sample) == Some(reporter)).collect();
        calls::all_unknown(&own, party.cluster())
            .then(|| format!("every series with reporter={reporter:?} has {}=\"{UNKNOWN}\"", party.cluster()))
    };
    [nameless("source", Party::Source), nameless("destination", Party::Destination)]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::fixture::{facts, node, page_only, plugin};

    #[test]
    fn the_own_cluster_is_the_nodes_or_the_configurations() {
        let named = plugin("istio_stats", r#"{"local": {"cluster_id": "east"}}"#);
        let nameless = plugin("metadata_exchange", "{}");
        let seen = node(&json!({}), &[named.clone(), nameless.clone()]);
        assert_eq!(facts(&find(&seen)), ["metadata_exchange of listener in (HTTP)"]);
        assert_eq!(find(&node(&json!({}), &[named])), []);
        for told in [json!("x"), json!(1), json!(1.5), json!(true)] {
            assert_eq!(
                find(&node(&json!({"CLUSTER_ID": told}), std::slice::from_ref(&nameless))),
                [],
                "{told}"
            );
        }
        let unreadable = node(&json!({"CLUSTER_ID": ["x"]}), &[nameless]);
        assert_eq!(facts(&find(&unreadable))[1..], ["CLUSTER_ID is a list"]);
    }

    #[test]
    fn without_a_configuration_the_series_tell() {
        let series = |own: &str| {
            let labels = format!("reporter=\"destination\",source_cluster=\"unknown\"{own}");
            page_only(&format!("istio_requests_total{{{labels}}} 3\n"))
        };
        assert_eq!(
            facts(&find(&series(",destination_cluster=\"unknown\""))),
            ["every series with reporter=\"destination\" has destination_cluster=\"unknown\""]
        );
        // The peer's is another check's; a label that was left out is not unknown.
        for fine in ["", ",destination_cluster=\"east\""] {
            assert_eq!(find(&series(fine)), [], "{fine}");
        }
    }
}
