//! Whether the node's metadata says who the proxy is in a form that is read.

use istio_stats::workload::fact::Fact;
use serde_json::Value;

use super::problem::{Level, Problem, Problems};
use crate::scalar::misread;
use crate::yaml::{Content, Node};

/// Checks what the plugins read of a bootstrap's node.
pub(super) fn check(bootstrap: &Node, problems: &mut Problems) {
    let rows = Fact::ALL.map(|fact| fact.row().node);
    let keys = rows.iter().flat_map(|node| node.keys().iter().map(|key| (node.is_label(), *key)));
    for (is_label, key) in keys.chain([(false, "ISTIO_VERSION")]) {
        let path: &[&str] = if is_label { &["LABELS", key] } else { &[key] };
        let value = bootstrap.at(&["node", "metadata"]).and_then(|metadata| metadata.at(path));
        let Some((value, (message, suggestion))) = value.and_then(|value| Some((value, wrong(value)?)))
        else {
            continue;
        };
        let message = format!("node.metadata.{}: {message}", path.join("."));
        let problem = Problem::new(Level::Warning, value.position, &[], message);
        problems.push(problem.suggest(suggestion.to_owned()));
    }
}

fn wrong(value: &Node) -> Option<(String, &'static str)> {
    let absent = |what| {
        let message = format!("{what} is neither text, number nor boolean: it counts as absent");
        Some((message, "write a text"))
    };
    match &value.content {
        Content::List(_) => absent("a list"),
        Content::Map(_) => absent("a map"),
        Content::Plain(Value::Null, _) => absent("null"),
        Content::Plain(..) | Content::Text(_) => {
            let written = value.unquoted()?;
            let read = misread(written)?;
            Some((format!("{written} without quotes can become {read:?}"), "put it in quotes"))
        }
    }
}
