//! What streams need of their plugin to be reported: who reads, who rules, who
//! records.

use std::cell::RefCell;

use super::clock::Clock;
use super::memo::{Known, Likeness, Memo};
use super::report;
use crate::attribute::batch::{Content, Fetched, Measured};
use crate::attribute::bulk::Bulk;
use crate::attribute::era::Era;
use crate::attribute::Attributes;
use crate::catalogue::metric::Metric;
use crate::catalogue::own_metric::PEER_DECODE_ERRORS;
use crate::catalogue::stat_name;
use crate::facts::call::Call;
use crate::facts::messages::Messages;
use crate::facts::needs::Needs;
use crate::facts::outcome::{AddedBytes, Measures};
use crate::facts::reader::CallReader;
use crate::host::metric_name::MetricName;
use crate::host::say::log_failure;
use crate::host::{Host, HostError, MetricKind};
use crate::rules::said::Said;
use crate::rules::sample::Sample;
use crate::rules::Rules;
use crate::series::host_metric::HostMetric;
use crate::series::key::Series;
use crate::series::registry::Registry;
use crate::workload::labels::WorkloadLabels;

/// What all streams of one plugin share.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// How the host names its attributes.
    pub(crate) era: Era,
    /// The local workload's labels.
    pub(crate) local: WorkloadLabels,
    /// Who reads what every request has.
    pub(crate) bulk: Bulk,
    /// Who reads who called whom.
    pub(crate) calls: CallReader,
    /// The configuration's rules on metrics.
    pub(crate) rules: Rules,
    pub(crate) registry: RefCell<Registry>,
    pub(crate) memo: RefCell<Memo>,
    pub(crate) clock: Clock,
}

/// The label of the peers that could not be decoded.
pub(super) const REASON: &str = "reason";

// === impl Recorder ===

impl Recorder {
    /// The attributes of the stream that is in hand, or in effect.
    pub(crate) fn attributes<'a>(&self, host: &'a dyn Host) -> Attributes<'a> {
        Attributes::new(host, self.era)
    }

    /// What is to be known of a stream.
    pub(crate) fn needs(&self) -> &Needs {
        &self.calls.needs
    }

    /// Records what was measured and, of a stream that is `over`, the metrics that
    /// the configuration defines; what goes wrong is logged once.
    pub(crate) fn record(
        &self,
        host: &dyn Host,
        series: Series<'_>,
        measured: &[(Metric, Option<u64>)],
        over: Option<&Call>,
    ) {
        let defined = over.into_iter().flat_map(|call| self.rules.defined_samples(host, call));
        let measured = measured.iter().filter_map(|(metric, value)| Some(Sample::new(*metric, (*value)?)));
        let overflow = || report::overflow_values(series.reporter, &self.local);
        let mut registry = self.registry.borrow_mut();
        let result = registry.record(host, series, measured.chain(defined), overflow);
        log_failure(host, "recording a metric", result);
        if registry.is_waiting() {
            self.clock.keep_pace(host, true);
        }
    }

    /// Records a request like one that is remembered; `false` if none is.
    pub(crate) fn record_again(&self, host: &dyn Host, fetched: &Fetched, said: Option<&Said>) -> bool {
        let Some(said) = said else {
            return false;
        };
        let memo = self.memo.borrow();
        let kind_of = |measured: &Measured<'_>| self.calls.connection_kind(measured);
        if let Some((known, measured)) = memo.last(fetched, said, kind_of) {
            self.record_known(host, known, &measured);
            return true;
        }
        drop(memo);
        self.record_like_another(host, fetched, said)
    }

    /// The same of one that is not like the last one.
    #[inline(never)]
    fn record_like_another(&self, host: &dyn Host, fetched: &Fetched, said: &Said) -> bool {
        let Some((request, measured)) = self.likeness(fetched, said) else {
            return false;
        };
        let mut memo = self.memo.borrow_mut();
        let known = memo.find(request);
        if let Some(known) = known {
            self.record_known(host, known, &measured);
        }
        known.is_some()
    }

    fn record_known(&self, host: &dyn Host, known: &Known, measured: &Measured<'_>) {
        self.bulk.follow(known.seen);
        let measures = Measures::read(|element| measured.number(element), self.needs()).without(known.added);
        let mut result = record_each(host, &known.metrics, &measures.measured());
        if let Some(text) = measured.messages {
            let messages = Messages::parse(text).unwrap_or_default();
            result = result.and(record_each(host, &known.messages, &messages.measured()));
        }
        log_failure(host, "recording a metric", result);
    }

    /// Remembers where the samples of a request went, and those of its messages if it had
    /// any, if that is settled.
    pub(crate) fn remember(
        &self,
        fetched: &Fetched,
        said: Option<&Said>,
        seen: Content,
        added: AddedBytes,
        series: &Series<'_>,
        of_messages: Option<&Series<'_>>,
    ) {
        let mut registry = self.registry.borrow_mut();
        let mut settled = || {
            let metrics = Measures::default().measured().map(|(metric, _)| metric);
            let metrics = registry.settled(series, metrics)?;
            let messages = Messages::default().measured().map(|(metric, _)| metric);
            let messages = match of_messages {
                Some(series) => registry.settled(series, messages)?,
                None => messages.map(|_| None),
            };
            Some(Known { seen, added, metrics, messages })
        };
        // What are no counts now may be some in the next of the same length.
        let has_text = |measured: &Measured<'_>| measured.messages.is_some_and(|text| !text.is_empty());
        let request = said.and_then(|said| self.likeness(fetched, said));
        let request = request.filter(|(_, measured)| has_text(measured) == of_messages.is_some());
        if let Some(((request, _), known)) = request.zip(settled()) {
            self.memo.borrow_mut().put(request, known);
        }
    }

    /// By what a request is remembered, and what differs; `None`: its labels depend on
    /// more than that.
    fn likeness<'a>(&self, fetched: &'a Fetched, said: &'a Said) -> Option<(Likeness<'a>, Measured<'a>)> {
        let (stable, measured) = fetched.split()?;
        let connection = self.calls.connection_kind(&measured)?;
        let (content, length) = (fetched.content, fetched.bytes.len());
        Some((Likeness { content, length, stable, said, connection }, measured))
    }

    /// Counts a peer whose metadata could not be decoded.
    pub(crate) fn count_decode_errors(&self, host: &dyn Host, call: &Call) {
        for reason in call.decode_errors() {
            let stat_name = stat_name::encode([(REASON, reason)], PEER_DECODE_ERRORS.name);
            let result = host.define_metric(PEER_DECODE_ERRORS.kind, MetricName::of(&stat_name));
            let result = result.and_then(|id| host.increment_metric(id, 1));
            log_failure(host, "counting a decode error", result);
        }
    }
}

/// Records what was measured of each metric.
fn record_each(
    host: &dyn Host,
    metrics: &[Option<HostMetric>],
    measured: &[(Metric, Option<u64>)],
) -> Result<(), HostError> {
    let mut result = Ok(());
    for (metric, (_, value)) in metrics.iter().zip(measured) {
        if let Some((metric, value)) = metric.zip(*value) {
            // As the registry does: a counter with nothing to add is left alone.
            if value > 0 || metric.kind != MetricKind::Counter {
                result = result.and(metric.record(host, value));
            }
        }
    }
    result
}
