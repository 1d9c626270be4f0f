//! Where samples become the host's numbers.
//!
//! One registry per root context. Recording under known labels borrows their
//! values and allocates nothing; only new ones have stat names built, and defined
//! in the background where there is one. Until then samples are kept; none is
//! lost. The host keeps a stat for ever and cannot be told to drop one, so the
//! number of label sets is bounded: what comes later is folded into the overflow.

use core::mem;

use crate::catalogue::dimension::Values;
use crate::catalogue::metric::Metric;
use crate::catalogue::own_metric::{SERIES, SERIES_OVERFLOW};
use crate::catalogue::stat_name;
use crate::host::metric_name::MetricName;
use crate::host::{Host, HostError, MetricId, MetricKind};
use crate::rules::plan::MetricIndex;
use crate::rules::sample::Sample;
use crate::series::background::Background;
use crate::series::host_metric::HostMetric;
use crate::series::key::Series;
use crate::series::metric_state::MetricState;
use crate::series::store::SeriesStore;
use crate::series::waiting::Waiting;

/// The label sets of one root context, and what waits to be recorded.
#[derive(Debug)]
pub struct Registry {
    store: SeriesStore,
    waiting: Waiting,
    max_series: usize,
    overflow_total: Option<MetricId>,
    series_gauge: Option<MetricId>,
}

// === impl Registry ===

impl Registry {
    /// A registry that keeps at most this many label sets.
    ///
    /// # Errors
    /// The host refused to define the metric of its own; the registry works
    /// without.
    pub fn new(
        host: &dyn Host,
        max_series: usize,
        background: Option<Background>,
    ) -> (Self, Result<(), HostError>) {
        let stat_name = stat_name::encode([], SERIES.name);
        let series_gauge = host.define_metric(SERIES.kind, MetricName::of(&stat_name));
        let registry = Self {
            store: SeriesStore::default(),
            waiting: Waiting::new(background),
            max_series,
            overflow_total: None,
            series_gauge: series_gauge.ok(),
        };
        (registry, series_gauge.map(drop))
    }

    /// Records samples of metrics that carry these labels. `overflow` gives the
    /// values to use beyond the bound.
    ///
    /// Counters with nothing to add are left alone, so that no series appears
    /// that never counted.
    ///
    /// # Errors
    /// The host refused a call; the other samples were recorded.
    pub fn record<'a>(
        &mut self,
        host: &dyn Host,
        series: Series<'_>,
        samples: impl Iterator<Item = Sample>,
        overflow: impl FnOnce() -> Values<'a>,
    ) -> Result<(), HostError> {
        let counts = |sample: &Sample| {
            let plan = series.plan.variant.plan(sample.metric);
            plan.is_some_and(|plan| sample.value > 0 || plan.kind != MetricKind::Counter)
        };
        let mut samples = samples.filter(counts).peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let known = self.store.find(&series);
        if known.is_some() || self.store.count() < self.max_series {
            return self.add(host, known, &series, samples);
        }
        let counted = self.count_overflow(host);
        let values = overflow();
        let overflow = series.folded(&values);
        let known = self.store.find(&overflow);
        self.add(host, known, &overflow, samples).and(counted)
    }

    /// Where samples of these metrics go, as long as this registry is there; `None` for
    /// a metric that is dropped. `None` altogether if that is not settled for each of
    /// them, or the series is beyond the bound.
    pub fn settled<const N: usize>(
        &mut self,
        series: &Series<'_>,
        metrics: [Metric; N],
    ) -> Option<[Option<HostMetric>; N]> {
        let number = self.store.find(series)?;
        let states = self.store.metrics(number)?;
        let mut settled = [None; N];
        for (place, metric) in settled.iter_mut().zip(metrics.map(MetricIndex::from)) {
            if series.plan.variant.plan(metric).is_some() {
                let MetricState::Recorded(metric) = states.get(metric.as_usize())? else {
                    return None;
                };
                *place = Some(*metric);
            }
        }
        Some(settled)
    }

    /// Defines what other VMs requested, for a while; whether there was anything.
    pub fn serve(&self, host: &dyn Host) -> bool {
        self.waiting.serve(host)
    }

    /// Whether samples wait for their metrics.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Records what waited for metrics that are defined by now, for a moment.
    ///
    /// # Errors
    /// The host refused a call; the samples of that metric are lost.
    pub fn settle(&mut self, host: &dyn Host) -> Result<(), HostError> {
        self.waiting.settle(host, &mut self.store)
    }

    /// Records all that waits; the rest of the metrics is defined here. Gives up
    /// the label sets: for the end.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub fn close(&mut self, host: &dyn Host) -> Result<(), HostError> {
        let result = self.waiting.settle_all(host, &mut self.store);
        let given_up = mem::take(&mut self.store);
        let kept = i64::try_from(given_up.count()).unwrap_or(i64::MAX);
        result.and(self.count_series(host, kept.saturating_neg()))
    }

    /// Adds samples to a label set; one that is not `known` is new.
    fn add(
        &mut self,
        host: &dyn Host,
        known: Option<usize>,
        series: &Series<'_>,
        samples: impl Iterator<Item = Sample>,
    ) -> Result<(), HostError> {
        let number = known.unwrap_or_else(|| self.store.add(series));
        let added = self.add_to(host, number, series, samples);
        let more = i64::from(known.is_none());
        added.and(self.count_series(host, more))
    }

    fn add_to(
        &mut self,
        host: &dyn Host,
        number: usize,
        series: &Series<'_>,
        samples: impl Iterator<Item = Sample>,
    ) -> Result<(), HostError> {
        let Some(metrics) = self.store.metrics_mut(number) else {
            return Ok(());
        };
        let mut result = Ok(());
        let mut waits = false;
        for Sample { metric, value } in samples {
            let plan = series.plan.variant.plan(metric);
            let Some((plan, metric)) = plan.zip(metrics.get_mut(metric.as_usize())) else {
                continue;
            };
            if let MetricState::Recorded(metric) = metric {
                result = result.and(metric.record(host, value));
            } else {
                self.waiting.hold(metric, plan, series, value);
                waits = true;
            }
        }
        if waits {
            result = result.and(self.waiting.admit(host, number, metrics));
        }
        result
    }

    fn count_overflow(&mut self, host: &dyn Host) -> Result<(), HostError> {
        if self.overflow_total.is_none() {
            let stat_name = stat_name::encode([], SERIES_OVERFLOW.name);
            let defined = host.define_metric(SERIES_OVERFLOW.kind, MetricName::of(&stat_name))?;
            self.overflow_total = Some(defined);
        }
        self.overflow_total.map_or(Ok(()), |id| host.increment_metric(id, 1))
    }

    fn count_series(&self, host: &dyn Host, more: i64) -> Result<(), HostError> {
        match self.series_gauge {
            Some(id) if more != 0 => host.increment_metric(id, more),
            _ => Ok(()),
        }
    }
}
