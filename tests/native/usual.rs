//! The requests that proxies usually see, by what their proxy is and how it knows the
//! peer: what each costs is counted.

use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, ENDPOINT, UPSTREAM_PEER_KEY};
use istio_stats::host::fake::Value;
use istio_stats::host::HeaderMap;
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
    /// How many samples each has.
    pub records: usize,
    /// Makes a request that was opened one of these.
    pub prepare: fn(&Story),
}

const HTTP: &str = r#"{"attachment": "http"}"#;
const WAYPOINT: &str = r#"{"attachment": "http", "reporter": "SERVER_GATEWAY"}"#;
/// A count, and three histograms; of gRPC its messages, too.
const RECORDS: usize = 4;
const GRPC_RECORDS: usize = 6;

pub const USUAL: [Usual; 18] = [
    source("source", by_endpoint),
    source("source, no route name", without_route),
    source("source, no endpoint metadata", without_endpoint),
    source("source, exchange", by_exchange),
    source("source, Istio's exchange", by_istios_exchange),
    source("source, exchange, mutual TLS", mutual_tls),
    source("source, TLS to the outside", tls),
    source("source, direct response", direct_response),
    source("source, no route", no_route),
    Usual { records: GRPC_RECORDS, ..source("source, gRPC", grpc) },
    source("source, gRPC, no filter that counts", uncounted_grpc),
    destination("destination, plain client", to_a_service),
    destination("destination, exchange", by_exchange),
    destination("destination, Istio's exchange", by_istios_exchange),
    destination("destination, exchange, mutual TLS", mutual_tls),
    Usual { records: GRPC_RECORDS, ..destination("destination, gRPC", grpc) },
    Usual { root_id: "", ..source("gateway", gateway) },
    Usual { root_id: "", configuration: WAYPOINT, ..source("waypoint", by_exchange) },
];

const fn source(name: &'static str, prepare: fn(&Story)) -> Usual {
    Usual { name, root_id: OUTBOUND, configuration: HTTP, records: RECORDS, prepare }
}

const fn destination(name: &'static str, prepare: fn(&Story)) -> Usual {
    Usual { root_id: INBOUND, ..source(name, prepare) }
}

pub fn to_a_service(story: &Story) {
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

pub fn by_endpoint(story: &Story) {
    to_a_service(story);
    story.host.set_attribute(&ENDPOINT, "reviews-v2;shop;reviews;v2;west");
}

/// The host was chosen, and nobody wrote anything of it.
fn without_endpoint(story: &Story) {
    to_a_service(story);
    story.host.set_attribute(&["xds", "upstream_host_metadata"], Value::Null);
}

/// The route answers by itself.
fn direct_response(story: &Story) {
    to_a_service(story);
    story.host.remove_attribute(&["xds", "cluster_name"]);
    story.host.remove_attribute(&SERVICE);
}

fn no_route(story: &Story) {
    direct_response(story);
    story.host.remove_attribute(&["xds", "route_name"]);
    story.host.set_attribute(&["response", "code"], 404i64);
}

/// A certificate without any of Istio's names in it.
fn tls(story: &Story) {
    without_endpoint(story);
    story.host.set_attribute(&["upstream", "tls_version"], "TLSv1.3");
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

/// As since Istio 1.25: all of it at once.
fn by_istios_exchange(story: &Story) {
    to_a_service(story);
    for key in ["downstream_peer", "upstream_peer"] {
        let fields = [("workload", "reviews-v2"), ("namespace", "shop"), ("cluster", "west")];
        story.host.set_attribute(&["filter_state", key], Value::map(fields));
    }
}

fn grpc(story: &Story) {
    uncounted_grpc(story);
    story.grpc_messages(3, 2);
}

fn uncounted_grpc(story: &Story) {
    by_exchange(story);
    story.host.set_header_to(HeaderMap::Request, "content-type", "application/grpc");
    story.host.set_attribute(&["response", "grpc_status"], 0i64);
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
