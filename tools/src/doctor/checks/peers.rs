//! Whether both Kubernetes clusters are known, and if not, whose fault it is.

use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::label_value::UNKNOWN;
use istio_stats::catalogue::metric::Metric;
use istio_stats::peer::side;
use istio_stats::workload::fact::Fact;

use crate::doctor::config::Config;
use crate::doctor::finding::Finding;
use crate::doctor::plugin::{Kind, Role};
use crate::doctor::seen::Seen;
use crate::doctor::symptom::Symptom;
use crate::exposition::{Labels, Sample};
use crate::names::{full, under};

/// One side of a call, by its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

const NODE_METADATA: &str = "the bootstrap";
const CLUSTER_ID_LINES: &str = "node:\n  metadata:\n    CLUSTER_ID: my-kubernetes-cluster";
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

/// Whether this Envoy knows its own Kubernetes cluster.
pub(crate) fn own_cluster(seen: &Seen) -> Vec<Finding> {
    let facts = match seen.config() {
        Some(config) => nameless_plugins(config),
        None => nameless_series(seen),
    };
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(Symptom::NoClusterId, facts).paste(NODE_METADATA, CLUSTER_ID_LINES)]
}

/// Whether peers' Kubernetes clusters are known.
pub(crate) fn peer_cluster(seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, prefix) in kinds(seen) {
        for (reporter, side) in [
            ("source", Side::Destination),
            ("destination", Side::Source),
            ("waypoint", Side::Source),
            ("waypoint", Side::Destination),
        ] {
            let samples: Vec<_> = counted(seen, kind, prefix)
                .filter(|sample| sample.labels.get(name(Dimension::Reporter)) == Some(reporter))
                .filter(|sample| may_have_a_peer(&sample.labels))
                .collect();
            // Istio does not tell a waypoint whom its TCP connections reach.
            let is_untold = (kind, reporter, side) == (Kind::Tcp, "waypoint", Side::Destination);
            if !is_untold && all_unknown(&samples, side.cluster()) {
                let total: f64 = samples.iter().map(|sample| sample.value).sum();
                let fact = format!(
                    "{total} {}{} with reporter={reporter:?} have {}=\"{UNKNOWN}\", none has another",
                    protocol(kind),
                    under(prefix),
                    side.cluster(),
                );
                findings.push(why_unknown(seen, kind, side, &samples, fact));
            }
        }
    }
    findings
}

/// Metadata of peers that could not be read.
pub(crate) fn decode_errors(seen: &Seen) -> Vec<Finding> {
    let samples = seen.page.named("istio_stats_peer_decode_errors_total").filter(|sample| sample.value > 0.0);
    let facts: Vec<_> = samples
        .map(|sample| format!("{} × {}", sample.value, sample.labels.get("reason").unwrap_or(UNKNOWN)))
        .collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(Symptom::DecodeErrors, facts)]
}

// === impl Side ===

impl Side {
    /// Whoever is there, where it is not this proxy's own side.
    fn peer(self) -> side::Side {
        match self {
            Self::Source => side::Side::Downstream,
            Self::Destination => side::Side::Upstream,
        }
    }

    fn cluster(self) -> &'static str {
        match self {
            Self::Source => name(Dimension::SourceClusterId),
            Self::Destination => name(Dimension::DestinationClusterId),
        }
    }

    fn workload(self) -> &'static str {
        match self {
            Self::Source => name(Dimension::SourceWorkload),
            Self::Destination => name(Dimension::DestinationWorkload),
        }
    }
}

fn why_unknown(seen: &Seen, kind: Kind, side: Side, samples: &[&Sample], fact: String) -> Finding {
    let finding = |symptom| Finding::new(symptom, [fact.clone()]);
    if !all_unknown(samples, side.workload()) {
        return finding(Symptom::PeerWithoutCluster)
            .paste("the bootstrap of the other side's proxy", CLUSTER_ID_LINES);
    }
    let Some(config) = seen.config() else {
        return finding(Symptom::PeerUnknown);
    };
    let mut places = config.places.iter().filter(|place| place.kind == kind && place.has(Role::Stats));
    if !places.any(|place| place.exchanges(side.peer())) {
        if kind == Kind::Tcp && config.places.iter().any(|place| place.stock_exchange.is_begun()) {
            return finding(Symptom::NoTcpExchange);
        }
        let lines = match kind {
            Kind::Http => EXCHANGE_HTTP.to_owned(),
            Kind::Tcp => EXCHANGE_HTTP.replace(".http.", ".network.").replace("\"http\"", "\"tcp\""),
        };
        return finding(Symptom::NoExchange).paste("the filter chain, before istio_stats", lines);
    }
    if kind == Kind::Tcp && side == Side::Destination && !expects_tcp_exchange(config) {
        return finding(Symptom::TcpNotOptedIn).paste("the upstream cluster", OPT_IN);
    }
    finding(Symptom::PeerSilent)
}

fn expects_tcp_exchange(config: &Config) -> bool {
    let mut listed = config.plugins(Role::Exchange).filter_map(|(_, plugin)| plugin.exchange_config());
    config.tcp_exchange || listed.any(|exchange| !exchange.tcp_upstream_clusters.is_empty())
}

/// Plugins whose own cluster neither the node nor their configuration tells.
fn nameless_plugins(config: &Config) -> Vec<String> {
    if config.cluster_id.is_some() {
        return Vec::new();
    }
    let all = config.places.iter().flat_map(|place| place.plugins.iter().map(move |plugin| (place, plugin)));
    let nameless = all.filter(|(_, plugin)| {
        let local = match plugin.role {
            Role::Stats => plugin.stats_config().map(|config| config.local),
            Role::Exchange => plugin.exchange_config().map(|config| config.local),
            Role::Other => None,
        };
        // An unusable configuration is another symptom.
        local.is_some_and(|local| local.get(Fact::ClusterId).is_none())
    });
    nameless.map(|(place, plugin)| format!("{} of {}", plugin.filter, place.describe())).collect()
}

fn nameless_series(seen: &Seen) -> Vec<String> {
    let nameless = |reporter: &str, side: Side| {
        let samples = kinds(seen).flat_map(|(kind, prefix)| counted(seen, kind, prefix));
        let own: Vec<_> =
            samples.filter(|sample| sample.labels.get(name(Dimension::Reporter)) == Some(reporter)).collect();
        all_unknown(&own, side.cluster())
            .then(|| format!("every series with reporter={reporter:?} has {}=\"{UNKNOWN}\"", side.cluster()))
    };
    [nameless("source", Side::Source), nameless("destination", Side::Destination)]
        .into_iter()
        .flatten()
        .collect()
}

/// Requests and connections under each of the prefixes.
fn kinds(seen: &Seen) -> impl Iterator<Item = (Kind, &str)> {
    let kinds = [Kind::Http, Kind::Tcp];
    kinds.into_iter().flat_map(|kind| seen.names.prefixes().map(move |prefix| (kind, prefix)))
}

fn protocol(kind: Kind) -> &'static str {
    match kind {
        Kind::Http => "requests",
        Kind::Tcp => "TCP connections",
    }
}

/// The series that count them.
fn counted<'a>(seen: &'a Seen, kind: Kind, prefix: &str) -> impl Iterator<Item = &'a Sample> {
    let metric = match kind {
        Kind::Http => Metric::Requests,
        Kind::Tcp => Metric::TcpOpened,
    };
    let name = full(prefix, metric);
    seen.page.samples.iter().filter(move |sample| sample.name == name)
}

/// Whether there are series, all of them without a value for this label; series
/// from which it was left out say nothing.
fn all_unknown(samples: &[&Sample], label: &str) -> bool {
    !samples.is_empty() && samples.iter().all(|sample| sample.labels.get(label) == Some(UNKNOWN))
}

/// Not where Envoy itself answered, or nobody did: flags tell.
fn may_have_a_peer(labels: &Labels) -> bool {
    labels.get(name(Dimension::ResponseFlags)).is_none_or(|flags| flags == "-")
}

fn name(dimension: Dimension) -> &'static str {
    dimension.name()
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;
    use crate::doctor::config::Place;
    use crate::doctor::seen::Admin;
    use crate::doctor::stats::Stats;
    use crate::exposition::Page;

    fn series(reporter: &str, source: (&str, &str), destination: (&str, &str), more: &str) -> String {
        format!(
            "istio_requests_total{{reporter=\"{reporter}\",source_workload=\"{}\",source_cluster=\"{}\",\
             destination_workload=\"{}\",destination_cluster=\"{}\",{more}}} 3\n",
            source.0, source.1, destination.0, destination.1
        )
    }

    fn page_only(text: &str) -> Seen {
        Seen { page: Page::parse(text, |_| true).unwrap(), ..Seen::default() }
    }

    fn with_config(text: &str, node: &Value, filters: &[Value]) -> Seen {
        let manager = json!({"@type": "x.HttpConnectionManager", "http_filters": filters});
        let dump = json!({"configs": [
            {"@type": "x.BootstrapConfigDump", "bootstrap": {"node": {"metadata": node}}},
            {"@type": "x.ListenersConfigDump", "static_listeners": [
                {"listener": {"name": "in", "filter_chains": [{"filters": [{"typed_config": manager}]}]}},
            ]},
        ]});
        let config = Config::parse(&dump);
        let names = config.names();
        let admin = Admin::new(&json!({}), config, Stats::default());
        Seen { admin: Some(admin), names, ..page_only(text) }
    }

    fn plugin(name: &str, configuration: &str) -> Value {
        let config = json!({"name": name, "vm_config": {}, "configuration": {"value": configuration}});
        json!({"name": name, "typed_config": {"@type": "x.Wasm", "config": config}})
    }

    fn symptoms(findings: &[Finding]) -> Vec<Symptom> {
        findings.iter().map(|finding| finding.symptom).collect()
    }

    const KNOWN: (&str, &str) = ("shop", "east");
    const UNNAMED: (&str, &str) = ("shop", "unknown");
    const NOBODY: (&str, &str) = ("unknown", "unknown");
    const OK: &str = "response_flags=\"-\"";

    #[test]
    fn nothing_is_wrong_when_one_peer_is_known() {
        let text = series("source", KNOWN, KNOWN, OK) + &series("source", KNOWN, NOBODY, OK);
        let seen = with_config(&text, &json!({"CLUSTER_ID": "east"}), &[plugin("istio_stats", "{}")]);
        assert_eq!((own_cluster(&seen), peer_cluster(&seen)), (vec![], vec![]));
        let seen = page_only(&text);
        assert_eq!((own_cluster(&seen), peer_cluster(&seen)), (vec![], vec![]));
    }

    #[test]
    fn the_own_cluster_is_the_nodes_or_the_configurations() {
        let named = plugin("istio_stats", r#"{"local": {"cluster_id": "east"}}"#);
        let nameless = plugin("metadata_exchange", "{}");
        let seen = with_config("", &json!({}), &[named.clone(), nameless.clone()]);
        let [finding] = own_cluster(&seen).try_into().unwrap();
        assert_eq!(finding.seen, ["metadata_exchange of listener in (HTTP)"]);
        assert_eq!(own_cluster(&with_config("", &json!({}), &[named])), []);
        assert_eq!(own_cluster(&with_config("", &json!({"CLUSTER_ID": "x"}), &[nameless])), []);
    }

    #[test]
    fn without_a_configuration_the_series_tell() {
        let seen = page_only(&series("destination", KNOWN, UNNAMED, OK));
        assert_eq!(symptoms(&own_cluster(&seen)), [Symptom::NoClusterId]);
        let seen = page_only(&series("destination", NOBODY, KNOWN, OK));
        assert_eq!(symptoms(&peer_cluster(&seen)), [Symptom::PeerUnknown]);
    }

    #[test]
    fn whose_fault_an_unknown_peer_is() {
        let node = json!({"CLUSTER_ID": "east"});
        let stats = plugin("istio_stats", "{}");
        let both = [plugin("metadata_exchange", "{}"), stats.clone()];
        let native =
            json!({"name": "istio.metadata_exchange", "typed_config": {"@type": "x.peer_metadata.Config"}});
        let silent = series("source", KNOWN, NOBODY, OK);
        for (text, filters, symptom) in [
            (&silent, vec![stats.clone()], Symptom::NoExchange),
            (&silent, both.to_vec(), Symptom::PeerSilent),
            (&silent, vec![native, stats.clone()], Symptom::PeerSilent),
            (&series("source", KNOWN, UNNAMED, OK), both.to_vec(), Symptom::PeerWithoutCluster),
        ] {
            assert_eq!(symptoms(&peer_cluster(&with_config(text, &node, &filters))), [symptom], "{text}");
        }
    }

    #[test]
    fn series_under_another_prefix_are_judged_alike() {
        let text = series("source", KNOWN, NOBODY, OK).replace("istio_", "mesh_")
            + &series("source", KNOWN, KNOWN, OK);
        let mesh = plugin("istio_stats", r#"{"metric_prefix": "mesh_"}"#);
        let [finding] =
            peer_cluster(&with_config(&text, &json!({"CLUSTER_ID": "east"}), &[mesh])).try_into().unwrap();
        assert_eq!(
            finding.seen,
            ["3 requests as mesh_… with reporter=\"source\" have destination_cluster=\"unknown\", none has another"]
        );
    }

    #[test]
    fn filters_of_envoys_own_exchange_too() {
        let filter = |config: Value| json!({"name": "x", "typed_config": config});
        let keeps = |rules: &str, key: &str| {
            filter(json!({rules: [{"header": "x-envoy-peer-metadata",
                "on_header_present": {"metadata_namespace": "istio_stats", "key": key}}]}))
        };
        let tells = filter(json!({"mutations": {"request_mutations": [
            {"append": {"header": {"key": "x-envoy-peer-metadata", "value": "x"}}}]}}));
        let at_source = series("source", KNOWN, NOBODY, OK);
        let at_destination = series("destination", NOBODY, KNOWN, OK);
        let (upstream, downstream) =
            (keeps("response_rules", "upstream_peer"), keeps("request_rules", "downstream_peer"));
        for (text, filters, symptom) in [
            (&at_source, vec![tells.clone(), upstream.clone()], Symptom::PeerSilent),
            (&at_source, vec![tells], Symptom::NoExchange),
            (&at_source, vec![upstream], Symptom::NoExchange),
            (&at_destination, vec![downstream.clone()], Symptom::PeerSilent),
            (&at_destination, vec![], Symptom::NoExchange),
            // They cannot over TCP.
            (
                &at_destination.replace("requests_total", "tcp_connections_opened_total"),
                vec![downstream],
                Symptom::NoTcpExchange,
            ),
        ] {
            let filters = [filters, vec![plugin("istio_stats", "{}")]].concat();
            let seen = with_config(text, &json!({"CLUSTER_ID": "east"}), &filters);
            assert_eq!(symptoms(&peer_cluster(&seen)), [symptom], "{text} {filters:?}");
        }
    }

    #[test]
    fn where_nobody_answered_no_peer_is_missed() {
        let seen = page_only(&series("source", KNOWN, NOBODY, "response_flags=\"UF\""));
        assert_eq!(peer_cluster(&seen), []);
    }

    #[test]
    fn of_a_waypoints_tcp_connections_only_the_source_can_be_known() {
        let of = |source, destination| {
            let text = series("waypoint", source, destination, OK)
                .replace("istio_requests_total", "istio_tcp_connections_opened_total");
            peer_cluster(&page_only(&text)).len()
        };
        assert_eq!((of(KNOWN, NOBODY), of(NOBODY, NOBODY)), (0, 1));
        assert_eq!(peer_cluster(&page_only(&series("waypoint", KNOWN, NOBODY, OK))).len(), 1);
    }

    #[test]
    fn labels_that_were_left_out_are_not_unknown() {
        let seen = page_only("istio_requests_total{reporter=\"source\",source_workload=\"unknown\"} 3\n");
        assert_eq!((own_cluster(&seen), peer_cluster(&seen)), (vec![], vec![]));
    }

    #[test]
    fn tcp_needs_upstream_clusters_that_expect_it() {
        let text = series("source", KNOWN, NOBODY, OK)
            .replace("istio_requests_total", "istio_tcp_connections_opened_total");
        let mut seen = with_config(&text, &json!({"CLUSTER_ID": "east"}), &[]);
        let config = &mut seen.admin.as_mut().unwrap().config;
        let plugins = [plugin("metadata_exchange", "{}"), plugin("istio_stats", "{}")];
        let plugins =
            plugins.map(|one| crate::doctor::plugin::Plugin::parse("f", &one["typed_config"]["config"]));
        config.places[0] = Place { kind: Kind::Tcp, plugins: plugins.to_vec(), ..Place::default() };
        assert_eq!(symptoms(&peer_cluster(&seen)), [Symptom::TcpNotOptedIn]);
        seen.admin.as_mut().unwrap().config.tcp_exchange = true;
        assert_eq!(symptoms(&peer_cluster(&seen)), [Symptom::PeerSilent]);
    }

    #[test]
    fn decode_errors_are_counted_by_reason() {
        let seen = page_only("istio_stats_peer_decode_errors_total{reason=\"base64\"} 4\n");
        assert_eq!(decode_errors(&seen)[0].seen, ["4 × base64"]);
    }
}
