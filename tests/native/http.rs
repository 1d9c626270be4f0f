//! What the stats plugin records for HTTP, label by label.

use istio_stats::attachment::Attachment;
use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, UPSTREAM_PEER_KEY};
use istio_stats::catalogue::dimension::Dimension;
use istio_stats::host::fake::{Hostcall, Phase, Value};
use istio_stats::host::HostError;
use istio_stats::peer::{metadata, told};
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;

use crate::story::{pick, Labels, Story, INBOUND, OUTBOUND, SERVICE};

/// Every label of a plain request from a proxy that knows no peer.
fn expected(reporter: &str) -> Labels {
    let local = if reporter == "source" { "source" } else { "destination" };
    let local_values = [
        ("workload", "web"),
        ("workload_namespace", "shop"),
        ("app", "web-app"),
        ("version", "v3"),
        ("canonical_service", "web-canonical"),
        ("canonical_revision", "r3"),
        ("cluster", "east"),
    ];
    let mut labels: Labels =
        Dimension::ALL.iter().map(|d| (d.name().to_owned(), "unknown".to_owned())).collect();
    let mut set = |name: String, value: &str| assert!(labels.insert(name, value.to_owned()).is_some());
    for side in ["source", "destination"] {
        set(format!("{side}_canonical_revision"), "latest");
    }
    for (name, value) in local_values {
        set(format!("{local}_{name}"), value);
    }
    for (name, value) in [
        ("reporter", reporter),
        ("request_protocol", "http"),
        ("response_code", "200"),
        ("response_flags", "-"),
        ("grpc_response_status", ""),
    ] {
        set(name.to_owned(), value);
    }
    labels
}

fn with(mut labels: Labels, changes: &[(&str, &str)]) -> Labels {
    for (name, value) in changes {
        assert!(labels.insert((*name).to_owned(), (*value).to_owned()).is_some(), "{name}");
    }
    labels
}

#[test]
fn a_request_at_the_source_is_one_series_per_metric() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open();
    story.finish(id);
    let host = "web.example.com:8080";
    let labels =
        with(expected("source"), &[("destination_service", host), ("destination_service_name", host)]);
    for metric in ["requests_total", "request_duration_milliseconds", "request_bytes", "response_bytes"] {
        assert_eq!(story.series(metric), [(labels.clone(), 1)], "{metric}");
    }
    let samples = |metric: &str| {
        let names = story.host.stat_names();
        let (_, name) = names.iter().find(|(_, name)| name.ends_with(metric)).unwrap();
        story.host.histogram(name).unwrap()
    };
    assert_eq!(samples(";.;istio_request_duration_milliseconds"), [12]);
    assert_eq!(samples(";.;istio_request_bytes"), [120]);
    assert_eq!(samples(";.;istio_response_bytes"), [4560]);
    assert_eq!(story.complaints(), [""; 0]);
}

#[test]
fn a_request_at_the_destination_does_not_trust_its_host_header() {
    let story = Story::new(INBOUND, "{}");
    let id = story.open();
    story.finish(id);
    let labels = with(
        expected("destination"),
        &[
            ("destination_service", "web-canonical"),
            ("destination_service_name", "web-canonical"),
            ("destination_service_namespace", "shop"),
            ("connection_security_policy", "none"),
        ],
    );
    assert_eq!(story.request_labels(), labels);
}

#[test]
fn labels_stand_in_the_stat_name_in_istios_order() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open();
    story.finish(id);
    let names = story.host.stat_names();
    let (_, name) = names.iter().find(|(_, name)| name.ends_with("istio_requests_total")).unwrap();
    let tags: Vec<_> =
        name.split(";.;").filter_map(|part| part.split_once("=.=")).map(|(tag, _)| tag).collect();
    assert_eq!(tags, Dimension::ALL.map(Dimension::name));
}

#[test]
fn the_same_labels_count_on_the_same_series() {
    let story = Story::new(OUTBOUND, "{}");
    for _ in 0..3 {
        let id = story.open();
        story.finish(id);
    }
    let id = story.open();
    story.host.set_attribute(&["response", "code"], 404i64);
    story.finish(id);
    let mut counts: Vec<_> = story
        .series("requests_total")
        .into_iter()
        .map(|(labels, count)| (labels["response_code"].clone(), count))
        .collect();
    counts.sort();
    assert_eq!(counts, [("200".to_owned(), 3), ("404".to_owned(), 1)]);
}

#[test]
fn the_host_header_can_be_switched_off_and_on() {
    let service = |root_id, configuration: &str| {
        let story = Story::new(root_id, configuration);
        let id = story.open();
        story.finish(id);
        let [service, name] =
            pick(&story.request_labels(), ["destination_service", "destination_service_name"]);
        assert_eq!(service, name);
        service
    };
    let host = "web.example.com:8080";
    assert_eq!(service(OUTBOUND, "{}"), host);
    assert_eq!(service(OUTBOUND, r#"{"disable_host_header_fallback": true}"#), "unknown");
    assert_eq!(service(INBOUND, r#"{"disable_host_header_fallback": true}"#), "web-canonical");
    assert_eq!(service(INBOUND, r#"{"disableHostHeaderFallback": "false"}"#), host);
}

#[test]
fn the_service_is_named_by_route_then_upstream_cluster_then_metadata() {
    let metadata = || {
        Value::map([("host", "reviews.shop.svc.cluster.local"), ("name", "reviews"), ("namespace", "shop")])
    };
    let nameless = || Value::map([("host", "reviews.shop.svc.cluster.local")]);
    let host = "web.example.com:8080";
    let full = "reviews.shop.svc.cluster.local";
    // route, upstream cluster, metadata -> service, name, namespace
    for (route, upstream_cluster, services, expected) in [
        ("block_all", "", None, [host, "BlackHoleCluster", "unknown"]),
        ("allow_any", "PassthroughCluster", None, [host, "PassthroughCluster", "unknown"]),
        // As `egressProxy` has it: the route wins over whatever it leads to.
        ("allow_any", "outbound|80||reviews", Some(metadata()), [host, "PassthroughCluster", "unknown"]),
        ("", "BlackHoleCluster", None, [host, "BlackHoleCluster", "unknown"]),
        ("", "InboundPassthroughCluster", Some(metadata()), [host, "InboundPassthroughCluster", "unknown"]),
        ("", "InboundPassthroughClusterIpv6", None, [host, "InboundPassthroughClusterIpv6", "unknown"]),
        ("default", "outbound|80||reviews", Some(metadata()), [full, "reviews", "shop"]),
        ("default", "outbound|80||reviews", Some(nameless()), [full, "reviews", "unknown"]),
        ("default", "outbound|80||reviews", Some(Value::map([("name", "r")])), [host, "r", "unknown"]),
        ("default", "outbound|80||reviews", None, [host, host, "unknown"]),
    ] {
        let story = Story::new(OUTBOUND, "{}");
        let id = story.open();
        story.host.set_attribute(&["xds", "route_name"], route);
        story.host.set_attribute(&["xds", "cluster_name"], upstream_cluster);
        if let Some(services) = services {
            story.host.set_attribute(&SERVICE, services);
        }
        story.finish(id);
        let names = ["destination_service", "destination_service_name", "destination_service_namespace"];
        assert_eq!(pick(&story.request_labels(), names), expected, "{route} {upstream_cluster}");
    }
}

#[test]
fn a_field_that_is_no_text_is_left_out_of_an_upstream_clusters_service() {
    for other in [
        Value::Null,
        Value::Double(7.0),
        Value::Bool(true),
        Value::List(vec!["x".into()]),
        Value::map([("x", "y")]),
        Value::map([("x", Value::Null)]),
    ] {
        let story = Story::new(OUTBOUND, "{}");
        let id = story.open();
        story.host.set_attribute(&["xds", "cluster_name"], "outbound|80||reviews");
        let host = Value::from("reviews.shop.svc.cluster.local");
        let services = [("host", host), ("name", other.clone()), ("namespace", "shop".into())];
        story.host.set_attribute(&SERVICE, Value::map(services));
        story.finish(id);
        let names = ["destination_service", "destination_service_name", "destination_service_namespace"];
        let expected = ["reviews.shop.svc.cluster.local", "reviews", "shop"];
        assert_eq!(pick(&story.request_labels(), names), expected, "{other:?}");
    }
}

#[test]
fn a_change_of_an_upstream_clusters_metadata_shows_up_within_a_period() {
    let story = Story::new(OUTBOUND, "{}");
    let serve = |name: &str| {
        let id = story.open();
        story.host.set_attribute(&["xds", "cluster_name"], "outbound|80||reviews");
        story.host.set_attribute(&SERVICE, Value::map([("name", name)]));
        story.finish(id);
    };
    serve("before");
    serve("after");
    story.tick();
    serve("after");
    let names = story.series("requests_total").into_iter();
    let counts: Vec<_> =
        names.map(|(labels, count)| (labels["destination_service_name"].clone(), count)).collect();
    assert_eq!(counts, [("before".to_owned(), 2), ("after".to_owned(), 1)]);
}

#[test]
fn bounded_series_fold_into_the_overflow() {
    let story = Story::new(OUTBOUND, r#"{"max_series": 2}"#);
    for code in [200i64, 404, 500, 501, 502, 200] {
        let id = story.open();
        story.host.set_attribute(&["response", "code"], code);
        story.finish(id);
    }
    let counts: std::collections::BTreeMap<_, _> = story
        .series("requests_total")
        .into_iter()
        .map(|(labels, count)| (labels["response_code"].clone(), count))
        .collect();
    let expected = [("200", 2), ("404", 1), ("overflow", 3)].map(|(code, n)| (code.to_owned(), n));
    assert_eq!(counts, expected.into());
    let series = story.series("requests_total");
    let (overflow, _) = series.iter().find(|(labels, _)| labels["response_code"] == "overflow").unwrap();
    let names =
        ["reporter", "source_workload", "source_cluster", "destination_workload", "destination_service"];
    assert_eq!(pick(overflow, names), ["source", "web", "east", "overflow", "overflow"]);
    assert_eq!(story.host.counter("istio_stats_series_overflow_total"), Some(3));
}

#[test]
fn hostile_text_stays_inside_its_label() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open();
    let host = b"a;.;reporter=.=x;.;\x00\xff.";
    story.host.set_attribute(&["request", "host"], &host[..]);
    story.finish(id);
    let labels = story.request_labels();
    assert_eq!(labels.len(), 25);
    assert_eq!(pick(&labels, ["reporter", "destination_service"]), ["source", "a_._reporter=_=x_.____"]);
}

#[test]
fn a_host_that_refuses_everything_costs_one_log_line_per_kind() {
    for status in [1, 2, 3, 7, 10] {
        let story = Story::new(OUTBOUND, "{}");
        let calls = [
            Hostcall::Property,
            Hostcall::Header,
            Hostcall::DefineMetric,
            Hostcall::IncrementMetric,
            Hostcall::RecordMetric,
            Hostcall::SetEffectiveContext,
        ];
        let id = story.open();
        story.grpc_messages(1, 1);
        for call in calls {
            story.host.fail(call, status);
        }
        story.tick();
        for _ in 0..3 {
            story.host.enter_stream(id, Phase::Log);
            story.plugin.on_log(&story.host, id, Attachment::Http);
        }
        let complaints = story.complaints();
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("recording a metric failed"), "{complaints:?}");
        let nothing = HostError { call: "", status };
        assert!(complaints[0].ends_with(&nothing.to_string().trim_start().to_string()), "{complaints:?}");
    }
}

#[test]
fn beyond_the_bound_a_waypoint_says_only_that_it_is_one() {
    let story = Story::new("", r#"{"max_series": 1, "reporter": "SERVER_GATEWAY"}"#);
    for code in [200i64, 404] {
        let id = story.open();
        story.host.set_attribute(&["response", "code"], code);
        story.finish(id);
    }
    let mut series = story.series("requests_total").into_iter().map(|(labels, _)| labels);
    let mut labels = series.find(|labels| labels["response_code"] != "200").unwrap();
    assert_eq!(labels.remove("reporter").as_deref(), Some("waypoint"));
    assert!(labels.values().all(|value| value == "overflow"), "{labels:#?}");
}

#[test]
fn headers_of_our_exchange_are_no_bytes_of_the_applications() {
    let peer = metadata::encode(&Workload::default().with(Fact::Workload, "reviews-v2"));
    for (root_id, key, sizes) in
        [(OUTBOUND, UPSTREAM_PEER_KEY, [20, 4560]), (INBOUND, DOWNSTREAM_PEER_KEY, [120, 4460])]
    {
        let story = Story::new(root_id, "{}");
        let id = story.open();
        story.host.set_attribute(&[key], told::join(peer.as_bytes(), 100));
        story.finish(id);
        assert_eq!([story.samples("request_bytes")[0], story.samples("response_bytes")[0]], sizes);
        let labels = story.request_labels();
        assert!(labels.values().any(|value| value == "reviews-v2"), "{labels:#?}");
        assert_eq!(story.complaints(), [""; 0]);
    }
}
