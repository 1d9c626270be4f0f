//! The mesh: who calls what, and how it goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::label_value::UNKNOWN;
use serde::{Deserialize, Serialize};

use super::traffic::{Protocol, Share, Traffic};
use crate::top::choice::Whose;
use crate::top::measure::{Flow, Measure};
use crate::top::rows::{counted, pair, value, Pair};

/// All calls, whoever reported them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mesh {
    pub(crate) calls: BTreeMap<Call, Traffic>,
}

/// Between whom: the finest that the series tell apart, but for pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Call {
    /// The workload that calls.
    pub(crate) source: Place,
    /// Its canonical service.
    pub(crate) source_service: String,
    /// What is called.
    pub(crate) service: Place,
    /// The workload that answers.
    pub(crate) destination: Place,
    pub(crate) protocol: Protocol,
}

/// A name in a namespace of a Kubernetes cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) cluster_id: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// What one thing in the picture stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    #[default]
    Service,
    Workload,
    Namespace,
}

/// The mesh at one level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: BTreeSet<Place>,
    /// By their ends, the protocols apart.
    pub(crate) edges: BTreeMap<(Place, Place), BTreeMap<Protocol, Traffic>>,
}

// === impl Mesh ===

impl Mesh {
    /// Adds up what counts of these.
    pub(crate) fn of(flows: &[Flow<'_>]) -> Self {
        let policies = mutual_tls(flows);
        let mut calls: BTreeMap<Call, Traffic> = BTreeMap::new();
        let mut ends: HashMap<Call, (Pair<'_>, Protocol)> = HashMap::new();
        for flow in counted(flows, Whose::Auto) {
            let call = Call::of(flow);
            ends.entry(call.clone()).or_insert_with(|| (pair(flow), Protocol::of(flow)));
            calls.entry(call).or_default().add(flow);
        }
        for (call, traffic) in &mut calls {
            let known = ends.get(call).and_then(|ends| policies.get(ends)).copied();
            if let Some(ratio) = known.and_then(Share::ratio) {
                let whole = traffic.weight();
                traffic.mutual_tls = Share { part: whole * ratio, whole };
            }
        }
        Self { calls }
    }

    /// Only the calls that are wanted.
    pub(crate) fn filtered(&self, wanted: impl Fn(&Call) -> bool) -> Self {
        let calls = self.calls.iter().filter(|(call, _)| wanted(call));
        Self { calls: calls.map(|(call, traffic)| (call.clone(), traffic.clone())).collect() }
    }

    /// Sums up the calls with the same key; those without one are left out.
    pub(crate) fn by<K: Ord>(&self, key: impl Fn(&Call) -> Option<K>) -> BTreeMap<K, Traffic> {
        let mut sums: BTreeMap<K, Traffic> = BTreeMap::new();
        for (call, traffic) in &self.calls {
            if let Some(key) = key(call) {
                sums.entry(key).or_default().merge(traffic);
            }
        }
        sums
    }

    pub(crate) fn total(&self) -> Traffic {
        Traffic::sum(self.calls.values())
    }

    pub(crate) fn graph(&self, level: Level) -> Graph {
        let mut graph = Graph::default();
        for (call, traffic) in &self.calls {
            let (source, destination) = call.ends(level);
            graph.nodes.extend([source.clone(), destination.clone()]);
            let strands = graph.edges.entry((source, destination)).or_default();
            strands.entry(call.protocol).or_default().merge(traffic);
        }
        graph
    }
}

// === impl Call ===

impl Call {
    fn of(flow: &Flow<'_>) -> Self {
        use Dimension::{
            DestinationClusterId, DestinationServiceName, DestinationServiceNamespace, DestinationWorkload,
            DestinationWorkloadNamespace, SourceCanonicalService, SourceClusterId, SourceWorkload,
            SourceWorkloadNamespace,
        };
        let of = |dimension| value(flow.labels, dimension).to_owned();
        let place = |cluster_id, namespace, name| Place {
            cluster_id: of(cluster_id),
            namespace: of(namespace),
            name: of(name),
        };
        Self {
            source: place(SourceClusterId, SourceWorkloadNamespace, SourceWorkload),
            source_service: of(SourceCanonicalService),
            service: place(DestinationClusterId, DestinationServiceNamespace, DestinationServiceName),
            destination: place(DestinationClusterId, DestinationWorkloadNamespace, DestinationWorkload),
            protocol: Protocol::of(flow),
        }
    }

    /// Who calls whom, at a level.
    pub(crate) fn ends(&self, level: Level) -> (Place, Place) {
        match level {
            Level::Service => (self.caller(), self.service.clone()),
            Level::Workload => (self.source.clone(), self.answering()),
            Level::Namespace => (self.source.whole_namespace(), self.service.whole_namespace()),
        }
    }

    /// The service that calls: the workload itself where it has none.
    pub(crate) fn caller(&self) -> Place {
        match self.source_service.as_str() {
            UNKNOWN => self.source.clone(),
            name => Place { name: name.to_owned(), ..self.source.clone() },
        }
    }

    /// The workload that answers: what was called where nobody did.
    pub(crate) fn answering(&self) -> Place {
        if self.destination.name == UNKNOWN {
            self.service.clone()
        } else {
            self.destination.clone()
        }
    }
}

// === impl Place ===

impl Place {
    fn whole_namespace(&self) -> Self {
        Self { name: String::new(), ..self.clone() }
    }
}

/// How much between two goes over mutual TLS: only the destination knows, whether its
/// reports count or not.
fn mutual_tls<'a>(flows: &[Flow<'a>]) -> HashMap<(Pair<'a>, Protocol), Share> {
    let mut shares: HashMap<_, Share> = HashMap::new();
    let weighs = |measure| matches!(measure, Measure::Requests | Measure::Received | Measure::Sent);
    for flow in flows.iter().filter(|flow| weighs(flow.measure)) {
        let share = shares.entry((pair(flow), Protocol::of(flow))).or_default();
        let amount = flow.rate.unwrap_or_default();
        match value(flow.labels, Dimension::ConnectionSecurityPolicy) {
            "mutual_tls" => {
                share.part += amount;
                share.whole += amount;
            }
            "none" => share.whole += amount,
            _ => {}
        }
    }
    shares
}

#[cfg(test)]
mod tests;
