//! What the stats plugin records of streams that are never logged: those over HTTP/3.

use istio_stats::attachment::Attachment;
use istio_stats::host::fake::Phase;

use crate::story::{pick, Story, INBOUND, OUTBOUND};

/// Opens a request over HTTP/3.
fn open(story: &Story) -> u32 {
    let id = story.open();
    story.host.set_attribute(&["request", "protocol"], "HTTP/3");
    // Envoy derives it from the HTTP status where no header or trailer can tell.
    story.host.set_attribute(&["response", "grpc_status"], 2i64);
    id
}

#[test]
fn a_request_is_counted_when_it_goes_without_what_headers_tell() {
    let story = Story::new(OUTBOUND, "{}");
    for _ in 0..30 {
        let id = open(&story);
        // Bodies: the headers are no part of the sizes any more.
        story.transferred(20, 300);
        story.vanish(id);
    }
    let [(labels, 30)] = &story.series("requests_total")[..] else {
        panic!("{:#?}", story.series("requests_total"));
    };
    let names = ["response_code", "request_protocol", "grpc_response_status", "destination_service"];
    assert_eq!(pick(labels, names), ["200", "http", "", "unknown"]);
    assert_eq!(story.samples("request_duration_milliseconds"), [12; 30]);
    assert_eq!(story.samples("request_bytes"), [20; 30]);
    assert_eq!(story.samples("response_bytes"), [300; 30]);
    assert_eq!(story.complaints(), [""; 0]);
}

#[test]
fn a_host_that_was_kept_names_the_service() {
    let story = Story::new(OUTBOUND, "{}");
    let id = open(&story);
    story.host.set_attribute(&["filter_state", "istio_stats.request_host"], "web.example.com");
    story.vanish(id);
    assert_eq!(story.request_labels()["destination_service"], "web.example.com");
}

#[test]
fn messages_tell_grpc_and_are_counted_once_and_the_status_is_left_open() {
    let story = Story::new(INBOUND, "{}");
    let id = open(&story);
    story.grpc_messages(3, 1);
    story.host.enter_stream(id, Phase::ResponseHeaders);
    story.tick();
    let counts = |story: &Story| {
        ["request_messages_total", "response_messages_total"]
            .map(|metric| story.series(metric).iter().map(|(_, count)| count).sum::<u64>())
    };
    assert_eq!(counts(&story), [3, 1]);
    story.host.enter_stream(id, Phase::ResponseHeaders);
    story.grpc_messages(5, 2);
    story.vanish(id);
    assert_eq!(counts(&story), [5, 2]);
    assert_eq!(story.series("request_messages_total").len(), 1);
    let labels = story.request_labels();
    assert_eq!(pick(&labels, ["request_protocol", "grpc_response_status"]), ["grpc", ""]);
}

#[test]
fn without_reports_on_open_streams_it_is_the_same() {
    let story = Story::new(INBOUND, r#"{"tcp_reporting_duration": "0s"}"#);
    let id = open(&story);
    story.vanish(id);
    assert_eq!(story.series("requests_total").len(), 1);
}

#[test]
fn what_goes_without_a_log_elsewhere_is_not_counted() {
    let story = Story::new(INBOUND, "{}");
    // A try of a request, seen by an upstream filter.
    let id = story.open();
    story.vanish(id);
    let id = story.connect();
    story.transferred(10, 10);
    story.host.enter_stream(id, Phase::Delete);
    story.plugin.on_unlogged(&story.host, id, Attachment::Tcp);
    story.plugin.on_close(id);
    assert!(story.series("requests_total").is_empty());
    assert!(story.series("tcp_connections_opened_total").is_empty());
}
