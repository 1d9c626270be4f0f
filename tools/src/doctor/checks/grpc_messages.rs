//! Whether messages of gRPC streams are counted.

use istio_stats::attachment::Attachment;
use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::metric::Metric;

use crate::artefact::Artefact;
use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};
use crate::exposition::Labels;
use crate::names::{full, under};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&NO_GRPC_STATS];

const NO_GRPC_STATS: Symptom = Symptom {
    code: "no-grpc-stats",
    severity: Severity::Problem,
    title: "gRPC messages are not counted",
    why: "There are gRPC requests, and no `request_messages_total`. Messages are counted by Envoy's filter \
         `grpc_stats`, which leaves the numbers where the plugin finds them.",
    remedy: "Put it into the chain, before the router.",
};

const GRPC_STATS: &str = "\
- name: envoy.filters.http.grpc_stats
  typed_config:
    \"@type\": type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig
    emit_filter_state: true
    stats_for_all_methods: false";

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let is_grpc = |labels: &Labels| labels.get(Dimension::RequestProtocol.name()) == Some("grpc");
    let without_messages = |prefix: &str| {
        let requests = full(prefix, Metric::Requests);
        let requests: f64 = seen.page.named(&requests).filter(|s| is_grpc(&s.labels)).map(|s| s.value).sum();
        let messages = seen.total(&full(prefix, Metric::RequestMessages));
        (requests > 0.0 && messages.is_none()).then(|| format!("{requests} gRPC requests{}", under(prefix)))
    };
    let (Some(requests), Some(dump)) = (seen.names.prefixes().find_map(without_messages), seen.dump()) else {
        return Vec::new();
    };
    let deaf = dump.chains.iter().filter(|chain| {
        let counts = chain.filters.iter().any(|filter| filter.counts_grpc_messages());
        chain.attachment == Attachment::Http && chain.has(Artefact::IstioStats) && !counts
    });
    let mut facts: Vec<_> =
        deaf.map(|chain| format!("{} has no grpc_stats with emit_filter_state", chain.describe())).collect();
    if facts.is_empty() {
        return Vec::new();
    }
    facts.insert(0, format!("{requests} were counted, and no message"));
    vec![Finding::new(&NO_GRPC_STATS, facts).paste("`http_filters`, before the router", GRPC_STATS)]
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;
    use crate::doctor::fixture::{page, plugin, running};

    fn seen(text: &str, configuration: &str, more: &[Value]) -> Seen {
        let filters = [more, &[plugin("istio_stats", configuration)]].concat();
        Seen { page: page(text), ..running(&filters, "") }
    }

    #[test]
    fn grpc_without_its_filter() {
        let calls = "istio_requests_total{request_protocol=\"grpc\"} 3\n";
        let filter = |emits: bool| {
            json!({"name": "x", "typed_config": {
                "@type": "x/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", "emit_filter_state": emits,
            }})
        };
        assert_eq!(find(&seen(calls, "{}", &[])).len(), 1);
        assert_eq!(find(&seen(calls, "{}", &[filter(false)])).len(), 1);
        assert_eq!(find(&seen(calls, "{}", &[filter(true)])), []);
        let http = "istio_requests_total{request_protocol=\"http\"} 3\n";
        assert_eq!(find(&seen(http, "{}", &[])), []);
        let counted = format!("{calls}istio_request_messages_total{{}} 3\n");
        assert_eq!(find(&seen(&counted, "{}", &[])), []);
        // Istio's own messages are none of the plugin's.
        let mesh = format!("{}istio_request_messages_total{{}} 3\n", calls.replace("istio_", "mesh_"));
        let found = find(&seen(&mesh, r#"{"metric_prefix": "mesh_"}"#, &[]));
        assert_eq!(found[0].seen[0], "3 gRPC requests as mesh_… were counted, and no message");
    }
}
