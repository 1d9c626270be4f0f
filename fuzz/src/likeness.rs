//! Requests of a few kinds, one after the other, in one plugin: each is counted as a
//! plugin counts it that has seen no other request.
//!
//! Only the first of a kind is read label by label; of those like it the plugin
//! remembers where their samples went.

use std::collections::BTreeMap;
use std::time::Duration;

use istio_stats::attachment::Attachment;
use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, ENDPOINT, MESSAGES, UPSTREAM_PEER_KEY};
use istio_stats::host::fake::{FakeHost, Phase, Value};
use istio_stats::host::{HeaderMap, Host, MetricKind};
use istio_stats::peer::{metadata, told};
use istio_stats::rules::expression::{printed, whole};
use istio_stats::stats::plugin::StatsPlugin;
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;

use super::input::Input;

const MAX_KINDS: usize = 4;
const MAX_REQUESTS: usize = 120;

const ROOT_IDS: [&str; 3] = ["stats_outbound", "stats_inbound", ""];
const CONFIGURATIONS: [&str; 9] = [
    "{}",
    r#"{"labels": ["source_cluster", "response_code", "destination_service", "request_protocol"]}"#,
    r#"{"metrics": [{"name": "request_bytes", "drop": true}, {"name": "request_duration_milliseconds", "drop": true}]}"#,
    r#"{"trust": "mtls"}"#,
    r#"{"reporter": "SERVER_GATEWAY"}"#,
    r#"{"disable_host_header_fallback": false}"#,
    r#"{"max_series": 2}"#,
    r#"{"definitions": [{"name": "seen", "type": "COUNTER", "value": "request.size"}]}"#,
    r#"{"metrics": [{"dimensions": {"method": "request.method", "caller": "downstream_peer.workload"}},
        {"name": "request_bytes", "match": "request.method == 'PUT'", "drop": true}]}"#,
];
/// The value of a definition, the expression of a label, and a condition.
const DEFINED: &str = "request.size";
const LABEL: &str = "request.method";
const CONDITION: &str = "request.method == 'PUT'";

const CODES: [i64; 4] = [200, 204, 404, 503];
const METHODS: [&str; 3] = ["GET", "PUT", ""];
const CONTENT_TYPES: [&str; 5] =
    ["text/plain", "text/html", "application/grpc", "application/grpc+proto", "application/grpc-web"];
const GRPC_STATUSES: [i64; 4] = [0, 2, 5, 14];
const ROUTES: [&str; 4] = ["default", "", "allow_any", "block_all"];
const HOSTS: [&str; 3] = ["web.example.com", "api.example.com", "api.example.com:80"];
const UPSTREAM_CLUSTERS: [&str; 4] =
    ["outbound|80||web", "outbound|80||api", "PassthroughCluster", "inbound|80||"];
const PEERS: [&str; 3] = ["reviews", "ratings", "rat;ings"];
const PRINCIPALS: [&str; 3] = ["spiffe://td/ns/shop/sa/web", "spiffe://td/ns/bank/sa/web", "no-spiffe"];

/// Runs the requests in one plugin and in one for each.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let root_id = ROOT_IDS[input.below(ROOT_IDS.len())];
    let configuration = CONFIGURATIONS[input.below(CONFIGURATIONS.len())];
    let kinds: Vec<_> = (0..=input.below(MAX_KINDS)).map(|_| Kind::read(&mut input)).collect();
    // Which label sets are beyond the bound depends on those that were there first.
    let is_bounded = configuration.contains("max_series");
    let proxy = Proxy::new(root_id, configuration);
    let mut expected = Stats::default();
    for _ in 0..MAX_REQUESTS {
        if input.is_empty() {
            break;
        }
        let what = input.byte();
        if what == u8::MAX {
            proxy.tick();
            continue;
        }
        let kind = kinds[usize::from(what & 3) % kinds.len()];
        let request = Request { kind, sizes: input.byte(), is_long: what & 12 == 12 };
        let alone = Proxy::new(root_id, configuration);
        for proxy in [&proxy, &alone] {
            proxy.serve(request, what >> 4);
        }
        expected.add(alone.stats());
    }
    let counted = proxy.stats();
    let (counted, expected) =
        if is_bounded { (counted.by_metric(), expected.by_metric()) } else { (counted, expected) };
    for name in counted.0.keys().chain(expected.0.keys()) {
        assert_eq!(counted.0.get(name), expected.0.get(name), "{name:?}");
    }
}

/// What all requests of one kind have.
#[derive(Clone, Copy, Debug)]
struct Kind {
    code: Option<i64>,
    flags: i64,
    content_type: Option<&'static str>,
    grpc_status: Option<i64>,
    /// Whether messages are counted.
    is_counted: bool,
    route: Option<&'static str>,
    host: &'static str,
    upstream_cluster: Option<&'static str>,
    downstream_peer: Option<Peer>,
    upstream_peer: Option<Peer>,
    endpoint: Endpoint,
    principal: Option<&'static str>,
    has_tls: bool,
    has_duration: bool,
}

/// What is known of the upstream's host.
#[derive(Clone, Copy, Debug)]
enum Endpoint {
    /// None was chosen.
    Absent,
    /// It has no metadata.
    Null,
    /// Not this.
    Nameless,
    Workload(&'static str),
}

/// Where a peer is, and which.
#[derive(Clone, Copy, Debug)]
struct Peer {
    name: &'static str,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Where our exchange leaves it.
    Ours,
    /// There, but it is no peer.
    Undecodable,
    /// Where a stock filter leaves it.
    Metadata,
    /// Where Istio's exchange leaves it: an object.
    Object,
    /// The same, all at once.
    Shown,
}

/// One request.
#[derive(Clone, Copy, Debug)]
struct Request {
    kind: Kind,
    sizes: u8,
    /// Whether it is still open when a report is due.
    is_long: bool,
}

/// A plugin in its Envoy.
struct Proxy {
    host: FakeHost,
    plugin: StatsPlugin,
}

/// Values of counters, samples of histograms in order, by stat name.
#[derive(Debug, Default)]
struct Stats(BTreeMap<(bool, String), Vec<u64>>);

// === impl Kind ===

impl Kind {
    fn read(input: &mut Input<'_>) -> Self {
        Self {
            code: some(input, 8, |input| CODES[input.below(CODES.len())]),
            flags: [0, 0, 4, 1 << 30][input.below(4)],
            content_type: some(input, 4, |input| CONTENT_TYPES[input.below(CONTENT_TYPES.len())]),
            grpc_status: some(input, 4, |input| GRPC_STATUSES[input.below(GRPC_STATUSES.len())]),
            is_counted: input.flag(),
            route: some(input, 4, |input| ROUTES[input.below(ROUTES.len())]),
            host: HOSTS[input.below(HOSTS.len())],
            upstream_cluster: some(input, 4, |input| UPSTREAM_CLUSTERS[input.below(UPSTREAM_CLUSTERS.len())]),
            downstream_peer: some(input, 2, Peer::read),
            upstream_peer: some(input, 2, Peer::read),
            endpoint: [
                Endpoint::Absent,
                Endpoint::Null,
                Endpoint::Nameless,
                Endpoint::Workload("reviews-v2;shop;reviews;v2;west"),
                Endpoint::Workload("ratings-v1;shop;ratings;v1;east"),
            ][input.below(5)],
            has_tls: input.flag(),
            principal: some(input, 2, |input| PRINCIPALS[input.below(PRINCIPALS.len())]),
            has_duration: input.below(8) > 0,
        }
    }

    fn show(&self, host: &FakeHost) {
        if let Some(code) = self.code {
            host.set_attribute(&["response", "code"], code);
        }
        host.set_attribute(&["response", "flags"], self.flags);
        host.set_attribute(&["request", "host"], self.host);
        host.set_attribute(&["xds", "listener_direction"], 2i64);
        if let Some(content_type) = self.content_type {
            host.set_header_to(HeaderMap::Request, "content-type", content_type);
        }
        if let Some(name) = self.upstream_cluster {
            host.set_attribute(&["xds", "cluster_name"], name);
            // Always the same of one upstream cluster: a plugin reads it once in a while.
            if name.ends_with("api") {
                let path = ["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0"];
                host.set_attribute(&path, Value::map([("host", name), ("name", &name[13..])]));
            }
        }
        match self.endpoint {
            Endpoint::Absent => {}
            Endpoint::Null => host.set_attribute(&ENDPOINT[..2], Value::Null),
            Endpoint::Nameless => host.set_attribute(&ENDPOINT[..4], Value::map([("y", "z")])),
            Endpoint::Workload(text) => host.set_attribute(&ENDPOINT, text),
        }
        if let Some(status) = self.grpc_status {
            host.set_attribute(&["response", "grpc_status"], status);
        }
        if let Some(route) = self.route {
            host.set_attribute(&["xds", "route_name"], route);
        }
        if self.has_tls {
            host.set_attribute(&["upstream", "tls_version"], "TLSv1.3");
        }
        host.set_attribute(&["connection", "mtls"], self.principal.is_some());
        if let Some(principal) = self.principal {
            host.set_attribute(&["connection", "uri_san_peer_certificate"], principal);
            host.set_attribute(&["upstream", "uri_san_peer_certificate"], principal);
        }
        let sides = [
            (self.downstream_peer, DOWNSTREAM_PEER_KEY, "downstream_peer"),
            (self.upstream_peer, UPSTREAM_PEER_KEY, "upstream_peer"),
        ];
        for (peer, key, name) in sides {
            if let Some(peer) = peer {
                peer.show(host, key, name);
            }
        }
    }
}

// === impl Peer ===

impl Peer {
    fn read(input: &mut Input<'_>) -> Self {
        let places = [Place::Ours, Place::Undecodable, Place::Metadata, Place::Object, Place::Shown];
        Self { name: PEERS[input.below(PEERS.len())], place: places[input.below(places.len())] }
    }

    fn show(&self, host: &FakeHost, key: &str, name: &str) {
        let workload = Workload::default().with(Fact::Workload, self.name).with(Fact::ClusterId, "west");
        let encoded = metadata::encode(&workload);
        match self.place {
            Place::Ours => {
                let told = told::join(encoded.as_bytes(), self.name.len());
                host.set_property(key, &told).expect("a new key");
            }
            Place::Undecodable => host.set_property(key, b"!").expect("a new key"),
            Place::Metadata => {
                host.set_attribute(&["metadata", "filter_metadata", "istio_stats", name], encoded.as_str())
            }
            Place::Object => {
                let fields = Value::object([("workload", self.name), ("cluster", "west")]);
                host.set_attribute(&["filter_state", name], fields);
            }
            Place::Shown => {
                let fields = Value::map([("workload", self.name), ("cluster", "west")]);
                host.set_attribute(&["filter_state", name], fields);
            }
        }
    }
}

// === impl Proxy ===

impl Proxy {
    fn new(root_id: &str, configuration: &str) -> Self {
        let host = FakeHost::new();
        host.set_attribute(&["plugin_root_id"], root_id);
        host.set_node_metadata("WORKLOAD_NAME", "web");
        host.set_node_metadata("CLUSTER_ID", "east");
        host.set_plugin_configuration(configuration);
        host.set_expression(&whole(DEFINED), 1i64);
        let plugin = StatsPlugin::configure(&host).expect("a usable configuration");
        Self { host, plugin }
    }

    /// On a connection with this number: that and who is behind it is its id. It has a
    /// method of its own.
    fn serve(&self, request: Request, connection: u8) {
        let method = METHODS[usize::from(connection) % METHODS.len()];
        self.host.set_expression(&printed(LABEL), method);
        self.host.set_expression(CONDITION, method == "PUT");
        let Request { kind, sizes, is_long } = request;
        let id = self.host.open_stream();
        self.plugin.on_open(&self.host, id, Attachment::Http);
        kind.show(&self.host);
        let principal = PRINCIPALS.iter().position(|known| Some(*known) == kind.principal);
        let connection = i64::from(connection) * 4 + principal.map_or(3, |n| i64::try_from(n).unwrap_or(3));
        self.host.set_attribute(&["connection", "id"], connection);
        if kind.has_duration {
            self.host.set_attribute(&["request", "duration"], i64::from(sizes) * 1_500_000);
        }
        self.host.set_attribute(&["request", "total_size"], i64::from(sizes) + 100);
        self.host.set_attribute(&["response", "total_size"], i64::from(sizes) * 7);
        let count = |requests: u8| {
            // Now and then what is none.
            let separator = if sizes % 16 == 15 { ';' } else { ',' };
            let counts = format!("{requests}{separator}{}", sizes % 3);
            self.host.set_attribute(&MESSAGES, counts.as_str());
        };
        if kind.is_counted {
            count(sizes % 12);
        }
        if is_long {
            self.host.enter_stream(id, Phase::ResponseHeaders);
            self.tick();
        }
        if kind.is_counted {
            count(sizes);
        }
        self.host.enter_stream(id, Phase::Log);
        self.plugin.on_log(&self.host, id, Attachment::Http);
        self.host.enter_stream(id, Phase::Delete);
        self.plugin.on_close(id);
        self.host.close_stream(id);
    }

    fn tick(&self) {
        self.host.advance(self.host.tick_period().unwrap_or(Duration::ZERO));
        self.host.enter(Phase::Tick);
        self.plugin.on_tick(&self.host);
    }

    fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for (kind, name) in self.host.stat_names() {
            match kind {
                MetricKind::Counter => {
                    stats.insert(false, &name, self.host.counter(&name).into_iter().collect())
                }
                MetricKind::Histogram => {
                    stats.insert(true, &name, self.host.histogram(&name).unwrap_or_default())
                }
                MetricKind::Gauge => {}
            }
        }
        stats
    }
}

// === impl Stats ===

impl Stats {
    fn insert(&mut self, is_histogram: bool, name: &str, more: Vec<u64>) {
        let values = self.0.entry((is_histogram, name.to_owned())).or_default();
        if is_histogram {
            values.extend(more);
            values.sort_unstable();
        } else {
            let sum = values.iter().chain(&more).sum();
            *values = vec![sum];
        }
    }

    fn add(&mut self, other: Self) {
        for ((is_histogram, name), values) in other.0 {
            self.insert(is_histogram, &name, values);
        }
    }

    /// Whatever the labels, but not what tells how many were beyond the bound.
    fn by_metric(&self) -> Self {
        let mut stats = Self::default();
        for ((is_histogram, name), values) in &self.0 {
            let metric = name.rsplit(";.;").next().unwrap_or_default();
            if !metric.contains("overflow") {
                stats.insert(*is_histogram, metric, values.clone());
            }
        }
        stats
    }
}

/// Something in all but one of so many cases.
fn some<T>(input: &mut Input<'_>, cases: usize, read: impl FnOnce(&mut Input<'_>) -> T) -> Option<T> {
    (input.below(cases) > 0).then(|| read(input))
}
