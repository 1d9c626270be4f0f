//! A clock that jumps: reports go on, nothing is lost, and no duration is absurd.

use core::time::Duration;

use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, NO_PEER};
use istio_stats::host::fake::FakeHost;
use istio_stats::host::Host;

use crate::story::{Story, INBOUND};

const MINUTE: Duration = Duration::from_secs(60);
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

type Jump = fn(&FakeHost);
const JUMPS: [(&str, Jump); 3] = [
    ("back", |host| host.go_back(MINUTE)),
    ("forward", |host| host.advance(MINUTE)),
    ("a century forward", |host| host.advance(CENTURY)),
];

fn total(story: &Story, metric: &str) -> u64 {
    story.series(metric).iter().map(|(_, count)| count).sum()
}

#[test]
fn open_connections_are_reported_with_the_next_tick() {
    for (name, jump) in JUMPS {
        let story = Story::new(INBOUND, "{}");
        let id = story.connect();
        story.host.set_property(DOWNSTREAM_PEER_KEY, NO_PEER).unwrap();
        story.transferred(100, 1);
        story.tick();
        jump(&story.host);
        for bytes in [200, 300] {
            story.transferred(bytes, 1);
            story.tick();
            assert_eq!(total(&story, "tcp_received_bytes_total"), bytes as u64, "{name}");
        }
        story.disconnect(id, 0);
        assert_eq!(total(&story, "tcp_connections_closed_total"), 1, "{name}");
    }
}

#[test]
fn series_are_defined_over_a_jump() {
    for (name, jump) in JUMPS {
        let main = Story::of_web(FakeHost::new().with_queues(), INBOUND, "{}");
        let worker = main.another_vm();
        worker.serve();
        jump(&main.host);
        main.tick();
        jump(&main.host);
        worker.tick();
        assert_eq!(total(&worker, "requests_total"), 1, "{name}");
    }
}

#[test]
fn a_connection_over_a_step_back_lasted_no_time() {
    let story = Story::new(INBOUND, "{}");
    let id = story.connect();
    story.host.go_back(MINUTE);
    story.disconnect(id, 0);
    assert_eq!(story.samples("tcp_connection_duration_milliseconds"), [0]);
}
