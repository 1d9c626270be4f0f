//! The stats plugin: one root context, what it was configured to do, and what
//! its streams share. Bad input of any kind ends in one log line, never in a
//! plugin that stops the proxy.

use std::cell::RefCell;

use hashbrown::HashMap;

use crate::attribute::{Attributes, Era};
use crate::config::{Attachment, Config, Trust};
use crate::dimension::{LabelSet, Values};
use crate::facts::{Identity, Messages};
use crate::host::{Host, HostError, MetricKind};
use crate::http;
use crate::label::LabelValue;
use crate::labels::WorkloadLabels;
use crate::peer::cache::PeerCache;
use crate::peer::{Peer, Side};
use crate::registry::{Registry, Sample};
use crate::report::{self, Call};
use crate::reporter::Reporter;
use crate::rules::{Early, Rules, Ruling};
use crate::service::Service;
use crate::stat_name;
use crate::tcp::Connection;
use crate::workload::{self, Workload};

/// One configured stats plugin in one VM.
#[derive(Debug)]
pub struct Plugin {
    pub(crate) config: Config,
    pub(crate) era: Era,
    reporter: Option<Reporter>,
    local: WorkloadLabels,
    rules: Rules,
    registry: RefCell<Registry>,
    peers: RefCell<PeerCache>,
    /// Open streams by context id.
    open: RefCell<HashMap<u32, Open>>,
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
        define_build(host, &istio_version);

        let bytes = host.plugin_configuration().unwrap_or_else(|error| {
            host.log_once(log::Level::Error, &format!("istio-stats: configuration: {error}"));
            Vec::new()
        });
        let (config, mut issues) = Config::compile(&bytes);
        let compiled = config.map(|config| {
            let rules = Rules::create(host, config.catalogue(), &mut issues);
            (config, rules)
        });
        for issue in &issues {
            host.log_once(issue.level, &format!("istio-stats: configuration: {issue}"));
        }
        let errors = issues.iter().filter(|issue| issue.level <= log::Level::Warn).count();
        if errors > 0 {
            define_config_errors(host, errors);
        }
        let (config, rules) = compiled?;
        if let Err(error) = host.set_tick_period(config.reporting_period) {
            host.log_once(
                log::Level::Error,
                &format!("istio-stats: no reports while streams are open: {error}"),
            );
        }
        let root_id = Attributes::new(host, era).bytes(&["plugin_root_id"]).unwrap_or_default();
        Some(Self {
            era,
            reporter: Reporter::fixed(config.waypoint, &root_id),
            local: WorkloadLabels::new(&local.overridden(&config.local)),
            registry: RefCell::new(Registry::new(usize::try_from(config.max_series).unwrap_or(usize::MAX))),
            rules,
            peers: RefCell::default(),
            open: RefCell::default(),
            config,
        })
    }

    /// The kind of the stream being created.
    pub fn attachment(&self, host: &dyn Host) -> Attachment {
        Attachment::of_stream(self.config.attachment, &Attributes::new(host, self.era))
    }

    /// A stream opened. Without a reporting period HTTP has nothing to remember.
    pub fn on_open(&self, host: &dyn Host, context_id: u32, attachment: Attachment) {
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

    /// The reporting period passed: reports what open streams did since.
    pub fn on_tick(&self, host: &dyn Host) {
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

    fn take_open(&self, context_id: u32) -> Option<Open> {
        self.open.borrow_mut().remove(&context_id)
    }

    /// The side this stream is reported from.
    pub(crate) fn reporter(&self, attributes: &Attributes<'_>) -> Reporter {
        self.reporter.unwrap_or_else(|| Reporter::of_listener(attributes))
    }

    /// Reads who called whom. `host_header` is asked for the request's host
    /// only where it may name the service.
    pub(crate) fn read_call(
        &self,
        attributes: &Attributes<'_>,
        reporter: Reporter,
        host_header: impl Fn() -> Option<LabelValue>,
    ) -> Call {
        let trusted = Service::trusts_host_header(reporter, self.config.host_header_fallback);
        let base = || {
            let local_service = || match reporter {
                Reporter::Destination => self.local.canonical_service.clone(),
                Reporter::Source | Reporter::Waypoint => None,
            };
            trusted.then(&host_header).flatten().or_else(local_service)
        };
        let (downstream, upstream) = match reporter {
            Reporter::Source => (Peer::unasked(), self.peer(attributes, Side::Upstream, true)),
            Reporter::Destination => (self.peer(attributes, Side::Downstream, false), Peer::unasked()),
            Reporter::Waypoint => {
                let peer = |side| self.peer(attributes, side, false);
                (peer(Side::Downstream), peer(Side::Upstream))
            }
        };
        Call {
            reporter,
            downstream,
            upstream,
            identity: Identity::read(attributes, reporter),
            service: Service::read(attributes, base),
        }
    }

    fn peer(&self, attributes: &Attributes<'_>, side: Side, endpoint: bool) -> Peer {
        let believed = self.config.trust == Trust::Always || side.showed_certificate(attributes);
        Peer::discover(attributes, side, believed, endpoint, &mut self.peers.borrow_mut())
    }

    /// Whether the peer told something that was still pending: cheap to ask.
    pub(crate) fn peer_told(&self, attributes: &Attributes<'_>, reporter: Reporter) -> bool {
        let told = |side| !self.peer(attributes, side, false).is_pending();
        match reporter {
            Reporter::Source => told(Side::Upstream),
            Reporter::Destination => told(Side::Downstream),
            Reporter::Waypoint => told(Side::Downstream) || told(Side::Upstream),
        }
    }

    /// The configuration's rules on metrics.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The local workload's labels.
    pub(crate) fn local(&self) -> &WorkloadLabels {
        &self.local
    }

    /// Records samples; what goes wrong is logged once.
    pub(crate) fn record<'a>(
        &'a self,
        host: &dyn Host,
        reporter: Reporter,
        ruling: &Ruling,
        set: LabelSet,
        values: &Values<'a>,
        samples: impl IntoIterator<Item = Sample>,
    ) {
        let overflow = || report::overflow_values(reporter, &self.local);
        let result = self.registry.borrow_mut().record(host, ruling, set, values, samples, overflow);
        log_failure(host, "recording a metric", result);
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
        host.log_once(log::Level::Warn, &format!("istio-stats: {warning}"));
    }
    let version = workload::istio_version(host);
    (local, version.unwrap_or_else(|| crate::label::UNKNOWN.to_owned()))
}

fn define_build(host: &dyn Host, istio_version: &str) {
    let version = LabelValue::clean_str(istio_version);
    let version = crate::labels::or(&version, crate::label::UNKNOWN);
    set_gauge(host, &stat_name::build(version), 1);
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

/// One line for a hostcall that should not fail: the proxy goes on, but somebody
/// should know.
pub(crate) fn log_failure(host: &dyn Host, doing: &str, result: Result<(), HostError>) {
    if let Err(error) = result {
        host.log_once(log::Level::Error, &format!("istio-stats: {doing} failed: {error}"));
    }
}
