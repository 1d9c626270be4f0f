//! New series are defined by a VM without streams, and no sample is lost.

use std::time::{Duration, Instant};

use istio_stats::host::fake::{FakeHost, Hostcall, Phase};
use istio_stats::host::{Host, HostError};
use istio_stats::rules::expression::whole;

use crate::story::{Story, INBOUND};

const DEFINING: &str = "istio_stats.defining";
const PERIOD: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(20);
const RARE: Duration = Duration::from_millis(500);
const QUIET: Duration = Duration::from_secs(30);
const WAITING: Duration = Duration::from_millis(4);
/// Ticks of a worker after which it serves the requests itself.
const PATIENCE: u32 = 500;

/// The main thread's VM and two workers.
fn process(configuration: &str) -> (Story, [Story; 2]) {
    let main = Story::of_web(FakeHost::new().with_queues(), INBOUND, configuration);
    let workers = [main.another_vm(), main.another_vm()];
    (main, workers)
}

fn requests(story: &Story) -> u64 {
    story.series("requests_total").iter().map(|(_, count)| count).sum()
}

fn durations(story: &Story) -> u64 {
    story.series("request_duration_milliseconds").iter().map(|(_, count)| count).sum()
}

#[test]
fn a_new_series_is_defined_by_the_main_thread_and_counts_everything() {
    let (main, [one, other]) = process("{}");
    for worker in [&one, &other] {
        worker.host.reset_calls();
        for _ in 0..3 {
            worker.serve();
        }
        assert_eq!(worker.host.calls(Hostcall::DefineMetric), 0);
        assert_eq!(worker.host.calls(Hostcall::Enqueue), 1);
        // Too early: nobody has defined it.
        worker.tick();
        assert_eq!(worker.host.calls(Hostcall::DefineMetric), 0);
    }
    assert_eq!(requests(&main), 0);
    main.host.reset_calls();
    main.tick();
    assert_eq!(main.host.calls(Hostcall::DefineMetric), 2 * 4, "what both asked for");
    assert_eq!((requests(&main), durations(&main)), (2, 2), "the first sample came with the request");
    one.host.reset_calls();
    one.tick();
    assert_eq!((requests(&main), durations(&main)), (4, 4));
    assert_eq!(one.host.calls(Hostcall::IncrementMetric), 1, "of a counter only the sum waited");
    other.tick();
    assert_eq!((requests(&main), durations(&main)), (6, 6));

    // From now on it is as if it had always been there.
    one.host.reset_calls();
    one.serve();
    assert_eq!((requests(&main), durations(&main)), (7, 7));
    assert_eq!(one.host.calls(Hostcall::Enqueue) + one.host.calls(Hostcall::DefineMetric), 0);
    assert_eq!(main.host.gauge("istio_stats_series"), Some(2));
}

#[test]
fn what_a_thread_records_first_waits_for_its_tick() {
    let (main, [worker, _]) = process("{}");
    worker.serve();
    main.tick();
    assert_eq!((requests(&main), durations(&main)), (1, 1));
    // Many label sets are met only once: they cost the worker a look-up.
    worker.host.reset_calls();
    worker.tick();
    let recorded = |story: &Story| {
        [Hostcall::IncrementMetric, Hostcall::RecordMetric].map(|call| story.host.calls(call))
    };
    assert_eq!((worker.host.calls(Hostcall::DefineMetric), recorded(&worker)), (4, [0, 0]));
    assert_eq!(worker.host.tick_period(), Some(PERIOD));
    // Envoy takes long over a thread's first sample of a histogram: not while a stream waits.
    for _ in 0..2 {
        worker.serve();
    }
    assert_eq!((recorded(&worker), worker.host.tick_period()), ([0, 0], Some(WAITING)));
    worker.tick();
    assert_eq!((requests(&main), durations(&main)), (3, 3));
    worker.host.reset_calls();
    worker.serve();
    assert_eq!((recorded(&worker), worker.host.calls(Hostcall::Enqueue)), ([1, 3], 0));
}

#[test]
fn names_are_looked_up_only_while_nobody_defines() {
    let (main, [worker, _]) = process("{}");
    worker.serve();
    main.tick();
    main.host.set_shared_data(DEFINING, &[1], 0).unwrap();
    worker.host.reset_calls();
    worker.tick();
    assert_eq!((worker.host.calls(Hostcall::DefineMetric), worker.host.calls(Hostcall::SharedData)), (0, 2));
    main.host.set_shared_data(DEFINING, &[], 0).unwrap();
    worker.tick();
    assert_eq!(worker.host.calls(Hostcall::DefineMetric), 4);
    // Whoever was to reset it may be gone.
    worker.serve();
    answer(&worker, 404);
    main.tick();
    main.host.set_shared_data(DEFINING, &[1], 0).unwrap();
    for _ in 0..=PATIENCE {
        worker.tick();
    }
    assert_eq!(worker.host.calls(Hostcall::DefineMetric), 8);
    assert_eq!(requests(&main), 3);
}

#[test]
fn the_timer_is_fast_only_while_it_is_of_use() {
    let (main, [worker, _]) = process("{}");
    let period = |story: &Story| story.host.tick_period();
    assert_eq!((period(&main), period(&worker)), (Some(SHORT), Some(SHORT)), "either may be the main thread");
    worker.serve();
    worker.tick();
    assert_eq!(period(&worker), Some(WAITING), "it waits");
    main.tick();
    worker.tick();
    assert_eq!((period(&main), period(&worker)), (Some(SHORT), Some(PERIOD)));
}

#[test]
fn who_defines_looks_rarely_when_nobody_has_wanted_anything_for_long() {
    let (main, [worker, _]) = process("{}");
    let period = || main.host.tick_period();
    let begin = main.host.now();
    let come_to_rest = |since: Instant| {
        while period() == Some(SHORT) {
            main.tick();
        }
        assert_eq!(period(), Some(RARE));
        let elapsed = main.host.now() - since;
        assert!((QUIET..QUIET + RARE).contains(&elapsed), "after {elapsed:?}");
    };
    come_to_rest(begin);
    worker.serve();
    worker.tick();
    assert_eq!(period(), Some(RARE), "it does not know yet");
    main.tick();
    assert_eq!((requests(&main), period()), (1, Some(SHORT)), "more may come");
    come_to_rest(main.host.now());
}

#[test]
fn nothing_is_lost_where_nobody_defines() {
    let (main, [one, other]) = process("{}");
    // Also the main thread's VM sees a stream: an odd host.
    for story in [&main, &one, &other] {
        story.serve();
        story.tick();
    }
    for _ in 0..PATIENCE {
        assert_eq!(requests(&main), 0);
        one.tick();
    }
    assert_eq!(requests(&main), 3, "it serves what it finds on the queue, by whomever");
    // The next time it waits again: whoever defines was held up, maybe.
    answer(&one, 201);
    for _ in 0..=PATIENCE {
        assert_eq!(requests(&main), 3);
        one.tick();
    }
    assert_eq!(requests(&main), 4);
}

#[test]
fn who_defines_where_nobody_does_takes_little_time_of_each_tick() {
    let (main, [worker, _]) = process("{}");
    for code in [200, 404, 500] {
        answer(&worker, code);
    }
    for _ in 0..PATIENCE {
        worker.tick();
    }
    worker.host.slow_down(Hostcall::DefineMetric, Duration::from_millis(1));
    for counted in 1..=3 {
        worker.tick();
        assert_eq!(requests(&main), counted);
    }
    for _ in 0..3 * 4 {
        worker.tick();
    }
    assert_eq!(worker.host.tick_period(), Some(PERIOD), "nothing waits");
}

#[test]
fn whoever_was_held_up_goes_on_to_define() {
    let (main, [worker, _]) = process("{}");
    for code in [200, 404, 500] {
        answer(&worker, code);
        worker.host.reset_calls();
        for _ in 0..PATIENCE {
            worker.tick();
        }
        assert_eq!(worker.host.calls(Hostcall::DefineMetric), 0);
        main.tick();
        worker.tick();
    }
    assert_eq!(requests(&main), 3);
}

#[test]
fn what_waits_is_bounded() {
    let (main, [worker, _]) = process("{}");
    let served = 50_000;
    for _ in 0..served {
        worker.serve();
    }
    // Three histograms with a sample of eight bytes each, for one megabyte.
    assert_eq!(requests(&main), served - 1);
    assert_eq!(
        worker.host.calls(Hostcall::DefineMetric),
        7,
        "three for the plugin itself, four for the series"
    );
    // The first one went with the request.
    main.tick();
    assert_eq!((requests(&main), durations(&main)), (served, served));
}

#[test]
fn what_waits_is_recorded_when_the_root_context_goes() {
    let (main, [one, other]) = process("{}");
    one.serve();
    other.serve();
    one.host.enter(Phase::Tick);
    one.plugin.on_delete(&one.host);
    assert_eq!(requests(&main), 2, "what the other requested, too: who could serve it may be gone");
    assert_eq!(main.host.gauge("istio_stats_series"), Some(1), "those of the other");
    main.tick();
    other.serve();
    other.tick();
    assert_eq!(requests(&main), 3, "nothing twice");
}

#[test]
fn a_host_that_fails_in_between_costs_no_sample_but_its_own() {
    let (main, [worker, _]) = process("{}");
    for call in [Hostcall::Enqueue, Hostcall::SharedData] {
        worker.host.fail(call, HostError::NOT_FOUND);
    }
    worker.serve();
    assert_eq!(requests(&main), 1, "defined in place");
}

#[test]
fn definition_in_place_can_be_asked_for() {
    let (main, [worker, _]) = process(r#"{"define_in_place": true}"#);
    worker.serve();
    assert_eq!(requests(&main), 1);
    assert_eq!(main.host.tick_period(), Some(PERIOD));
}

#[test]
fn one_root_context_of_a_vm_defines_and_hands_over_when_it_goes() {
    let main = Story::of_web(FakeHost::new().with_queues(), INBOUND, "{}");
    main.host.enter(Phase::Configure);
    let second = istio_stats::stats::plugin::StatsPlugin::configure(&main.host).unwrap();
    assert_eq!(main.host.tick_period(), Some(PERIOD), "the second one's");
    let worker = main.another_vm();
    worker.serve();
    main.plugin.on_delete(&main.host);
    main.host.enter(Phase::Tick);
    for _ in 0..2 {
        second.on_tick(&main.host);
    }
    worker.tick();
    assert_eq!(requests(&worker), 1);
}

#[test]
fn a_sample_that_is_refused_costs_no_other() {
    let (main, [worker, _]) = process("{}");
    let duration: [&str; 2] = ["request", "duration"];
    let without_duration = worker.open();
    worker.host.remove_attribute(&duration);
    worker.finish(without_duration);
    main.tick();
    worker.tick();
    // Of the same label set, now with a metric that is new.
    worker.host.fail(Hostcall::IncrementMetric, HostError::NOT_FOUND);
    worker.serve();
    main.tick();
    worker.tick();
    assert_eq!(worker.samples("request_duration_milliseconds"), [12]);
    assert_eq!(worker.series("requests_total")[0].1, 1);
}

fn answer(story: &Story, code: i64) {
    let id = story.open();
    story.host.set_attribute(&["response", "code"], code);
    story.finish(id);
}

#[test]
fn the_main_thread_defines_for_a_while_and_a_worker_records_for_a_moment() {
    let (main, [worker, _]) = process("{}");
    for code in [200, 404, 500] {
        answer(&worker, code);
    }
    let defined = |story: &Story| {
        story.host.reset_calls();
        story.tick();
        story.host.calls(Hostcall::DefineMetric)
    };
    // Each label set is a request of four metrics.
    main.host.slow_down(Hostcall::DefineMetric, Duration::from_millis(4));
    assert_eq!([defined(&main), defined(&main)], [4, 4]);
    worker.host.slow_down(Hostcall::DefineMetric, Duration::from_micros(600));
    assert_eq!([defined(&worker), defined(&worker)], [2, 2]);
    assert_eq!(defined(&main), 4);
    for _ in 0..4 {
        worker.tick();
    }
    assert_eq!((requests(&main), durations(&main)), (3, 3));
    // Each thread's first sample of a histogram is slow, too.
    answer(&worker, 200);
    worker.host.slow_down(Hostcall::RecordMetric, Duration::from_micros(600));
    let recorded = |story: &Story| {
        story.host.reset_calls();
        story.tick();
        story.host.calls(Hostcall::RecordMetric)
    };
    assert_eq!([recorded(&worker), recorded(&worker)], [2, 1]);
    assert_eq!((requests(&main), durations(&main)), (4, 4));
}

#[test]
fn at_the_end_a_worker_takes_the_time_it_needs() {
    let (main, [worker, idle]) = process("{}");
    for code in [200, 404, 500] {
        answer(&worker, code);
    }
    worker.host.slow_down(Hostcall::DefineMetric, Duration::from_millis(4));
    for story in [&worker, &idle] {
        story.host.reset_calls();
        story.host.enter(Phase::Tick);
        story.plugin.on_delete(&story.host);
    }
    assert_eq!((requests(&main), durations(&main)), (3, 3));
    assert_eq!(idle.host.all_calls(), 0, "it kept no label set");
}

#[test]
fn of_a_gauge_only_the_last_value_waits() {
    let configuration = r#"{"definitions": [{"name": "level", "value": "v", "type": "GAUGE"}]}"#;
    let (main, [worker, _]) = process(configuration);
    for level in [7i64, 5, 3] {
        let id = worker.open();
        worker.host.set_expression(&whole("v"), level);
        worker.finish(id);
    }
    worker.host.reset_calls();
    main.tick();
    assert_eq!(worker.series("level").iter().map(|(_, value)| *value).collect::<Vec<_>>(), [7]);
    worker.tick();
    assert_eq!(worker.series("level").iter().map(|(_, value)| *value).collect::<Vec<_>>(), [3]);
    assert_eq!(worker.host.calls(Hostcall::RecordMetric), 2 * 3 + 1, "three histograms and the gauge");
}

#[test]
fn whoever_serves_knows_the_metrics_of_other_configurations() {
    let text = |name: &str| {
        format!(r#"{{"metric_prefix": "istio_{name}_", "definitions": [{{"name": "mine", "value": "v"}}]}}"#)
    };
    let main = Story::of_web(FakeHost::new().with_queues(), INBOUND, "{}");
    let workers = ["one", "two"].map(|name| {
        let host = main.host.another_vm();
        host.set_expression(&whole("v"), 3i64);
        (name, Story::of_web(host, INBOUND, &text(name)))
    });
    for (_, worker) in &workers {
        worker.serve();
        worker.host.reset_calls();
    }
    main.tick();
    for (name, worker) in &workers {
        assert_eq!(worker.host.calls(Hostcall::DefineMetric), 0);
        for (metric, value) in [("requests_total", 1), ("mine", 3)] {
            let found = main.series(&format!("{name}_{metric}"));
            assert_eq!(found.iter().map(|(_, value)| value).sum::<u64>(), value, "{name}: {metric}");
        }
    }
    assert_eq!(main.host.counter("istio_stats_series_refused_total"), None);
}

#[test]
fn one_of_ours_that_is_refused_defines_its_series_itself() {
    let (main, [worker, _]) = process("{}");
    // Another plugin wrote there.
    main.host.set_shared_data("istio_stats.names", b"", 0).unwrap();
    worker.serve();
    worker.serve();
    main.tick();
    assert_eq!((requests(&main), main.host.counter("istio_stats_series_refused_total")), (0, Some(1)));
    worker.tick();
    worker.serve();
    assert_eq!(requests(&main), 2, "all but the one that was refused");
}
