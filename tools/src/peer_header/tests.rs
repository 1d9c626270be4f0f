use super::*;
use istio_stats::workload::Workload;

fn headers(text: &str) -> Headers {
    Headers::of(&yaml::parse(text).unwrap()[0], is_json(text)).unwrap()
}

fn workload(text: &str) -> Workload {
    metadata::decode(headers(text).metadata.unwrap().as_bytes()).unwrap()
}

const METADATA: &str = "{ CLUSTER_ID: east, NAME: web-1, LABELS: { app: web, version: v1 } }";

#[test]
fn a_node_is_found_in_each_form() {
    let in_bootstrap = format!("admin: {{}}\nnode: {{ id: web, metadata: {METADATA} }}");
    let by_itself = format!("{{ id: web, metadata: {METADATA} }}");
    for text in [&in_bootstrap, &by_itself] {
        assert_eq!(headers(text).id.as_deref(), Some("web"));
        assert_eq!(headers(text).metadata, headers(METADATA).metadata);
    }
    let found = workload(METADATA);
    assert_eq!(found.get(Fact::ClusterId), Some("east"));
    assert_eq!(found.get(Fact::App), Some("web"));
    assert!(Headers::of(&yaml::parse("admin: {}").unwrap()[0], false).is_err());
}

#[test]
fn only_what_becomes_a_label_is_told() {
    let more = "{ CLUSTER_ID: east, NAME: web-1, SECRET: x, LABELS: { app: web, version: v1, team: y } }";
    assert_eq!(headers(more).metadata, headers(METADATA).metadata);
}

#[test]
fn what_is_no_text_or_missing_is_a_warning() {
    assert_eq!(headers(METADATA).warnings, [""; 0]);
    let warnings = headers("{ NAME: web-1, NAMESPACE: [7], WORKLOAD_NAME: ~ }").warnings;
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].contains("NAMESPACE: expected a text"), "{warnings:?}");
    assert!(warnings[2].contains("no CLUSTER_ID"), "{warnings:?}");
    assert_eq!(headers("{}").metadata, None);
}

#[test]
fn the_plugins_local_facts_win() {
    let text = r#"
node: { id: web, metadata: { CLUSTER_ID: east } }
static_resources:
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
    config:
      name: istio_stats
      configuration:
        "@type": type.googleapis.com/google.protobuf.StringValue
        value: '{"local": {"cluster_id": "west"}, "max_series": 7}'
"#;
    assert_eq!(workload(text).get(Fact::ClusterId), Some("west"));
}

#[test]
fn what_nobody_quoted_is_sent_as_envoy_holds_it() {
    let told = |text: &str| {
        let headers = headers(text);
        let workload = metadata::decode(headers.metadata.unwrap().as_bytes()).unwrap();
        let told: Vec<_> = workload.entries().map(|(_, key, text)| format!("{key}={text}")).collect();
        told.join(" ")
    };
    let yaml = "CLUSTER_ID: 1\nNAMESPACE: no\nMESH_ID: 010\nLABELS: {version: 1.10, app: true}\n";
    assert_eq!(told(yaml), "app=true version=1.10 NAMESPACE=false CLUSTER_ID=1 MESH_ID=8");
    let json = r#"{"CLUSTER_ID": 1, "LABELS": {"version": 1.10, "app": true}}"#;
    assert_eq!(told(json), "app=true version=1.1 CLUSTER_ID=1");
}
