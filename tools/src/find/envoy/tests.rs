use super::super::found::Form;
use crate::artefact::Artefact;
use crate::find::find;
use crate::find::found::Found;

fn found(text: &str) -> Vec<Found> {
    find(text, Artefact::IstioStats).unwrap().into_iter().flat_map(|document| document.found).collect()
}

fn filter(configuration: &str) -> String {
    format!(
        "typed_config:\n  \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n  \
             config:\n    name: istio_stats\n    configuration: {configuration}\n"
    )
}

#[test]
fn a_filter_is_found_wherever_it_is_nested() {
    let text = r#"
static_resources:
  listeners:
    - name: inbound
      filter_chains:
        - filters:
            - name: hcm
              typedConfig:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                httpFilters:
                  - name: stats
                    typed_config:
                      "@type": type.googleapis.com/udpa.type.v1.TypedStruct
                      type_url: type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
                      value: { config: { root_id: stats_inbound, failOpen: true } }
                access_log:
                  - name: envoy.access_loggers.wasm
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.access_loggers.wasm.v3.WasmAccessLog
                      config: { name: istio_stats, failure_policy: FAIL_RELOAD }
            - name: metadata_exchange
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
                config: { vm_config: { code: { local: { filename: /x/metadata_exchange.wasm } } } }
"#;
    let found = found(text);
    let said: Vec<_> = found
        .iter()
        .map(|one| (one.artefact, one.place.join(", "), one.form.unwrap(), one.failure.unwrap().is_open))
        .collect();
    let listener = "listener \"inbound\", ";
    assert_eq!(
        said,
        [
            (Artefact::IstioStats, format!("{listener}HTTP filter \"stats\""), Form::HttpFilter, true),
            (
                Artefact::IstioStats,
                format!("{listener}access logger \"istio_stats\""),
                Form::AccessLogger,
                false
            ),
            (
                Artefact::MetadataExchange,
                format!("{listener}network filter \"metadata_exchange\""),
                Form::NetworkFilter,
                false
            ),
        ]
    );
}

#[test]
fn the_bytes_are_those_that_envoy_hands_over() {
    let t = "\"@type\": type.googleapis.com/google.protobuf";
    for (configuration, bytes) in [
        (format!("{{{t}.StringValue, value: '{{}}'}}"), "{}"),
        (format!("{{{t}.StringValue}}"), ""),
        (format!("{{{t}.BytesValue, value: e30=}}"), "{}"),
        (
            format!("{{{t}.Struct, value: {{labels: [a], max_series: 7}}}}"),
            r#"{"labels":["a"],"max_series":7}"#,
        ),
    ] {
        let found = found(&filter(&configuration));
        assert_eq!(found[0].configuration.bytes.as_deref(), Ok(bytes.as_bytes()), "{configuration}");
    }
    for (configuration, why) in [
        ("'{}'".to_owned(), "configuration: has no \"@type\""),
        (format!("{{{t}.StringValue, value: {{}}}}"), "configuration.value: is no text"),
        (
            format!("{{{t}.Duration, value: 1s}}"),
            "configuration: the plugin cannot read a google.protobuf.Duration",
        ),
    ] {
        let found = found(&filter(&configuration));
        let said = found[0].configuration.bytes.clone().unwrap_err();
        assert!(said.starts_with(why), "{said}");
    }
}
