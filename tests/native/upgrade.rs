//! What was counted outlives the module that counted it.

use std::time::Duration;

use istio_stats::host::fake::{FakeHost, Hostcall};
use istio_stats::host::Host as _;

use crate::story::{Story, INBOUND};

/// What every VM defines when it is configured, of the plugin itself.
const OWN: usize = 3;

/// The main thread's VM, which also defines, and a worker's, with one request counted.
fn process(configuration: &str) -> (Story, Story) {
    let main = Story::of_web(FakeHost::new().with_queues(), INBOUND, configuration);
    let worker = main.another_vm();
    worker.serve();
    main.tick();
    worker.tick();
    assert_eq!(counts(&main), (1, 1));
    (main, worker)
}

/// Of a counter and of a histogram, all series.
fn counts(story: &Story) -> (u64, u64) {
    let count = |metric| story.series(metric).iter().map(|(_, count)| count).sum();
    (count("requests_total"), count("request_duration_milliseconds"))
}

/// A request of another label set.
fn serve(story: &Story, code: i64) {
    let id = story.open();
    story.host.set_attribute(&["response", "code"], code);
    story.finish(id);
}

#[test]
fn another_build_takes_over_when_it_is_configured() {
    let (main, _) = process("{}");
    let canary = main.upgraded();
    main.host.unload();
    assert_eq!(counts(&canary), (1, 1));
    // Counted on, by workers of the new build, and taken over again by the next.
    let (main, worker) = (canary.another_vm(), canary.another_vm());
    worker.serve();
    main.tick();
    worker.tick();
    assert_eq!(counts(&main), (2, 2));
    let next = main.upgraded();
    main.host.unload();
    assert_eq!(counts(&next), (2, 2));
}

#[test]
fn only_the_first_vm_of_a_build_takes_over() {
    let (main, _) = process("{}");
    let canary = main.upgraded();
    assert_eq!(canary.host.calls(Hostcall::DefineMetric), OWN + 4);
    assert_eq!(canary.another_vm().host.calls(Hostcall::DefineMetric), OWN);
}

#[test]
fn what_an_older_build_still_counts_is_taken_over_by_the_next_tick() {
    let (main, worker) = process("{}");
    let new = main.upgraded();
    // A stream that was open since before.
    serve(&worker, 404);
    main.tick();
    worker.tick();
    new.tick();
    main.host.unload();
    assert_eq!(counts(&new), (2, 2));
}

#[test]
fn what_was_requested_a_moment_ago_is_taken_over() {
    let (main, worker) = process("{}");
    serve(&worker, 404);
    let new = main.upgraded();
    worker.plugin.on_delete(&worker.host);
    main.host.unload();
    assert_eq!(counts(&new), (2, 2));
}

#[test]
fn a_second_or_fifty_label_sets_are_taken_over_at_once_and_ticks_are_for_the_rest() {
    // A busy machine gets to little in a second.
    for (milliseconds, at_once) in [(4, 63), (150, 50)] {
        let (main, worker) = process("{}");
        for code in 401..=at_once + 2 + 400 {
            serve(&worker, code);
        }
        main.tick();
        worker.tick();
        let all = u64::try_from(at_once + 3).unwrap();
        assert_eq!(counts(&main), (all, all));
        // Each label set has four metrics. One belongs to the first tick's work, which comes before.
        main.host.set_time_to_define(Duration::from_millis(milliseconds));
        let new = main.upgraded();
        let taken = || i64::try_from(new.host.calls(Hostcall::DefineMetric) - OWN).unwrap();
        assert_eq!(taken(), (1 + at_once) * 4);
        for label_sets in [2, 3] {
            new.tick();
            assert_eq!(taken(), (at_once + label_sets) * 4);
        }
        main.host.unload();
        assert_eq!(counts(&new), (all, all));
    }
}

#[test]
fn a_label_set_is_noted_once() {
    let (main, worker) = process("{}");
    let more = [worker.another_vm(), worker.another_vm()];
    let notes = || main.host.shared_data("istio_stats.notes").unwrap();
    let before = notes();
    for worker in &more {
        worker.serve();
        main.tick();
        worker.tick();
    }
    assert_eq!((counts(&main), notes()), ((3, 3), before.clone()));
    serve(&more[0], 404);
    main.tick();
    assert_ne!(notes(), before);
}

#[test]
fn labels_of_all_metrics_of_a_set_are_noted_as_they_are() {
    // One without labels amid others, and two with labels of their own.
    let configuration = r#"{"labels": ["reporter", "response_code"], "metrics": [
        {"name": "request_bytes", "tags_to_remove": ["reporter", "response_code"]},
        {"name": "response_bytes", "tags_to_remove": ["response_code"]}]}"#;
    let (main, _) = process(configuration);
    let names = main.host.stat_names();
    let new = main.upgraded();
    main.host.unload();
    assert_eq!(new.host.stat_names(), names);
    let series = ["requests_total", "request_bytes", "response_bytes"].map(|metric| new.series(metric));
    assert_eq!(series.map(|series| (series[0].0.len(), series[0].1)), [(2, 1), (0, 1), (1, 1)]);
}

#[test]
fn notes_are_bounded() {
    let (main, worker) = process("{}");
    main.host.set_shared_data("istio_stats.notes", &10_000u32.to_le_bytes(), 0).unwrap();
    serve(&worker, 404);
    main.tick();
    worker.tick();
    assert_eq!(counts(&main), (2, 2));
    let new = main.upgraded();
    main.host.unload();
    assert_eq!(counts(&new), (1, 1), "the one that was noted");
    let notes = new.host.shared_data("istio_stats.notes").unwrap().value.unwrap();
    assert_eq!(notes, 10_000u32.to_le_bytes());
}
