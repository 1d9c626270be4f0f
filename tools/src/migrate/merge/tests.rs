use super::*;
use crate::migrate::notes::Notes;
use crate::migrate::telemetry;
use crate::yaml;

/// What a proxy records for clients and for servers, over HTTP and TCP, if these are
/// the `metrics` of the Telemetry resources in scope, the widest first.
fn recorded(telemetries: &[&str]) -> [Option<Value>; 4] {
    recorded_in(&Mesh::default(), telemetries)
}

fn recorded_in(mesh: &Mesh, telemetries: &[&str]) -> [Option<Value>; 4] {
    let read = |text: &&str| {
        let text = format!("{{metadata: {{name: x, namespace: y}}, spec: {{metrics: {text}}}}}");
        let node = yaml::parse(&text).unwrap().remove(0);
        telemetry::read(&node, "file", "istio-system", &mut Notes::default())
    };
    let read: Vec<_> = telemetries.iter().map(read).collect();
    let merged = merge(read.iter().flat_map(|telemetry| &telemetry.metrics), mesh);
    let config = |is_server, attachment| merged.config(is_server, attachment).map(Value::Object);
    [
        config(false, Attachment::Http),
        config(false, Attachment::Tcp),
        config(true, Attachment::Http),
        config(true, Attachment::Tcp),
    ]
}

fn metrics(entries: Value) -> Option<Value> {
    Some(json!({ "metrics": entries }))
}

fn everywhere(config: &Option<Value>) -> [Option<Value>; 4] {
    std::array::from_fn(|_| config.clone())
}

const NOTHING_SPECIAL: fn() -> Option<Value> = || Some(json!({}));

#[test]
fn without_overrides_everything_is_as_usual() {
    for telemetries in [&[][..], &["[]"], &["[{}]"], &["[{providers: [{name: prometheus}]}]"]] {
        assert_eq!(recorded(telemetries), everywhere(&NOTHING_SPECIAL()), "{telemetries:?}");
    }
}

#[test]
fn a_change_of_all_metrics_has_no_name() {
    let text =
        "[{overrides: [{tagOverrides: {source_app: {operation: REMOVE}, host: {value: request.host}}}]}]";
    let entry = json!({"dimensions": {"host": "request.host"}, "tags_to_remove": ["source_app"]});
    assert_eq!(recorded(&[text]), everywhere(&metrics(json!([entry]))));
}

#[test]
fn a_mode_is_a_side_and_a_metric_has_its_own_name_here() {
    let text =
        "[{overrides: [{match: {metric: REQUEST_DURATION, mode: CLIENT}, tagOverrides: {a: {value: b}}}, \
                {match: {metric: TCP_SENT_BYTES, mode: SERVER}, disabled: true}]}]";
    let own = json!([{"name": "request_duration_milliseconds", "dimensions": {"a": "b"}}]);
    let dropped = json!([{"name": "tcp_sent_bytes_total", "drop": true}]);
    let expected = [metrics(own), NOTHING_SPECIAL(), NOTHING_SPECIAL(), metrics(dropped)];
    assert_eq!(recorded(&[text]), expected);
}

#[test]
fn what_is_for_fewer_proxies_has_the_last_word() {
    let mesh = "[{overrides: [{tagOverrides: {source_app: {operation: REMOVE}, mine: {value: '1'}, ours: {value: '1'}}}, \
                {match: {metric: REQUEST_COUNT}, disabled: true}]}]";
    let namespace = "[{overrides: [{match: {metric: REQUEST_COUNT}, disabled: false, \
                     tagOverrides: {source_app: {value: \"'x'\"}, mine: {operation: REMOVE}, ours: {value: '2'}}}]}]";
    let [clients, tcp, ..] = recorded(&[mesh, namespace]);
    let usual = json!({"dimensions": {"mine": "1", "ours": "1"}, "tags_to_remove": ["source_app"]});
    let named = |name: &str| {
        let mut entry = usual.clone();
        entry.as_object_mut().unwrap().insert("name".to_owned(), json!(name));
        entry
    };
    let count = json!({"name": "requests_total", "dimensions": {"ours": "2", "source_app": "'x'"}});
    let others = ["request_duration_milliseconds", "request_bytes", "response_bytes"].map(named);
    let messages = ["request_messages_total", "response_messages_total"].map(named);
    let all = std::iter::once(count).chain(others).chain(messages).collect();
    assert_eq!(clients, metrics(all));
    assert_eq!(tcp, metrics(json!([usual])));
}

#[test]
fn all_metrics_off_is_no_filter_until_somebody_wants_one() {
    let off = "[{overrides: [{match: {metric: ALL_METRICS}, disabled: true}]}]";
    let servers_off = "[{overrides: [{match: {mode: SERVER}, disabled: true}]}]";
    let on = "[{overrides: [{match: {metric: REQUEST_COUNT, mode: CLIENT}, disabled: false}]}]";
    let usual = NOTHING_SPECIAL();
    assert_eq!(recorded(&[off]), [const { None }; 4]);
    assert_eq!(recorded(&[servers_off]), [usual.clone(), usual.clone(), None, None]);
    assert_eq!(recorded(&[off, on]), [usual.clone(), usual, None, None]);
}

#[test]
fn a_protocol_whose_metrics_are_all_off_is_off() {
    let names = ["TCP_OPENED_CONNECTIONS", "TCP_CLOSED_CONNECTIONS", "TCP_SENT_BYTES", "TCP_RECEIVED_BYTES"];
    let each = names.map(|name| format!("{{match: {{metric: {name}}}, disabled: true}}")).join(", ");
    let text = format!("[{{overrides: [{each}]}}]");
    assert_eq!(recorded(&[&text]), [NOTHING_SPECIAL(), None, NOTHING_SPECIAL(), None]);
}

#[test]
fn providers_are_inherited_and_others_are_none_of_ours() {
    let change = "overrides: [{tagOverrides: {source_app: {operation: REMOVE}}}]";
    let removed = metrics(json!([{"tags_to_remove": ["source_app"]}]));
    let named = format!("[{{providers: [{{name: Prometheus}}], {change}}}]");
    let other = format!("[{{providers: [{{name: otel}}], {change}}}]");
    let inherits = format!("[{{{change}}}]");
    assert_eq!(recorded(&[&inherits]), everywhere(&removed));
    assert_eq!(recorded(&[&named]), everywhere(&removed));
    // What the last one names replaces those before.
    assert_eq!(recorded(&[&named, &other]), [const { None }; 4]);
    assert_eq!(recorded(&[&other, &named]), everywhere(&removed));
    assert_eq!(recorded(&[&other, "[{providers: [{name: prometheus}]}]"]), everywhere(&NOTHING_SPECIAL()));
    let mut mesh = Mesh::default();
    let values = "{meshConfig: {extensionProviders: [{name: otel, prometheus: {}}]}}";
    mesh.read(&yaml::parse(values).unwrap()[0], "file", &mut Notes::default());
    assert_eq!(recorded_in(&mesh, &[&other]), everywhere(&removed));
}

#[test]
fn the_last_interval_counts() {
    let [clients, ..] = recorded(&["[{reportingInterval: 10s}]", "[{reportingInterval: 1s}, {}]"]);
    assert_eq!(clients, Some(json!({"tcp_reporting_duration": "1s"})));
}
