use serde_json::{json, Value};

use super::*;
use crate::doctor::attached::Attached;
use crate::doctor::chain::Chain;
use crate::doctor::fixture::{node, page, page_only, plugin, symptoms};

fn with_config(text: &str, metadata: &Value, filters: &[Value]) -> Seen {
    Seen { page: page(text), ..node(metadata, filters) }
}

fn series(reporter: &str, source: (&str, &str), destination: (&str, &str), more: &str) -> String {
    format!(
        "istio_requests_total{{reporter=\"{reporter}\",source_workload=\"{}\",source_cluster=\"{}\",\
             destination_workload=\"{}\",destination_cluster=\"{}\",{more}}} 3\n",
        source.0, source.1, destination.0, destination.1
    )
}

const KNOWN: (&str, &str) = ("shop", "east");

const UNNAMED: (&str, &str) = ("shop", "unknown");

const NOBODY: (&str, &str) = ("unknown", "unknown");

const OK: &str = "response_flags=\"-\"";

#[test]
fn nothing_is_wrong_when_one_peer_is_known() {
    let text = series("source", KNOWN, KNOWN, OK) + &series("source", KNOWN, NOBODY, OK);
    let seen = with_config(&text, &json!({"CLUSTER_ID": "east"}), &[plugin("istio_stats", "{}")]);
    for seen in [seen, page_only(&text)] {
        assert_eq!(find(&seen), []);
    }
}

#[test]
fn without_a_configuration_the_series_tell() {
    let seen = page_only(&series("destination", NOBODY, KNOWN, OK));
    assert_eq!(symptoms(&find(&seen)), [&PEER_UNKNOWN]);
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
        (&silent, vec![stats.clone()], &NO_EXCHANGE),
        (&silent, both.to_vec(), &PEER_SILENT),
        (&silent, vec![native, stats.clone()], &PEER_SILENT),
        (&series("source", KNOWN, UNNAMED, OK), both.to_vec(), &PEER_WITHOUT_CLUSTER),
    ] {
        assert_eq!(symptoms(&find(&with_config(text, &node, &filters))), [symptom], "{text}");
    }
}

#[test]
fn series_under_another_prefix_are_judged_alike() {
    let text =
        series("source", KNOWN, NOBODY, OK).replace("istio_", "mesh_") + &series("source", KNOWN, KNOWN, OK);
    let mesh = plugin("istio_stats", r#"{"metric_prefix": "mesh_"}"#);
    let [finding] = find(&with_config(&text, &json!({"CLUSTER_ID": "east"}), &[mesh])).try_into().unwrap();
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
        (&at_source, vec![tells.clone(), upstream.clone()], &PEER_SILENT),
        (&at_source, vec![tells], &NO_EXCHANGE),
        (&at_source, vec![upstream], &NO_EXCHANGE),
        (&at_destination, vec![downstream.clone()], &PEER_SILENT),
        (&at_destination, vec![], &NO_EXCHANGE),
        // They cannot over TCP.
        (
            &at_destination.replace("requests_total", "tcp_connections_opened_total"),
            vec![downstream],
            &NO_TCP_EXCHANGE,
        ),
    ] {
        let filters = [filters, vec![plugin("istio_stats", "{}")]].concat();
        let seen = with_config(text, &json!({"CLUSTER_ID": "east"}), &filters);
        assert_eq!(symptoms(&find(&seen)), [symptom], "{text} {filters:?}");
    }
}

#[test]
fn where_nobody_answered_no_peer_is_missed() {
    let seen = page_only(&series("source", KNOWN, NOBODY, "response_flags=\"UF\""));
    assert_eq!(find(&seen), []);
}

#[test]
fn of_a_waypoints_tcp_connections_only_the_source_can_be_known() {
    let of = |source, destination| {
        let text = series("waypoint", source, destination, OK)
            .replace("istio_requests_total", "istio_tcp_connections_opened_total");
        find(&page_only(&text)).len()
    };
    assert_eq!((of(KNOWN, NOBODY), of(NOBODY, NOBODY)), (0, 1));
    assert_eq!(find(&page_only(&series("waypoint", KNOWN, NOBODY, OK))).len(), 1);
}

#[test]
fn labels_that_were_left_out_are_not_unknown() {
    let seen = page_only("istio_requests_total{reporter=\"source\",source_workload=\"unknown\"} 3\n");
    assert_eq!(find(&seen), []);
}

#[test]
fn tcp_needs_upstream_clusters_that_expect_it() {
    let text = series("source", KNOWN, NOBODY, OK)
        .replace("istio_requests_total", "istio_tcp_connections_opened_total");
    let mut seen = with_config(&text, &json!({"CLUSTER_ID": "east"}), &[]);
    let config = &mut seen.admin.as_mut().unwrap().dump;
    let plugins = [plugin("metadata_exchange", "{}"), plugin("istio_stats", "{}")];
    let plugins = plugins.map(|one| Attached::parse("f", &one["typed_config"]["config"]));
    config.chains[0] = Chain { plugins: plugins.to_vec(), ..Chain::new(Attachment::Tcp) };
    assert_eq!(symptoms(&find(&seen)), [&TCP_NOT_OPTED_IN]);
    seen.admin.as_mut().unwrap().dump.tcp_exchange = true;
    assert_eq!(symptoms(&find(&seen)), [&PEER_SILENT]);
}
