//! What a stream costs, counted exactly: hostcalls, those that return bytes,
//! and heap allocations, once its series exist. Each hostcall that returns bytes
//! takes Envoy 1–2 µs, so a change that adds one shall be seen.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unsafe_code,
    reason = "a test may fail that way; an allocator is unsafe by nature"
)]
#![allow(unreachable_pub, dead_code, reason = "shared with the native tests, which use more of it")]

#[path = "native/story.rs"]
mod story;
#[path = "native/usual.rs"]
mod usual;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use istio_stats::attribute::keys::DOWNSTREAM_PEER_KEY;
use istio_stats::host::fake::{FakeHost, Hostcall, Phase};
use istio_stats::host::{ExpressionToken, Host as _};
use istio_stats::peer::metadata;
use istio_stats::rules::expression::printed;
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;
use story::{Story, INBOUND, OUTBOUND};
use usual::{by_endpoint, by_exchange, to_a_service, Usual, USUAL};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting.
struct Counting;

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a callback did.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    /// Hostcalls of any kind.
    calls: usize,
    /// Those that returned bytes.
    returning: usize,
    /// Those that recorded a sample.
    records: usize,
}

const RECORDS: [Hostcall; 2] = [Hostcall::IncrementMetric, Hostcall::RecordMetric];
/// Never on a stream whose series exist.
const FORBIDDEN: [Hostcall; 6] = [
    Hostcall::DefineMetric,
    Hostcall::CreateExpression,
    Hostcall::SetTickPeriod,
    Hostcall::Enqueue,
    Hostcall::SharedData,
    Hostcall::Log,
];

fn cost_of(host: &FakeHost, run: impl FnOnce()) -> Cost {
    host.reset_calls();
    run();
    for call in FORBIDDEN {
        assert_eq!(host.calls(call), 0, "{call:?}");
    }
    Cost {
        calls: host.all_calls(),
        returning: host.calls_that_returned_bytes(),
        records: RECORDS.iter().map(|call| host.calls(*call)).sum(),
    }
}

/// Requests of one kind after which the plugin knows what they have.
const WARM_UP: usize = 17;
/// Requests that a list has to be common to.
const WINDOW: usize = 8;

/// The cost of a request's end, when many of its kind went before.
fn request(root_id: &str, configuration: &str, prepare: impl Fn(&Story)) -> Cost {
    let story = Story::new(root_id, configuration);
    let serve = || {
        let id = story.open();
        prepare(&story);
        story.host.enter_stream(id, Phase::Log);
        id
    };
    let finish = |id| {
        story.plugin.on_log(&story.host, id, istio_stats::attachment::Attachment::Http);
        story.plugin.on_close(id);
    };
    for _ in 0..WARM_UP {
        finish(serve());
    }
    let id = serve();
    cost_of(&story.host, || finish(id))
}

#[test]
fn a_usual_request_costs_one_read_and_its_samples() {
    // The list tells also that there is no TLS, no peer, no special route; identities of
    // the downstream connection are remembered.
    for Usual { name, root_id, configuration, records, prepare } in USUAL {
        let cost = request(root_id, configuration, prepare);
        assert_eq!(cost, Cost { calls: 1 + records, returning: 1, records }, "{name}");
    }
}

#[test]
fn an_expression_costs_one_read() {
    let labels =
        r#"{"metrics": [{"dimensions": {"method": "request.method", "peer": "upstream_peer.workload"}}]}"#;
    let method = |story: &Story| {
        by_exchange(story);
        story.host.set_expression(&printed("request.method"), "GET");
    };
    assert_eq!(request(OUTBOUND, labels, method), Cost { calls: 6, returning: 2, records: 4 });
}

#[test]
fn what_no_metric_shows_is_not_read() {
    let labels = r#"{"labels": ["source_cluster", "destination_cluster", "response_code"],
        "metrics": [{"name": "request_bytes", "drop": true}, {"name": "response_bytes", "drop": true}]}"#;
    // Code, duration and peer; too few for a list.
    assert_eq!(request(OUTBOUND, labels, by_exchange), Cost { calls: 6, returning: 4, records: 2 });
}

#[test]
fn a_grpc_request_between_others_costs_two_reads_more() {
    // The list is of what all have: neither status nor messages are in it.
    for root_id in [OUTBOUND, INBOUND] {
        let served = Cell::new(0);
        let every_other = |story: &Story| {
            by_exchange(story);
            served.set(served.get() + 1);
            if served.get() % 2 == 0 {
                story.grpc_messages(3, 2);
                story.host.set_attribute(&["response", "grpc_status"], 0i64);
            }
        };
        assert_eq!(request(root_id, "{}", every_other), Cost { calls: 9, returning: 3, records: 6 });
    }
}

#[test]
fn messages_that_no_metric_counts_are_not_read() {
    let dropped = r#"{"metrics": [{"name": "request_messages_total", "drop": true},
        {"name": "response_messages_total", "drop": true}], "labels": ["request_protocol", "response_code"]}"#;
    let grpc = |story: &Story| {
        by_exchange(story);
        story.grpc_messages(3, 2);
    };
    assert_eq!(request(OUTBOUND, dropped, grpc), Cost { calls: 5, returning: 1, records: 4 });
}

#[test]
fn the_list_follows_what_streams_have() {
    let story = Story::new(OUTBOUND, "{}");
    let evaluated = |answered: bool| {
        let id = story.open();
        by_exchange(&story);
        if !answered {
            story.host.remove_attribute(&["response", "code"]);
        }
        story.host.enter_stream(id, Phase::Log);
        story.host.reset_calls();
        story.plugin.on_log(&story.host, id, istio_stats::attachment::Attachment::Http);
        story.plugin.on_close(id);
        [Hostcall::CreateExpression, Hostcall::EvaluateExpression, Hostcall::Property]
            .map(|call| story.host.calls(call))
    };
    let many = |answered: bool| (0..WINDOW).map(|_| evaluated(answered)).collect::<Vec<_>>();
    // Nothing is known yet: all singly. The first also reads what is remembered.
    assert_eq!(many(true).split_off(1), [[0, 0, 10]; WINDOW - 1]);
    assert_eq!(evaluated(true), [1, 1, 0]);
    assert_eq!(evaluated(true), [0, 1, 0]);
    // Without a response the list fails, once: the next has no code.
    assert_eq!(evaluated(false), [0, 1, 10]);
    assert_eq!(evaluated(false), [1, 1, 1]);
    // The code comes back when it has been there for a while.
    assert_eq!(evaluated(true), [0, 1, 1]);
    many(true);
    many(true);
    assert_eq!(evaluated(true), [0, 1, 0]);
}

#[test]
fn a_logged_request_costs_what_a_filter_s_does() {
    let story = Story::new(OUTBOUND, r#"{"attachment": "http"}"#);
    let serve = || {
        let id = story.open_unseen();
        by_exchange(&story);
        story.host.enter_stream(id, Phase::Log);
    };
    for _ in 0..WARM_UP {
        serve();
        story.plugin.on_access_log(&story.host);
    }
    serve();
    let cost = cost_of(&story.host, || story.plugin.on_access_log(&story.host));
    assert_eq!(cost, Cost { calls: 5, returning: 1, records: 4 });
}

/// The cost of a report on an open connection, the last of many, and of its end.
fn connection(root_id: &str, prepare: impl Fn(&Story)) -> [Cost; 2] {
    let story = Story::new(root_id, r#"{"attachment": "tcp"}"#);
    let id = story.connect();
    prepare(&story);
    let transfer = |bytes| {
        story.transferred(bytes, bytes);
        story.host.enter_stream(id, Phase::Log);
    };
    for bytes in 1..6 {
        transfer(bytes);
        story.tick();
    }
    transfer(6);
    let open = cost_of(&story.host, || story.tick());
    transfer(7);
    // Another one has had all the metrics of an end.
    let other = story.connect();
    prepare(&story);
    story.transferred(1, 1);
    story.disconnect(other, 0);
    story.tick();
    story.host.enter_stream(id, Phase::Log);
    transfer(8);
    let tcp = istio_stats::attachment::Attachment::Tcp;
    [open, cost_of(&story.host, || story.plugin.on_log(&story.host, id, tcp))]
}

#[test]
fn an_open_connection_costs_two_reads_a_period_and_its_end_three() {
    // The context that is made effective, and what passed; in the end the flags, too. A peer
    // that told nothing before all that is asked no more.
    let kinds =
        [("exchange", by_exchange as fn(&Story)), ("endpoint", by_endpoint), ("nobody", to_a_service)];
    for root_id in [OUTBOUND, INBOUND] {
        for (name, prepare) in kinds {
            let [open, end] = connection(root_id, prepare);
            assert_eq!(open, Cost { calls: 5, returning: 2, records: 2 }, "{root_id}, {name}");
            assert_eq!(end, Cost { calls: 7, returning: 3, records: 4 }, "{root_id}, {name}");
        }
    }
}

#[test]
fn a_connection_that_an_access_logger_hears_of_is_read_once() {
    let story = Story::new(OUTBOUND, r#"{"attachment": "tcp"}"#);
    let close = || {
        let id = story.connect_unseen();
        by_exchange(&story);
        story.transferred(5, 7);
        story.host.set_attribute(&["request", "duration"], 12_345_678i64);
        story.host.enter_stream(id, Phase::Log);
    };
    for _ in 0..4 {
        close();
        story.plugin.on_access_log(&story.host);
        story.tick();
    }
    close();
    story.plugin.on_access_log(&story.host);
    close();
    let cost = cost_of(&story.host, || story.plugin.on_access_log(&story.host));
    // The name of the upstream cluster, the peer, what passed, how long, the flags. In vain:
    // whether it is HTTP's, has TLS, or frames of the exchange.
    assert_eq!(cost, Cost { calls: 16, returning: 6, records: 5 });
}

#[test]
fn a_report_on_an_open_grpc_stream_costs_one_read() {
    for root_id in [OUTBOUND, INBOUND] {
        let story = Story::new(root_id, "{}");
        let id = story.open();
        by_exchange(&story);
        story.host.enter_stream(id, Phase::ResponseHeaders);
        for messages in 1..4 {
            story.grpc_messages(messages, messages);
            story.tick();
        }
        story.grpc_messages(4, 4);
        let cost = cost_of(&story.host, || story.tick());
        // The context that is made effective, too.
        assert_eq!(cost, Cost { calls: 4, returning: 1, records: 2 }, "{root_id}");
    }
}

#[test]
fn opening_a_stream_costs_no_hostcall() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open_unseen();
    let http = istio_stats::attachment::Attachment::Http;
    assert_eq!(cost_of(&story.host, || story.plugin.on_open(&story.host, id, http)).calls, 0);
}

/// What `make soak` sends in a second, between two reports, to a proxy with an expression:
/// how many requests are known again.
#[test]
fn most_of_the_soak_s_requests_are_known_again() {
    let configuration =
        r#"{"attachment": "http", "metrics": [{"dimensions": {"method": "request.method"}}]}"#;
    // Requests in all; of those, one in so many is gRPC, and one from a pod that nobody met before.
    for (root_id, requests, grpc, new_pods, known) in
        [(OUTBOUND, 152, 9, 1000, 132), (INBOUND, 172, 10, 9, 134)]
    {
        let story = Story::new(root_id, configuration);
        story.host.set_expression(&printed("request.method"), "GET");
        let pods = Cell::new(0);
        let new_pod = |story: &Story| {
            by_exchange(story);
            pods.set(pods.get() + 1);
            let pod =
                Workload::default().with(Fact::Workload, "peer").with(Fact::Name, &pods.get().to_string());
            let pod = metadata::encode(&pod);
            story.host.set_attribute(&["filter_state", &format!("wasm.{DOWNSTREAM_PEER_KEY}")], pod.as_str());
        };
        let call = |story: &Story| {
            by_exchange(story);
            story.grpc_messages(1, 1);
            story.host.set_attribute(&["response", "grpc_status"], 0i64);
        };
        let second = || {
            let request = |number: usize| match number {
                _ if number % grpc == 1 => allocations_of(&story, &call),
                _ if number % new_pods == 5 => allocations_of(&story, &new_pod),
                _ => allocations_of(&story, &by_exchange),
            };
            let all: Vec<_> = (0..requests).map(request).collect();
            // Nothing takes less than what is known again; the first, after a report, is not.
            let least = all.iter().min().copied().unwrap();
            assert!(all[0] > least, "{root_id}: {} {least}", all[0]);
            story.tick();
            all.iter().filter(|allocations| **allocations == least).count()
        };
        second();
        // Of one kind in each second the first is not, where a report came in between.
        assert_eq!((0..4).map(|_| second()).min(), Some(known), "{root_id}");
    }
}

/// Allocations of a request's end.
fn allocations_of(story: &Story, prepare: &dyn Fn(&Story)) -> usize {
    let id = story.open();
    prepare(story);
    story.host.enter_stream(id, Phase::Log);
    let before = ALLOCATIONS.with(Cell::get);
    story.plugin.on_log(&story.host, id, istio_stats::attachment::Attachment::Http);
    let after = ALLOCATIONS.with(Cell::get);
    story.plugin.on_close(id);
    story.host.close_stream(id);
    after - before
}

#[test]
fn a_request_like_one_before_costs_no_allocation() {
    for Usual { name, root_id, configuration, prepare, .. } in USUAL {
        let story = Story::new(root_id, configuration);
        let allocations = |run: &dyn Fn(u32)| {
            let id = story.open();
            prepare(&story);
            story.host.enter_stream(id, Phase::Log);
            let before = ALLOCATIONS.with(Cell::get);
            run(id);
            let after = ALLOCATIONS.with(Cell::get);
            story.plugin.on_close(id);
            after - before
        };
        let log = |id| story.plugin.on_log(&story.host, id, istio_stats::attachment::Attachment::Http);
        for _ in 0..WARM_UP {
            allocations(&log);
        }
        let again = allocations(&log);
        // The fake host's own: the plugin has one list, and the last is its.
        let tokens: Vec<_> = (0..WINDOW as u32).map(ExpressionToken).collect();
        let list = tokens.into_iter().rfind(|token| story.host.evaluate_expression(*token).is_ok()).unwrap();
        assert_eq!(again, allocations(&|_| drop(story.host.evaluate_expression(list))), "{name}");
        // What is remembered is forgotten with each report.
        story.tick();
        assert!(allocations(&log) > again, "{name}");
    }
}

/// Allocations of the plugin itself: those of the fake host are counted aside, by
/// what differs between 3 labels and 25.
#[test]
fn allocations_do_not_grow_with_the_labels() {
    let few = r#"{"labels": ["reporter", "response_code", "response_flags", "destination_service_name",
        "destination_workload", "request_protocol", "source_principal", "destination_principal"]}"#;
    let allocations = |configuration: &str| {
        let story = Story::new(OUTBOUND, configuration);
        let mut last = 0;
        for _ in 0..3 {
            let id = story.open();
            by_exchange(&story);
            story.host.enter_stream(id, Phase::Log);
            let before = ALLOCATIONS.with(Cell::get);
            story.plugin.on_log(&story.host, id, istio_stats::attachment::Attachment::Http);
            last = ALLOCATIONS.with(Cell::get) - before;
            story.plugin.on_close(id);
        }
        last
    };
    assert_eq!(allocations("{}"), allocations(few));
}
