//! Tells a stats plugin's life on a fake Envoy, and reads its metrics back with
//! their labels.

use std::collections::BTreeMap;

use istio_stats::attachment::Attachment;
use istio_stats::host::fake::{FakeHost, Phase};
use istio_stats::host::{HeaderMap, Host as _, MetricKind};
use istio_stats::stats::plugin::StatsPlugin;

/// A configured plugin in a fake Envoy.
pub struct Story {
    pub host: FakeHost,
    pub plugin: StatsPlugin,
}

/// One series: its labels without the usual suspects, and its value.
pub type Labels = BTreeMap<String, String>;

/// The Envoy attribute that holds the route's upstream cluster's service.
pub const SERVICE: [&str; 6] = ["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0"];

pub const OUTBOUND: &str = "stats_outbound";
pub const INBOUND: &str = "stats_inbound";

impl Story {
    /// A plugin with this root id and configuration in the web workload's proxy
    /// in Kubernetes cluster `east`.
    pub fn new(root_id: &str, configuration: &str) -> Self {
        Self::of_web(FakeHost::new(), root_id, configuration)
    }

    /// The same on a fresh host.
    pub fn of_web(host: FakeHost, root_id: &str, configuration: &str) -> Self {
        host.set_attribute(&["xds", "node", "id"], "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local");
        for (key, value) in [
            ("NAME", "web-1"),
            ("NAMESPACE", "shop"),
            ("WORKLOAD_NAME", "web"),
            ("CLUSTER_ID", "east"),
            ("ISTIO_VERSION", "1.29.2"),
        ] {
            host.set_node_metadata(key, value);
        }
        for (label, value) in [
            ("app", "web-app"),
            ("version", "v3"),
            ("service.istio.io/canonical-name", "web-canonical"),
            ("service.istio.io/canonical-revision", "r3"),
        ] {
            host.set_node_label(label, value);
        }
        Self::with_host(host, root_id, configuration)
    }

    /// A plugin on a host prepared by the caller.
    pub fn with_host(host: FakeHost, root_id: &str, configuration: &str) -> Self {
        host.set_attribute(&["plugin_root_id"], root_id);
        host.set_plugin_configuration(configuration);
        let plugin = StatsPlugin::configure(&host).expect("a usable configuration");
        Self { host, plugin }
    }

    /// Opens a stream of a plain HTTP request that is answered with 200; the
    /// caller may change its attributes until it is [`Self::finish`]ed.
    pub fn open(&self) -> u32 {
        let id = self.open_unseen();
        self.plugin.on_open(&self.host, id, Attachment::Http);
        id
    }

    /// The same without telling the plugin: an access logger does not hear of it.
    pub fn open_unseen(&self) -> u32 {
        let id = self.host.open_stream();
        let host = &self.host;
        host.set_attribute(&["request", "protocol"], "HTTP/1.1");
        host.set_attribute(&["request", "host"], "web.example.com:8080");
        host.set_attribute(&["request", "duration"], 12_345_678i64);
        host.set_attribute(&["request", "total_size"], 120i64);
        host.set_attribute(&["response", "total_size"], 4560i64);
        host.set_attribute(&["response", "code"], 200i64);
        host.set_attribute(&["response", "flags"], 0i64);
        host.set_attribute(&["connection", "mtls"], false);
        host.set_header_to(HeaderMap::Request, "content-type", "text/plain");
        id
    }

    /// Opens a TCP connection over which nothing passed yet.
    pub fn connect(&self) -> u32 {
        let id = self.connect_unseen();
        self.plugin.on_open(&self.host, id, Attachment::Tcp);
        id
    }

    /// The same without telling the plugin: an access logger does not hear of it.
    pub fn connect_unseen(&self) -> u32 {
        let id = self.host.open_stream();
        self.host.set_attribute(&["connection", "mtls"], false);
        self.host.set_attribute(&["response", "flags"], 0i64);
        self.transferred(0, 0);
        id
    }

    /// Says how many bytes the current connection got from its client and sent
    /// to it so far.
    pub fn transferred(&self, received: i64, sent: i64) {
        self.host.set_attribute(&["request", "size"], received);
        self.host.set_attribute(&["response", "size"], sent);
    }

    /// Closes a connection, with these response flags.
    pub fn disconnect(&self, id: u32, flags: i64) {
        self.host.set_attribute(&["response", "flags"], flags);
        self.host.enter_stream(id, Phase::Log);
        self.plugin.on_log(&self.host, id, Attachment::Tcp);
        self.plugin.on_close(id);
        self.host.close_stream(id);
    }

    /// Makes the current stream gRPC with these message counts so far.
    pub fn grpc_messages(&self, requests: u64, responses: u64) {
        self.host.set_header_to(HeaderMap::Request, "content-type", "application/grpc");
        let counts = format!("{requests},{responses}");
        self.host.set_attribute(&["filter_state", "envoy.filters.http.grpc_stats"], counts.as_str());
    }

    /// Logs the stream and deletes it.
    pub fn finish(&self, id: u32) {
        self.host.enter_stream(id, Phase::Log);
        self.plugin.on_log(&self.host, id, Attachment::Http);
        self.host.enter_stream(id, Phase::Delete);
        self.plugin.on_close(id);
        self.host.close_stream(id);
    }

    /// Deletes the stream without having logged it, as Envoy does over HTTP/3.
    pub fn vanish(&self, id: u32) {
        self.host.enter_stream(id, Phase::Delete);
        self.plugin.on_unlogged(&self.host, id, Attachment::Http);
        self.plugin.on_close(id);
        self.host.close_stream(id);
    }

    /// The same plugin in another VM of the process.
    pub fn another_vm(&self) -> Self {
        Self::configured(self.host.another_vm())
    }

    /// The plugin of another build, the next module of the process.
    pub fn upgraded(&self) -> Self {
        let host = self.host.vm_of_next_module();
        // The build that is tested came after another one.
        host.set_shared_data("istio_stats.build", b"0.0.1", 0).unwrap();
        Self::configured(host)
    }

    fn configured(host: FakeHost) -> Self {
        host.enter(Phase::Configure);
        let plugin = StatsPlugin::configure(&host).expect("a usable configuration");
        Self { host, plugin }
    }

    /// Serves one request, from beginning to end.
    pub fn serve(&self) {
        let id = self.open();
        self.finish(id);
    }

    /// The period passes that the plugin asked for, and ends in a tick.
    pub fn tick(&self) {
        let period = self.host.tick_period().expect("the plugin asked for ticks");
        self.host.advance(period);
        self.host.enter(Phase::Tick);
        self.plugin.on_tick(&self.host);
    }

    /// All series of a metric (without `istio_`), with labels and count: a
    /// counter's value, a histogram's number of samples.
    pub fn series(&self, metric: &str) -> Vec<(Labels, u64)> {
        let named = |stat_name: &String| metric_of(stat_name) == format!("istio_{metric}");
        let mut stats: Vec<_> = self.host.stat_names().into_iter().filter(|(_, name)| named(name)).collect();
        stats.dedup();
        stats
            .into_iter()
            .map(|(kind, name)| {
                let count = match kind {
                    MetricKind::Counter => self.host.counter(&name).unwrap(),
                    MetricKind::Gauge => self.host.gauge(&name).unwrap(),
                    MetricKind::Histogram => self.host.histogram(&name).unwrap().len() as u64,
                };
                (labels_of(&name), count)
            })
            .collect()
    }

    /// The samples of a histogram's only series.
    pub fn samples(&self, metric: &str) -> Vec<u64> {
        let names = self.host.stat_names().into_iter().map(|(_, name)| name);
        let mut named = names.filter(|name| metric_of(name) == format!("istio_{metric}"));
        let samples = self.host.histogram(&named.next().unwrap()).unwrap();
        assert_eq!(named.next(), None);
        samples
    }

    /// The labels of the only series of `requests_total`.
    pub fn request_labels(&self) -> Labels {
        let series = self.series("requests_total");
        assert_eq!(series.len(), 1, "{series:#?}");
        series.into_iter().next().unwrap().0
    }

    /// The plugin's log lines from `warn` up.
    pub fn complaints(&self) -> Vec<String> {
        let lines = self.host.log_lines();
        lines.into_iter().filter(|(level, _)| *level <= log::Level::Warn).map(|(_, line)| line).collect()
    }
}

/// Picks labels by name, in the order asked for.
pub fn pick<const N: usize>(labels: &Labels, names: [&str; N]) -> [String; N] {
    names.map(|name| labels.get(name).unwrap_or_else(|| panic!("no label {name} in {labels:#?}")).clone())
}

fn metric_of(stat_name: &str) -> &str {
    stat_name.rsplit(";.;").next().unwrap()
}

fn labels_of(stat_name: &str) -> Labels {
    let mut parts: Vec<_> = stat_name.split(";.;").collect();
    parts.pop();
    let label = |part: &str| {
        let (tag, value) = part.split_once("=.=").expect("tag=.=value");
        (tag.to_owned(), value.to_owned())
    };
    parts.into_iter().map(label).collect()
}
