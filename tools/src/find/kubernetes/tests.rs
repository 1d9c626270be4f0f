use super::super::found::Form;
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
            (one.artefact, one.place.join(", "), bytes, one.form.unwrap(), one.failure.unwrap().is_open)
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
                Form::NetworkFilter,
                true
            ),
            of(
                Artefact::MetadataExchange,
                "TrafficExtension exchange",
                "{\"trust\":\"mtls\"}",
                Form::HttpFilter,
                false
            ),
            of(
                Artefact::IstioStats,
                "EnvoyExtensionPolicy telemetry, wasm \"istio-stats\"",
                "{}",
                Form::HttpFilter,
                true
            ),
        ]
    );
    assert_eq!(documents[2].others[0].place, ["EnvoyExtensionPolicy telemetry", "wasm \"waf\""]);
}
