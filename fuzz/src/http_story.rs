//! Whole lives of both plugins on a fake Envoy, with any configuration,
//! attributes, headers and peers: nothing panics, every stat name is well
//! formed, and everything is counted exactly once, whatever the labels.

use std::collections::BTreeMap;
use std::time::Duration;

use istio_stats::attachment::Attachment;
use istio_stats::attribute::keys::{
    DOWNSTREAM_PEER_KEY, RECEIVED_FRAME_BYTES_KEY, SENT_FRAME_BYTES_KEY, UPSTREAM_PEER_KEY,
};
use istio_stats::catalogue::metric::Metric;
use istio_stats::config::definitions::Definition;
use istio_stats::config::Config;
use istio_stats::exchange::http::{HttpExchange, ID_HEADER, METADATA_HEADER};
use istio_stats::exchange::Exchange;
use istio_stats::host::fake::{FakeHost, Phase, Value};
use istio_stats::host::{HeaderMap, Host, MetricKind};
use istio_stats::peer::metadata;
use istio_stats::rules::expression::{printed, whole};
use istio_stats::rules::plan::{Conditions, MetricIndex, Plans};
use istio_stats::rules::rewrite::rewrite;
use istio_stats::stats::plugin::StatsPlugin;
use istio_stats::workload::fact::Fact;
use istio_stats::workload::{node, Workload};

use super::input::{hash, Input};
use super::tags::well_formed;

const MAX_STREAMS: usize = 4;
const MAX_STEPS: usize = 32;

/// Attributes that may be anything, since they end in labels at most.
const FREE: [&[&str]; 28] = [
    &["xds", "listener_direction"],
    &["xds", "route_name"],
    &["xds", "cluster_name"],
    &["xds", "cluster_metadata", "filter_metadata", "istio", "external"],
    &["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0"],
    &["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", "host"],
    &["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", "name"],
    &["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", "namespace"],
    &["xds", "upstream_host_metadata", "filter_metadata", "istio", "workload"],
    &["connection", "mtls"],
    &["connection", "uri_san_peer_certificate"],
    &["connection", "uri_san_local_certificate"],
    &["upstream", "uri_san_peer_certificate"],
    &["upstream", "uri_san_local_certificate"],
    &["upstream", "subject_peer_certificate"],
    &["request", "host"],
    &["request", "path"],
    &["filter_state", "istio_stats.request_host"],
    &["response", "code"],
    &["response", "flags"],
    &["response", "grpc_status"],
    &["filter_state", "x"],
    &["filter_state", "downstream_peer"],
    &["filter_state", "upstream_peer"],
    &["filter_state", "peer_not_found"],
    &["upstream_filter_state", "upstream_peer"],
    &["upstream_peer"],
    &["metadata", "filter_metadata", "istio_stats", "downstream_peer"],
];

/// Keys of the node's metadata.
const NODE: [&str; 8] =
    ["NAME", "NAMESPACE", "WORKLOAD_NAME", "CLUSTER_ID", "MESH_ID", "OWNER", "ISTIO_VERSION", "LABELS"];

const CONTENT_TYPES: [&str; 4] =
    ["text/plain", "application/grpc", "application/grpc+proto", "application/grpc-web"];

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let host = FakeHost::new();
    host.set_attribute(&["xds", "node", "id"], "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local");
    let configuration = input.long_bytes();
    host.set_plugin_configuration(configuration);
    let root_id = [&b""[..], b"stats_inbound", b"stats_outbound"][input.below(3)];
    host.set_attribute(&["plugin_root_id"], root_id);
    for _ in 0..input.below(4) {
        let key = NODE[input.below(NODE.len())];
        host.set_node_metadata(key, read_value(&mut input));
    }

    let (config, _) = Config::compile(configuration);
    let plans = config.as_ref().map(Plans::new);
    let expressions = plans.as_ref().map(|plans| Expressions::new(&host, plans)).unwrap_or_default();
    let exchange = Exchange::configure(&host);
    let own = own_metadata(&host, configuration);
    let plugin = StatsPlugin::configure(&host);
    assert_eq!(plugin.is_some(), config.is_some());
    let mut story = Story { host, plugin, exchange, own, streams: Vec::new() };
    story.tell(&mut input);
    let totals = story.end();

    let names = story.host.stat_names();
    let is_own = |name: &str| name.starts_with("component.") || name == "istio_stats_series";
    let names = names.iter().filter(|(_, name)| !is_own(name));
    let series: Vec<_> = names.map(|(kind, name)| Series::read(&story.host, *kind, name)).collect();
    if let Some((config, plans)) = config.zip(plans) {
        let expected = Expected { series, config, plans, expressions, totals };
        expected.check();
    }
}

fn read_value(input: &mut Input<'_>) -> Value {
    match input.below(8) {
        0..=3 => input.bytes().into(),
        4 => i64::from(input.number()).into(),
        5 => i64::from_le_bytes([0; 8].map(|_: u8| input.byte())).into(),
        6 => input.flag().into(),
        _ => Value::Null,
    }
}

/// What the host's expressions evaluate to, by their texts; each text decides.
#[derive(Default)]
struct Expressions {
    values: BTreeMap<String, Value>,
}

/// What passed in all.
#[derive(Debug, Default)]
struct Totals {
    requests: u64,
    durations: u64,
    request_messages: u64,
    response_messages: u64,
    connections: u64,
    received: u64,
    sent: u64,
}

struct Story {
    host: FakeHost,
    plugin: Option<StatsPlugin>,
    exchange: Exchange,
    /// What the exchange sends.
    own: Option<String>,
    streams: Vec<Stream>,
}

struct Stream {
    id: u32,
    attachment: Attachment,
    exchange: HttpExchange,
    phase: Phase,
    is_http: bool,
    is_grpc: bool,
    has_duration: bool,
    messages: [u64; 2],
    received: u64,
    sent: u64,
    frames: [u64; 2],
}

/// One series, as the host has it.
#[derive(Debug)]
struct Series<'a> {
    metric: &'a str,
    kind: MetricKind,
    labels: Vec<(&'a str, &'a str)>,
    /// A counter's value, a histogram's samples.
    count: u64,
}

struct Expected<'a> {
    series: Vec<Series<'a>>,
    config: Config,
    plans: Plans,
    expressions: Expressions,
    totals: Totals,
}

// === impl Expressions ===

impl Expressions {
    fn new(host: &FakeHost, plans: &Plans) -> Self {
        let mut values = BTreeMap::new();
        for text in plans.expressions() {
            let value = match hash(text.as_bytes()) % 4 {
                0 => Value::Null,
                1 => text.as_str().into(),
                2 => text.chars().rev().collect::<String>().into(),
                _ => "a;.;reporter=.=forged;.;".into(),
            };
            values.insert(printed(&rewrite(text).text()), value);
        }
        let names_no_peer = |text: &str| rewrite(text).peer_facts().next().is_none();
        for definition in plans.definitions().iter().filter(|definition| names_no_peer(&definition.value)) {
            let value = i64::from(hash(definition.value.as_bytes()) % 100) - 10;
            values.insert(whole(&rewrite(&definition.value).text()), value.into());
        }
        for text in plans.conditions().filter(|text| names_no_peer(text)) {
            values.insert(rewrite(text).text(), (hash(text.as_bytes()) & 1 == 1).into());
        }
        for (text, value) in &values {
            host.set_expression(text, value.clone());
        }
        Self { values }
    }

    /// Whether the host takes the text for an expression, as it is.
    fn is_understood(text: &str) -> bool {
        FakeHost::new().create_expression(&rewrite(text).text()).is_ok()
    }

    fn holds(&self, condition: &str) -> bool {
        let value = self.values.get(&rewrite(condition).text());
        Self::is_understood(condition) && value == Some(&Value::Bool(true))
    }

    fn number(&self, definition: &Definition) -> u64 {
        match self.values.get(&whole(&rewrite(&definition.value).text())) {
            Some(Value::Int(number)) if Self::is_understood(&definition.value) => {
                u64::try_from(*number).unwrap_or(0)
            }
            _ => 0,
        }
    }
}

// === impl Story ===

impl Story {
    fn tell(&mut self, input: &mut Input<'_>) {
        for _ in 0..=input.below(MAX_STREAMS) {
            let stream = self.open(input);
            self.streams.push(stream);
        }
        for _ in 0..MAX_STEPS {
            if input.is_empty() {
                break;
            }
            self.step(input);
        }
    }

    fn open(&self, input: &mut Input<'_>) -> Stream {
        let host = &self.host;
        let id = host.open_stream();
        let kind = input.byte();
        let is_http = kind & 1 == 0;
        let content_type = CONTENT_TYPES[usize::from(kind >> 1 & 3)];
        let has_duration = kind & 8 == 0;
        let mut frames = [0; 2];
        if is_http {
            host.set_attribute(&["request", "protocol"], "HTTP/1.1");
            host.set_header_to(HeaderMap::Request, "content-type", content_type);
            if has_duration {
                host.set_attribute(&["request", "duration"], i64::from(input.number()) * 1_000_000);
            }
        } else if kind & 16 != 0 {
            frames = [input.byte().into(), input.byte().into()];
            for (key, length) in [RECEIVED_FRAME_BYTES_KEY, SENT_FRAME_BYTES_KEY].into_iter().zip(frames) {
                host.set_property(key, u64::to_string(&length).as_bytes()).expect("a new key");
            }
        }
        let is_grpc = is_http && matches!(content_type, "application/grpc" | "application/grpc+proto");
        let attachment = match &self.plugin {
            Some(plugin) => plugin.attachment(host),
            None => Attachment::Http,
        };
        if let Some(plugin) = &self.plugin {
            plugin.on_open(host, id, attachment);
        }
        let stream = Stream {
            id,
            attachment,
            exchange: HttpExchange::default(),
            phase: Phase::StreamCreated,
            is_http,
            is_grpc,
            has_duration: is_http && has_duration,
            messages: [0; 2],
            received: 0,
            sent: 0,
            frames,
        };
        stream.show(host);
        stream
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        let number = usize::from(what >> 4) % self.streams.len();
        let host = &self.host;
        let stream = &mut self.streams[number];
        host.enter_stream(stream.id, stream.phase);
        match what & 7 {
            0 => {
                host.advance(Duration::from_millis(input.number().into()));
                host.enter(Phase::Tick);
                // Who asked for no ticks gets none.
                if let Some(plugin) = self.plugin.as_ref().filter(|_| host.tick_period().is_some()) {
                    plugin.on_tick(host);
                }
            }
            1 => {
                stream.received += u64::from(input.number());
                stream.sent += u64::from(input.number());
                stream.show(host);
            }
            2 if stream.is_grpc => {
                for count in &mut stream.messages {
                    *count += u64::from(input.byte());
                }
                stream.show(host);
            }
            3 => {
                let key = if input.flag() { DOWNSTREAM_PEER_KEY } else { UPSTREAM_PEER_KEY };
                let peer = read_peer(input);
                // A second time is refused, as it is by Envoy.
                let _ = host.set_property(key, &peer);
            }
            4 if stream.is_http => self.exchange_headers(number, input),
            _ => {
                let path = FREE[input.below(FREE.len())];
                host.set_attribute(path, read_value(input));
            }
        }
    }

    /// The request's headers pass, the next time the response's.
    fn exchange_headers(&mut self, number: usize, input: &mut Input<'_>) {
        let (host, exchange) = (&self.host, &self.exchange);
        let stream = &mut self.streams[number];
        let (phase, map) = match stream.phase {
            Phase::StreamCreated => (Phase::RequestHeaders, HeaderMap::Request),
            Phase::RequestHeaders => (Phase::ResponseHeaders, HeaderMap::Response),
            _ => return,
        };
        stream.phase = phase;
        let metadata = read_peer(input);
        for _ in 0..input.below(3) {
            host.add_header(map, METADATA_HEADER, &metadata);
            host.add_header(map, ID_HEADER, input.bytes());
        }
        host.enter_stream(stream.id, phase);
        match map {
            HeaderMap::Request => stream.exchange.on_request_headers(exchange, host),
            HeaderMap::Response => stream.exchange.on_response_headers(exchange, host),
        }
        for value in host.header_values(map, METADATA_HEADER) {
            assert_eq!(Some(value), self.own.clone().map(String::into_bytes), "not what we send");
        }
        assert!(host.header_values(map, ID_HEADER).len() <= 1);
    }

    /// Ends every stream; returns what passed.
    fn end(&mut self) -> Totals {
        let mut totals = Totals::default();
        for stream in self.streams.drain(..) {
            self.host.enter_stream(stream.id, Phase::Log);
            if let Some(plugin) = &self.plugin {
                plugin.on_log(&self.host, stream.id, stream.attachment);
                self.host.enter_stream(stream.id, Phase::Delete);
                plugin.on_close(stream.id);
            }
            self.host.close_stream(stream.id);
            stream.add_to(&mut totals);
        }
        totals
    }
}

// === impl Stream ===

impl Stream {
    /// Shows the counts so far.
    fn show(&self, host: &FakeHost) {
        let count = |number: u64| i64::try_from(number).expect("few steps of few bytes");
        host.set_attribute(&["request", "size"], count(self.received));
        host.set_attribute(&["response", "size"], count(self.sent));
        host.set_attribute(&["request", "total_size"], count(self.received) + 100);
        host.set_attribute(&["response", "total_size"], count(self.sent) + 100);
        if self.is_grpc {
            let [requests, responses] = self.messages;
            let counts = format!("{requests},{responses}");
            host.set_attribute(&["filter_state", "envoy.filters.http.grpc_stats"], counts);
        }
    }

    fn add_to(&self, totals: &mut Totals) {
        match self.attachment {
            Attachment::Http => {
                totals.requests += 1;
                totals.durations += u64::from(self.has_duration);
                totals.request_messages += self.messages[0];
                totals.response_messages += self.messages[1];
            }
            Attachment::Tcp => {
                totals.connections += 1;
                totals.received += self.received.saturating_sub(self.frames[0]);
                totals.sent += self.sent.saturating_sub(self.frames[1]);
            }
        }
    }
}

// === impl Series ===

impl<'a> Series<'a> {
    fn read(host: &FakeHost, kind: MetricKind, stat_name: &'a str) -> Self {
        let (metric, labels) = well_formed(stat_name);
        let count = match kind {
            MetricKind::Histogram => host.histogram(stat_name).map(|samples| samples.len() as u64),
            MetricKind::Counter => host.counter(stat_name),
            MetricKind::Gauge => host.gauge(stat_name),
        };
        Self { metric, kind, labels, count: count.expect("it was defined") }
    }
}

// === impl Expected ===

impl Expected<'_> {
    fn check(&self) {
        let bits = self.plans.conditions().enumerate();
        let bits = bits.map(|(bit, text)| u32::from(self.expressions.holds(text)) << bit);
        let variant = self.plans.variant(Conditions::of_bits(bits.fold(0, |all, bit| all | bit)));
        let is_kept = |metric: MetricIndex| variant.plan(metric).is_some();
        for metric in Metric::ALL {
            let expected = if is_kept(metric.into()) { self.total(metric) } else { 0 };
            let series = self.series(metric.name(), metric.kind());
            let counted: u64 = series.iter().map(|series| series.count).sum();
            assert_eq!(counted, expected, "{} of {:?}: {series:#?}", metric.name(), self.totals);
            // Beyond the bound, one series for each value of `reporter`.
            let bound = usize::try_from(self.config.max_series).unwrap_or(usize::MAX).saturating_add(3);
            assert!(series.len() <= bound);
            if self.config.overrides.is_empty() && self.config.labels.is_none() {
                let expected = metric.labels().dimensions().iter().map(|dimension| dimension.name());
                for one in &series {
                    assert!(one.labels.iter().map(|(tag, _)| *tag).eq(expected.clone()), "{one:?}");
                }
            }
        }
        let streams = self.totals.requests + self.totals.connections;
        for (n, definition) in self.plans.definitions().iter().enumerate() {
            if definition.kind == MetricKind::Counter {
                let number = if is_kept(MetricIndex::of_definition(n)) {
                    self.expressions.number(definition)
                } else {
                    0
                };
                let series = self.series(&definition.name, definition.kind);
                let counted: u64 = series.iter().map(|series| series.count).sum();
                assert_eq!(counted, number * streams, "{definition:?}: {series:#?}");
            }
        }
    }

    fn total(&self, metric: Metric) -> u64 {
        let Totals { requests, durations, request_messages, response_messages, connections, received, sent } =
            &self.totals;
        *match metric {
            Metric::Requests | Metric::RequestBytes | Metric::ResponseBytes => requests,
            Metric::RequestDuration => durations,
            Metric::RequestMessages => request_messages,
            Metric::ResponseMessages => response_messages,
            Metric::TcpOpened | Metric::TcpClosed | Metric::TcpDuration => connections,
            Metric::TcpReceivedBytes => received,
            Metric::TcpSentBytes => sent,
        }
    }

    /// Every series of a metric.
    fn series(&self, metric: &str, kind: MetricKind) -> Vec<&Series<'_>> {
        self.series.iter().filter(|series| series.kind == kind && series.metric == metric).collect()
    }
}

/// Encoded metadata of a workload, or anything else.
fn read_peer(input: &mut Input<'_>) -> Vec<u8> {
    if input.flag() {
        return input.bytes().to_vec();
    }
    let mut fact = || core::str::from_utf8(input.bytes()).unwrap_or_default();
    let facts = [Fact::Workload, Fact::Namespace, Fact::ClusterId];
    let workload = facts.into_iter().fold(Workload::default(), |workload, name| workload.with(name, fact()));
    metadata::encode(&workload).into_bytes()
}

/// What the exchange sends as metadata.
fn own_metadata(host: &FakeHost, configuration: &[u8]) -> Option<String> {
    let (config, _) = istio_stats::exchange::config::Config::compile(configuration);
    let (workload, _) = node::read(host);
    Some(metadata::encode(&workload.overridden(&config?.local)))
}
