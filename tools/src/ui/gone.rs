//! Whom a Prometheus cannot read any more: the Prometheus of another Kubernetes cluster, say.

use super::prometheus::Prometheus;

/// A line for each job of which no target answers: single ones come and go with their pods.
pub(crate) fn gone(prometheus: &Prometheus) -> Vec<String> {
    // If it does not answer, other questions say so.
    let jobs = prometheus.query("max by (cluster, job) (up) == 0").unwrap_or_default();
    let jobs = jobs.iter().map(|(labels, _)| {
        let of = |label| labels.get(label).unwrap_or_default();
        let place = match of("cluster") {
            "" => String::new(),
            id => format!(" in the Kubernetes cluster {id}"),
        };
        format!("Prometheus reaches no target of its job {}{place}: what these tell is missing.", of("job"))
    });
    jobs.collect()
}
