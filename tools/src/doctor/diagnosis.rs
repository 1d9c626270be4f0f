//! What was found of one proxy, in the order in which it is told.

use istio_stats::catalogue::metric::Metric;
use serde_json::{json, Value};

use super::chain::Chain;
use super::finding::Finding;
use super::seen::Seen;
use super::symptom::Severity;
use crate::artefact::Artefact;
use crate::names::{full, under};

/// Of all that was read no more than is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// What was looked at.
    pub(crate) facts: Vec<String>,
    /// What only an admin interface tells.
    pub(crate) envoy: Option<Value>,
    pub(crate) findings: Vec<Finding>,
}

// === impl Diagnosis ===

impl Diagnosis {
    pub(crate) fn new(seen: &Seen, findings: Vec<Finding>) -> Self {
        Self { facts: facts(seen), envoy: envoy(seen), findings }
    }

    /// Whether nothing has to be done.
    pub(crate) fn is_healthy(&self) -> bool {
        self.count(Severity::Problem) == 0
    }

    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.symptom.severity == severity).count()
    }
}

fn envoy(seen: &Seen) -> Option<Value> {
    let admin = seen.admin.as_ref()?;
    Some(json!({
        "version": admin.version,
        "state": admin.state,
        "node_id": admin.dump.node_id,
        "cluster_id": admin.dump.cluster_id,
    }))
}

fn facts(seen: &Seen) -> Vec<String> {
    let mut facts = Vec::new();
    match &seen.admin {
        Some(admin) => {
            let dump = &admin.dump;
            let cluster = dump.cluster_id.as_deref().unwrap_or("(none)");
            let version = format!("Envoy {}, {}", admin.version, admin.state);
            facts.push(format!("{version}; node {:?}, Kubernetes cluster {cluster}", dump.node_id));
            let chains = dump.chains.iter().filter(|chain| chain.has(Artefact::IstioStats));
            let chains: Vec<_> = chains.map(Chain::describe).collect();
            facts.push(match chains.as_slice() {
                [] => "stats plugin: nowhere".to_owned(),
                chains => format!("stats plugin: {}", chains.join(", ")),
            });
        }
        None => facts.push("no admin interface: only labels and peers are checked".to_owned()),
    }
    for prefix in seen.names.prefixes() {
        let [requests, connections] = [Metric::Requests, Metric::TcpOpened].map(|metric| {
            let name = full(prefix, metric);
            let counted = seen.page.samples.iter().filter(|sample| sample.name.ends_with(&name));
            counted.fold(0.0, |total, sample| total + sample.value)
        });
        let names = under(prefix);
        facts.push(format!("counted{names}: {requests} requests, {connections} TCP connections"));
    }
    for build in seen.page.named("istio_stats_build") {
        facts.push(format!("istio-stats {}", build.labels.get("tag").unwrap_or_default()));
    }
    facts
}
