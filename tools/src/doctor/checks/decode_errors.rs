//! Metadata of peers that could not be read.

use istio_stats::catalogue::label_value::UNKNOWN;

use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&DECODE_ERRORS];

const DECODE_ERRORS: Symptom = Symptom {
    code: "peer-decode-errors",
    severity: Severity::Problem,
    title: "Peers sent metadata that could not be read",
    why: "`istio_stats_peer_decode_errors_total` counts them by reason: `too_large` (over 8 KiB), `base64`, \
         `protobuf`, `flatbuffer`, `empty`. Such a peer counts as unknown. Clients that are no proxies can \
         send anything.",
    remedy:
        "Find who sends it: with reporter `destination` those requests have `source_workload=\"unknown\"`. \
         A mesh whose exchange sends all Kubernetes labels of a pod may come over the limit; \
         `metadata_exchange` sends six.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let samples = seen.page.named("istio_stats_peer_decode_errors_total").filter(|sample| sample.value > 0.0);
    let facts: Vec<_> = samples
        .map(|sample| format!("{} × {}", sample.value, sample.labels.get("reason").unwrap_or(UNKNOWN)))
        .collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(&DECODE_ERRORS, facts)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture::page_only;

    #[test]
    fn decode_errors_are_counted_by_reason() {
        let seen = page_only("istio_stats_peer_decode_errors_total{reason=\"base64\"} 4\n");
        assert_eq!(find(&seen)[0].seen, ["4 × base64"]);
    }
}
