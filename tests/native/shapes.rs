//! Hosts that know labels have to be told of each metric, with the names of its
//! labels, while they configure: what is defined later was announced.

use istio_stats::attachment::Attachment;
use istio_stats::attribute::keys::UPSTREAM_PEER_KEY;
use istio_stats::host::fake::FakeHost;
use istio_stats::host::metric_name::MetricName;
use istio_stats::host::MetricKind;
use istio_stats::rules::expression::{printed, whole};

use crate::story::{Story, OUTBOUND};

/// A metric's kind, name and labels.
type Shape = (MetricKind, String, Vec<String>);

fn defined(story: &Story) -> Vec<Shape> {
    let shape = |(kind, stat_name): (MetricKind, String)| {
        let name = MetricName::of(&stat_name);
        let labels = name.labels().map(|(label, _)| label.to_owned()).collect();
        (kind, name.name().to_owned(), labels)
    };
    story.host.stat_names().into_iter().map(shape).collect()
}

#[test]
fn every_metric_that_a_stream_defines_was_announced() {
    let configuration = r#"{
        "max_series": 6,
        "labels": ["reporter", "response_code", "destination_cluster"],
        "metric_prefix": "mesh_",
        "definitions": [{"name": "mine", "value": "n"}],
        "metrics": [
            {"name": "mine", "dimensions": {"reporter": "a"}},
            {"match": "sometimes", "dimensions": {"zone": "a"}},
            {"name": "request_bytes", "tags_to_remove": ["response_code"]}
        ]}"#;
    let host = FakeHost::new();
    host.set_expression(&printed("a"), "x");
    host.set_expression(&whole("n"), 3i64);
    host.set_expression("sometimes", true);
    let story = Story::of_web(host, OUTBOUND, configuration);
    let announced = |attachment| -> Vec<_> {
        let metrics = story.plugin.metrics(Some(attachment));
        metrics.into_iter().map(|shape| (shape.kind, shape.name, shape.labels)).collect()
    };
    let (of_http, of_tcp) = (announced(Attachment::Http), announced(Attachment::Tcp));
    let all = story.plugin.metrics(None).len();
    assert!(of_http.len() < all && of_tcp.len() < all);
    let at_first = defined(&story);
    for n in 0..12i64 {
        let id = story.open();
        story.host.set_expression("sometimes", n % 2 == 0);
        story.host.set_attribute(&["response", "code"], 200 + n);
        story.host.set_attribute(&[UPSTREAM_PEER_KEY], "no peer at all");
        story.grpc_messages(3, 2);
        story.finish(id);
    }
    let by_requests = defined(&story);
    let connection = story.connect();
    story.transferred(1, 2);
    story.disconnect(connection, 0);
    let mut later = defined(&story);
    later.retain(|shape| !at_first.contains(shape));
    for name in
        ["mesh_mine", "mesh_requests_total", "mesh_tcp_sent_bytes_total", "mesh_request_messages_total"]
    {
        assert!(later.iter().any(|(_, known, _)| known == name), "{name} in {later:#?}");
    }
    for name in ["istio_stats_series_overflow_total", "istio_stats_peer_decode_errors_total"] {
        assert!(later.iter().any(|(_, known, _)| known == name), "{name} in {later:#?}");
    }
    let with_zone = |(_, _, labels): &Shape| labels.iter().any(|label| label == "zone");
    assert!(later.iter().any(with_zone) && !later.iter().all(with_zone));
    later.retain(|shape| {
        let announced = if by_requests.contains(shape) { &of_http } else { &of_tcp };
        !announced.contains(shape)
    });
    assert_eq!(later, [], "of {of_http:#?} and {of_tcp:#?}");
}
