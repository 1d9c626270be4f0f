//! What a configuration may ask for is bounded, and what is more is told.

use istio_stats::config::bounds::{
    MAX_DEFINITIONS, MAX_ENTRIES, MAX_EXPRESSION_BYTES, MAX_LABELS, MAX_NAME_BYTES,
};
use istio_stats::config::issue::MAX_SHOWN;
use istio_stats::exchange::Exchange;
use istio_stats::host::fake::{FakeHost, Hostcall};
use serde_json::{json, Map, Value};

use crate::story::{Story, INBOUND};

const MANY: usize = 10_000;

fn story(configuration: &Value) -> Story {
    Story::new(INBOUND, &configuration.to_string())
}

/// What the plugin says of a configuration, without who says it.
fn said(configuration: &Value) -> Vec<String> {
    let said = |line: String| line.strip_prefix("istio-stats: configuration: ").unwrap().to_owned();
    story(configuration).complaints().into_iter().map(said).collect()
}

fn unknown_fields(number: usize) -> Map<String, Value> {
    (0..number).map(|n| (format!("x{n}"), json!(n))).collect()
}

#[test]
fn of_many_mistakes_a_few_are_shown_and_all_are_counted() {
    let mut fields = unknown_fields(MANY);
    // Less than mistakes, and so not in their way.
    fields.insert("debug".to_owned(), json!(true));
    let story = story(&Value::Object(fields));
    let complaints = story.complaints();
    assert_eq!(complaints.len(), MAX_SHOWN + 1);
    assert!(complaints[0].ends_with("x0: unknown field with value 0; ignored"), "{complaints:?}");
    let more = "istio-stats: configuration: 9981 more; the command `istio-stats check` shows all";
    assert_eq!(complaints.last().unwrap(), more);
    assert_eq!(story.host.gauge("istio_stats_config_errors"), Some(MANY as u64));
    assert_eq!(said(&Value::Object(unknown_fields(MAX_SHOWN))).len(), MAX_SHOWN);
}

#[test]
fn the_exchange_shows_a_few_mistakes_too() {
    let host = FakeHost::new();
    host.set_plugin_configuration(Value::Object(unknown_fields(MANY)).to_string());
    Exchange::configure(&host);
    let lines = host.log_lines();
    let said = lines.iter().filter(|(_, line)| line.starts_with("metadata-exchange: configuration: "));
    assert_eq!(said.count(), MAX_SHOWN + 1, "{lines:?}");
}

#[test]
fn names_are_no_longer_than_values() {
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    let configuration = json!({
        "metric_prefix": "x".repeat(1 << 20),
        "definitions": [{"name": long, "value": "1"}],
        "metrics": [{"dimensions": {&long: "'a'"}}],
    });
    let story = story(&configuration);
    story.serve();
    assert_eq!(story.series("requests_total").len(), 1, "with the usual prefix");
    let lengths = story.host.stat_names().into_iter().map(|(_, name)| name.len());
    assert!(lengths.max().unwrap() < 2000);
    let rule = "letters, digits and _, at most 256";
    let complaints = story.complaints();
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    assert!(complaints.iter().all(|line| line.contains(rule) && line.len() < 300), "{complaints:?}");
    let longest = "x".repeat(MAX_NAME_BYTES);
    assert_eq!(
        said(&json!({"metric_prefix": longest, "metrics": [{"dimensions": {longest: "'a'"}}]})),
        [""; 0]
    );
}

#[test]
fn expressions_are_bounded_in_length() {
    let long = format!("'{}'", "x".repeat(MAX_EXPRESSION_BYTES));
    let configuration = json!({
        "definitions": [{"name": "mine", "value": long}],
        "metrics": [{"dimensions": {"zone": long}}, {"match": long, "drop": true}],
    });
    let story = story(&configuration);
    story.serve();
    assert_eq!(story.series("requests_total").len(), 1, "whose condition is unknown does not apply");
    assert_eq!(story.host.calls(Hostcall::CreateExpression), 0);
    let said = said(&configuration);
    let why = "its expression is longer than 4096 bytes";
    assert_eq!(
        said,
        [
            format!("definitions[0].value: \"mine\": {why}; ignored"),
            format!("metrics[0].dimensions: \"zone\": {why}; ignored"),
            format!("metrics[1].match: {why}; entry ignored"),
        ]
    );
}

#[test]
fn lists_are_bounded_in_number() {
    let definitions: Vec<_> = (0..MANY).map(|n| json!({"name": format!("x{n}"), "value": "1"})).collect();
    let metrics: Vec<_> = (0..MANY).map(|n| json!({"dimensions": {"zone": format!("'{n}'")}})).collect();
    let texts: Vec<_> = (0..MANY).map(|n| format!("x{n}")).collect();
    let dimensions: Map<_, _> = texts.iter().map(|name| (name.clone(), json!("'a'"))).collect();
    for (configuration, most, field, expressions) in [
        (json!({"definitions": definitions}), MAX_DEFINITIONS, "definitions", MAX_DEFINITIONS),
        (json!({"metrics": metrics}), MAX_ENTRIES, "metrics", MAX_LABELS),
        (json!({"labels": texts}), MAX_ENTRIES, "labels", 0),
        (json!({"metrics": [{"tags_to_remove": texts}]}), MAX_ENTRIES, "metrics[0].tags_to_remove", 0),
    ] {
        let story = story(&configuration);
        // Each is tried by itself first.
        assert!(story.host.calls(Hostcall::CreateExpression) <= 2 * expressions, "{field}");
        story.serve();
        assert_eq!(story.series("requests_total").len(), 1);
        let first = said(&configuration).into_iter().next().unwrap();
        assert_eq!(first, format!("{field}: {MANY} entries are more than {most}; the first ones count"));
    }
    let story = story(&json!({"metrics": [{"dimensions": dimensions}]}));
    story.serve();
    assert_eq!(story.request_labels().len(), 25 + MAX_LABELS);
    let complaint = "metrics[0].dimensions: \"x1055\": more than 64 different labels or expressions; ignored";
    assert!(story.complaints()[0].ends_with(complaint), "{:?}", story.complaints()[0]);
}

#[test]
fn no_definition_takes_a_name_that_is_in_use() {
    let said_of = |prefix: &str, definitions: &[(&str, &str)]| {
        let definition = |(name, kind): &(&str, &str)| json!({"name": name, "type": kind, "value": "7"});
        let definitions: Vec<_> = definitions.iter().map(definition).collect();
        said(&json!({"metric_prefix": prefix, "definitions": definitions}))
    };
    let in_use = |n: usize, name: &str, family: &str, by: &str| {
        [format!("definitions[{n}].name: \"{name}\": {family} is in use by {by}; ignored")]
    };
    for (name, kind, family, by) in [
        ("stats_config_errors", "COUNTER", "istio_stats_config_errors", "istio_stats_config_errors"),
        ("stats_series", "GAUGE", "istio_stats_series", "istio_stats_series"),
        ("stats_build", "GAUGE", "istio_stats_build", "istio_stats_build"),
        ("build", "GAUGE", "istio_build", "istio_build"),
        ("request_bytes_count", "COUNTER", "istio_request_bytes_count", "istio_request_bytes"),
        ("response_bytes_bucket", "HISTOGRAM", "istio_response_bytes_bucket", "istio_response_bytes"),
        (
            "tcp_connection_duration_milliseconds_sum",
            "COUNTER",
            "istio_tcp_connection_duration_milliseconds_sum",
            "istio_tcp_connection_duration_milliseconds",
        ),
    ] {
        assert_eq!(said_of("istio_", &[(name, kind)]), in_use(0, name, family, by));
    }
    // Of a histogram, what it is made of must be free, too.
    let mine = [("x_sum", "COUNTER"), ("x", "HISTOGRAM")];
    assert_eq!(said_of("istio_", &mine), in_use(1, "x", "istio_x_sum", "istio_x_sum"));
    let mine = [("x", "HISTOGRAM"), ("x_count", "GAUGE"), ("x_max", "GAUGE")];
    assert_eq!(said_of("istio_", &mine), in_use(1, "x_count", "istio_x_count", "istio_x"));
    // What counts is the whole name.
    assert_eq!(
        said_of("mesh_", &[("stats_series", "GAUGE"), ("x", "COUNTER"), ("x_sum", "COUNTER")]),
        [""; 0]
    );
    let own = in_use(0, "series", "istio_stats_series", "istio_stats_series");
    assert_eq!(said_of("istio_stats_", &[("series", "GAUGE")]), own);
}
