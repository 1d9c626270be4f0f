//! Istio's Telemetry, as far as it is about metrics.

use serde_json::Value;

use super::intent::{Scope, Target};
use super::notes::Notes;
use crate::istio_metrics::{of_telemetry, ALL_METRICS};
use crate::yaml::Node;

/// A Telemetry resource.
#[derive(Clone, Debug)]
pub(super) struct Telemetry {
    pub(super) scope: Scope,
    /// When it was made; of two for one scope the older counts.
    pub(super) created: String,
    /// Where it stands, for notes.
    pub(super) place: String,
    pub(super) metrics: Vec<Metrics>,
    /// As it was given, without what Kubernetes adds.
    pub(super) resource: Value,
}

/// An element of `metrics`.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    pub(super) providers: Vec<String>,
    pub(super) interval: Option<String>,
    pub(super) overrides: Vec<Override>,
}

/// An element of `overrides`.
#[derive(Clone, Debug)]
pub(super) struct Override {
    /// The plugin's name of the metric; `None`: all of them.
    pub(super) metric: Option<String>,
    pub(super) for_clients: bool,
    pub(super) for_servers: bool,
    pub(super) disabled: Option<bool>,
    pub(super) tags: Vec<(String, Tag)>,
}

/// What becomes of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Remove,
    Upsert(String),
}

/// Reads a resource of this kind.
pub(super) fn read(node: &Node, file: &str, root_namespace: &str, notes: &mut Notes) -> Telemetry {
    let name = node.text_at(&["metadata", "name"]).unwrap_or_default();
    let namespace = namespace(node);
    let scope = scope(node, root_namespace);
    let place = format!("{file}:{}: Telemetry {namespace}/{name}", node.position.line);
    let elements = node.at(&["spec", "metrics"]).map(Node::elements).unwrap_or_default();
    let metrics = elements.iter().map(|element| metrics(element, file, notes)).collect();
    let created = node.text_at(&["metadata", "creation_timestamp"]).unwrap_or_default().to_owned();
    Telemetry { scope, created, place, metrics, resource: resource(node) }
}

/// Which proxies a resource is for.
pub(super) fn scope(node: &Node, root_namespace: &str) -> Scope {
    // What is no resource of Kubernetes is for whoever it is given to.
    let namespace = match node.get("kind") {
        Some(_) => namespace(node),
        None => root_namespace,
    };
    let selectors = [["spec", "workload_selector", "labels"], ["spec", "selector", "match_labels"]];
    let labels = selectors.iter().find_map(|path| node.at(path)).map(Node::entries).unwrap_or_default();
    let labels: Vec<_> = labels.iter().map(|entry| (entry.key.clone(), plain(&entry.value))).collect();
    let targets = targets(node);
    let is_chosen = !labels.is_empty() || !targets.is_empty();
    let name = node.text_at(&["metadata", "name"]).unwrap_or_default();
    let chosen_by = is_chosen.then(|| name.to_owned());
    Scope { chosen_by, labels, targets, ..Scope::of_namespace(namespace, root_namespace) }
}

/// The one that kubectl takes where none is named.
fn namespace(node: &Node) -> &str {
    node.text_at(&["metadata", "namespace"]).unwrap_or("default")
}

fn targets(node: &Node) -> Vec<Target> {
    let list = node.at(&["spec", "target_refs"]).map(Node::elements).unwrap_or_default();
    let one = node.at(&["spec", "target_ref"]);
    let text = |node: &Node, key| node.text_at(&[key]).unwrap_or_default().to_owned();
    let target =
        |node| Target { group: text(node, "group"), kind: text(node, "kind"), name: text(node, "name") };
    list.iter().chain(one).map(target).collect()
}

fn metrics(node: &Node, file: &str, notes: &mut Notes) -> Metrics {
    let providers = node.get("providers").map(Node::elements).unwrap_or_default();
    let overrides = node.get("overrides").map(Node::elements).unwrap_or_default();
    Metrics {
        providers: providers.iter().filter_map(|node| node.text_at(&["name"])).map(str::to_owned).collect(),
        interval: node.text_at(&["reporting_interval"]).map(str::to_owned),
        overrides: overrides.iter().filter_map(|node| change(node, file, notes)).collect(),
    }
}

/// `None`: it names a metric that there is not.
fn change(node: &Node, file: &str, notes: &mut Notes) -> Option<Override> {
    let metric = match (node.text_at(&["match", "metric"]), node.text_at(&["match", "custom_metric"])) {
        (_, Some(name)) => Some(name.to_owned()),
        (None | Some(ALL_METRICS), None) => None,
        (Some(name), None) => match of_telemetry(name) {
            Some(metric) => Some(metric.name().to_owned()),
            None => {
                let place = format!("{file}:{}", node.position.line);
                notes.add(place, format_args!("there is no metric {name}; its override is left out"));
                return None;
            }
        },
    };
    let mode = node.text_at(&["match", "mode"]);
    let tags = node.get("tag_overrides").map(Node::entries).unwrap_or_default();
    let tags = tags.iter().filter_map(|entry| {
        let value = entry.value.text_at(&["value"]);
        let tag = match (entry.value.text_at(&["operation"]), value) {
            (Some("REMOVE"), _) => Tag::Remove,
            (_, Some(value)) => Tag::Upsert(value.to_owned()),
            (_, None) => {
                let place = format!("{file}:{}", entry.position.line);
                notes.add(place, format_args!("label {} has no value; it is left out", entry.key));
                return None;
            }
        };
        Some((entry.key.clone(), tag))
    });
    Some(Override {
        metric,
        for_clients: mode != Some("SERVER"),
        for_servers: mode != Some("CLIENT"),
        disabled: node.get("disabled").and_then(|flag| flag.to_json().as_bool()),
        tags: tags.collect(),
    })
}

/// A label's value; YAML may take it for a number.
fn plain(node: &Node) -> String {
    node.text().map_or_else(|| node.to_json().to_string(), str::to_owned)
}

/// The resource as somebody would write it down.
fn resource(node: &Node) -> Value {
    let mut resource = node.to_json();
    if let Some(fields) = resource.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = resource.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| matches!(key.as_str(), "name" | "namespace" | "labels"));
    }
    resource
}
