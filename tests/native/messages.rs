//! gRPC: how it is told from other HTTP, and its messages while the stream is open.

use istio_stats::host::fake::{Phase, Value};
use istio_stats::host::HeaderMap;

use crate::story::{pick, Story, INBOUND, OUTBOUND, SERVICE};

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
fn a_client_that_leaves_is_code_0_and_has_no_grpc_status() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open();
    story.grpc_messages(1, 0);
    story.host.remove_attribute(&["response", "code"]);
    story.host.remove_attribute(&["request", "duration"]);
    story.host.set_attribute(&["response", "flags"], 0x4000i64);
    story.finish(id);
    let names = ["response_code", "response_flags", "grpc_response_status"];
    assert_eq!(pick(&story.request_labels(), names), ["0", "DC", ""]);
    assert_eq!(story.series("request_duration_milliseconds"), []);
    assert_eq!(story.series("request_bytes").len(), 1);
}

#[test]
fn the_grpc_status_is_the_one_that_was_sent() {
    for (code, headers, trailers, status) in [
        // Trailers win, of a response of headers alone they are the headers.
        (200i64, None, Some("0"), "0"),
        (200, Some("5"), None, "5"),
        (200, None, Some("2"), "2"),
        (200, Some("2"), None, "2"),
        // It broke off after the headers: Envoy says 2.
        (200, None, None, ""),
        // An error of HTTP's stands for one of gRPC's.
        (503, None, None, "14"),
        (500, None, None, "2"),
    ] {
        let story = Story::new(OUTBOUND, "{}");
        let id = story.open();
        story.grpc_messages(1, 0);
        story.host.set_attribute(&["response", "code"], code);
        if let Some(sent) = headers {
            story.host.set_header_to(HeaderMap::Response, "grpc-status", sent);
        }
        if let Some(sent) = trailers {
            story.host.set_attribute(&["response", "trailers", "grpc-status"], sent);
        }
        story.finish(id);
        assert_eq!(pick(&story.request_labels(), ["grpc_response_status"]), [status], "{code} {headers:?}");
    }
}

#[test]
fn who_spoke_json_got_no_grpc_status_but_the_one_that_was_sent() {
    for (code, headers, status) in [
        // Of NOT_FOUND the transcoder made a 404, of which Envoy makes UNIMPLEMENTED.
        (404i64, None, ""),
        (503, None, ""),
        (404, Some("5"), "5"),
    ] {
        let story = Story::new(OUTBOUND, "{}");
        let id = story.open();
        story.grpc_messages(1, 0);
        story.host.set_attribute(&["response", "code"], code);
        story.host.set_header_to(HeaderMap::Request, "x-envoy-original-method", "GET");
        if let Some(sent) = headers {
            story.host.set_header_to(HeaderMap::Response, "grpc-status", sent);
        }
        story.finish(id);
        assert_eq!(pick(&story.request_labels(), ["grpc_response_status"]), [status], "{code} {headers:?}");
    }
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
    story.host.set_attribute(&["xds", "cluster_name"], "outbound|80||reviews");
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
fn a_stream_that_was_reported_on_is_not_taken_for_one_like_it() {
    let story = Story::new(INBOUND, r#"{"attachment": "http"}"#);
    let open = || {
        let id = story.open();
        story.grpc_messages(5, 5);
        story.host.set_attribute(&["response", "grpc_status"], 0i64);
        story.host.set_attribute(&["connection", "id"], 7i64);
        id
    };
    let serve = |calls: usize| (0..calls).for_each(|_| story.finish(open()));
    // As many as it takes to be known again, also after the report.
    serve(20);
    story.tick();
    let reported = open();
    story.host.enter_stream(reported, Phase::ResponseHeaders);
    story.tick();
    serve(20);
    story.finish(reported);
    story.tick();
    let sum = |metric| story.series(metric).iter().map(|(_, count)| *count).sum::<u64>();
    assert_eq!([sum("request_messages_total"), sum("response_messages_total")], [5 * 41; 2]);
}
