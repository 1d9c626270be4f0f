use serde_json::json;

use super::*;

fn of(configuration: &Value) -> StockExchange {
    let mut exchange = StockExchange::default();
    exchange.add(configuration);
    exchange
}

fn mutation() -> Value {
    json!({"mutations": {"request_mutations": [
        {"append": {"header": {"key": "X-Envoy-Peer-Metadata", "value": "x"}}},
    ]}})
}

fn rules(direction: &str, namespace: &str, key: &str) -> Value {
    json!({direction: [{
        "header": "x-envoy-peer-metadata",
        "on_header_present": {"metadata_namespace": namespace, "key": key},
    }]})
}

#[test]
fn an_upstream_peer_is_asked_and_listened_to() {
    let kept = rules("response_rules", "istio_stats", "upstream_peer");
    let by_route = json!({"virtual_hosts": [{"request_headers_to_add": [
        {"header": {"key": "x-envoy-peer-metadata", "value": "x"}},
    ]}]});
    for asking in [mutation(), by_route] {
        assert!(of(&json!([asking, kept])).reaches(Side::Upstream), "{asking}");
        assert!(!of(&asking).reaches(Side::Upstream), "{asking}");
    }
    assert!(!of(&kept).reaches(Side::Upstream) && of(&kept).is_begun());
}

#[test]
fn a_downstream_peer_is_listened_to() {
    let wrapped = json!({"extension_config": {"typed_config":
            rules("request_rules", "istio_stats", "downstream_peer")}});
    assert!(of(&wrapped).reaches(Side::Downstream));
    assert!(!of(&json!([wrapped, mutation()])).reaches(Side::Upstream));
}

#[test]
fn other_headers_and_places_are_no_exchange() {
    let mut other = mutation();
    other["mutations"]["request_mutations"][0]["append"]["header"]["key"] = json!("x-request-id");
    for configuration in [
        other,
        rules("request_rules", "envoy.lb", "downstream_peer"),
        rules("request_rules", "istio_stats", "upstream_peer"),
        rules("response_rules", "istio_stats", "downstream_peer"),
        json!({"response_mutations": mutation()["mutations"]["request_mutations"]}),
    ] {
        assert!(!of(&configuration).is_begun(), "{configuration}");
    }
}
