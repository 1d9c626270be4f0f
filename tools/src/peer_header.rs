//! `istio-stats peer-header`: what the metadata exchange would send.

use std::path::PathBuf;

use anyhow::{bail, Context as _, Result};
use istio_stats::exchange::http::{HttpExchange, ID_HEADER, METADATA_HEADER};
use istio_stats::exchange::Exchange;
use istio_stats::host::fake::{FakeHost, Phase, Value};
use istio_stats::host::HeaderMap;
use istio_stats::peer::metadata;
use istio_stats::workload::fact::Fact;
use serde::de::IgnoredAny;
use serde_json::{json, Value as Json};

use crate::find;
use crate::output::{complain, print};
use crate::scalar::in_envoy;
use crate::yaml::{self, Content, Node};

/// Prints the value of the header x-envoy-peer-metadata for a node
///
/// For proxies that exchange metadata with filters of Envoy's own, such as
/// header_mutation: byte for byte what metadata_exchange.wasm sends for the same
/// node metadata.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An Envoy bootstrap, its `node`, or the node's `metadata`, as YAML or JSON;
    /// - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the value of x-envoy-peer-metadata-id instead: the node's id
    #[arg(long)]
    id: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let name = find::name_of(&args.file);
    let text = find::read_text(&args.file).with_context(|| name.clone())?;
    let roots = yaml::parse(&text).with_context(|| name.clone())?;
    let [root] = roots.as_slice() else {
        bail!("{name}: expected one document, found {}", roots.len());
    };
    let headers = Headers::of(root, is_json(&text)).with_context(|| name.clone())?;
    for warning in headers.warnings {
        complain(&format!("warning: {warning}"));
    }
    let header = if args.id { ID_HEADER } else { METADATA_HEADER };
    let value = if args.id { headers.id } else { headers.metadata };
    let lacking =
        if args.id { "the node has no id" } else { "the node's metadata tells nothing of a workload" };
    let value = value.with_context(|| format!("{name}: {lacking}: {header} would not be sent"))?;
    print(&format!("{value}\n"))?;
    Ok(())
}

/// What a node tells its peers.
#[derive(Debug, Default)]
struct Headers {
    metadata: Option<String>,
    id: Option<String>,
    warnings: Vec<String>,
}

// === impl Headers ===

impl Headers {
    /// Asks the metadata exchange itself, in a proxy that is this node.
    fn of(root: &Node, is_json: bool) -> Result<Self> {
        let proxy = FakeHost::new();
        let (metadata, id) = node_of(root)?;
        for (key, value) in
            metadata.iter().flat_map(|metadata| metadata.entries()).map(|e| (&e.key, &e.value))
        {
            proxy.set_node_metadata(key, attribute(value, is_json));
        }
        if let Some(id) = id {
            proxy.set_attribute(&["xds", "node", "id"], id);
        }
        if let Some(local) = find::local_of(root) {
            proxy.set_plugin_configuration(json!({ "local": local }).to_string());
        }
        let exchange = Exchange::configure(&proxy);
        proxy.open_stream();
        proxy.enter(Phase::RequestHeaders);
        HttpExchange::default().on_request_headers(&exchange, &proxy);
        Ok(Self::sent(&proxy))
    }

    fn sent(proxy: &FakeHost) -> Self {
        let header = |name| {
            let values = proxy.header_values(HeaderMap::Request, name).into_iter();
            values.filter_map(|value| String::from_utf8(value).ok()).next()
        };
        let said = proxy.log_lines().into_iter().filter(|(level, _)| *level <= log::Level::Warn);
        let mut warnings: Vec<_> = said.map(|(_, line)| line).collect();
        let metadata = header(METADATA_HEADER);
        let workload = metadata.as_ref().and_then(|value| metadata::decode(value.as_bytes()).ok());
        if workload.is_some_and(|workload| workload.get(Fact::ClusterId).is_none()) {
            warnings.push(
                "the node's metadata has no CLUSTER_ID: peers will report this side's Kubernetes cluster as \
                 \"unknown\""
                    .to_owned(),
            );
        }
        Self { metadata, id: header(ID_HEADER), warnings }
    }
}

/// The node's metadata and its id, whether the node is given by itself, in a
/// bootstrap, or only its metadata is.
fn node_of(root: &Node) -> Result<(Option<&Node>, Option<&str>)> {
    let is_bootstrap =
        ["static_resources", "dynamic_resources", "admin"].iter().any(|key| root.get(key).is_some());
    let node = match root.get("node") {
        Some(node) => node,
        None if is_bootstrap => bail!("the bootstrap has no node"),
        None if root.get("metadata").is_some() || root.get("id").is_some() => root,
        None => return Ok((Some(root), None)),
    };
    Ok((node.get("metadata"), node.text_at(&["id"])))
}

/// Envoy's readers of YAML and of JSON differ in what they make of numbers.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A value of node metadata as Envoy holds it, in a protobuf Struct.
fn attribute(node: &Node, is_json: bool) -> Value {
    match (&node.content, node.unquoted()) {
        (Content::List(elements), _) => {
            Value::List(elements.iter().map(|node| attribute(node, is_json)).collect())
        }
        (Content::Map(entries), _) => {
            Value::map(entries.iter().map(|entry| (entry.key.clone(), attribute(&entry.value, is_json))))
        }
        (Content::Plain(Json::Null, _), _) => Value::Null,
        (_, Some(written)) if !is_json => scalar(&in_envoy(written)),
        _ => scalar(&node.to_json()),
    }
}

fn scalar(value: &Json) -> Value {
    match value {
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => Value::Double(number.as_f64().unwrap_or_default()),
        other => other.as_str().unwrap_or_default().into(),
    }
}

#[cfg(test)]
mod tests;
