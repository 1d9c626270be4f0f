//! Expressions over peers, and on streams that are still open.

use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, NO_PEER, UPSTREAM_PEER_KEY};
use istio_stats::host::fake::{FakeHost, Hostcall, Phase, Value};
use istio_stats::host::Host as _;
use istio_stats::peer::metadata;
use istio_stats::rules::expression::{printed, whole};
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;

use crate::story::{pick, Labels, Story, INBOUND, OUTBOUND};

/// What stands in an expression for something of a peer or stream.
fn value(literal: &str) -> String {
    format!("{{'v':{literal}}}.v")
}

const ABSENT: &str = "{}.v";

fn reviews() -> Workload {
    Workload::default().with(Fact::Workload, "reviews-v1").with(Fact::Namespace, "stars")
}

/// The labels of a request to a plugin that is a filter or an access logger.
fn request(
    [root_id, configuration]: [&str; 2],
    expressions: &[(String, Value)],
    is_logger: bool,
    prepare: impl Fn(&FakeHost),
) -> Labels {
    let host = FakeHost::new();
    for (text, value) in expressions {
        host.set_expression(text, value.clone());
    }
    let story = Story::with_host(host, root_id, configuration);
    let id = if is_logger { story.open_unseen() } else { story.open() };
    prepare(&story.host);
    if is_logger {
        // Nothing can be set of a stream that is only logged.
        story.host.fail(Hostcall::SetProperty, 1);
        story.host.enter_stream(id, Phase::Log);
        story.plugin.on_access_log(&story.host);
    } else {
        story.finish(id);
    }
    story.request_labels()
}

#[test]
fn peers_stand_in_expressions_wherever_these_are_evaluated() {
    let configuration = r#"{"metrics": [
        {"dimensions": {
            "who": "downstream_peer.workload + '.' + filter_state.downstream_peer.namespace",
            "told": "has(downstream_peer.labels['role'].value) ? 'a' : 'b'",
            "alone": "downstream_peer.workload"
        }},
        {"match": "downstream_peer.namespace == 'stars'", "dimensions": {"matched": "'yes'"}}
    ]}"#;
    let [workload, namespace] = ["'reviews-v1'", "'stars'"].map(value);
    let expressions = [
        (printed(&format!("{workload} + '.' + {namespace}")), "reviews-v1.stars".into()),
        (printed(&format!("has({ABSENT}) ? 'a' : 'b'")), "b".into()),
        (format!("{namespace} == 'stars'"), true.into()),
        (printed("'yes'"), "yes".into()),
    ];
    for is_logger in [false, true] {
        let prepare = |host: &FakeHost| {
            host.set_attribute(&[DOWNSTREAM_PEER_KEY], metadata::encode(&reviews()).as_str());
        };
        let labels = request([INBOUND, configuration], &expressions, is_logger, prepare);
        let names = ["who", "told", "alone", "matched"];
        assert_eq!(
            pick(&labels, names),
            ["reviews-v1.stars", "b", "reviews-v1", "yes"],
            "logger: {is_logger}"
        );
    }
}

#[test]
fn nothing_that_a_peer_says_leaves_its_quotes() {
    let configuration = r#"{"metrics": [{"dimensions": {"who": "downstream_peer.workload + ''"}}]}"#;
    let expressions = [(printed(&format!("{} + ''", value(r"'it\'s\\\' + \'forged'"))), "safe".into())];
    let prepare = |host: &FakeHost| {
        let peer = Workload::default().with(Fact::Workload, r"it's\' + 'forged");
        host.set_attribute(&[DOWNSTREAM_PEER_KEY], metadata::encode(&peer).as_str());
    };
    let labels = request([INBOUND, configuration], &expressions, false, prepare);
    assert_eq!(pick(&labels, ["who"]), ["safe"]);
}

#[test]
fn definitions_count_what_peers_say() {
    let host = FakeHost::new();
    host.set_expression(&whole(&format!("{} == 'x' ? 1 : 2", value("'reviews-v1'"))), 2);
    let configuration =
        r#"{"definitions": [{"name": "c", "value": "downstream_peer.workload == 'x' ? 1 : 2"}]}"#;
    let story = Story::with_host(host, INBOUND, configuration);
    let id = story.open();
    story.host.set_attribute(&[DOWNSTREAM_PEER_KEY], metadata::encode(&reviews()).as_str());
    story.finish(id);
    assert_eq!(story.series("c")[0].1, 2);
}

#[test]
fn an_expression_of_a_peer_that_is_known_costs_one_evaluation() {
    let configuration = r#"{"metrics": [{"dimensions": {"who": "downstream_peer.workload + ''"}}]}"#;
    let story = Story::new(INBOUND, configuration);
    let serve = || {
        let id = story.open();
        story.host.set_attribute(&[DOWNSTREAM_PEER_KEY], metadata::encode(&reviews()).as_str());
        story.finish(id);
    };
    serve();
    story.host.reset_calls();
    serve();
    assert_eq!(story.host.calls(Hostcall::CreateExpression), 0);
    assert_eq!(story.host.calls(Hostcall::SetProperty), 0);
    // One for the label, and one for what every request has.
    assert!(story.host.calls(Hostcall::EvaluateExpression) <= 2);
}

#[test]
fn the_peer_of_the_other_side_is_known_where_an_expression_names_it() {
    let configuration = r#"{"metrics": [{"dimensions": {"caller": "downstream_peer.workload"}}]}"#;
    let told = |host: &FakeHost| {
        host.set_attribute(&["filter_state", "downstream_peer"], Value::map([("workload", "reviews-v1")]));
    };
    let labels = request([OUTBOUND, configuration], &[], false, told);
    assert_eq!(pick(&labels, ["caller", "source_workload"]), ["reviews-v1", "unknown"]);
    assert_eq!(pick(&request([OUTBOUND, configuration], &[], false, |_| {}), ["caller"]), ["unknown"]);
}

/// Counts of a metric by the value of one label.
fn counts(story: &Story, metric: &str, label: &str) -> Vec<(String, u64)> {
    let series = story.series(metric).into_iter();
    series.map(|(labels, count)| (labels[label].clone(), count)).collect()
}

#[test]
fn an_open_connection_is_reported_under_one_label_set() {
    let host = FakeHost::new();
    let configuration = r#"{"metrics": [
        {"dimensions": {
            "port": "string(upstream.port)",
            "who": "downstream_peer.workload + '!'",
            "shown": "upstream.address",
            "none": "has(upstream.nothing) ? 'a' : 'b'",
            "details": "upstream.address + response.code_details"
        }},
        {"match": "connection.mtls == false", "dimensions": {"plain": "'yes'"}}
    ]}"#;
    for (text, value) in [
        (printed(&format!("string({})", value("8080"))), "8080"),
        (printed(&format!("{} + '!'", value("'reviews-v1'"))), "reviews-v1!"),
        (printed(&format!("has({ABSENT}) ? 'a' : 'b'")), "b"),
        (printed("'yes'"), "yes"),
        // At the end there is more to be told: too late.
        (printed("upstream.address + response.code_details"), "later"),
        (printed("string(upstream.port)"), "8080"),
        (printed("upstream.address"), "10.0.0.9:8080"),
    ] {
        host.set_expression(&text, value);
    }
    host.set_expression(&format!("{} == false", value("false")), true);
    let story = Story::with_host(host, INBOUND, configuration);
    let id = story.connect();
    story.host.set_property(DOWNSTREAM_PEER_KEY, metadata::encode(&reviews()).as_bytes()).unwrap();
    story.host.set_attribute(&["upstream", "port"], 8080);
    story.host.set_attribute(&["upstream", "address"], "10.0.0.9:8080");
    story.transferred(10, 20);
    story.tick();
    story.transferred(30, 40);
    story.tick();
    story.transferred(50, 60);
    story.disconnect(id, 0);
    for (metric, total) in [("opened", 1), ("closed", 1)]
        .map(|(what, n)| (format!("tcp_connections_{what}_total"), n))
        .into_iter()
        .chain([("received", 50), ("sent", 60)].map(|(what, n)| (format!("tcp_{what}_bytes_total"), n)))
    {
        let [(labels, count)] = &story.series(&metric)[..] else {
            panic!("{metric}: {:#?}", story.series(&metric));
        };
        let names = ["port", "who", "shown", "none", "details", "plain"];
        let values = ["8080", "reviews-v1!", "10.0.0.9:8080", "b", "unknown", "yes"];
        assert_eq!((pick(labels, names), *count), (values.map(str::to_owned), total), "{metric}");
    }
}

#[test]
fn the_first_report_of_a_short_connection_is_its_end() {
    let host = FakeHost::new();
    host.set_expression(&printed("string(upstream.port)"), "8080");
    let story = Story::with_host(
        host,
        INBOUND,
        r#"{"metrics": [{"dimensions": {"port": "string(upstream.port)"}}]}"#,
    );
    let id = story.connect();
    story.transferred(10, 20);
    story.disconnect(id, 0);
    for metric in ["tcp_connections_opened_total", "tcp_connections_closed_total"] {
        assert_eq!(counts(&story, metric, "port"), [("8080".to_owned(), 1)]);
    }
}

#[test]
fn a_peer_that_tells_late_is_told_of_from_then_on() {
    let host = FakeHost::new();
    host.set_expression(&printed(&format!("{} + '!'", value("'reviews-v1'"))), "reviews-v1!");
    let story = Story::with_host(
        host,
        OUTBOUND,
        r#"{"metrics": [{"dimensions": {"who": "upstream_peer.workload + '!'"}}]}"#,
    );
    let id = story.connect();
    story.transferred(10, 0);
    // Two periods wait for the peer.
    (0..3).for_each(|_| story.tick());
    story.host.set_attribute(&[UPSTREAM_PEER_KEY], metadata::encode(&reviews()).as_str());
    story.transferred(15, 0);
    story.tick();
    story.transferred(16, 0);
    story.disconnect(id, 0);
    let received = counts(&story, "tcp_received_bytes_total", "who");
    assert_eq!(received, [("unknown".to_owned(), 10), ("reviews-v1!".to_owned(), 6)]);
    let both = counts(&story, "tcp_received_bytes_total", "destination_workload");
    assert_eq!(both, [("unknown".to_owned(), 10), ("reviews-v1".to_owned(), 6)]);
}

#[test]
fn messages_of_a_stream_are_reported_under_one_label_set() {
    let host = FakeHost::new();
    let configuration = r#"{"metrics": [{"dimensions": {
        "constant": "'c'", "port": "string(upstream.port)", "verb": "request.method + ''"
    }}]}"#;
    for (text, value) in [
        (printed("'c'"), "c"),
        (printed("string(upstream.port)"), "8080"),
        (printed(&format!("string({})", value("8080"))), "8080"),
        (printed("request.method + ''"), "POST"),
    ] {
        host.set_expression(&text, value);
    }
    let story = Story::with_host(host, INBOUND, configuration);
    let id = story.open();
    story.host.enter_stream(id, Phase::ResponseHeaders);
    story.host.set_attribute(&["upstream", "port"], 8080);
    story.grpc_messages(3, 1);
    story.tick();
    story.grpc_messages(5, 2);
    story.finish(id);
    for (metric, count) in [("request_messages_total", 5), ("response_messages_total", 2)] {
        let [(labels, found)] = &story.series(metric)[..] else {
            panic!("{metric}: {:#?}", story.series(metric));
        };
        let values = ["c", "8080", "unknown"].map(str::to_owned);
        assert_eq!((pick(labels, ["constant", "port", "verb"]), *found), (values, count), "{metric}");
    }
    // The request is reported once, when all is known.
    assert_eq!(pick(&story.request_labels(), ["constant", "port", "verb"]), ["c", "8080", "POST"]);
}

#[test]
fn an_empty_text_is_an_empty_label() {
    let configuration =
        r#"{"attachment": "tcp", "metrics": [{"dimensions": {"sni": "connection.requested_server_name"}}]}"#;
    for (name, is_open) in [("", false), ("", true), ("a.test", true)] {
        let host = FakeHost::new();
        host.set_expression(&printed("connection.requested_server_name"), name);
        let story = Story::with_host(host, INBOUND, configuration);
        let id = story.connect();
        story.host.set_property(DOWNSTREAM_PEER_KEY, NO_PEER).unwrap();
        story.host.set_attribute(&["connection", "requested_server_name"], name);
        story.transferred(1, 1);
        if is_open {
            story.tick();
        }
        story.disconnect(id, 0);
        assert_eq!(counts(&story, "tcp_connections_closed_total", "sni"), [(name.to_owned(), 1)]);
        assert_eq!(counts(&story, "tcp_connections_opened_total", "sni"), [(name.to_owned(), 1)]);
    }
    let labels = crate::overrides::labels(
        &crate::overrides::request(r#"{"metrics": [{"dimensions": {"zone": "a"}}]}"#, &[("a", "")]),
        "requests_total",
    );
    assert_eq!(pick(&labels.unwrap(), ["zone"]), [""]);
}

/// Everything that peers tell, by every name.
#[test]
fn every_fact_of_a_peer_is_known_by_every_name() {
    let peer = Workload::default().asking(&["role".to_owned()]);
    let mut peer = peer
        .with(Fact::Name, "reviews-v1-abc")
        .with(Fact::MeshId, "mesh1")
        .with(Fact::ClusterId, "west")
        .with(Fact::Region, "eu")
        .with(Fact::Zone, "eu-1")
        .with(Fact::IstioVersion, "1.16.1")
        .with(Fact::Owner, "kubernetes://x");
    *peer.label(b"role").unwrap() = Some("worker".to_owned());
    let names = [
        ("downstream_peer.name", "reviews-v1-abc"),
        ("downstream_peer.mesh_id", "mesh1"),
        ("filter_state.downstream_peer.mesh", "mesh1"),
        ("downstream_peer.cluster_id", "west"),
        ("filter_state.downstream_peer.cluster", "west"),
        ("filter_state.downstream_peer.region", "eu"),
        ("downstream_peer.locality.zone", "eu-1"),
        ("filter_state.downstream_peer.availability_zone", "eu-1"),
        ("downstream_peer.istio_version", "1.16.1"),
        ("downstream_peer.owner", "kubernetes://x"),
        ("downstream_peer.labels['role'].value", "worker"),
        ("filter_state.downstream_peer.labels['role']", "worker"),
        ("filter_state['wasm.downstream_peer'].labels.role", "worker"),
        ("downstream_peer.identity", "spiffe://td/ns/a/sa/b"),
    ];
    let dimensions: Vec<_> =
        names.iter().enumerate().map(|(n, (name, _))| format!(r#""l{n}": "{name}""#)).collect();
    let configuration = format!(r#"{{"metrics": [{{"dimensions": {{{}}}}}]}}"#, dimensions.join(", "));
    for is_logger in [false, true] {
        let prepare = |host: &FakeHost| {
            host.set_attribute(&[DOWNSTREAM_PEER_KEY], metadata::encode(&peer).as_str());
            host.set_attribute(&["connection", "uri_san_peer_certificate"], "spiffe://td/ns/a/sa/b");
        };
        let labels = request([INBOUND, &configuration], &[], is_logger, prepare);
        for (n, (name, value)) in names.iter().enumerate() {
            assert_eq!(labels[&format!("l{n}")], *value, "{name}, logger: {is_logger}");
        }
    }
}

#[test]
fn what_nobody_asks_for_is_not_kept() {
    let story = Story::new(
        INBOUND,
        r#"{"metrics": [{"dimensions": {"colour": "downstream_peer.labels['colour']"}}]}"#,
    );
    let id = story.open();
    let labels = Value::map([("role", "worker"), ("colour", "blue")]);
    story.host.set_attribute(&["filter_state", "downstream_peer"], Value::map([("labels", labels)]));
    story.finish(id);
    assert_eq!(pick(&story.request_labels(), ["colour", "source_workload"]), ["blue", "unknown"]);
}
