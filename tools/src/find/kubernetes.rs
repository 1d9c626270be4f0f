//! Kubernetes resources that carry a plugin configuration in fields of their
//! own. An EnvoyFilter carries Envoy's own configuration and needs nothing here
//! but its name.

use istio_stats::attachment::Attachment;

use super::found::{Candidate, Configuration, Failure};
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
        attachment: Some(match spec.text_at(&["type"]) {
            Some("NETWORK") => Attachment::Tcp,
            _ => Attachment::Http,
        }),
        failure: Failure {
            is_open: strategy.and_then(Node::text) == Some("FAIL_OPEN"),
            open: "failStrategy: FAIL_OPEN",
            position: strategy.unwrap_or(spec).position,
        },
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
        attachment: Some(Attachment::Http),
        failure: Failure {
            is_open: flag.is_some_and(|flag| flag.to_json() == true),
            open: "failOpen: true",
            position: flag.unwrap_or(wasm).position,
        },
    }
}

fn configuration(node: &Node, field: &str) -> Configuration {
    match node.get(field) {
        Some(value) => envoy::of_struct(value),
        None => Configuration { bytes: Ok(Vec::new()), tree: None, position: node.position },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artefact::Artefact;
    use crate::find::find;

    #[test]
    fn every_kind_of_resource_gives_its_configuration() {
        let text = r#"
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: stats, namespace: shop }
spec:
  url: oci://registry.example/istio-stats:1
  type: NETWORK
  failStrategy: FAIL_OPEN
  pluginConfig: { max_series: 7 }
---
apiVersion: v1
kind: List
items:
  - kind: TrafficExtension
    metadata: { name: exchange }
    spec:
      wasm: { url: file:///x/metadata_exchange.wasm, pluginConfig: { trust: mtls } }
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: { name: telemetry }
spec:
  wasm:
    - name: istio-stats
      code: { type: HTTP, http: { url: https://x/plugin.wasm } }
      config: {}
      failOpen: true
    - name: waf
      code: { type: Image, image: { url: x/coraza } }
"#;
        let documents = find(text, Artefact::IstioStats).unwrap();
        let said: Vec<_> = documents
            .iter()
            .flat_map(|document| &document.found)
            .map(|one| {
                let bytes = String::from_utf8(one.configuration.bytes.clone().unwrap()).unwrap();
                (
                    one.artefact,
                    one.place.join(", "),
                    bytes,
                    one.attachment.unwrap(),
                    one.failure.unwrap().is_open,
                )
            })
            .collect();
        let of = |plugin, place: &str, bytes: &str, attachment, is_open| {
            (plugin, place.to_owned(), bytes.to_owned(), attachment, is_open)
        };
        assert_eq!(
            said,
            [
                of(
                    Artefact::IstioStats,
                    "WasmPlugin shop/stats",
                    "{\"max_series\":7}",
                    Attachment::Tcp,
                    true
                ),
                of(
                    Artefact::MetadataExchange,
                    "TrafficExtension exchange",
                    "{\"trust\":\"mtls\"}",
                    Attachment::Http,
                    false
                ),
                of(
                    Artefact::IstioStats,
                    "EnvoyExtensionPolicy telemetry, wasm \"istio-stats\"",
                    "{}",
                    Attachment::Http,
                    true
                ),
            ]
        );
        assert_eq!(documents[2].others[0].place, ["EnvoyExtensionPolicy telemetry", "wasm \"waf\""]);
    }
}
