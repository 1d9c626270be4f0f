//! The plugin as an access logger: it hears of a stream when it is over.

use istio_stats::host::fake::Phase;

use crate::story::{Story, INBOUND};

#[test]
fn a_logged_request_is_reported_as_a_filter_reports_it() {
    let [filter, logger] = [(); 2].map(|()| Story::new(INBOUND, "{}"));
    filter.serve();
    let id = logger.open_unseen();
    logger.host.enter_stream(id, Phase::Log);
    logger.plugin.on_access_log(&logger.host);
    for metric in ["requests_total", "request_duration_milliseconds", "request_bytes", "response_bytes"] {
        assert_eq!(logger.series(metric), filter.series(metric), "{metric}");
    }
    assert_eq!(logger.series("requests_total")[0].1, 1);
}

#[test]
fn a_logged_connection_is_opened_closed_and_has_its_bytes_and_duration() {
    let story = Story::new(INBOUND, "{}");
    let id = story.host.open_stream();
    story.host.set_attribute(&["response", "flags"], 0i64);
    story.host.set_attribute(&["request", "duration"], 1_234_567_890i64);
    story.transferred(60, 120);
    story.host.enter_stream(id, Phase::Log);
    story.plugin.on_access_log(&story.host);
    let count = |metric| story.series(metric).iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!(count("tcp_connections_opened_total"), 1);
    assert_eq!(count("tcp_connections_closed_total"), 1);
    assert_eq!(count("tcp_received_bytes_total"), 60);
    assert_eq!(count("tcp_sent_bytes_total"), 120);
    assert_eq!(story.samples("tcp_connection_duration_milliseconds"), [1234]);
}
