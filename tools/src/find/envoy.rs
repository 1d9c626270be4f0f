//! Envoy's own configuration: whatever holds a Wasm `PluginConfig`, wherever it
//! is nested.

use base64::prelude::{Engine as _, BASE64_STANDARD};

use super::found::{Candidate, Configuration, Failure, Form};
use super::recognise;
use crate::yaml::Node;

/// Top-level fields by which a bootstrap, a listener, a dump or an xDS response
/// is told from a plugin configuration.
const FIELDS: [&str; 10] = [
    "static_resources",
    "dynamic_resources",
    "stats_config",
    "admin",
    "node",
    "configs",
    "resources",
    "filter_chains",
    "typed_config",
    "@type",
];

/// Whether the root of a document is one of Envoy's.
pub(super) fn is_resource(root: &Node) -> bool {
    FIELDS.iter().any(|field| root.get(field).is_some())
}

/// The plugin that the node is, if it is a Wasm extension; `name` is that of the
/// nearest map around it.
pub(super) fn plugin(node: &Node, name: Option<&str>) -> Option<Candidate> {
    let (form, extension) = extension(node)?;
    let plugin = extension.get("config")?;
    let names = [
        plugin.text_at(&["vm_config", "code", "local", "filename"]),
        plugin.text_at(&["vm_config", "code", "remote", "http_uri", "uri"]),
        plugin.text_at(&["vm_config", "code", "local", "inline_string"]),
        plugin.text_at(&["name"]),
        name,
        plugin.text_at(&["root_id"]),
        plugin.text_at(&["vm_config", "vm_id"]),
    ];
    let title = names[3].or(name).or(names[5]).unwrap_or_default();
    Some(Candidate {
        artefact: recognise::artefact(&names),
        title: Some(format!("{} {title:?}", form.word())),
        position: node.position,
        configuration: configuration(plugin, "configuration"),
        form: Some(form),
        failure: Some(failure(plugin)),
    })
}

/// What a Wasm extension of this type extends.
fn form_of(url: &str) -> Option<Form> {
    let has = |part: &str| url.contains(part);
    match url.rsplit('.').next()? {
        "Wasm" if has(".http.wasm.") => Some(Form::HttpFilter),
        "Wasm" if has(".network.wasm.") => Some(Form::NetworkFilter),
        "WasmAccessLog" => Some(Form::AccessLogger),
        "WasmService" => Some(Form::Service),
        _ => None,
    }
}

/// The Wasm extension that a typed configuration is, also inside a
/// `TypedStruct`.
fn extension(node: &Node) -> Option<(Form, &Node)> {
    let url = node.text_at(&["@type"])?;
    if url.ends_with(".TypedStruct") {
        return Some((form_of(node.text_at(&["type_url"])?)?, node.get("value")?));
    }
    Some((form_of(url)?, node))
}

/// The bytes that Envoy hands to the plugin for this field.
pub(super) fn configuration(plugin: &Node, field: &str) -> Configuration {
    let Some(any) = plugin.get(field) else {
        return Configuration { bytes: Ok(Vec::new()), tree: None, position: plugin.position };
    };
    let value = any.get("value");
    let position = value.unwrap_or(any).position;
    let refuse = |why: &str| {
        let how = "use a google.protobuf.StringValue with JSON, or a google.protobuf.Struct";
        Configuration { bytes: Err(format!("{why}: {how}")), tree: None, position }
    };
    let Some(url) = any.text_at(&["@type"]) else {
        return refuse(&format!("{field}: has no \"@type\""));
    };
    match (url.rsplit('/').next().unwrap_or(url), value) {
        ("google.protobuf.StringValue" | "google.protobuf.BytesValue" | "google.protobuf.Struct", None) => {
            Configuration { bytes: Ok(Vec::new()), tree: None, position }
        }
        ("google.protobuf.StringValue", Some(value)) => match value.text() {
            Some(text) => {
                Configuration { bytes: Ok(text.as_bytes().to_vec()), tree: value.nested(), position }
            }
            None => refuse(&format!("{field}.value: is no text")),
        },
        ("google.protobuf.BytesValue", Some(value)) => {
            match value.text().and_then(|text| BASE64_STANDARD.decode(text).ok()) {
                Some(bytes) => Configuration { bytes: Ok(bytes), tree: None, position },
                None => refuse(&format!("{field}.value: is no base64")),
            }
        }
        ("google.protobuf.Struct", Some(value)) => of_struct(value),
        (other, _) => refuse(&format!("{field}: the plugin cannot read a {other}")),
    }
}

/// What a `Struct` written as YAML comes to.
pub(super) fn of_struct(value: &Node) -> Configuration {
    let bytes = Ok(value.to_json().to_string().into_bytes());
    Configuration { bytes, tree: Some(value.clone()), position: value.position }
}

fn failure(plugin: &Node) -> Failure {
    let open = "failure_policy: FAIL_OPEN";
    if let Some(policy) = plugin.get("failure_policy") {
        return Failure { is_open: policy.text() == Some("FAIL_OPEN"), open, position: policy.position };
    }
    // Its name before Envoy 1.32.
    let flag = plugin.get("fail_open");
    let is_open = flag.is_some_and(|flag| flag.to_json() == true);
    Failure { is_open, open, position: flag.unwrap_or(plugin).position }
}

#[cfg(test)]
mod tests;
