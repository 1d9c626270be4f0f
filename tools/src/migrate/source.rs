//! The files: which of what is in them is about Istio's metrics.

use super::filters;
use super::generation;
use crate::yaml::Node;

/// What a resource is to a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Telemetry,
    /// An IstioOperator, or Helm values.
    Mesh,
    EnvoyFilter,
    /// A WasmPlugin, a TrafficExtension, or what is no resource of Kubernetes.
    Plugin,
}

/// The resources in a document, which may be a list of some.
pub(crate) fn resources(root: &Node) -> Vec<&Node> {
    let is_list = root.text_at(&["kind"]).is_some_and(|kind| kind.ends_with("List"));
    match root.get("items") {
        Some(items) if is_list => items.elements().iter().collect(),
        _ => vec![root],
    }
}

/// What a resource is; `None`: nothing that is migrated.
pub(crate) fn kind(resource: &Node) -> Option<Kind> {
    match resource.text_at(&["kind"]) {
        Some("Telemetry") => resource.at(&["spec", "metrics"]).map(|_| Kind::Telemetry),
        Some("IstioOperator") => Some(Kind::Mesh),
        Some("EnvoyFilter") => Some(Kind::EnvoyFilter),
        Some("WasmPlugin" | "TrafficExtension") => Some(Kind::Plugin),
        Some(_) => None,
        None => {
            let is_values = ["mesh_config", "telemetry"].iter().any(|field| resource.get(field).is_some());
            Some(if is_values { Kind::Mesh } else { Kind::Plugin })
        }
    }
}

/// Whether a document is for `migrate`, and not for this plugin as it stands.
pub(crate) fn is_istios(root: &Node) -> bool {
    resources(root).into_iter().any(|resource| match kind(resource) {
        Some(Kind::Telemetry) => true,
        Some(Kind::Mesh) => resource.text_at(&["kind"]).is_some() || resource.get("telemetry").is_some(),
        Some(_) => filters::is_native(resource) || generation::is_in(resource),
        None => false,
    })
}
