//! What the stats plugin records for TCP: every byte, once, under the right peer.

use core::time::Duration;

use istio_stats::attribute::keys::{
    DOWNSTREAM_PEER_KEY, FRAME_BEGUN_KEY, NO_PEER, RECEIVED_FRAME_BYTES_KEY, SENT_FRAME_BYTES_KEY,
    UPSTREAM_PEER_KEY,
};
use istio_stats::host::fake::{Hostcall, Phase};
use istio_stats::host::Host;
use istio_stats::peer::metadata;
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;

use crate::story::{pick, Story, INBOUND, OUTBOUND};

/// The tick of whoever has something left to do.
const SOON: Duration = Duration::from_millis(4);

const COUNTERS: [&str; 4] = [
    "tcp_connections_opened_total",
    "tcp_connections_closed_total",
    "tcp_received_bytes_total",
    "tcp_sent_bytes_total",
];

/// Sums of opened, closed, received, sent.
fn totals(story: &Story) -> [u64; 4] {
    COUNTERS.map(|metric| story.series(metric).iter().map(|(_, count)| count).sum())
}

fn reviews() -> String {
    metadata::encode(&Workload::default().with(Fact::Workload, "reviews-v1").with(Fact::ClusterId, "west"))
}

#[test]
fn a_short_connection_is_reported_at_its_end() {
    let story = Story::new(INBOUND, "{}");
    let id = story.connect();
    story.host.advance(Duration::from_millis(1234));
    story.transferred(6, 12);
    story.disconnect(id, 0);
    assert_eq!(totals(&story), [1, 1, 6, 12]);
    for metric in COUNTERS {
        let [(labels, _)] = &story.series(metric)[..] else { panic!("{metric}") };
        assert_eq!(labels.len(), 23);
        let names = [
            "reporter",
            "request_protocol",
            "response_flags",
            "connection_security_policy",
            "destination_workload",
            "destination_service",
            "destination_service_name",
            "destination_service_namespace",
            "source_cluster",
        ];
        let values =
            ["destination", "tcp", "-", "none", "web", "web-canonical", "web-canonical", "shop", "unknown"];
        assert_eq!(pick(labels, names), values, "{metric}");
    }
    let names = story.host.stat_names();
    let (_, duration) =
        names.iter().find(|(_, name)| name.ends_with("istio_tcp_connection_duration_milliseconds")).unwrap();
    assert_eq!(story.host.histogram(duration), Some(vec![1234]));
}

#[test]
fn bytes_are_reported_while_the_connection_is_open() {
    let story = Story::new(INBOUND, "{}");
    let id = story.connect();
    story.host.set_property(DOWNSTREAM_PEER_KEY, NO_PEER).unwrap();
    story.transferred(100, 1000);
    story.tick();
    assert_eq!(totals(&story), [1, 0, 100, 1000]);
    story.tick();
    assert_eq!(totals(&story), [1, 0, 100, 1000]);
    story.transferred(150, 1000);
    story.tick();
    assert_eq!(totals(&story), [1, 0, 150, 1000]);
    story.transferred(151, 1007);
    story.disconnect(id, 0);
    assert_eq!(totals(&story), [1, 1, 151, 1007]);
}

#[test]
fn a_report_on_many_connections_is_made_in_portions() {
    let story = Story::new(INBOUND, "{}");
    for _ in 0..40 {
        story.connect();
        story.host.set_property(DOWNSTREAM_PEER_KEY, NO_PEER).unwrap();
        story.transferred(10, 20);
    }
    story.host.slow_down(Hostcall::SetEffectiveContext, Duration::from_micros(100));
    let period = story.host.tick_period();
    for reported in [16, 32, 40] {
        let begin = story.host.now();
        story.tick();
        let took = story.host.now() - begin - if reported == 16 { period.unwrap() } else { SOON };
        assert!(took < Duration::from_millis(2), "{took:?}: requests wait meanwhile");
        assert_eq!(totals(&story), [reported, 0, 10 * reported, 20 * reported]);
        assert_eq!(story.host.tick_period(), if reported == 40 { period } else { Some(SOON) });
    }
    // Each is reported on once in a period.
    story.host.reset_calls();
    for _ in 0..3 {
        story.tick();
    }
    assert_eq!(story.host.calls(Hostcall::SetEffectiveContext), 40);
}

#[test]
fn a_pending_peer_holds_reports_back_for_two_periods_only() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.connect();
    story.transferred(10, 0);
    story.tick();
    story.tick();
    assert_eq!(totals(&story), [0; 4]);
    story.tick();
    assert_eq!(totals(&story), [1, 0, 10, 0]);
    story.transferred(11, 0);
    story.tick();
    assert_eq!(totals(&story), [1, 0, 11, 0]);

    // Learnt later, before the upstream sent anything: what comes from now on is the peer's.
    story.host.set_property(UPSTREAM_PEER_KEY, reviews().as_bytes()).unwrap();
    story.transferred(111, 0);
    story.tick();
    story.transferred(111, 30);
    story.disconnect(id, 0);
    let mut received: Vec<_> = story
        .series("tcp_received_bytes_total")
        .into_iter()
        .map(|(labels, count)| (labels["destination_cluster"].clone(), count))
        .collect();
    received.sort();
    assert_eq!(received, [("unknown".to_owned(), 11), ("west".to_owned(), 100)]);
    assert_eq!(totals(&story), [1, 1, 111, 30]);
}

#[test]
fn who_told_nothing_before_data_passed_both_ways_is_asked_no_more() {
    let reads_of_a_report = |sent: i64| {
        let story = Story::new(OUTBOUND, "{}");
        let id = story.connect();
        for bytes in 1..6 {
            story.transferred(bytes, bytes.min(sent));
            story.host.enter_stream(id, Phase::Log);
            story.host.reset_calls();
            story.tick();
        }
        assert!(totals(&story)[2] == 5);
        story.host.calls(Hostcall::Property)
    };
    assert_eq!(reads_of_a_report(5), 2);
    // The server may still answer.
    assert!(reads_of_a_report(0) > 5);
}

#[test]
fn endpoint_metadata_stands_in_for_a_peer_that_is_pending() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.connect();
    let endpoint = ["xds", "upstream_host_metadata", "filter_metadata", "istio", "workload"];
    story.host.set_attribute(&endpoint, "reviews-v2;shop;reviews;v2;north");
    story.transferred(1, 1);
    story.tick();
    assert_eq!(totals(&story), [0; 4], "the peer itself may know better");
    story.disconnect(id, 0);
    let labels = &story.series("tcp_received_bytes_total")[0].0;
    assert_eq!(pick(labels, ["destination_cluster", "destination_workload"]), ["north", "reviews-v2"]);
}

#[test]
fn the_frames_of_the_exchange_are_nobodys_bytes() {
    let story = Story::new(INBOUND, "{}");
    let id = story.connect();
    // Half a frame came, and for long no more.
    story.host.set_property(FRAME_BEGUN_KEY, b"1").unwrap();
    story.transferred(150, 0);
    for _ in 0..4 {
        story.tick();
    }
    assert_eq!(totals(&story), [1, 0, 0, 0]);
    story.host.set_property(RECEIVED_FRAME_BYTES_KEY, b"300").unwrap();
    story.host.set_property(DOWNSTREAM_PEER_KEY, reviews().as_bytes()).unwrap();
    story.transferred(306, 0);
    story.tick();
    assert_eq!(totals(&story), [1, 0, 6, 0]);
    story.host.set_property(SENT_FRAME_BYTES_KEY, b"400").unwrap();
    story.transferred(306, 412);
    story.tick();
    assert_eq!(totals(&story), [1, 0, 6, 12]);
    story.disconnect(id, 0);
    assert_eq!(totals(&story), [1, 1, 6, 12]);
}

#[test]
fn a_frame_that_comes_after_the_servers_first_words_is_nobodys_either() {
    let story = Story::new(INBOUND, "{}");
    let id = story.connect();
    story.transferred(0, 20);
    for _ in 0..3 {
        story.tick();
    }
    assert_eq!(totals(&story), [1, 0, 0, 20]);
    story.host.set_property(RECEIVED_FRAME_BYTES_KEY, b"300").unwrap();
    story.host.set_property(DOWNSTREAM_PEER_KEY, reviews().as_bytes()).unwrap();
    story.transferred(306, 20);
    story.disconnect(id, 0);
    assert_eq!(totals(&story), [1, 1, 6, 20]);
}

#[test]
fn what_looked_like_a_frame_and_was_none_counts() {
    let story = Story::new(INBOUND, "{}");
    let id = story.connect();
    story.host.set_property(FRAME_BEGUN_KEY, b"1").unwrap();
    story.transferred(3, 0);
    story.tick();
    story.host.set_property(DOWNSTREAM_PEER_KEY, NO_PEER).unwrap();
    story.transferred(5, 0);
    story.disconnect(id, 0);
    assert_eq!(totals(&story), [1, 1, 5, 0]);
}

#[test]
fn a_refused_connection_is_opened_closed_and_flagged() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.connect();
    story.disconnect(id, 0x8020);
    assert_eq!(totals(&story), [1, 1, 0, 0]);
    assert_eq!(story.series("tcp_sent_bytes_total"), [], "nothing was sent");
    let labels = &story.series("tcp_connections_closed_total")[0].0;
    assert_eq!(pick(labels, ["response_flags", "connection_security_policy"]), ["UF,URX", "unknown"]);
}

#[test]
fn an_idle_connection_is_opened_once_and_its_tls_is_read_when_it_is_there() {
    let story = Story::new(INBOUND, "{}");
    let id = story.connect();
    story.host.set_attribute(&["xds", "cluster_name"], "inbound|5432||");
    for _ in 0..5 {
        story.tick();
    }
    assert_eq!(totals(&story), [1, 0, 0, 0]);
    story.host.set_attribute(&["connection", "mtls"], true);
    story.transferred(5, 5);
    story.tick();
    let labels = &story.series("tcp_received_bytes_total")[0].0;
    assert_eq!(pick(labels, ["connection_security_policy"]), ["mutual_tls"]);
    story.disconnect(id, 0);
    assert_eq!(totals(&story), [1, 1, 5, 5]);
}

/// Istio puts network plugins in front of HTTP connection managers, too.
#[test]
fn a_connection_with_http_is_not_counted() {
    let story = Story::new(INBOUND, "{}");
    let id = story.connect();
    story.tick();
    // It shows with the first byte.
    story.host.set_attribute(&["request", "protocol"], "HTTP/1.1");
    story.transferred(300, 400);
    for _ in 0..3 {
        story.tick();
    }
    story.host.reset_calls();
    story.tick();
    assert_eq!(story.host.calls(Hostcall::Property), 0, "nothing is read again");
    story.disconnect(id, 0);
    assert_eq!(totals(&story), [0; 4]);
}

#[test]
fn a_connection_that_no_tcp_proxy_serves_counts_from_its_first_byte_on() {
    let story = Story::new(INBOUND, "{}");
    let id = story.connect();
    story.host.set_property(DOWNSTREAM_PEER_KEY, NO_PEER).unwrap();
    story.tick();
    assert_eq!(totals(&story), [0; 4], "it may become HTTP");
    story.transferred(3, 4);
    story.tick();
    assert_eq!(totals(&story), [1, 0, 3, 4]);
    story.disconnect(id, 0);
    assert_eq!(totals(&story), [1, 1, 3, 4]);
}

#[test]
fn without_a_period_everything_is_reported_at_the_end() {
    let story = Story::new(INBOUND, r#"{"tcp_reporting_duration": "0s"}"#);
    let id = story.connect();
    story.transferred(7, 8);
    story.disconnect(id, 0);
    assert_eq!(totals(&story), [1, 1, 7, 8]);
}

#[test]
fn an_open_connection_costs_three_reads_of_bytes_a_period() {
    let story = Story::new(INBOUND, "{}");
    story.connect();
    for (period, told) in [false, false, false, false, true, true, true].into_iter().enumerate() {
        if told && period == 4 {
            story.host.set_property(DOWNSTREAM_PEER_KEY, reviews().as_bytes()).unwrap();
        }
        story.transferred(i64::try_from(period).unwrap() + 1, 0);
        story.host.reset_calls();
        story.tick();
        // The periods in which the labels are read are not counted here.
        if [3, 5, 6].contains(&period) {
            assert_eq!(story.host.calls_that_returned_bytes(), 3, "period {period}");
        }
    }
    story.host.reset_calls();
    story.tick();
    assert_eq!(story.host.calls_that_returned_bytes(), 2, "no news, no flags");
}

#[test]
fn sizes_of_frames_and_flags_are_read_until_the_server_answered() {
    let story = Story::new(INBOUND, "{}");
    story.connect();
    for key in [RECEIVED_FRAME_BYTES_KEY, SENT_FRAME_BYTES_KEY] {
        story.host.set_property(key, b"300").unwrap();
    }
    story.host.set_property(DOWNSTREAM_PEER_KEY, reviews().as_bytes()).unwrap();
    let reads = |received, sent| {
        story.transferred(received, sent);
        story.host.reset_calls();
        story.tick();
        story.host.calls_that_returned_bytes()
    };
    reads(301, 0);
    let unanswered = reads(302, 0);
    reads(303, 301);
    // Neither they nor flags.
    assert_eq!(reads(304, 302) + 3, unanswered);
    assert_eq!(totals(&story), [1, 0, 4, 2]);
}
