//! `definitions` and `metrics` of a configuration, replayed into the metrics of
//! a plugin on the fake host.

use istio_stats::attribute::keys::DOWNSTREAM_PEER_KEY;
use istio_stats::host::fake::FakeHost;
use istio_stats::peer::metadata;
use istio_stats::rules::expression::{printed, whole};
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;

use crate::story::{pick, Labels, Story, INBOUND};

const METRICS: [&str; 4] =
    ["requests_total", "request_duration_milliseconds", "request_bytes", "response_bytes"];

/// A request through a plugin with this configuration, with expressions that
/// evaluate to these texts.
pub fn request(configuration: &str, texts: &[(&str, &str)]) -> Story {
    let host = FakeHost::new();
    for (expression, text) in texts {
        host.set_expression(&printed(expression), *text);
    }
    let story = Story::with_host(host, INBOUND, configuration);
    let id = story.open();
    story.finish(id);
    story
}

/// The labels of a metric's only series; `None` if it has none.
pub fn labels(story: &Story, metric: &str) -> Option<Labels> {
    let mut series = story.series(metric);
    assert!(series.len() <= 1, "{series:#?}");
    series.pop().map(|(labels, _)| labels)
}

/// Tags of the stat name of `requests_total`, in its order.
pub fn tags(story: &Story) -> Vec<String> {
    let names = story.host.stat_names();
    let (_, name) = names.iter().find(|(_, name)| name.ends_with("istio_requests_total")).unwrap();
    let tags = name.split(";.;").filter_map(|part| part.split_once("=.="));
    tags.map(|(tag, _)| tag.to_owned()).collect()
}

#[test]
fn an_entry_reaches_the_metric_that_it_names_or_all() {
    let story = request(
        r#"{"metrics": [
            {"dimensions": {"zone": "a"}},
            {"name": "request_bytes", "dimensions": {"zone": "b", "more": "a"}}
        ]}"#,
        &[("a", "everywhere"), ("b", "there")],
    );
    for metric in METRICS {
        let labels = labels(&story, metric).unwrap();
        let zone = if metric == "request_bytes" { "there" } else { "everywhere" };
        assert_eq!(labels["zone"], zone, "{metric}");
        assert_eq!(labels.contains_key("more"), metric == "request_bytes", "{metric}");
    }
}

#[test]
fn drop_beats_the_rest_of_its_entry_and_later_entries() {
    let story = request(
        r#"{"metrics": [
            {"name": "request_bytes", "drop": true, "dimensions": {"zone": "a"}},
            {"name": "request_bytes", "drop": false, "dimensions": {"zone": "a"}},
            {"name": "response_bytes", "dimensions": {"zone": "a"}, "drop": false}
        ]}"#,
        &[("a", "x")],
    );
    assert_eq!(labels(&story, "request_bytes"), None);
    assert_eq!(labels(&story, "response_bytes").unwrap()["zone"], "x");
    assert!(!labels(&story, "requests_total").unwrap().contains_key("zone"));
}

#[test]
fn drop_without_a_name_drops_all_definitions_too() {
    let story =
        request(r#"{"definitions": [{"name": "mine", "value": "v"}], "metrics": [{"drop": true}]}"#, &[]);
    for metric in METRICS.into_iter().chain(["mine"]) {
        assert_eq!(labels(&story, metric), None, "{metric}");
    }
    // What the plugin tells about itself is no metric of traffic.
    let names: Vec<_> = story.host.stat_names().into_iter().map(|(_, name)| name).collect();
    let version = istio_stats::version::VERSION;
    let own_build = format!("component.istio_stats.tag.{version};.istio_stats_build");
    assert_eq!(names, ["component.proxy.tag.unknown;.istio_build", &own_build, "istio_stats_series"]);
}

#[test]
fn a_removed_label_comes_back_to_its_place() {
    let story = request(
        r#"{"metrics": [
            {"tags_to_remove": ["source_app", "response_flags", "no_such_label"]},
            {"dimensions": {"source_app": "a"}}
        ]}"#,
        &[("a", "back")],
    );
    let standard = tags(&request("{}", &[]));
    let expected: Vec<_> = standard.into_iter().filter(|tag| tag != "response_flags").collect();
    assert_eq!(tags(&story), expected);
    assert_eq!(story.request_labels()["source_app"], "back");
}

#[test]
fn an_entry_for_all_gives_a_standard_label_only_to_who_has_it() {
    let host = FakeHost::new();
    host.set_expression(&printed("a"), "x");
    let configuration = r#"{
        "attachment": "tcp",
        "definitions": [{"name": "c", "value": "v"}],
        "metrics": [
            {"dimensions": {"response_code": "a", "source_app": "a", "mine": "a"}},
            {"name": "tcp_received_bytes_total", "dimensions": {"response_code": "a"}}
        ]
    }"#;
    host.set_expression(&whole("v"), 1);
    let story = Story::with_host(host, INBOUND, configuration);
    let id = story.connect();
    story.transferred(1, 2);
    story.disconnect(id, 0);
    for (metric, labelled) in [
        ("tcp_sent_bytes_total", [false, true, true]),
        // By its name it gets what it is given.
        ("tcp_received_bytes_total", [true, true, true]),
        // What is defined has no labels but these.
        ("c", [true, true, true]),
    ] {
        let labels = labels(&story, metric).unwrap();
        let has =
            ["response_code", "source_app", "mine"].map(|name| labels.get(name).is_some_and(|v| v == "x"));
        assert_eq!(has, labelled, "{metric}");
        assert_eq!(labels.contains_key("response_code"), labelled[0], "{metric}");
    }
}

#[test]
fn new_labels_follow_the_standard_ones_in_the_order_they_came() {
    let story = request(
        r#"{"metrics": [
            {"dimensions": {"zone": "a", "alpha": "a"}},
            {"tags_to_remove": ["alpha"]},
            {"dimensions": {"beta": "a"}},
            {"dimensions": {"alpha": "b"}}
        ]}"#,
        &[("a", "first"), ("b", "second")],
    );
    let mut expected = tags(&request("{}", &[]));
    expected.extend(["alpha", "zone", "beta"].map(str::to_owned));
    assert_eq!(tags(&story), expected);
    assert_eq!(pick(&story.request_labels(), ["alpha", "zone", "beta"]), ["second", "first", "first"]);
}

#[test]
fn within_an_entry_removal_comes_before_dimensions() {
    let story = request(
        r#"{"metrics": [{"dimensions": {"reporter": "a"}, "tags_to_remove": ["reporter", "source_app"]}]}"#,
        &[("a", "me")],
    );
    let labels = story.request_labels();
    assert_eq!(labels["reporter"], "me");
    assert!(!labels.contains_key("source_app"));
}

#[test]
fn a_refused_expression_takes_its_label_away() {
    let story = request(
        r#"{"metrics": [
            {"dimensions": {"kept": "a", "known": "a", "reporter": "a"}},
            {"dimensions": {"known": "(", "reporter": ")", "new": "["}}
        ]}"#,
        &[("a", "x")],
    );
    let labels = story.request_labels();
    assert_eq!(labels["kept"], "x");
    for label in ["known", "reporter", "new"] {
        assert!(!labels.contains_key(label), "{label}");
    }
    let complaints = story.complaints();
    assert_eq!(complaints.len(), 3, "{complaints:#?}");
    for (line, text) in complaints.iter().zip(["(", "[", ")"]) {
        assert!(line.contains(&format!("\"{text}\": the host does not understand")), "{line}");
    }
}

#[test]
fn brackets_that_pair_only_with_ours_are_refused() {
    let story = request(r#"{"metrics": [{"dimensions": {"zone": "a) + string(b"}}]}"#, &[]);
    assert!(!story.request_labels().contains_key("zone"));
}

#[test]
fn what_cannot_be_evaluated_is_unknown() {
    let story = request(r#"{"metrics": [{"dimensions": {"zone": "a", "source_app": "a"}}]}"#, &[]);
    assert_eq!(pick(&story.request_labels(), ["zone", "source_app"]), ["unknown", "unknown"]);
    assert_eq!(story.complaints(), Vec::<String>::new());
}

#[test]
fn values_of_expressions_are_made_safe() {
    let story =
        request(r#"{"metrics": [{"dimensions": {"zone": "a"}}]}"#, &[("a", "x;.;reporter=.=forged;.;")]);
    let labels = story.request_labels();
    assert_eq!(pick(&labels, ["zone", "reporter"]), ["x_._reporter=_=forged_._", "destination"]);
}

#[test]
fn listed_labels_are_the_only_standard_ones() {
    let story = request(
        r#"{"labels": ["reporter", "source_cluster"], "metrics": [{"dimensions": {"zone": "a", "source_app": "a"}}]}"#,
        &[("a", "x")],
    );
    assert_eq!(tags(&story), ["reporter", "source_app", "source_cluster", "zone"]);
}

#[test]
fn definitions_count_what_their_expression_says() {
    let host = FakeHost::new();
    for (expression, value) in [("c", 3), ("g", 5), ("h", 0), ("zero", 0), ("below", -1)] {
        host.set_expression(&whole(expression), i64::from(value));
    }
    host.set_expression(&printed("a"), "x");
    let story = Story::with_host(
        host,
        INBOUND,
        r#"{
            "definitions": [
                {"name": "c", "value": "c"},
                {"name": "g", "value": "g", "type": "GAUGE"},
                {"name": "h", "value": "h", "type": "HISTOGRAM"},
                {"name": "zero", "value": "zero", "type": "COUNTER"},
                {"name": "below", "value": "below"},
                {"name": "absent", "value": "absent"},
                {"name": "absent_level", "value": "absent", "type": "GAUGE"},
                {"name": "refused", "value": "("},
                {"name": "tcp_sent_bytes_total", "value": "c"}
            ],
            "metrics": [{"name": "c", "dimensions": {"reporter": "a"}, "tags_to_remove": ["source_app"]}]
        }"#,
    );
    for _ in 0..2 {
        let id = story.open();
        story.finish(id);
    }
    let own = Labels::from([("reporter".to_owned(), "x".to_owned())]);
    assert_eq!(story.series("c"), [(own, 6)]);
    assert_eq!(story.series("g"), [(Labels::new(), 5)]);
    assert_eq!(story.series("h"), [(Labels::new(), 2)]);
    assert_eq!(story.series("absent_level"), [(Labels::new(), 0)]);
    for name in ["zero", "below", "absent", "refused", "tcp_sent_bytes_total"] {
        assert_eq!(story.series(name), [], "{name}");
    }
    assert_eq!(story.complaints().len(), 2, "{:#?}", story.complaints());
}

#[test]
fn definitions_are_recorded_when_a_tcp_connection_is_closed() {
    let host = FakeHost::new();
    host.set_expression(&whole("c"), 1i64);
    let story = Story::with_host(
        host,
        INBOUND,
        r#"{"attachment": "tcp", "definitions": [{"name": "c", "value": "c"}]}"#,
    );
    let id = story.connect();
    story.transferred(10, 20);
    for _ in 0..4 {
        story.tick();
    }
    assert_eq!(story.series("tcp_received_bytes_total")[0].1, 10);
    assert_eq!(story.series("c"), []);
    story.disconnect(id, 0);
    assert_eq!(story.series("c"), [(Labels::new(), 1)]);
}

#[test]
fn beyond_the_bound_expressions_fold_into_the_overflow() {
    let host = FakeHost::new();
    let story = Story::with_host(
        host,
        INBOUND,
        r#"{"max_series": 2, "metrics": [{"name": "requests_total", "dimensions": {"path": "a"}}]}"#,
    );
    for path in ["/0", "/1", "/2", "/3", "/0"] {
        let id = story.open();
        story.host.set_expression(&printed("a"), path);
        story.finish(id);
    }
    let counts: Vec<_> =
        story.series("requests_total").into_iter().map(|(labels, n)| (labels["path"].clone(), n)).collect();
    assert_eq!(counts, [("/0", 2), ("/1", 1), ("overflow", 2)].map(|(path, n)| (path.to_owned(), n)));
    assert_eq!(story.series("stats_series_overflow_total"), [(Labels::new(), 2)]);
}

#[test]
fn old_names_are_told_once_each() {
    let host = FakeHost::new();
    host.set_expression(&printed("xds.node.id"), "n");
    let story =
        Story::with_host(host, INBOUND, r#"{"metrics": [{"dimensions": {"a": "node.id", "b": "node.id"}}]}"#);
    let id = story.open();
    story.finish(id);
    assert_eq!(pick(&story.request_labels(), ["a", "b"]), ["n", "n"]);
    let lines: Vec<_> =
        story.host.log_lines().into_iter().filter(|(_, line)| line.contains(" reads ")).collect();
    let [(log::Level::Info, line)] = &lines[..] else {
        panic!("{lines:#?}");
    };
    assert!(line.contains("\"node.id\": node reads xds.node on this host"), "{line}");
}

#[test]
fn every_fact_of_a_peer_may_become_a_label() {
    let facts = ["workload", "namespace", "cluster", "app", "version", "service", "revision"];
    let dimensions: Vec<_> =
        facts.iter().map(|fact| format!(r#""{fact}": "downstream_peer.{fact}""#)).collect();
    let configuration = format!(r#"{{"metrics": [{{"dimensions": {{{}}}}}]}}"#, dimensions.join(", "));
    let peer = Workload::default()
        .with(Fact::Workload, "reviews-v1")
        .with(Fact::Namespace, "stars")
        .with(Fact::ClusterId, "west")
        .with(Fact::App, "reviews-app")
        .with(Fact::AppVersion, "v1")
        .with(Fact::CanonicalService, "reviews")
        .with(Fact::CanonicalRevision, "r1");
    let story = Story::new(INBOUND, &configuration);
    let id = story.open();
    story.host.set_attribute(&[DOWNSTREAM_PEER_KEY], metadata::encode(&peer).as_str());
    story.finish(id);
    let values = ["reviews-v1", "stars", "west", "reviews-app", "v1", "reviews", "r1"];
    assert_eq!(pick(&labels(&story, "requests_total").unwrap(), facts), values);
}

#[test]
fn what_cannot_be_followed_is_named_and_the_rest_is() {
    let story = request(
        r#"{"definitions": [{"name": "mine", "value": "v"}, {"name": "mine", "value": "w"}],
            "metrics": [{"dimensions": ["x"]}, {"name": "istio_requests_total"}, {"name": "other"}]}"#,
        &[],
    );
    let complaints = [
        "definitions[1].name: \"mine\" is defined twice; the first one counts",
        "metrics[0].dimensions: expected an object, found [\"x\"]; ignored",
        "metrics[1].name: there is no metric \"istio_requests_total\"; leave out \"istio_\"; ignored",
        "metrics[2].name: there is no metric \"other\"; ignored",
    ];
    assert_eq!(story.complaints(), complaints.map(|text| format!("istio-stats: configuration: {text}")));
    assert_eq!(labels(&story, "requests_total").unwrap().len(), 25);
}
