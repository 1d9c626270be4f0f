//! A bench-only module: an HTTP filter in the shape of Istio's former C++ stats
//! plugin, to compare with.
//!
//! It exports every callback, reads each attribute by itself, twenty of them for
//! a request on the client's side, builds the vector of 25 values, looks it up in
//! a map, and records the four HTTP metrics by ids that it knows. It knows
//! nothing but that: one side, no gRPC, no configuration.

#![cfg(target_family = "wasm")]
#![expect(missing_docs, reason = "the macro writes the entry point without")]

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;
use istio_stats::catalogue::dimension::{Dimension, LabelSet};
use istio_stats::catalogue::metric::Metric;
use istio_stats::catalogue::response_flags;
use istio_stats::catalogue::stat_name;
use istio_stats::host::MetricKind;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MapType, MetricType};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root(Rc::default())));
}}

/// The four metrics of a request, in the order of their values.
const METRICS: [Metric; 4] =
    [Metric::Requests, Metric::RequestDuration, Metric::RequestBytes, Metric::ResponseBytes];

const UNKNOWN: &str = "unknown";

/// What the plugin keeps between requests.
#[derive(Default)]
struct Plugin {
    local: RefCell<Workload>,
    known: RefCell<HashMap<Vec<String>, [u32; METRICS.len()]>>,
}

/// Labels of one side, without its principal.
#[derive(Default)]
struct Workload {
    name: String,
    namespace: String,
    app: String,
    version: String,
    canonical_service: String,
    canonical_revision: String,
    cluster_id: String,
}

struct Root(Rc<Plugin>);

struct Request {
    plugin: Rc<Plugin>,
    is_grpc: bool,
    host: String,
}

fn bytes(path: &[&str]) -> Option<Vec<u8>> {
    hostcalls::get_property(path.to_vec()).ok().flatten()
}

fn text(path: &[&str]) -> Option<String> {
    bytes(path).and_then(|bytes| String::from_utf8(bytes).ok())
}

fn label(path: &[&str]) -> String {
    text(path).unwrap_or_else(|| UNKNOWN.to_owned())
}

fn number(path: &[&str]) -> u64 {
    bytes(path).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

// === impl Workload ===

impl Workload {
    fn of_node() -> Self {
        let node = |key: &str| label(&["xds", "node", "metadata", key]);
        let meta = |key: &str| label(&["xds", "node", "metadata", "LABELS", key]);
        Self {
            name: node("WORKLOAD_NAME"),
            namespace: node("NAMESPACE"),
            app: meta("app"),
            version: meta("version"),
            canonical_service: meta("service.istio.io/canonical-name"),
            canonical_revision: meta("service.istio.io/canonical-revision"),
            cluster_id: node("CLUSTER_ID"),
        }
    }

    /// Of the peer: what it told, else what its endpoint's metadata says.
    fn of_upstream() -> Self {
        // Nobody exchanges here; the plugin asked all the same.
        let _told = bytes(&["upstream_peer_id"]).or_else(|| bytes(&["upstream_peer"]));
        let endpoint = text(&["xds", "upstream_host_metadata", "filter_metadata", "istio", "workload"])
            .unwrap_or_default();
        let mut parts = endpoint.split(';');
        let mut next = || parts.next().filter(|part| !part.is_empty()).unwrap_or(UNKNOWN).to_owned();
        Self {
            name: next(),
            namespace: next(),
            canonical_service: next(),
            canonical_revision: next(),
            cluster_id: next(),
            app: UNKNOWN.to_owned(),
            version: UNKNOWN.to_owned(),
        }
    }
}

// === impl Root ===

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        self.0.local.replace(Workload::of_node());
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request { plugin: self.0.clone(), is_grpc: false, host: String::new() }))
    }
}

// === impl Request ===

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        let content_type = hostcalls::get_map_value(MapType::HttpRequestHeaders, "content-type");
        self.is_grpc = content_type.ok().flatten().is_some_and(|value| value == "application/grpc");
        self.host = label(&["request", "host"]);
        Action::Continue
    }

    fn on_log(&mut self) {
        let values = self.values();
        let measured = [
            1,
            number(&["request", "duration"]) / 1_000_000,
            number(&["request", "total_size"]),
            number(&["response", "total_size"]),
        ];
        let mut known = self.plugin.known.borrow_mut();
        let ids = match known.get(&values) {
            Some(ids) => *ids,
            None => {
                let ids = define(&values);
                known.insert(values, ids);
                ids
            }
        };
        for ((metric, id), value) in METRICS.iter().zip(ids).zip(measured) {
            let _ = match metric.kind() {
                MetricKind::Counter => hostcalls::increment_metric(id, i64::try_from(value).unwrap_or(0)),
                _ => hostcalls::record_metric(id, value),
            };
        }
    }
}

impl Request {
    fn values(&self) -> Vec<String> {
        let local = self.plugin.local.borrow();
        let peer = Workload::of_upstream();
        let _upstream_cluster = bytes(&["xds", "cluster_name"]);
        let _route = bytes(&["xds", "route_name"]);
        let _direction = bytes(&["xds", "listener_direction"]);
        let _protocol = bytes(&["request", "protocol"]);
        let _begin = bytes(&["request", "time"]);
        let service =
            |field| text(&["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", field]);
        let service_host = service("host").unwrap_or_else(|| self.host.clone());
        let service_name = service("name").unwrap_or_else(|| service_host.clone());
        let service_namespace = service("namespace").unwrap_or_else(|| peer.namespace.clone());
        let flags = response_flags::label(number(&["response", "flags"]));
        LabelSet::Http
            .dimensions()
            .iter()
            .map(|dimension| match dimension {
                Dimension::Reporter => "source".to_owned(),
                Dimension::SourceWorkload => local.name.clone(),
                Dimension::SourceWorkloadNamespace => local.namespace.clone(),
                Dimension::SourcePrincipal => label(&["upstream", "uri_san_local_certificate"]),
                Dimension::SourceApp => local.app.clone(),
                Dimension::SourceVersion => local.version.clone(),
                Dimension::SourceCanonicalService => local.canonical_service.clone(),
                Dimension::SourceCanonicalRevision => local.canonical_revision.clone(),
                Dimension::SourceClusterId => local.cluster_id.clone(),
                Dimension::DestinationWorkload => peer.name.clone(),
                Dimension::DestinationWorkloadNamespace => peer.namespace.clone(),
                Dimension::DestinationPrincipal => label(&["upstream", "uri_san_peer_certificate"]),
                Dimension::DestinationApp => peer.app.clone(),
                Dimension::DestinationVersion => peer.version.clone(),
                Dimension::DestinationService => service_host.clone(),
                Dimension::DestinationServiceName => service_name.clone(),
                Dimension::DestinationServiceNamespace => service_namespace.clone(),
                Dimension::DestinationCanonicalService => peer.canonical_service.clone(),
                Dimension::DestinationCanonicalRevision => peer.canonical_revision.clone(),
                Dimension::DestinationClusterId => peer.cluster_id.clone(),
                Dimension::RequestProtocol => if self.is_grpc { "grpc" } else { "http" }.to_owned(),
                Dimension::ResponseFlags => flags.to_string(),
                Dimension::ConnectionSecurityPolicy => UNKNOWN.to_owned(),
                Dimension::ResponseCode => number(&["response", "code"]).to_string(),
                Dimension::GrpcResponseStatus => String::new(),
            })
            .collect()
    }
}

fn define(values: &[String]) -> [u32; METRICS.len()] {
    METRICS.map(|metric| {
        let names = LabelSet::Http.dimensions().iter().map(|dimension| dimension.name());
        let stat_name = stat_name::encode(names.zip(values.iter().map(String::as_str)), metric.name());
        let kind = match metric.kind() {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        hostcalls::define_metric(kind, &stat_name).unwrap_or_default()
    })
}
