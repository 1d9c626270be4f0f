//! Envoy's native modules ("dynamic modules"), one of which holds this project's plugins.

use istio_stats::config::parse;

use super::found::{Candidate, Form};
use super::{envoy, recognise};
use crate::artefact::Artefact;
use crate::yaml::Node;

/// The types of what a native module extends, and the fields that name the plugin and configure it.
const FORMS: [(&str, Form, &str, &str); 3] = [
    (
        "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
        Form::NativeHttpFilter,
        "filter_name",
        "filter_config",
    ),
    (
        "envoy.extensions.filters.network.dynamic_modules.v3.DynamicModuleNetworkFilter",
        Form::NativeNetworkFilter,
        "filter_name",
        "filter_config",
    ),
    (
        "envoy.extensions.clusters.dynamic_modules.v3.ClusterConfig",
        Form::NativeUpstreamCluster,
        "cluster_name",
        "cluster_config",
    ),
];
/// The name of a filter in it that is the exchange; any other is the stats plugin.
const EXCHANGE: &str = "metadata_exchange";

/// The plugin that the node is, if it is one of these; `name` is that of the nearest map around it.
pub(super) fn plugin(node: &Node, name: Option<&str>) -> Option<Candidate> {
    let url = node.text_at(&["@type"])?;
    let filter = if url.ends_with(".TypedStruct") { node.get("value")? } else { node };
    let url = if url.ends_with(".TypedStruct") { node.text_at(&["type_url"])? } else { url };
    let (_, form, name_field, config_field) =
        FORMS.into_iter().find(|(kind, ..)| url.rsplit('/').next() == Some(*kind))?;
    let plugin = filter.text_at(&[name_field]).unwrap_or_default();
    let artefact = native_module(filter).map(|_| {
        if plugin == EXCHANGE && form.attachment().is_some() {
            Artefact::MetadataExchange
        } else {
            Artefact::IstioStats
        }
    });
    Some(Candidate {
        artefact,
        title: Some(format!("{} {:?}", form.word(), name.unwrap_or(plugin))),
        position: node.position,
        configuration: envoy::configuration(filter, config_field),
        form: Some(form),
        // One that fails does nothing from there on; there is no choice.
        failure: None,
    })
}

/// This project's module, if that is what an extension of Envoy is of.
pub(crate) fn native_module(extension: &Node) -> Option<Artefact> {
    recognise::artefact(&[
        extension.text_at(&["dynamic_module_config", "module", "local", "filename"]),
        extension.text_at(&["dynamic_module_config", "name"]),
    ])
}

/// A configuration without `node`, which is the module's own.
pub(crate) fn without_node(bytes: &[u8]) -> Option<Vec<u8>> {
    parse::take(bytes, "node").map(|(_, rest)| rest)
}
