//! The stats plugin: one root context, what it was configured to do, and its open
//! streams. Bad input of any kind ends in one log line, never in a plugin that
//! stops the proxy.

use std::cell::RefCell;
use std::time::Duration;

use hashbrown::HashMap;

use super::clock::Clock;
use super::recorder::{self, Recorder};
use super::self_report;
use super::stream::End;
use super::streams::AnyStream;
use crate::attachment::Attachment;
use crate::attribute::bulk::Bulk;
use crate::attribute::era::Era;
use crate::attribute::Attributes;
use crate::catalogue::metric::PREFIX;
use crate::catalogue::own_metric::{OwnMetric, PEER_DECODE_ERRORS, SERIES_OVERFLOW, SERIES_REFUSED};
use crate::config::Config;
use crate::facts::reader::CallReader;
use crate::host::say::{log_failure, say};
use crate::host::Host;
use crate::rules::plan::{MetricShape, Plans};
use crate::rules::Rules;
use crate::series::background::Background;
use crate::series::names::Names;
use crate::series::registry::Registry;
use crate::workload::labels::WorkloadLabels;

/// One configured stats plugin in one VM.
#[derive(Debug)]
pub struct StatsPlugin {
    attachment: Option<Attachment>,
    /// Whether open streams are reported on.
    reports_open: bool,
    recorder: Recorder,
    /// Open streams by context id.
    open: RefCell<HashMap<u32, AnyStream>>,
    /// Those of which the report that is under way did not hear yet.
    due: RefCell<Vec<u32>>,
}

/// How long one tick may report on open streams: the requests of this worker wait
/// meanwhile, and thousands of connections take tens of milliseconds.
const TIME_PER_REPORTING: Duration = Duration::from_millis(1);

/// Streams that are reported on before the clock is looked at.
const STREAMS_AT_ONCE: usize = 16;

// === impl StatsPlugin ===

impl StatsPlugin {
    /// Configures from the host's plugin configuration and node metadata.
    /// `None`: the configuration is unusable, which was logged; the plugin
    /// then does nothing, and traffic flows.
    pub fn configure(host: &dyn Host) -> Option<Self> {
        let era = Era::detect(host);
        let node = self_report::Node::read(host);
        let bytes = host.plugin_configuration().unwrap_or_else(|error| {
            say(host, log::Level::Error, format_args!("configuration: {error}"));
            Vec::new()
        });
        let (config, mut issues) = Config::compile(&bytes);
        self_report::builds(host, config.as_ref(), &node);
        let compiled = config.map(|config| {
            let rules = Rules::create(host, Plans::new(&config), &mut issues);
            (config, rules)
        });
        self_report::issues(host, &issues);
        let (config, rules) = compiled?;

        let background =
            if config.define_in_place { None } else { Background::join(host, &Names::of(&config)) };
        let clock = Clock::start(host, config.reporting_period, background.is_some());
        let max_series = usize::try_from(config.max_series).unwrap_or(usize::MAX);
        let (registry, result) = Registry::new(host, max_series, background);
        log_failure(host, "setting a gauge", result);
        let local = WorkloadLabels::new(&node.workload.overridden(&config.local));
        let calls =
            CallReader::new(&config, rules.needs(), rules.further(), &Attributes::new(host, era), &local);
        let registry = RefCell::new(registry);
        Some(Self {
            attachment: config.attachment,
            reports_open: !config.reporting_period.is_zero(),
            recorder: Recorder {
                era,
                local,
                bulk: Bulk::new(era, host),
                calls,
                rules,
                registry,
                memo: RefCell::default(),
                clock,
            },
            open: RefCell::default(),
            due: RefCell::default(),
        })
    }

    /// Every metric that is defined later than now for such streams, or for any: for hosts
    /// that have to know their labels when they configure.
    pub fn metrics(&self, attachment: Option<Attachment>) -> Vec<MetricShape> {
        let own = |metric: OwnMetric, labels: &[&str]| MetricShape {
            kind: metric.kind,
            name: [PREFIX, metric.name].concat(),
            labels: labels.iter().map(ToString::to_string).collect(),
        };
        let mut metrics = self.recorder.rules.metrics(attachment);
        metrics.push(own(SERIES_OVERFLOW, &[]));
        metrics.push(own(SERIES_REFUSED, &[]));
        metrics.push(own(PEER_DECODE_ERRORS, &[recorder::REASON]));
        metrics
    }

    /// The kind of the stream being created.
    pub fn attachment(&self, host: &dyn Host) -> Attachment {
        Attachment::of_stream(self.attachment, &self.recorder.attributes(host))
    }

    /// A stream opened. Without a reporting period HTTP has nothing to remember.
    pub fn on_open(&self, host: &dyn Host, context_id: u32, attachment: Attachment) {
        self.recorder.clock.saw_stream();
        if !self.reports_open && attachment == Attachment::Http {
            return;
        }
        let stream = AnyStream::opened(attachment, host);
        self.open.borrow_mut().insert(context_id, stream);
    }

    /// A stream is gone.
    pub fn on_close(&self, context_id: u32) {
        self.open.borrow_mut().remove(&context_id);
    }

    /// Some time passed: reports what open streams did since the last report, if
    /// it is time for that, and looks after series that are being defined.
    pub fn on_tick(&self, host: &dyn Host) {
        let Recorder { calls, registry, memo, clock, .. } = &self.recorder;
        if clock.defines() {
            if registry.borrow().serve(host) {
                clock.saw_request(host);
            }
        } else {
            let result = registry.borrow_mut().settle(host);
            log_failure(host, "recording a metric", result);
        }
        let mut due = self.due.borrow_mut();
        if due.is_empty() && clock.is_report_due(host) {
            calls.on_tick(host.now());
            memo.borrow_mut().forget();
            if self.reports_open {
                due.extend(self.open.borrow().keys());
            }
        }
        self.report_open(host, &mut due);
        clock.keep_pace(host, !due.is_empty() || registry.borrow().is_waiting());
    }

    /// Reports on streams that are due, for a moment; the rest waits for the next tick.
    fn report_open(&self, host: &dyn Host, due: &mut Vec<u32>) {
        if due.is_empty() {
            return;
        }
        let begin = host.now();
        while !due.is_empty() && host.now().saturating_duration_since(begin) < TIME_PER_REPORTING {
            let rest = due.len().saturating_sub(STREAMS_AT_ONCE);
            self.report_on(host, due.drain(rest..));
        }
    }

    fn report_on(&self, host: &dyn Host, context_ids: impl Iterator<Item = u32>) {
        for context_id in context_ids {
            if host.set_effective_context(context_id).is_err() {
                continue;
            }
            let taken = self.open.borrow_mut().remove(&context_id);
            if let Some(mut stream) = taken {
                stream.get().report_open(&self.recorder, host);
                self.open.borrow_mut().insert(context_id, stream);
            }
        }
    }

    /// A stream is over: reports it, or the rest of it.
    pub fn on_log(&self, host: &dyn Host, context_id: u32, attachment: Attachment) {
        self.report_end(host, context_id, attachment, End::Logged);
    }

    /// A stream goes without having been logged. Over HTTP/3 that is the end of most:
    /// Envoy logs them when the client has acknowledged all, and by then has forgotten
    /// its filters. (Elsewhere it is the end of a try, with the plugin as an upstream filter.)
    pub fn on_unlogged(&self, host: &dyn Host, context_id: u32, attachment: Attachment) {
        let protocol = self.recorder.attributes(host).bytes(&["request", "protocol"]);
        if attachment == Attachment::Http && protocol.as_deref() == Some(b"HTTP/3") {
            self.report_end(host, context_id, attachment, End::Unlogged);
        }
    }

    fn report_end(&self, host: &dyn Host, context_id: u32, attachment: Attachment, end: End) {
        let open = self.open.borrow_mut().remove(&context_id);
        // Only what has nothing to remember is not remembered.
        let unknown = || (attachment == Attachment::Http).then(|| AnyStream::over(attachment));
        if let Some(mut stream) = open.or_else(unknown) {
            stream.get().report_end(&self.recorder, host, end);
        }
    }

    /// As an access logger: a stream is over of which nothing was heard before.
    pub fn on_access_log(&self, host: &dyn Host) {
        self.on_over(host, self.attachment(host));
    }

    /// The same of a stream of a known kind.
    pub fn on_over(&self, host: &dyn Host, attachment: Attachment) {
        self.recorder.clock.saw_stream();
        AnyStream::over(attachment).get().report_end(&self.recorder, host, End::Logged);
    }

    /// The root context goes, its streams are gone.
    pub fn on_delete(&self, host: &dyn Host) {
        self.recorder.clock.stop();
        let result = self.recorder.registry.borrow_mut().close(host);
        log_failure(host, "recording a metric", result);
    }
}
