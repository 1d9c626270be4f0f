//! Whether the native form has what it reports TCP by.

use istio_stats::attachment::Attachment;

use crate::artefact::Artefact;
use crate::doctor::finding::Finding;
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::symptom::{Severity, Symptom};
use crate::handles;

pub(crate) const SYMPTOMS: &[&Symptom] = &[&NO_HANDLES];

const NO_HANDLES: Symptom = Symptom {
    code: "tcp-without-handles",
    severity: Severity::Problem,
    title: "The native module cannot report TCP",
    why: "Its network filters have no metrics of their own in Envoy. They record by the handles of an upstream \
         cluster of the same module, and what none of those defines is lost.",
    remedy: "Put the upstream cluster into the bootstrap, as `envoy-config/standalone/east-native.yaml` has it; where \
         the filter's configuration has `metrics`, `definitions`, `labels` or `metric_prefix`, the same as its \
         `cluster_config`.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let facts: Vec<_> = seen.admin.iter().flat_map(lacking).collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(&NO_HANDLES, facts)]
}

/// What is not reported, and why.
pub(super) fn lacking(admin: &Admin) -> impl Iterator<Item = String> + '_ {
    let dump = &admin.dump;
    let of_tcp = dump
        .plugins(Artefact::IstioStats)
        .filter(|(chain, plugin)| plugin.is_native && chain.attachment == Attachment::Tcp);
    of_tcp.filter_map(|(chain, plugin)| {
        let why = handles::lacking(&plugin.stats_config()?, &dump.handles)?;
        Some(format!("{} of {}: {why}", plugin.filter, chain.describe()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;
    use crate::doctor::fixture::{facts, of_listeners};

    fn native(kind: &str, field: &str, configuration: &str) -> Value {
        let mut config = json!({
            "@type": format!("type.googleapis.com/envoy.extensions.{kind}"),
            "dynamic_module_config": {"module": {"local": {"filename": "/etc/envoy/libistio_stats.so"}}},
            "filter_name": "stats_inbound",
        });
        config[field] = json!({"value": configuration});
        config
    }

    fn proxy(filter: &str, upstream_clusters: &[&str]) -> Seen {
        let kind = "filters.network.dynamic_modules.v3.DynamicModuleNetworkFilter";
        let filter = json!({"name": "istio_stats", "typed_config": native(kind, "filter_config", filter)});
        let listener = json!({"name": "db", "filter_chains": [{"filters": [filter]}]});
        let upstream_cluster = |configuration: &&str| {
            let config = native("clusters.dynamic_modules.v3.ClusterConfig", "cluster_config", configuration);
            json!({"cluster": {"cluster_type": {"typed_config": config}}})
        };
        let clusters = json!({
            "@type": "x.ClustersConfigDump",
            "static_clusters": upstream_clusters.iter().map(upstream_cluster).collect::<Vec<_>>(),
        });
        of_listeners(&json!({"static_listeners": [{"listener": listener}]}), &[clusters], "")
    }

    #[test]
    fn network_filters_need_an_upstream_cluster_with_their_metrics() {
        let fewer = r#"{"labels": ["reporter"], "node": {}}"#;
        assert_eq!(find(&proxy("{}", &["{}"])), []);
        assert_eq!(find(&proxy(fewer, &["{}", fewer])), []);
        assert_eq!(
            facts(&find(&proxy("{}", &[]))),
            ["istio_stats of listener db (TCP): there is no upstream cluster of the native module: nothing of TCP is \
              reported"]
        );
        let [unlike] = &facts(&find(&proxy(fewer, &["{}"])))[..] else { panic!("one") };
        assert!(unlike.contains("defines istio_tcp_"), "{unlike}");
    }
}
