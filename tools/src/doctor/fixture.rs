//! Envoys to examine, as their pages show them.

use serde_json::{json, Value};

use super::dump::Dump;
use super::finding::Finding;
use super::seen::{Admin, Seen};
use super::stats::Stats;
use super::symptom::Symptom;
use crate::exposition::Page;

/// A filter that runs a plugin.
pub(crate) fn plugin(name: &str, configuration: &str) -> Value {
    let mut plugin = plugin_with(json!({"name": name, "configuration": {"value": configuration}}));
    plugin["name"] = json!(name);
    plugin
}

/// A filter `istio_stats` that runs a plugin with these fields.
pub(crate) fn plugin_with(mut fields: Value) -> Value {
    fields["vm_config"] = json!({"runtime": "envoy.wasm.runtime.v8"});
    json!({"name": "istio_stats", "typed_config": {"@type": "x.Wasm", "config": fields}})
}

/// A listener `in` for HTTP.
pub(crate) fn listener(direction: &str, filters: &[Value], loggers: &[Value]) -> Value {
    let manager = json!({"@type": "x.HttpConnectionManager", "http_filters": filters, "access_log": loggers});
    json!({
        "name": "in",
        "traffic_direction": direction,
        "filter_chains": [{"filters": [{"typed_config": manager}]}],
    })
}

/// An Envoy with two workers, these listeners and further sections of `/config_dump`.
pub(crate) fn of_listeners(listeners: &Value, sections: &[Value], stats: &str) -> Seen {
    let info = json!({
        "version": "0ebf/1.40.0/Clean/RELEASE/BoringSSL",
        "command_line_options": {"concurrency": 2},
        "node": {"extensions": [
            {"name": "envoy.wasm.runtime.null", "category": "envoy.wasm.runtime"},
            {"name": "envoy.wasm.runtime.v8", "category": "envoy.wasm.runtime"},
        ]},
    });
    let mut section = listeners.clone();
    section["@type"] = json!("x.ListenersConfigDump");
    let sections = [&[section], sections].concat();
    let dump = Dump::parse(&json!({"configs": sections}));
    let names = dump.names();
    let stats = Stats::parse(stats, &names);
    Seen { admin: Some(Admin::new(&info, dump, stats)), names, ..Seen::default() }
}

/// An Envoy with these filters.
pub(crate) fn running(filters: &[Value], stats: &str) -> Seen {
    of_listeners(&static_listener(filters), &[], stats)
}

/// The same with metadata of its node.
pub(crate) fn node(metadata: &Value, filters: &[Value]) -> Seen {
    let bootstrap = json!({"@type": "x.BootstrapConfigDump", "bootstrap": {"node": {"metadata": metadata}}});
    of_listeners(&static_listener(filters), &[bootstrap], "")
}

fn static_listener(filters: &[Value]) -> Value {
    json!({"static_listeners": [{"listener": listener("INBOUND", filters, &[])}]})
}

/// What Prometheus reads.
pub(crate) fn page(text: &str) -> Page {
    Page::parse(text, |_| true).unwrap()
}

/// Somebody who has no admin interface.
pub(crate) fn page_only(text: &str) -> Seen {
    Seen { page: page(text), ..Seen::default() }
}

pub(crate) fn symptoms(findings: &[Finding]) -> Vec<&'static Symptom> {
    findings.iter().map(|finding| finding.symptom).collect()
}

pub(crate) fn facts(findings: &[Finding]) -> Vec<String> {
    findings.iter().flat_map(|finding| finding.seen.clone()).collect()
}

pub(crate) fn only(findings: Vec<Finding>) -> Finding {
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    finding.clone()
}
