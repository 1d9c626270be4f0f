//! Whether peers' Kubernetes clusters are known, and if not, whose fault it is.

use istio_stats::attachment::Attachment;
use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::label_value::UNKNOWN;

use crate::artefact::Artefact;
use crate::doctor::calls::{self, Party, CLUSTER_ID_LINES};
use crate::doctor::dump::Dump;
use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};
use crate::exposition::{Labels, Sample};
use crate::names::under;

pub(crate) const SYMPTOMS: &[&Symptom] =
    &[&NO_EXCHANGE, &NO_TCP_EXCHANGE, &TCP_NOT_OPTED_IN, &PEER_SILENT, &PEER_WITHOUT_CLUSTER, &PEER_UNKNOWN];

const NO_EXCHANGE: Symptom = Symptom {
    code: "no-exchange",
    severity: Severity::Problem,
    title: "The peer's Kubernetes cluster is unknown: no metadata exchange here",
    why: "Neither `metadata_exchange` nor Istio's own exchange is in front of the stats plugin, nor are \
         filters of Envoy's own that do the same, so no peer is asked who it is.",
    remedy: "Put `metadata_exchange` in front, on both sides of a call; or `header_mutation` and \
         `header_to_metadata`, as in `envoy-config/standalone/*-logger.yaml`. On the client's side the \
         endpoint's metadata (`istio.workload`) is enough for the destination.",
};

const NO_TCP_EXCHANGE: Symptom = Symptom {
    code: "no-tcp-exchange",
    severity: Severity::Hint,
    title: "The TCP peer's Kubernetes cluster is unknown: the exchange here knows only HTTP",
    why: "Filters of Envoy's own exchange metadata in HTTP headers. Over TCP only `metadata_exchange` does.",
    remedy:
        "Put `metadata_exchange` in front of the TCP proxy, on both sides of a call, if you need to know. On \
         the client's side the endpoint's metadata (`istio.workload`) is enough for the destination.",
};

const TCP_NOT_OPTED_IN: Symptom = Symptom {
    code: "tcp-exchange-off",
    severity: Severity::Problem,
    title: "The TCP peer's Kubernetes cluster is unknown: no upstream cluster expects the exchange",
    why: "Over TCP the exchange is a frame in front of the data, which only another such proxy understands. \
         So it is written only to upstream clusters that say they expect it.",
    remedy:
        "Say it in the metadata of the upstream cluster, if the other side's proxy has the exchange, too.",
};

const PEER_SILENT: Symptom = Symptom {
    code: "peer-silent",
    severity: Severity::Problem,
    title: "The peer's Kubernetes cluster is unknown: no peer says who it is",
    why: "The exchange runs here, but what is at the other end does not take part: a proxy without it, no \
         proxy at all, or one that is not believed (`trust: mtls`). A TCP protocol whose server speaks \
         first loses the exchange, too.",
    remedy: "Run `istio-stats doctor` on the proxy of the other side. Traffic from outside has no peer that \
         could say anything, and stays `unknown`.",
};

const PEER_WITHOUT_CLUSTER: Symptom = Symptom {
    code: "peer-without-cluster-id",
    severity: Severity::Problem,
    title: "The peer's Kubernetes cluster is unknown: it does not know it itself",
    why: "The peer's workload is known, so the exchange works or the endpoint's metadata tells it, but \
         neither names a Kubernetes cluster.",
    remedy:
        "Set `CLUSTER_ID` in the `node.metadata` of the other side's proxy. In endpoint metadata it is the \
         fifth field of `istio.workload`.",
};

const PEER_UNKNOWN: Symptom = Symptom {
    code: "peer-unknown",
    severity: Severity::Problem,
    title: "The peer's Kubernetes cluster is unknown",
    why: "No series names it. There is no metadata exchange on one of the two sides, or the peer has no \
         `CLUSTER_ID`; this page alone does not tell which.",
    remedy: "Ask the admin interface instead: `istio-stats doctor http://127.0.0.1:15000` sees the \
         configuration, too.",
};

const EXCHANGE_HTTP: &str = "\
- name: metadata_exchange
  typed_config:
    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
    config:
      name: metadata_exchange
      configuration:
        \"@type\": type.googleapis.com/google.protobuf.StringValue
        value: '{\"attachment\": \"http\"}'
      failure_policy: FAIL_OPEN
      vm_config:
        vm_id: metadata_exchange
        runtime: envoy.wasm.runtime.v8
        code:
          local: { filename: dist/metadata_exchange.wasm }";
const OPT_IN: &str = "metadata:\n  filter_metadata:\n    istio-stats: { tcp_exchange: true }";

/// Whether peers' Kubernetes clusters are known.
pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (attachment, prefix) in calls::kinds(seen) {
        for (reporter, party) in [
            ("source", Party::Destination),
            ("destination", Party::Source),
            ("waypoint", Party::Source),
            ("waypoint", Party::Destination),
        ] {
            let samples: Vec<_> = calls::counted(seen, attachment, prefix)
                .filter(|sample| calls::reporter(sample) == Some(reporter))
                .filter(|sample| may_have_a_peer(&sample.labels))
                .collect();
            // Istio does not tell a waypoint whom its TCP connections reach.
            let is_untold =
                (attachment, reporter, party) == (Attachment::Tcp, "waypoint", Party::Destination);
            if !is_untold && calls::all_unknown(&samples, party.cluster()) {
                let total: f64 = samples.iter().map(|sample| sample.value).sum();
                let fact = format!(
                    "{total} {}{} with reporter={reporter:?} have {}=\"{UNKNOWN}\", none has another",
                    protocol(attachment),
                    under(prefix),
                    party.cluster(),
                );
                findings.push(why_unknown(seen, attachment, party, &samples, fact));
            }
        }
    }
    findings
}

fn why_unknown(
    seen: &Seen,
    attachment: Attachment,
    party: Party,
    samples: &[&Sample],
    fact: String,
) -> Finding {
    let finding = |symptom| Finding::new(symptom, [fact.clone()]);
    if !calls::all_unknown(samples, party.workload()) {
        return finding(&PEER_WITHOUT_CLUSTER)
            .paste("the bootstrap of the other side's proxy", CLUSTER_ID_LINES);
    }
    let Some(dump) = seen.dump() else {
        return finding(&PEER_UNKNOWN);
    };
    let mut chains =
        dump.chains.iter().filter(|chain| chain.attachment == attachment && chain.has(Artefact::IstioStats));
    if !chains.any(|chain| chain.exchanges(party.peer())) {
        if attachment == Attachment::Tcp && dump.chains.iter().any(|chain| chain.stock_exchange.is_begun()) {
            return finding(&NO_TCP_EXCHANGE);
        }
        let lines = match attachment {
            Attachment::Http => EXCHANGE_HTTP.to_owned(),
            Attachment::Tcp => EXCHANGE_HTTP.replace(".http.", ".network.").replace("\"http\"", "\"tcp\""),
        };
        return finding(&NO_EXCHANGE).paste("the filter chain, before istio_stats", lines);
    }
    if attachment == Attachment::Tcp && party == Party::Destination && !expects_tcp_exchange(dump) {
        return finding(&TCP_NOT_OPTED_IN).paste("the upstream cluster", OPT_IN);
    }
    finding(&PEER_SILENT)
}

fn expects_tcp_exchange(dump: &Dump) -> bool {
    let mut listed =
        dump.plugins(Artefact::MetadataExchange).filter_map(|(_, plugin)| plugin.exchange_config());
    dump.tcp_exchange || listed.any(|exchange| !exchange.tcp_upstream_clusters.is_empty())
}

fn protocol(attachment: Attachment) -> &'static str {
    match attachment {
        Attachment::Http => "requests",
        Attachment::Tcp => "TCP connections",
    }
}

/// Not where Envoy itself answered, or nobody did: flags tell.
fn may_have_a_peer(labels: &Labels) -> bool {
    labels.get(Dimension::ResponseFlags.name()).is_none_or(|flags| flags == "-")
}

#[cfg(test)]
mod tests;
