//! Entries of `metrics` that apply where their `match` holds.

use istio_stats::host::fake::FakeHost;
use istio_stats::rules::expression::printed;

use crate::overrides::{labels, request, tags};
use crate::story::{Story, INBOUND};

#[test]
fn conditions_are_met_each_for_itself() {
    let configuration = r#"{"metrics": [
        {"match": "p", "dimensions": {"zone": "a"}, "tags_to_remove": ["source_app"]},
        {"match": "q", "dimensions": {"zone": "b"}},
        {"name": "request_bytes", "match": "q", "drop": true}
    ]}"#;
    for (p, q, zone) in [
        (None, None, None),
        (Some(false), Some(false), None),
        (Some(true), None, Some("first")),
        (Some(false), Some(true), Some("second")),
        (Some(true), Some(true), Some("second")),
    ] {
        let host = FakeHost::new();
        host.set_expression(&printed("a"), "first");
        host.set_expression(&printed("b"), "second");
        for (condition, value) in [("p", p), ("q", q)] {
            if let Some(value) = value {
                host.set_expression(condition, value);
            }
        }
        let story = Story::with_host(host, INBOUND, configuration);
        let id = story.open();
        story.finish(id);
        let found = story.request_labels();
        assert_eq!(found.get("zone").map(String::as_str), zone, "{p:?} {q:?}");
        assert_eq!(found.contains_key("source_app"), p != Some(true), "{p:?} {q:?}");
        assert_eq!(labels(&story, "request_bytes").is_none(), q == Some(true), "{p:?} {q:?}");
    }
}

#[test]
fn a_condition_that_is_refused_never_holds() {
    let story = request(r#"{"metrics": [{"match": "(", "drop": true}]}"#, &[]);
    assert_eq!(story.series("requests_total").len(), 1);
    assert_eq!(story.complaints().len(), 1);
}

#[test]
fn an_entry_that_does_not_say_to_what_it_applies_applies_to_nothing() {
    for (field, value) in [
        ("match", "7"),
        ("match", "true"),
        ("match", r#"["p"]"#),
        ("name", "7"),
        ("name", "{}"),
        ("name", r#"["request_bytes"]"#),
    ] {
        let rest = r#""drop": true, "tags_to_remove": ["source_app"], "dimensions": {"zone": "a"}"#;
        let story = request(&format!(r#"{{"metrics": [{{"{field}": {value}, {rest}}}]}}"#), &[]);
        let found = labels(&story, "requests_total").unwrap();
        assert!(found.contains_key("source_app") && !found.contains_key("zone"), "{field}: {value}");
        let expected = format!("metrics[0].{field}: expected a string, found {value}; entry ignored");
        let [complaint] = &story.complaints()[..] else { panic!("{:?}", story.complaints()) };
        assert!(complaint.contains(&expected), "{complaint}");
    }
}

#[test]
fn a_condition_that_is_no_truth_value_does_not_hold() {
    let host = FakeHost::new();
    host.set_expression("p", "true");
    let story = Story::with_host(host, INBOUND, r#"{"metrics": [{"match": "p", "drop": true}]}"#);
    let id = story.open();
    story.finish(id);
    assert_eq!(story.series("requests_total").len(), 1);
}

#[test]
fn streams_that_meet_other_conditions_have_series_of_their_own() {
    let host = FakeHost::new();
    host.set_expression("p", true);
    let story =
        Story::with_host(host, INBOUND, r#"{"metrics": [{"match": "p", "tags_to_remove": ["source_app"]}]}"#);
    for holds in [true, false, true] {
        let id = story.open();
        story.host.set_expression("p", holds);
        story.finish(id);
    }
    let mut counts: Vec<_> = story
        .series("requests_total")
        .into_iter()
        .map(|(labels, count)| (labels.contains_key("source_app"), count))
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [(false, 2), (true, 1)]);
}

#[test]
fn a_condition_may_be_said_often_and_there_are_at_most_eight() {
    let entry = |condition: usize, label: &str| {
        format!(r#"{{"match": "p{condition}", "dimensions": {{"{label}{condition}": "a"}}}}"#)
    };
    let entries: Vec<_> = (0..9).flat_map(|n| [entry(n, "first"), entry(n, "second")]).collect();
    let host = FakeHost::new();
    host.set_expression(&printed("a"), "x");
    for condition in ["p3", "p7", "p8"] {
        host.set_expression(condition, true);
    }
    let story = Story::with_host(host, INBOUND, &format!(r#"{{"metrics": [{}]}}"#, entries.join(",")));
    let id = story.open();
    story.finish(id);
    let mut expected = tags(&request("{}", &[]));
    expected.extend(["first3", "second3", "first7", "second7"].map(str::to_owned));
    assert_eq!(tags(&story), expected);
    let complaints = story.complaints();
    assert_eq!(complaints.len(), 2, "{complaints:#?}");
    for (line, index) in complaints.iter().zip([16, 17]) {
        assert!(
            line.contains(&format!("metrics[{index}].match: more than 8 different conditions")),
            "{line}"
        );
    }
}
