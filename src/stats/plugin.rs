//! The stats plugin: one root context, what it was configured to do, and what
//! its streams share. Bad input of any kind ends in one log line, never in a
//! plugin that stops the proxy.

use std::cell::RefCell;
use std::iter;

use hashbrown::HashMap;

use crate::attribute::bulk::Bulk;
use crate::attribute::era::Era;
use crate::attribute::Attributes;
use crate::catalogue::label_value::LabelValue;
use crate::catalogue::metric::PREFIX;
use crate::catalogue::reporter::Reporter;
use crate::catalogue::stat_name;
use crate::config::{Attachment, Config, Trust};
use crate::facts::connections::Connections;
use crate::facts::needs::Needs;
use crate::facts::service::{Service, UpstreamClusters};
use crate::facts::{Identity, Messages};
use crate::host::say::{log_failure, say};
use crate::host::{Host, MetricKind};
use crate::peer::cache::PeerCache;
use crate::peer::{Peer, Side};
use crate::rules::{Early, Rules};
use crate::series::background::Background;
use crate::series::registry::{Registry, Sample, Series};
use crate::stats::clock::Clock;
use crate::stats::http;
use crate::stats::report::{self, Call};
use crate::stats::tcp::Connection;
use crate::version::VERSION;
use crate::workload::labels::WorkloadLabels;
use crate::workload::{self, Workload};

/// One configured stats plugin in one VM.
#[derive(Debug)]
pub struct Plugin {
    pub(crate) config: Config,
    pub(crate) era: Era,
    reporter: Option<Reporter>,
    local: WorkloadLabels,
    rules: Rules,
    needs: Needs,
    pub(crate) bulk: Bulk,
    registry: RefCell<Registry>,
    peers: RefCell<PeerCache>,
    upstream_clusters: RefCell<UpstreamClusters>,
    connections: RefCell<Connections>,
    /// Open streams by context id.
    open: RefCell<HashMap<u32, Open>>,
    clock: Clock,
}

/// A stream that is open.
#[derive(Debug)]
struct Open {
    reported: Reported,
    early: Option<Box<Early>>,
}

/// What was reported of an open stream.
#[derive(Debug)]
enum Reported {
    Http(Messages),
    Tcp(Box<Connection>),
}

/// How many things a configuration got wrong; defined when there are any.
const CONFIG_ERRORS_METRIC: &str = "stats_config_errors";
/// Peers whose metadata could not be decoded, by reason.
const DECODE_ERRORS_METRIC: &str = "stats_peer_decode_errors_total";

// === impl Plugin ===

impl Plugin {
    /// Configures from the host's plugin configuration and node metadata.
    /// `None`: the configuration is unusable, which was logged; the plugin
    /// then does nothing, and traffic flows.
    pub fn configure(host: &dyn Host) -> Option<Self> {
        let era = Era::detect(host);
        let (local, istio_version) = read_node(host);
        say(host, log::Level::Info, format_args!("version {VERSION}"));

        let bytes = host.plugin_configuration().unwrap_or_else(|error| {
            say(host, log::Level::Error, format_args!("configuration: {error}"));
            Vec::new()
        });
        let (config, mut issues) = Config::compile(&bytes);
        define_builds(host, config.as_ref().map_or(PREFIX, |config| &config.metric_prefix), &istio_version);
        let compiled = config.map(|config| {
            let rules = Rules::create(host, config.catalogue(), &mut issues);
            (config, rules)
        });
        for issue in &issues {
            say(host, issue.level, format_args!("configuration: {issue}"));
        }
        let errors = issues.iter().filter(|issue| issue.level <= log::Level::Warn).count();
        if errors > 0 {
            define_config_errors(host, errors);
        }
        let (config, rules) = compiled?;
        let root_id = Attributes::new(host, era).bytes(&["plugin_root_id"]).unwrap_or_default();
        let background = if config.define_in_place { None } else { Background::join(host) };
        let clock = Clock::start(host, config.reporting_period, background.is_some());
        let max_series = usize::try_from(config.max_series).unwrap_or(usize::MAX);
        let (registry, result) = Registry::new(host, max_series, background);
        log_failure(host, "setting a gauge", result);
        let reporter = Reporter::fixed(config.waypoint, &root_id);
        let needs = rules.needs();
        Some(Self {
            era,
            reporter,
            local: WorkloadLabels::new(&local.overridden(&config.local)),
            bulk: Bulk::new(era),
            needs,
            rules,
            registry: RefCell::new(registry),
            peers: RefCell::default(),
            upstream_clusters: RefCell::default(),
            connections: RefCell::default(),
            open: RefCell::default(),
            clock,
            config,
        })
    }

    /// The kind of the stream being created.
    pub fn attachment(&self, host: &dyn Host) -> Attachment {
        Attachment::of_stream(self.config.attachment, &Attributes::new(host, self.era))
    }

    /// A stream opened. Without a reporting period HTTP has nothing to remember.
    pub fn on_open(&self, host: &dyn Host, context_id: u32, attachment: Attachment) {
        self.clock.saw_stream();
        let no_reports = self.config.reporting_period.is_zero();
        let reported = match attachment {
            Attachment::Http if no_reports => return,
            Attachment::Http => Reported::Http(Messages::default()),
            Attachment::Tcp => Reported::Tcp(Box::new(Connection::new(host.now()))),
        };
        let early = if no_reports { None } else { self.rules.at_open(host) };
        self.open.borrow_mut().insert(context_id, Open { reported, early });
    }

    /// A stream is gone.
    pub fn on_close(&self, context_id: u32) {
        self.open.borrow_mut().remove(&context_id);
    }

    /// Some time passed: reports what open streams did since the last report, if
    /// it is time for that, and looks after series that are being defined.
    pub fn on_tick(&self, host: &dyn Host) {
        let result = if self.clock.defines() {
            self.registry.borrow().serve(host);
            Ok(())
        } else {
            self.registry.borrow_mut().settle(host)
        };
        log_failure(host, "recording a metric", result);
        if self.clock.is_report_due(host) {
            self.upstream_clusters.borrow_mut().forget();
            self.peers.borrow_mut().places.on_tick();
            if !self.config.reporting_period.is_zero() {
                self.report_open(host);
            }
        }
        self.clock.keep_pace(host, self.registry.borrow().is_waiting());
    }

    fn report_open(&self, host: &dyn Host) {
        let ids: Vec<u32> = self.open.borrow().keys().copied().collect();
        for context_id in ids {
            if host.set_effective_context(context_id).is_err() {
                continue;
            }
            let Some(mut stream) = self.take_open(context_id) else {
                continue;
            };
            let early = stream.early.as_deref();
            match &mut stream.reported {
                Reported::Http(reported) => http::report_open(self, host, reported, early),
                Reported::Tcp(connection) => connection.report_open(self, host, early),
            }
            self.open.borrow_mut().insert(context_id, stream);
        }
    }

    /// A stream is over: reports it, or the rest of it.
    pub fn on_log(&self, host: &dyn Host, context_id: u32, attachment: Attachment) {
        match (attachment, self.take_open(context_id).map(|open| open.reported)) {
            (Attachment::Http, Some(Reported::Http(reported))) => http::report(self, host, reported),
            (Attachment::Http, _) => http::report(self, host, Messages::default()),
            (Attachment::Tcp, Some(Reported::Tcp(connection))) => connection.report(self, host),
            (Attachment::Tcp, _) => {}
        }
    }

    /// As an access logger: a stream is over of which nothing was heard before.
    pub fn on_access_log(&self, host: &dyn Host) {
        self.clock.saw_stream();
        match self.attachment(host) {
            Attachment::Http => http::report(self, host, Messages::default()),
            Attachment::Tcp => Connection::report_logged(self, host),
        }
    }

    /// The root context goes, its streams are gone.
    pub fn on_delete(&self, host: &dyn Host) {
        self.clock.stop();
        let result = self.registry.borrow_mut().close(host);
        log_failure(host, "recording a metric", result);
    }

    fn take_open(&self, context_id: u32) -> Option<Open> {
        self.open.borrow_mut().remove(&context_id)
    }

    /// The side this stream is reported from.
    pub(crate) fn reporter(&self, attributes: &Attributes<'_>) -> Reporter {
        self.reporter.unwrap_or_else(|| Reporter::of_listener(attributes))
    }

    /// The same for an HTTP stream, and what is known of its connection.
    pub(crate) fn connection(&self, attributes: &Attributes<'_>) -> (Reporter, Option<Identity>) {
        // Of a source it is the other connection that has the identities.
        if self.reporter == Some(Reporter::Source) {
            return (Reporter::Source, None);
        }
        let read = || {
            let reporter = self.reporter(attributes);
            let read = || Identity::read(attributes, reporter, &self.needs);
            (reporter, (reporter != Reporter::Source).then(read))
        };
        self.connections.borrow_mut().find(attributes, read)
    }

    /// Reads who called whom, as far as metrics show it. `identity` is what was
    /// known of that already. `host_header` is asked for the request's host only
    /// where it may name the service.
    pub(crate) fn read_call(
        &self,
        attributes: &Attributes<'_>,
        attachment: Attachment,
        reporter: Reporter,
        identity: Option<Identity>,
        host_header: impl Fn() -> Option<LabelValue>,
    ) -> Call {
        let identity = identity.unwrap_or_else(|| Identity::read(attributes, reporter, &self.needs));
        let peer = |side| self.peer(attributes, attachment, side, reporter);
        let (downstream, upstream) = match reporter {
            Reporter::Source => (Peer::unasked(), peer(Side::Upstream)),
            Reporter::Destination => (peer(Side::Downstream), Peer::unasked()),
            Reporter::Waypoint => (peer(Side::Downstream), peer(Side::Upstream)),
        };
        let service = self.read_service(attributes, reporter, host_header);
        Call { reporter, downstream, upstream, identity, service }
    }

    fn read_service(
        &self,
        attributes: &Attributes<'_>,
        reporter: Reporter,
        host_header: impl Fn() -> Option<LabelValue>,
    ) -> Service {
        if !self.needs.service() {
            return Service::default();
        }
        let trusted = Service::trusts_host_header(reporter, self.config.host_header_fallback);
        let base = || {
            let local_service = || match reporter {
                Reporter::Destination => self.local.canonical_service.clone(),
                Reporter::Source | Reporter::Waypoint => None,
            };
            trusted.then(&host_header).flatten().or_else(local_service)
        };
        Service::read(attributes, &mut self.upstream_clusters.borrow_mut(), base)
    }

    fn peer(
        &self,
        attributes: &Attributes<'_>,
        attachment: Attachment,
        side: Side,
        reporter: Reporter,
    ) -> Peer {
        if !self.needs.peer_facts() && !report::shows_peer(&self.needs, side) {
            return Peer::unasked();
        }
        let believed = self.config.trust == Trust::Always || side.showed_certificate(attributes);
        let endpoint = reporter == Reporter::Source;
        Peer::discover(attributes, attachment, side, believed, endpoint, &mut self.peers.borrow_mut())
    }

    /// Whether the peer of a TCP connection told something that was still pending:
    /// cheap to ask.
    pub(crate) fn peer_told(&self, attributes: &Attributes<'_>, reporter: Reporter) -> bool {
        let told = |side| !self.peer(attributes, Attachment::Tcp, side, reporter).is_pending();
        match reporter {
            Reporter::Source => told(Side::Upstream),
            Reporter::Destination => told(Side::Downstream),
            Reporter::Waypoint => told(Side::Downstream) || told(Side::Upstream),
        }
    }

    /// What is to be known of a stream.
    pub(crate) fn needs(&self) -> &Needs {
        &self.needs
    }

    /// The configuration's rules on metrics.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The local workload's labels.
    pub(crate) fn local(&self) -> &WorkloadLabels {
        &self.local
    }

    /// Records samples and, of a stream that is `over`, those of the metrics that
    /// the configuration defines; what goes wrong is logged once.
    pub(crate) fn record(
        &self,
        host: &dyn Host,
        series: Series<'_>,
        samples: &[Option<Sample>],
        over: Option<&Call>,
    ) {
        let defined = over.into_iter().flat_map(|call| self.rules.defined_samples(host, call));
        let mut samples = samples.iter().copied().flatten().chain(defined);
        // `dyn` brings every method of an iterator along, and a chain's are long.
        let mut samples = iter::from_fn(|| samples.next());
        let overflow = || report::overflow_values(series.reporter, &self.local);
        let mut registry = self.registry.borrow_mut();
        let result = registry.record(host, series, &mut samples, &overflow);
        log_failure(host, "recording a metric", result);
        if registry.is_waiting() {
            self.clock.keep_pace(host, true);
        }
    }

    /// Counts a peer whose metadata could not be decoded.
    pub(crate) fn count_decode_errors(&self, host: &dyn Host, call: &Call) {
        for reason in [&call.downstream, &call.upstream].into_iter().filter_map(Peer::decode_error) {
            let stat_name = stat_name::encode([("reason", reason)], DECODE_ERRORS_METRIC);
            let result = host.define_metric(MetricKind::Counter, &stat_name);
            let result = result.and_then(|id| host.increment_metric(id, 1));
            log_failure(host, "counting a decode error", result);
        }
    }
}

fn read_node(host: &dyn Host) -> (Workload, String) {
    let (local, warnings) = Workload::from_node_metadata(host);
    for warning in warnings {
        say(host, log::Level::Warn, format_args!("{warning}"));
    }
    let version = workload::istio_version(host);
    (local, version.unwrap_or_else(|| crate::catalogue::label_value::UNKNOWN.to_owned()))
}

fn define_builds(host: &dyn Host, prefix: &str, istio_version: &str) {
    let version = LabelValue::clean_str(istio_version);
    let version = crate::workload::labels::or(&version, crate::catalogue::label_value::UNKNOWN);
    set_gauge(host, &stat_name::build("proxy", version, &format!("{prefix}build")), 1);
    set_gauge(host, &stat_name::build("istio_stats", VERSION, "istio_stats_build"), 1);
}

fn define_config_errors(host: &dyn Host, errors: usize) {
    let errors = u64::try_from(errors).unwrap_or(u64::MAX);
    set_gauge(host, &stat_name::encode([], CONFIG_ERRORS_METRIC), errors);
}

fn set_gauge(host: &dyn Host, stat_name: &str, value: u64) {
    let result = host.define_metric(MetricKind::Gauge, stat_name);
    let result = result.and_then(|id| host.record_metric(id, value));
    log_failure(host, "setting a gauge", result);
}
