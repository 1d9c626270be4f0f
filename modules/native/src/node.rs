//! Who this proxy is. The interface for modules does not tell it, so it comes from the field `node` of
//! the module's own configuration, else from where Envoy has it: the bootstrap that its command line names.

use std::sync::OnceLock;
use std::{env, fs, io};

use istio_stats::wire::structs::{flag_text, number_text};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

/// What Envoy calls `node`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Node(Value);

/// No bootstrap is larger, that anybody waits for.
const MAX_BOOTSTRAP_BYTES: u64 = 16 * 1024 * 1024;

// === impl Node ===

impl Node {
    /// Of a field `node`.
    pub(crate) fn of(value: Value) -> Self {
        Self(value)
    }

    /// That of the process, which does not change.
    ///
    /// # Errors
    /// Why it cannot be found.
    pub(crate) fn of_process() -> Result<Self, String> {
        static FOUND: OnceLock<Result<Node, String>> = OnceLock::new();
        FOUND.get_or_init(|| Self::of_command_line(&env::args().collect::<Vec<_>>())).clone()
    }

    /// That which a command line tells.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn of_command_line(arguments: &[String]) -> Result<Self, String> {
        let mut node = Map::new();
        if let Some(path) = option(arguments, &["-c", "--config-path"]) {
            let text = read(path).map_err(|error| format!("{path}: {error}"))?;
            node.extend(node_of(&text).map_err(|error| format!("{path}: {error}"))?);
        }
        if let Some(text) = option(arguments, &["--config-yaml"]) {
            node.extend(node_of(text).map_err(|error| format!("--config-yaml: {error}"))?);
        }
        for (name, field) in [("--service-node", "id"), ("--service-cluster", "cluster")] {
            if let Some(value) = option(arguments, &[name]) {
                node.insert(field.to_owned(), Value::from(value));
            }
        }
        if node.is_empty() {
            return Err("no bootstrap of the command line has a field `node`".to_owned());
        }
        Ok(Self(Value::Object(node)))
    }

    /// What is at this path below the node, in the form that Wasm's attributes have; numbers and booleans
    /// as texts.
    pub(crate) fn get(&self, path: &[&str]) -> Option<Vec<u8>> {
        let found = path.iter().try_fold(&self.0, |value, name| value.as_object()?.get(*name))?;
        match found {
            Value::String(text) => Some(text.as_bytes().to_vec()),
            Value::Bool(flag) => Some(flag_text(*flag).as_bytes().to_vec()),
            Value::Number(number) => Some(number_text(number.as_f64()?)?.into_bytes()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Whether what is there is nothing that a name could be: a list, a map or a null.
    pub(crate) fn is_no_text(&self, path: &[&str]) -> bool {
        let found = path.iter().try_fold(&self.0, |value, name| value.as_object()?.get(*name));
        found.is_some_and(|value| matches!(value, Value::Null | Value::Array(_) | Value::Object(_)))
    }
}

/// The value of an option, `--name value` or `--name=value`; the last one counts.
fn option<'a>(arguments: &'a [String], names: &[&str]) -> Option<&'a str> {
    let mut rest = arguments.iter();
    let mut found = None;
    while let Some(argument) = rest.next() {
        if names.contains(&argument.as_str()) {
            found = rest.next().map(String::as_str);
        } else if let Some((name, value)) = argument.split_once('=') {
            if names.contains(&name) {
                found = Some(value);
            }
        }
    }
    found
}

fn read(path: &str) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_BOOTSTRAP_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "over 16 MiB"));
    }
    fs::read_to_string(path)
}

/// The field `node` of a bootstrap, JSON or YAML.
fn node_of(text: &str) -> Result<Map<String, Value>, String> {
    let found = match serde_json::from_str::<Value>(text) {
        Ok(json) => json.get("node").cloned(),
        Err(_) => {
            let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
            documents.first().and_then(|document| value_of(document.as_mapping_get("node")?))
        }
    };
    match found {
        Some(Value::Object(node)) => Ok(node),
        _ => Ok(Map::new()),
    }
}

/// The same as JSON has it; what JSON has not is left out.
fn value_of(yaml: &Yaml<'_>) -> Option<Value> {
    match yaml {
        Yaml::Value(Scalar::Null) => Some(Value::Null),
        Yaml::Value(Scalar::Boolean(flag)) => Some(Value::from(*flag)),
        Yaml::Value(Scalar::Integer(number)) => Some(Value::from(*number)),
        Yaml::Value(Scalar::FloatingPoint(number)) => Some(Value::from(number.into_inner())),
        Yaml::Value(Scalar::String(text)) => Some(Value::from(text.as_ref())),
        Yaml::Sequence(items) => Some(items.iter().filter_map(value_of).collect()),
        Yaml::Mapping(entries) => {
            let entry =
                |(key, value): (&Yaml<'_>, &Yaml<'_>)| Some((key.as_str()?.to_owned(), value_of(value)?));
            Some(Value::Object(entries.iter().filter_map(entry).collect()))
        }
        Yaml::Tagged(_, inner) => value_of(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Result<Node, String> {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        Node::of_command_line(&arguments)
    }

    fn text(node: &Node, path: &[&str]) -> Option<String> {
        node.get(path).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn the_command_line_tells_in_every_way_that_envoy_has() {
        let yaml = "node: {id: me, metadata: {CLUSTER_ID: west, LABELS: {app: true, rank: 10.5}}}";
        let node = of(&["envoy", "--config-yaml", yaml, "--service-node=you"]).unwrap();
        assert_eq!(text(&node, &["id"]).as_deref(), Some("you"));
        assert_eq!(text(&node, &["metadata", "CLUSTER_ID"]).as_deref(), Some("west"));
        assert_eq!(text(&node, &["metadata", "LABELS", "app"]).as_deref(), Some("true"));
        assert_eq!(text(&node, &["metadata", "LABELS", "rank"]).as_deref(), Some("10.5"));
        assert_eq!(text(&node, &["metadata", "LABELS"]), None);
        assert!(node.is_no_text(&["metadata", "LABELS"]) && !node.is_no_text(&["metadata", "NAME"]));
        let json = r#"{"node": {"metadata": {"CLUSTER_ID": "east"}}, "admin": {}}"#;
        let node = of(&["envoy", "--config-yaml", json]).unwrap();
        assert_eq!(text(&node, &["metadata", "CLUSTER_ID"]).as_deref(), Some("east"));
    }

    #[test]
    fn a_sample_is_read_from_its_file() {
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../envoy-config/standalone/west.yaml");
        let node = of(&["envoy", "-c", sample]).unwrap();
        assert_eq!(text(&node, &["metadata", "LABELS", "app"]).as_deref(), Some("reviews"));
    }

    #[test]
    fn what_the_fuzzer_begins_with_tells_somebody_or_nobody() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/bootstrap");
        let files = fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path());
        let told = files.filter(|path| {
            let bytes = fs::read(path).unwrap();
            of(&["envoy", "--config-yaml", &String::from_utf8_lossy(&bytes)]).is_ok()
        });
        assert!(told.count() >= 2);
    }

    #[test]
    fn who_tells_nothing_is_told() {
        assert!(of(&["envoy"]).unwrap_err().contains("node"));
        assert!(of(&["envoy", "-c", "/nowhere.yaml"]).unwrap_err().starts_with("/nowhere.yaml: "));
        assert!(of(&["envoy", "--config-yaml", "a: ["]).unwrap_err().starts_with("--config-yaml: "));
    }
}
