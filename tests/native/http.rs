//! What the stats plugin records for HTTP, label by label.

use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, UPSTREAM_PEER_KEY};
use istio_stats::catalogue::dimension::Dimension;
use istio_stats::config::Attachment;
use istio_stats::host::fake::{FakeHost, Hostcall, Phase, Value};
use istio_stats::host::{HeaderMap, Host, HostError};
use istio_stats::peer::metadata;
use istio_stats::stats::plugin::Plugin;
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
fn mutual_tls_names_principals_and_the_peers_namespace() {
    let [web, reviews] = ["spiffe://east.local/ns/shop/sa/web", "spiffe://west.local/ns/stars/sa/reviews"];
    let labels = [
        "source_principal",
        "destination_principal",
        "source_workload_namespace",
        "destination_workload_namespace",
        "destination_service_namespace",
        "connection_security_policy",
    ];
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open();
    story.host.set_attribute(&["upstream", "tls_version"], "TLSv1.3");
    story.host.set_attribute(&["upstream", "uri_san_local_certificate"], web);
    story.host.set_attribute(&["upstream", "uri_san_peer_certificate"], reviews);
    story.host.set_attribute(&["connection", "uri_san_peer_certificate"], "spiffe://x/ns/not-this/sa/app");
    story.finish(id);
    assert_eq!(pick(&story.request_labels(), labels), [web, reviews, "shop", "stars", "stars", "unknown"]);

    let story = Story::new(INBOUND, "{}");
    let id = story.open();
    story.host.set_attribute(&["connection", "mtls"], true);
    story.host.set_attribute(&["connection", "uri_san_local_certificate"], web);
    story.host.set_attribute(&["connection", "uri_san_peer_certificate"], reviews);
    story.finish(id);
    assert_eq!(pick(&story.request_labels(), labels), [reviews, web, "stars", "shop", "shop", "mutual_tls"]);
}

#[test]
fn a_peer_without_a_certificate_may_be_disbelieved() {
    let reviews = Workload { cluster_id: Some("west".to_owned()), ..Workload::default() };
    let header = metadata::encode(&reviews);
    let mtls = r#"{"trust": "mtls"}"#;
    let certificate = "spiffe://td/ns/shop/sa/reviews";
    for (root_id, configuration, certified, cluster_id) in [
        (OUTBOUND, "{}", false, "west"),
        (OUTBOUND, mtls, false, "unknown"),
        (OUTBOUND, mtls, true, "west"),
        (INBOUND, "{}", false, "west"),
        (INBOUND, mtls, false, "unknown"),
        (INBOUND, mtls, true, "west"),
    ] {
        let story = Story::new(root_id, configuration);
        let id = story.open();
        for key in [UPSTREAM_PEER_KEY, DOWNSTREAM_PEER_KEY] {
            story.host.set_property(key, header.as_bytes()).unwrap();
        }
        if certified {
            story.host.set_attribute(&["upstream", "tls_version"], "TLSv1.3");
            story.host.set_attribute(&["upstream", "uri_san_peer_certificate"], certificate);
            story.host.set_attribute(&["connection", "mtls"], true);
        }
        story.finish(id);
        let peer = if root_id == OUTBOUND { "destination_cluster" } else { "source_cluster" };
        let found = pick(&story.request_labels(), [peer]);
        assert_eq!(found, [cluster_id], "{root_id} {configuration} {certified}");
    }
}

#[test]
fn a_waypoint_is_neither_side() {
    let story = Story::new(OUTBOUND, r#"{"reporter": "SERVER_GATEWAY"}"#);
    let id = story.open();
    story.host.set_attribute(&["connection", "uri_san_peer_certificate"], "spiffe://td/ns/shop/sa/web");
    story.host.set_attribute(&["connection", "uri_san_local_certificate"], "spiffe://td/ns/shop/sa/waypoint");
    story.host.set_attribute(&["connection", "mtls"], true);
    let endpoint = ["xds", "upstream_host_metadata", "filter_metadata", "istio", "workload"];
    story.host.set_attribute(&endpoint, "reviews-v1;shop;reviews;v1;west");
    story.finish(id);
    let labels = story.request_labels();
    assert!(labels.iter().all(|(_, value)| value != "east" && value != "web"), "{labels:#?}");
    let names = [
        "reporter",
        "source_principal",
        "source_workload_namespace",
        "destination_principal",
        "source_canonical_revision",
        "destination_canonical_revision",
        "destination_cluster",
        "destination_service",
        "connection_security_policy",
    ];
    let values = [
        "waypoint",
        "spiffe://td/ns/shop/sa/web",
        "shop",
        "unknown",
        "latest",
        "unknown",
        "unknown",
        "unknown",
        "mutual_tls",
    ];
    assert_eq!(pick(&labels, names), values);
}

#[test]
fn a_waypoint_knows_whose_tunnel_it_was() {
    let principal = "spiffe://td/ns/shop/sa/web";
    let labels = |root_id: &str, configuration: &str| {
        let story = Story::new(root_id, configuration);
        let id = story.open();
        story.host.set_attribute(&["filter_state", "io.istio.peer_principal"], principal);
        story.host.set_attribute(&["connection", "mtls"], false);
        story.finish(id);
        let names = ["source_principal", "source_workload_namespace", "connection_security_policy"];
        pick(&story.request_labels(), names)
    };
    assert_eq!(labels("", r#"{"reporter": "SERVER_GATEWAY"}"#), [principal, "shop", "mutual_tls"]);
    // Elsewhere the connection itself tells.
    assert_eq!(labels(INBOUND, "{}"), ["unknown", "unknown", "none"]);
}

#[test]
fn the_listener_decides_the_side_where_the_root_id_does_not() {
    for (direction, reporter) in [(0i64, "source"), (1, "destination"), (2, "source")] {
        let story = Story::new("my_stats", "{}");
        let id = story.open();
        story.host.set_attribute(&["xds", "listener_direction"], direction);
        story.finish(id);
        assert_eq!(pick(&story.request_labels(), ["reporter"]), [reporter]);
    }
}

#[test]
fn endpoint_metadata_names_the_destination_without_a_response() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open();
    let endpoint = ["xds", "upstream_host_metadata", "filter_metadata", "istio", "workload"];
    story.host.set_attribute(&endpoint, "reviews-v1;stars;;;west");
    story.host.set_attribute(&["response", "code"], 503i64);
    story.host.set_attribute(&["response", "flags"], 0x8020i64);
    story.finish(id);
    let names = [
        "destination_workload",
        "destination_workload_namespace",
        "destination_canonical_service",
        "destination_canonical_revision",
        "destination_cluster",
        "destination_service_namespace",
        "destination_app",
        "response_code",
        "response_flags",
    ];
    let values = ["reviews-v1", "stars", "reviews-v1", "latest", "west", "stars", "unknown", "503", "UF,URX"];
    assert_eq!(pick(&story.request_labels(), names), values);
}

#[test]
fn grpc_is_told_by_its_content_type() {
    for (content_type, protocol, status) in [
        ("application/grpc", "grpc", "7"),
        ("application/grpc+proto", "grpc", "7"),
        ("application/grpc-web", "http", ""),
        ("application/grpc; charset=utf-8", "http", ""),
        ("text/plain", "http", ""),
    ] {
        let story = Story::new(OUTBOUND, "{}");
        let id = story.open();
        story.host.set_header_to(HeaderMap::Request, "content-type", content_type);
        story.host.set_attribute(&["response", "grpc_status"], 7i64);
        story.finish(id);
        let labels = pick(&story.request_labels(), ["request_protocol", "grpc_response_status"]);
        assert_eq!(labels, [protocol, status], "{content_type}");
    }
}

#[test]
fn a_client_that_leaves_is_code_0_and_grpc_status_2() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open();
    story.grpc_messages(1, 0);
    story.host.remove_attribute(&["response", "code"]);
    story.host.remove_attribute(&["request", "duration"]);
    story.host.set_attribute(&["response", "flags"], 0x4000i64);
    story.finish(id);
    let names = ["response_code", "response_flags", "grpc_response_status"];
    assert_eq!(pick(&story.request_labels(), names), ["0", "DC", "2"]);
    assert_eq!(story.series("request_duration_milliseconds"), []);
    assert_eq!(story.series("request_bytes").len(), 1);
}

#[test]
fn messages_are_counted_while_the_stream_is_open_and_once() {
    let story = Story::new(INBOUND, r#"{"tcp_reporting_duration": "1s"}"#);
    assert_eq!(story.host.tick_period(), Some(core::time::Duration::from_secs(1)));
    let id = story.open();
    let counts = |metric| story.series(metric).iter().map(|(_, count)| *count).sum::<u64>();
    let both = || [counts("request_messages_total"), counts("response_messages_total")];
    story.grpc_messages(2, 0);
    story.tick();
    assert_eq!(both(), [2, 0]);
    assert_eq!(story.series("response_messages_total"), [], "a counter at zero makes no series");
    story.tick();
    assert_eq!(both(), [2, 0]);
    story.host.enter_stream(id, Phase::ResponseHeaders);
    story.grpc_messages(3, 5);
    story.tick();
    assert_eq!(both(), [3, 5]);
    story.grpc_messages(4, 5);
    story.finish(id);
    assert_eq!(both(), [4, 5]);
    story.tick();
    assert_eq!(both(), [4, 5]);
    let labels = &story.series("request_messages_total")[0].0;
    assert_eq!(labels.len(), 20);
    assert!(!labels.contains_key("request_protocol"));
}

#[test]
fn the_source_waits_for_the_response_headers_before_it_reports_messages() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open();
    story.host.remove_attribute(&["response", "code"]);
    story.host.set_attribute(&SERVICE, Value::map([("host", "reviews.shop"), ("name", "reviews")]));
    story.grpc_messages(2, 0);
    story.tick();
    assert_eq!(story.series("request_messages_total"), []);
    story.host.enter_stream(id, Phase::ResponseHeaders);
    story.host.set_attribute(&["response", "code"], 200i64);
    story.tick();
    assert_eq!(story.series("request_messages_total").len(), 1);
}

#[test]
fn a_stream_that_only_its_host_names_waits_for_its_end() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open();
    story.grpc_messages(3, 1);
    story.host.enter_stream(id, Phase::ResponseHeaders);
    story.tick();
    assert_eq!(story.series("request_messages_total"), []);
    story.finish(id);
    let series = story.series("request_messages_total");
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].1, 3);
    assert_eq!(pick(&series[0].0, ["destination_service"]), ["web.example.com:8080"]);

    // A stock filter may have kept the host where it can be read.
    let id = story.open();
    story.grpc_messages(5, 0);
    story.host.set_attribute(&["filter_state", "istio_stats.request_host"], "web.example.com:8080");
    story.tick();
    assert_eq!(story.series("request_messages_total"), [(series[0].0.clone(), 8)]);
    story.finish(id);
}

#[test]
fn a_period_of_zero_reports_messages_at_the_end_only() {
    let story = Story::new(INBOUND, r#"{"tcp_reporting_duration": "0s"}"#);
    let id = story.open();
    story.grpc_messages(2, 1);
    story.tick();
    assert_eq!(story.series("request_messages_total"), []);
    story.finish(id);
    assert_eq!(story.series("request_messages_total")[0].1, 2);
}

#[test]
fn other_http_streams_cost_a_tick_no_bytes() {
    let story = Story::new(INBOUND, "{}");
    for _ in 0..10 {
        story.open();
    }
    story.host.reset_calls();
    story.tick();
    assert_eq!(story.host.calls_that_returned_bytes(), 0);
    assert_eq!(story.host.all_calls(), 20, "one context switch and one read each");
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
fn an_unusable_configuration_makes_the_plugin_inert_and_says_so_once() {
    let host = FakeHost::new();
    host.set_plugin_configuration("{oops");
    for vm in [&host, &host.another_vm(), &host.another_vm()] {
        vm.set_plugin_configuration("{oops");
        assert!(Plugin::configure(vm).is_none());
    }
    let lines: Vec<_> = host.log_lines().into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("istio-stats: version "), "{lines:?}");
    assert!(lines[1].starts_with("istio-stats: configuration: not JSON ("), "{lines:?}");
    assert_eq!(host.gauge("istio_stats_config_errors"), Some(1));
}

#[test]
fn a_bad_field_is_told_with_path_and_value_and_the_rest_works() {
    let story = Story::new(
        OUTBOUND,
        r#"{"tcp_reporting_duration": 5, "local": {"cluster_id": "west"}, "colour": "red"}"#,
    );
    let id = story.open();
    story.finish(id);
    assert_eq!(pick(&story.request_labels(), ["source_cluster", "source_workload"]), ["west", "web"]);
    let expected = [
        "istio-stats: configuration: tcp_reporting_duration: \
         expected a duration such as \"5s\" or \"500ms\", found 5; ignored",
        "istio-stats: configuration: colour: unknown field with value \"red\"; ignored",
    ];
    assert_eq!(story.complaints(), expected);
    assert_eq!(story.host.gauge("istio_stats_config_errors"), Some(2));
}

#[test]
fn the_build_names_istios_version() {
    let story = Story::new(OUTBOUND, "{}");
    assert_eq!(story.host.gauge("component.proxy.tag.1.29.2;.istio_build"), Some(1));
    let nameless = Story::with_host(FakeHost::new(), OUTBOUND, "{}");
    assert_eq!(nameless.host.gauge("component.proxy.tag.unknown;.istio_build"), Some(1));
}

#[test]
fn a_proxy_that_knows_nothing_of_itself_still_counts() {
    let story = Story::with_host(FakeHost::new(), OUTBOUND, "");
    let id = story.open();
    story.finish(id);
    let names =
        ["source_workload", "source_cluster", "source_canonical_service", "source_canonical_revision"];
    assert_eq!(pick(&story.request_labels(), names), ["unknown", "unknown", "unknown", "latest"]);
}

#[test]
fn the_kind_of_stream_is_found_out_or_configured() {
    for (configuration, protocol, attachment, reads) in [
        ("{}", Some("HTTP/2"), Attachment::Http, 1),
        ("{}", None, Attachment::Tcp, 1),
        (r#"{"attachment": "http"}"#, None, Attachment::Http, 0),
        (r#"{"attachment": "TCP"}"#, Some("HTTP/2"), Attachment::Tcp, 0),
    ] {
        let story = Story::new(OUTBOUND, configuration);
        story.host.open_stream();
        if let Some(protocol) = protocol {
            story.host.set_attribute(&["request", "protocol"], protocol);
        }
        story.host.reset_calls();
        assert_eq!(story.plugin.attachment(&story.host), attachment);
        assert_eq!(story.host.all_calls(), reads);
    }
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
fn an_unreadable_configuration_is_one_error_and_the_defaults() {
    let host = FakeHost::new();
    host.fail(Hostcall::PluginConfiguration, 10);
    let story = Story::with_host(host, OUTBOUND, r#"{"labels": ["reporter"]}"#);
    story.serve();
    assert_eq!(story.request_labels().len(), 25);
    assert_eq!(story.complaints(), ["istio-stats: configuration: proxy_get_buffer_bytes returned status 10"]);
}
