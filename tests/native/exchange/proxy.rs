//! A proxy on the fake host that exchanges metadata in headers, and the requests it serves.

use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, UPSTREAM_PEER_KEY};
use istio_stats::exchange::http::{HttpExchange, ID_HEADER, METADATA_HEADER};
use istio_stats::exchange::Exchange;
use istio_stats::host::fake::{FakeHost, Phase, Value};
use istio_stats::host::HeaderMap::{self, Request, Response};
use istio_stats::peer::told;

pub const UNSPECIFIED: i64 = 0;
pub const INBOUND: i64 = 1;
pub const OUTBOUND: i64 = 2;

/// A peer's header values; the exchange does not look inside.
pub const PEER: &str = "cGVlcg==";
pub const PEER_ID: &str = "sidecar~10.0.0.9~peer";

/// A proxy with a configured exchange on its only listener.
pub struct Proxy {
    pub host: FakeHost,
    pub exchange: Exchange,
}

/// One request that the proxy serves.
pub struct Served<'a> {
    pub host: &'a FakeHost,
    pub exchange: &'a Exchange,
    pub stream: HttpExchange,
    pub id: u32,
}

impl Proxy {
    /// The proxy of a workload in a Kubernetes cluster, with this configuration.
    pub fn of(cluster_id: &str, direction: i64, configuration: &str) -> Self {
        let host = FakeHost::new();
        host.set_attribute(&["xds", "node", "id"], format!("sidecar~10.0.0.1~{cluster_id}"));
        host.set_node_metadata("CLUSTER_ID", cluster_id);
        host.set_node_metadata("NAMESPACE", "shop");
        host.set_node_label("app", "web");
        Self::with_host(host, direction, configuration)
    }

    pub fn with_host(host: FakeHost, direction: i64, configuration: &str) -> Self {
        host.set_attribute(&["xds", "listener_direction"], direction);
        host.set_plugin_configuration(configuration);
        let exchange = Exchange::configure(&host);
        Self { host, exchange }
    }

    pub fn new(direction: i64) -> Self {
        Self::of("east", direction, "{}")
    }

    /// What the proxy of `east` says of itself: metadata and id.
    pub fn own(&self) -> (String, String) {
        let outbound = Proxy::of("east", OUTBOUND, "{}");
        let served = outbound.serve(&[]);
        (served.header(Request, METADATA_HEADER).unwrap(), served.header(Request, ID_HEADER).unwrap())
    }

    /// Takes a request with these headers, up to the upstream connection.
    pub fn serve(&self, headers: &[(&str, &str)]) -> Served<'_> {
        self.serve_after(|_| {}, headers)
    }

    /// The same, once the caller has set the stream's attributes.
    pub fn serve_after(&self, prepare: impl FnOnce(&FakeHost), headers: &[(&str, &str)]) -> Served<'_> {
        let id = self.host.open_stream();
        prepare(&self.host);
        self.host.set_header_to(Request, ":path", "/");
        for (name, value) in headers {
            self.host.add_header(Request, name, value);
        }
        self.host.enter(Phase::RequestHeaders);
        let mut stream = HttpExchange::default();
        stream.on_request_headers(&self.exchange, &self.host);
        Served { host: &self.host, exchange: &self.exchange, stream, id }
    }

    pub fn complaints(&self) -> Vec<String> {
        let lines = self.host.log_lines().into_iter();
        lines.filter(|(level, _)| *level <= log::Level::Warn).map(|(_, line)| line).collect()
    }
}

impl Served<'_> {
    /// The upstream's response arrives with these headers.
    pub fn respond(&mut self, headers: &[(&str, &str)]) {
        self.host.set_header_to(Response, ":status", "200");
        for (name, value) in headers {
            self.host.add_header(Response, name, value);
        }
        self.host.enter(Phase::ResponseHeaders);
        self.stream.on_response_headers(self.exchange, self.host);
    }

    /// The only value of a header as it leaves the proxy.
    pub fn header(&self, map: HeaderMap, name: &str) -> Option<String> {
        let mut values = self.host.header_values(map, name);
        assert!(values.len() <= 1, "{name}: {values:?}");
        values.pop().map(|value| String::from_utf8(value).unwrap())
    }

    /// Metadata and id header as they leave the proxy.
    pub fn pair(&self, map: HeaderMap) -> (Option<String>, Option<String>) {
        (self.header(map, METADATA_HEADER), self.header(map, ID_HEADER))
    }

    /// What a peer told.
    pub fn stored(&self, key: &str) -> Option<Vec<u8>> {
        self.host.filter_state(self.id, key).map(|joined| told::split(&joined).0.to_vec())
    }

    /// How many bytes of the message to a peer are said to be the exchange's.
    pub fn added(&self, key: &str) -> u64 {
        self.host.filter_state(self.id, key).map_or(0, |joined| told::split(&joined).1)
    }

    /// What is known of the downstream and of the upstream peer.
    pub fn peers(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        (self.stored(DOWNSTREAM_PEER_KEY), self.stored(UPSTREAM_PEER_KEY))
    }
}

pub const NOTHING: (Option<String>, Option<String>) = (None, None);

pub fn both(own: (String, String)) -> (Option<String>, Option<String>) {
    (Some(own.0), Some(own.1))
}

pub fn peer() -> Option<Vec<u8>> {
    Some(PEER.into())
}

/// Says to which upstream cluster a stream goes, and how Istio marked that.
pub fn to<'a>(upstream_cluster: &'a str, mark: &'a str, value: Option<Value>) -> impl Fn(&FakeHost) + 'a {
    move |host| {
        host.set_attribute(&["xds", "cluster_name"], upstream_cluster);
        if let Some(value) = &value {
            let path = ["xds", "cluster_metadata", "filter_metadata", "istio", mark];
            host.set_attribute(&path, value.clone());
        }
    }
}
