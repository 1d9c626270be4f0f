//! The requests that proxies usually see, by what their proxy is and how it knows the
//! peer: what each costs is counted.

use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, ENDPOINT, UPSTREAM_PEER_KEY};
use istio_stats::host::fake::Value;
use istio_stats::peer::metadata;
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;

use crate::story::{Story, INBOUND, OUTBOUND, SERVICE};

/// Requests of one kind.
#[derive(Clone, Copy)]
pub struct Usual {
    pub name: &'static str,
    pub root_id: &'static str,
    pub configuration: &'static str,
    /// Makes a request that was opened one of these.
    pub prepare: fn(&Story),
}

const HTTP: &str = r#"{"attachment": "http"}"#;

pub const USUAL: [Usual; 9] = [
    Usual { name: "source", root_id: OUTBOUND, configuration: HTTP, prepare: by_endpoint },
    Usual { name: "source, no route name", root_id: OUTBOUND, configuration: HTTP, prepare: without_route },
    Usual { name: "source, exchange", root_id: OUTBOUND, configuration: HTTP, prepare: by_exchange },
    Usual {
        name: "source, exchange, mutual TLS",
        root_id: OUTBOUND,
        configuration: HTTP,
        prepare: mutual_tls,
    },
    Usual { name: "destination, plain client", root_id: INBOUND, configuration: HTTP, prepare: to_a_service },
    Usual { name: "destination, exchange", root_id: INBOUND, configuration: HTTP, prepare: by_exchange },
    Usual {
        name: "destination, exchange, mutual TLS",
        root_id: INBOUND,
        configuration: HTTP,
        prepare: mutual_tls,
    },
    Usual { name: "gateway", root_id: "", configuration: HTTP, prepare: gateway },
    Usual {
        name: "waypoint",
        root_id: "",
        configuration: r#"{"attachment": "http", "reporter": "SERVER_GATEWAY"}"#,
        prepare: by_exchange,
    },
];

fn to_a_service(story: &Story) {
    let host = &story.host;
    host.set_attribute(&["connection", "id"], 7i64);
    host.set_attribute(&["xds", "cluster_name"], "outbound|80||reviews.shop.svc.cluster.local");
    host.set_attribute(&["xds", "route_name"], "default");
    host.set_attribute(&["xds", "listener_direction"], 1i64);
    let service = [("host", "reviews.shop"), ("name", "reviews"), ("namespace", "shop")];
    host.set_attribute(&SERVICE, Value::map(service));
}

fn without_route(story: &Story) {
    by_endpoint(story);
    story.host.remove_attribute(&["xds", "route_name"]);
}

fn by_endpoint(story: &Story) {
    to_a_service(story);
    story.host.set_attribute(&ENDPOINT, "reviews-v2;shop;reviews;v2;west");
}

/// Everything that a proxy can know is there.
pub fn by_exchange(story: &Story) {
    to_a_service(story);
    let peer = metadata::encode(&Workload::default().with(Fact::Workload, "reviews-v2"));
    for key in [DOWNSTREAM_PEER_KEY, UPSTREAM_PEER_KEY] {
        story.host.set_attribute(&[key], peer.as_str());
        story.host.set_attribute(&["filter_state", &format!("wasm.{key}")], peer.as_str());
    }
}

fn mutual_tls(story: &Story) {
    by_exchange(story);
    let host = &story.host;
    host.set_attribute(&["upstream", "tls_version"], "TLSv1.3");
    host.set_attribute(&["upstream", "uri_san_local_certificate"], "spiffe://td/ns/shop/sa/web");
    host.set_attribute(&["upstream", "uri_san_peer_certificate"], "spiffe://td/ns/shop/sa/reviews");
    host.set_attribute(&["connection", "mtls"], true);
    host.set_attribute(&["connection", "uri_san_local_certificate"], "spiffe://td/ns/shop/sa/web");
    host.set_attribute(&["connection", "uri_san_peer_certificate"], "spiffe://td/ns/shop/sa/caller");
}

/// Its listener tells the direction, the request's host the service.
fn gateway(story: &Story) {
    by_endpoint(story);
    story.host.set_attribute(&["xds", "listener_direction"], 0i64);
    story.host.remove_attribute(&SERVICE);
}
