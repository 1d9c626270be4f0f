//! CPU and memory of pods and nodes, where the Prometheus has them from others: from
//! kube-state-metrics, from the kubelets' cAdvisor, from node-exporter.

use std::collections::BTreeMap;

use super::pods::Pod;
use super::prometheus::{selector, Prometheus, Vector};
use super::series::Problem;

/// What is known of pods and nodes.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    pods: BTreeMap<Key, PodUse>,
    nodes: BTreeMap<(String, String), NodeUse>,
    /// What would be needed for the rest.
    pub(crate) missing: Vec<&'static str>,
    pub(crate) problems: Vec<Problem>,
}

/// Where it was scraped, the namespace, the pod.
type Key = (String, String, String);

#[derive(Clone, Debug, Default)]
pub(crate) struct PodUse {
    pub(crate) node: Option<String>,
    pub(crate) is_ready: Option<bool>,
    pub(crate) restarts: Option<f64>,
    /// Cores.
    pub(crate) cpu: Option<f64>,
    /// Bytes.
    pub(crate) memory: Option<f64>,
}

/// Shares of all it has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NodeUse {
    pub(crate) cpu: Option<f64>,
    pub(crate) memory: Option<f64>,
}

/// Where one answer belongs.
type Put = fn(&mut PodUse, f64, Option<&str>);

// === impl Resources ===

impl Resources {
    /// Asks for those of some pods, which are of one workload or few.
    pub(crate) fn of<'a>(prometheus: &Prometheus, pods: impl IntoIterator<Item = &'a Pod>) -> Self {
        let mut all = Self::default();
        let names: Vec<_> =
            pods.into_iter().map(|pod| regex::escape(&pod.name)).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return all;
        }
        // A regular expression in a string of PromQL.
        let these = selector([("pod", names.join("|").as_str())]).replacen("pod=", "pod=~", 1);
        let inner = these.trim_start_matches('{').trim_end_matches('}');
        let by = "cluster, namespace, pod";
        let state = [
            all.ask_pods(
                prometheus,
                &format!("max by ({by}, node) (kube_pod_info{these})"),
                |pod, _, node| {
                    pod.node = node.map(str::to_owned);
                },
            ),
            all.ask_pods(
                prometheus,
                &format!("max by ({by}) (kube_pod_status_ready{{{inner},condition=\"true\"}})"),
                |pod, value, _| pod.is_ready = Some(value > 0.0),
            ),
            all.ask_pods(
                prometheus,
                &format!("sum by ({by}) (kube_pod_container_status_restarts_total{these})"),
                |pod, value, _| pod.restarts = Some(value),
            ),
        ];
        all.lacks(&state, "kube-state-metrics, for the pods' nodes, readiness and restarts");
        let usage = [
            all.ask_pods(
                prometheus,
                &format!(
                    "sum by ({by}) (rate(container_cpu_usage_seconds_total{{{inner},container!=\"\"}}[5m]))"
                ),
                |pod, value, _| pod.cpu = Some(value),
            ),
            all.ask_pods(
                prometheus,
                &format!("sum by ({by}) (container_memory_working_set_bytes{{{inner},container!=\"\"}})"),
                |pod, value, _| pod.memory = Some(value),
            ),
        ];
        all.lacks(&usage, "cAdvisor's metrics, for the pods' CPU and memory");
        let nodes = [
            all.ask_nodes(
                prometheus,
                "1 - avg by (cluster, instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m]))",
                |node, value| node.cpu = Some(value),
            ),
            all.ask_nodes(
                prometheus,
                "1 - sum by (cluster, instance) (node_memory_MemAvailable_bytes) \
                / sum by (cluster, instance) (node_memory_MemTotal_bytes)",
                |node, value| node.memory = Some(value),
            ),
        ];
        all.lacks(&nodes, "node-exporter, for the nodes' CPU and memory");
        all
    }

    pub(crate) fn pod(&self, pod: &Pod) -> PodUse {
        let key = (pod.cluster_id.clone(), pod.namespace.clone(), pod.name.clone());
        let mut found = self.pods.get(&key).cloned().unwrap_or_default();
        if found.node.is_none() && !pod.node.is_empty() {
            found.node = Some(pod.node.clone());
        }
        found
    }

    pub(crate) fn node(&self, pod: &Pod, node: &str) -> NodeUse {
        self.nodes.get(&(pod.cluster_id.clone(), node.to_owned())).copied().unwrap_or_default()
    }

    /// Whether there was anything.
    fn ask_pods(&mut self, prometheus: &Prometheus, expression: &str, put: Put) -> bool {
        let found = self.ask(prometheus, expression);
        for (labels, value) in &found {
            let of = |label| labels.get(label).unwrap_or_default().to_owned();
            let pod = self.pods.entry((of("cluster"), of("namespace"), of("pod"))).or_default();
            put(pod, *value, labels.get("node").filter(|node| !node.is_empty()));
        }
        !found.is_empty()
    }

    /// node-exporter knows its node's name, and puts it into a series of its own.
    fn ask_nodes(&mut self, prometheus: &Prometheus, expression: &str, put: fn(&mut NodeUse, f64)) -> bool {
        let named = format!(
            "max by (cluster, nodename) (({expression}) * on (cluster, instance) group_left (nodename) \
            max by (cluster, instance, nodename) (node_uname_info))"
        );
        let found = self.ask(prometheus, &named);
        for (labels, value) in &found {
            let of = |label| labels.get(label).unwrap_or_default().to_owned();
            put(self.nodes.entry((of("cluster"), of("nodename"))).or_default(), *value);
        }
        !found.is_empty()
    }

    /// Whoever has failed to answer once is not waited for again.
    fn ask(&mut self, prometheus: &Prometheus, expression: &str) -> Vector {
        if !self.problems.is_empty() {
            return Vector::new();
        }
        prometheus.query(expression).unwrap_or_else(|error| {
            self.problems.push(Problem { part: "CPU and memory".to_owned(), why: format!("{error:#}") });
            Vector::new()
        })
    }

    fn lacks(&mut self, found: &[bool], what: &'static str) {
        if self.problems.is_empty() && !found.contains(&true) {
            self.missing.push(what);
        }
    }
}
