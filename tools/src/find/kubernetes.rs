//! Kubernetes resources that carry a plugin configuration in fields of their
//! own. An EnvoyFilter carries Envoy's own configuration and needs nothing here
//! but its name.

use super::found::{Candidate, Configuration, Failure, Form};
use super::{envoy, recognise};
use crate::yaml::Node;

/// Whether the root of a document is a Kubernetes resource.
pub(super) fn is_resource(root: &Node) -> bool {
    root.get("kind").is_some()
}

/// How messages call a Kubernetes resource: `WasmPlugin shop/stats`.
pub(super) fn name_of(node: &Node) -> Option<String> {
    let kind = node.text_at(&["kind"])?;
    let name = node.text_at(&["metadata", "name"])?;
    Some(match node.text_at(&["metadata", "namespace"]) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    })
}

/// The plugins of the node, if it is a resource of one of these kinds.
pub(super) fn plugins(node: &Node) -> Option<Vec<Candidate>> {
    let (kind, spec) = node.text_at(&["kind"]).zip(node.get("spec"))?;
    match kind {
        "WasmPlugin" => Some(vec![istio(node, spec)]),
        "TrafficExtension" => Some(vec![istio(node, spec.get("wasm")?)]),
        "EnvoyExtensionPolicy" => {
            let wasm = spec.get("wasm").map(Node::elements).unwrap_or_default();
            Some(wasm.iter().map(envoy_gateway).collect())
        }
        _ => None,
    }
}

/// `spec` of a WasmPlugin, and `spec.wasm` of a TrafficExtension.
fn istio(resource: &Node, spec: &Node) -> Candidate {
    let names =
        [spec.text_at(&["url"]), spec.text_at(&["plugin_name"]), resource.text_at(&["metadata", "name"])];
    let strategy = spec.get("fail_strategy");
    Candidate {
        artefact: recognise::artefact(&names),
        title: None,
        position: resource.position,
        configuration: configuration(spec, "plugin_config"),
        form: Some(match spec.text_at(&["type"]) {
            Some("NETWORK") => Form::NetworkFilter,
            _ => Form::HttpFilter,
        }),
        failure: Some(Failure {
            is_open: strategy.and_then(Node::text) == Some("FAIL_OPEN"),
            open: "failStrategy: FAIL_OPEN",
            position: strategy.unwrap_or(spec).position,
        }),
    }
}

/// An entry of `spec.wasm` of Envoy Gateway's EnvoyExtensionPolicy.
fn envoy_gateway(wasm: &Node) -> Candidate {
    let name = wasm.text_at(&["name"]);
    let names = [
        wasm.text_at(&["code", "http", "url"]),
        wasm.text_at(&["code", "image", "url"]),
        name,
        wasm.text_at(&["root_id"]),
    ];
    let flag = wasm.get("fail_open");
    Candidate {
        artefact: recognise::artefact(&names),
        title: Some(format!("wasm {:?}", name.unwrap_or_default())),
        position: wasm.position,
        configuration: configuration(wasm, "config"),
        form: Some(Form::HttpFilter),
        failure: Some(Failure {
            is_open: flag.is_some_and(|flag| flag.to_json() == true),
            open: "failOpen: true",
            position: flag.unwrap_or(wasm).position,
        }),
    }
}

fn configuration(node: &Node, field: &str) -> Configuration {
    match node.get(field) {
        Some(value) => envoy::of_struct(value),
        None => Configuration { bytes: Ok(Vec::new()), tree: None, position: node.position },
    }
}

#[cfg(test)]
mod tests;
