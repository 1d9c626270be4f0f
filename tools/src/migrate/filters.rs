//! Istio's stats filter where somebody configured it by hand: EnvoyFilters for the
//! native one or the old Wasm plugin, WasmPlugins, and Envoy's own configuration.

use istio_stats::attachment::Attachment;
use istio_stats::config::parse;

use super::intent::{Config, Context, Scope};
use super::notes::Notes;
use crate::artefact::Artefact;
use crate::find::found::Form;
use crate::find::{self, recognise};
use crate::yaml::Node;

/// A configuration and where it is for.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) scope: Scope,
    /// None: all that the scope has.
    pub(super) contexts: Vec<Context>,
    /// `None`: both.
    pub(super) attachment: Option<Attachment>,
    /// `None`: the filter is taken out.
    pub(super) config: Option<Config>,
}

/// The configurations in an EnvoyFilter.
pub(super) fn envoy_filter(node: &Node, scope: &Scope, file: &str, notes: &mut Notes) -> Vec<Layer> {
    let patches = node.at(&["spec", "config_patches"]).map(Node::elements).unwrap_or_default();
    let mut layers: Vec<Layer> = Vec::new();
    for patch in patches {
        let context = patch.text_at(&["match", "context"]).and_then(Context::of_patch);
        let place = format!("{file}:{}", patch.position.line);
        for (attachment, config) in in_patch(patch, &place, notes) {
            let contexts = Vec::from_iter(context);
            // Charts had a patch for each version of the proxy.
            let same = |layer: &&mut Layer| {
                layer.contexts == contexts
                    && layer.attachment == attachment
                    && patch.at(&["match", "proxy", "proxy_version"]).is_some()
            };
            let layer = Layer { scope: scope.clone(), contexts: contexts.clone(), attachment, config };
            match layers.iter_mut().find(same) {
                Some(known) => {
                    if known.config != layer.config {
                        notes.add(&place, "replaces the patch for an older version of the proxy");
                    }
                    *known = layer;
                }
                None => layers.push(layer),
            }
        }
    }
    layers
}

type Configured = (Option<Attachment>, Option<Config>);

fn in_patch(patch: &Node, place: &str, notes: &mut Notes) -> Vec<Configured> {
    let attachment = match patch.text_at(&["apply_to"]) {
        Some("HTTP_FILTER") => Some(Attachment::Http),
        Some("NETWORK_FILTER") => Some(Attachment::Tcp),
        _ => None,
    };
    let filter = ["match", "listener", "filter_chain", "filter"];
    let named = patch.text_at(&[&filter[..], &["sub_filter", "name"]].concat());
    let named = named.or_else(|| patch.text_at(&[&filter[..], &["name"]].concat()));
    if patch.text_at(&["patch", "operation"]) == Some("REMOVE") {
        let is_stats = named.is_some_and(is_native_name);
        return if is_stats { vec![(attachment, None)] } else { Vec::new() };
    }
    let Some(value) = patch.at(&["patch", "value"]) else {
        return Vec::new();
    };
    let mut native = Vec::new();
    in_native(value, &mut native);
    let native = native.into_iter().map(|config| (attachment, Some(config)));
    native
        .chain(
            in_wasm(value, place, notes)
                .into_iter()
                .map(|(found, config)| (found.or(attachment), Some(config))),
        )
        .collect()
}

fn is_native_name(name: &str) -> bool {
    matches!(name, "istio.stats" | "envoy.filters.http.istio_stats" | "envoy.filters.network.istio_stats")
        || recognise::artefact(&[Some(name)]) == Some(Artefact::IstioStats)
}

/// The type of the native filter's configuration.
const NATIVE: &str = "stats.PluginConfig";

/// Whether somewhere in it the native filter is configured.
pub(super) fn is_native(node: &Node) -> bool {
    let mut found = Vec::new();
    in_native(node, &mut found);
    !found.is_empty()
}

fn in_native(node: &Node, found: &mut Vec<Config>) {
    let is_it = |field| node.text_at(&[field]).is_some_and(|url| url.rsplit('/').next() == Some(NATIVE));
    let fields = if is_it("@type") { Some(node) } else { node.get("value").filter(|_| is_it("type_url")) };
    if let Some(mut config) = fields.and_then(|fields| fields.to_json().as_object().cloned()) {
        config.remove("@type");
        return found.push(config);
    }
    node.entries().iter().for_each(|entry| in_native(&entry.value, found));
    node.elements().iter().for_each(|element| in_native(element, found));
}

/// The configurations of Wasm plugins, ours or Istio's old one.
fn in_wasm(node: &Node, place: &str, notes: &mut Notes) -> Vec<(Option<Attachment>, Config)> {
    let found = find::in_node(node);
    let ours = found.into_iter().filter(|found| found.artefact == Artefact::IstioStats);
    let config = ours.filter_map(|found| {
        let bytes = found.configuration.bytes.map_err(|why| notes.add(place, why)).ok()?;
        let config = parse::root(&bytes).map_err(|why| notes.add(place, why)).ok()?;
        Some((found.form.and_then(Form::attachment), config))
    });
    config.collect()
}

/// The configurations in a WasmPlugin, a TrafficExtension, or anything that is no
/// resource of Kubernetes.
pub(super) fn plugin(node: &Node, scope: &Scope, file: &str, notes: &mut Notes) -> Vec<Layer> {
    let place = format!("{file}:{}", node.position.line);
    let modes = node.at(&["spec", "match"]).map(Node::elements).unwrap_or_default();
    let modes: Vec<_> = modes.iter().filter_map(|node| node.text_at(&["mode"])).collect();
    let contexts = match modes[..] {
        ["CLIENT"] => vec![Context::Outbound, Context::Gateway],
        ["SERVER"] => vec![Context::Inbound],
        _ => Vec::new(),
    };
    let layer = |(attachment, config)| Layer {
        scope: scope.clone(),
        contexts: contexts.clone(),
        attachment,
        config: Some(config),
    };
    let own = node.to_json().as_object().cloned().filter(|_| is_bare(node));
    let own = own.into_iter().map(|config| (None, config));
    own.chain(in_wasm(node, &place, notes)).map(layer).collect()
}

/// Whether it is a plugin configuration by itself.
fn is_bare(node: &Node) -> bool {
    node.get("kind").is_none() && ["metrics", "definitions"].iter().any(|field| node.get(field).is_some())
}
