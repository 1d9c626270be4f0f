//! Samples that wait until their metrics are defined elsewhere, then for a tick
//! that has time to record them. They are bounded in bytes, and so is the patience.

use core::mem;
use core::time::Duration;

use crate::host::{Host, HostError};
use crate::rules::plan::Plan;
use crate::series::background::{self, Background};
use crate::series::key::Series;
use crate::series::metric_state::{MetricState, UndefinedMetric};
use crate::series::request::RequestNumber;
use crate::series::store::SeriesStore;

/// Which label sets of a store wait, and for what.
#[derive(Debug)]
pub struct Waiting {
    /// `None`: metrics are defined where they are met.
    background: Option<Background>,
    /// Numbers of label sets with metrics or samples that wait.
    numbers: Vec<usize>,
    /// What names and samples take.
    bytes: usize,
    served: RequestNumber,
    /// Ticks left to wait for whoever serves the requests.
    patience: u32,
}

/// How long one tick may look up names and record what waited. A known name is
/// found in some 20 µs, but Envoy has a worker's own copy of each histogram, and
/// makes it by all the regexes when the worker first records a sample: 0.5 ms.
const TIME_PER_SETTLING: Duration = Duration::from_millis(1);

/// Bytes of names and samples that may wait. One new label set of HTTP takes 4 kB.
const MAX_WAITING_BYTES: usize = 1024 * 1024;
/// Ticks without any progress (two seconds) after which what is requested is served here.
const PATIENCE: u32 = 500;

// === impl Waiting ===

impl Waiting {
    /// Nothing waits yet.
    pub fn new(background: Option<Background>) -> Self {
        let served = RequestNumber::default();
        Self { background, numbers: Vec::new(), bytes: 0, served, patience: PATIENCE }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Defines what other VMs requested, for a while; whether there was anything.
    pub fn serve(&self, host: &dyn Host) -> bool {
        self.background.as_ref().is_some_and(|background| background.serve(host))
    }

    /// Keeps a sample of a metric. [`Self::admit`] its label set then.
    pub fn hold(&mut self, metric: &mut MetricState, plan: &Plan, series: &Series<'_>, sample: u64) {
        let new = || UndefinedMetric::new(plan.kind, series.stat_name(plan));
        self.change(metric, |metric| metric.hold(sample, new));
    }

    /// Requests the definition of a label set's new metrics, and has the set wait.
    /// Where that is not possible, defines and records here.
    ///
    /// # Errors
    /// The host refused a call; the samples of that metric are lost.
    pub fn admit(
        &mut self,
        host: &dyn Host,
        number: usize,
        metrics: &mut [MetricState],
    ) -> Result<(), HostError> {
        let requested = self.request(host, metrics);
        let has_room = self.bytes <= MAX_WAITING_BYTES;
        let mut result = Ok(());
        for metric in &mut *metrics {
            if let Some(request) = requested {
                self.change(metric, |metric| metric.request_with(request));
            }
            if metric.unrequested().is_some() || !has_room {
                result = result.and(self.define(host, metric));
            }
        }
        if metrics.iter().any(MetricState::waits) && !self.numbers.contains(&number) {
            self.numbers.push(number);
        }
        result
    }

    fn request(&self, host: &dyn Host, metrics: &[MetricState]) -> Option<RequestNumber> {
        let mut new = metrics.iter().filter_map(MetricState::unrequested).peekable();
        new.peek()?;
        self.background.as_ref()?.request(host, new).ok()
    }

    /// Records what waited for metrics that are defined by now, for a moment.
    ///
    /// # Errors
    /// The host refused a call; the samples of that metric are lost.
    pub fn settle(&mut self, host: &dyn Host, store: &mut SeriesStore) -> Result<(), HostError> {
        if self.is_empty() {
            return Ok(());
        }
        let served = self.served(host);
        let begin = host.now();
        let is_over = || host.now().saturating_duration_since(begin) >= TIME_PER_SETTLING;
        // Names first: soon, the next ones are being defined.
        let mut may_look_up = true;
        let found = self.each(store, |waiting, metric| {
            if !metric.is_served(served) {
                return Ok(());
            }
            may_look_up = may_look_up && !is_over() && !waiting.is_to_wait(host);
            if may_look_up {
                waiting.look_up(host, metric)
            } else {
                Ok(())
            }
        });
        let recorded =
            self.each(store, |waiting, metric| if is_over() { Ok(()) } else { waiting.record(host, metric) });
        if self.is_empty() {
            self.patience = PATIENCE;
        }
        found.and(recorded)
    }

    /// Records all that waits; the rest of the metrics is defined here.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub fn settle_all(&mut self, host: &dyn Host, store: &mut SeriesStore) -> Result<(), HostError> {
        if self.is_empty() {
            return Ok(());
        }
        // Samples of ours may be among what nobody else serves.
        if let Some(background) = &self.background {
            background.serve_for(host, Duration::MAX);
        }
        self.each(store, |waiting, metric| waiting.define(host, metric))
    }

    /// Does something with each metric that waits; then label sets with nothing
    /// that waits are left out.
    fn each(
        &mut self,
        store: &mut SeriesStore,
        mut act: impl FnMut(&mut Self, &mut MetricState) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let mut result = Ok(());
        let mut numbers = mem::take(&mut self.numbers);
        numbers.retain(|number| {
            let mut waits = false;
            for metric in store.metrics_mut(*number).into_iter().flatten() {
                if metric.waits() {
                    result = result.and(act(self, metric));
                    waits |= metric.waits();
                }
            }
            waits
        });
        self.numbers = numbers;
        result
    }

    /// How far the requests are served. Whoever is out of patience serves some.
    fn served(&mut self, host: &dyn Host) -> RequestNumber {
        // Without it nothing waits.
        let Some(background) = &self.background else {
            return self.served;
        };
        if self.patience == 0 {
            background.serve_for(host, TIME_PER_SETTLING);
        }
        let served = background.served(host);
        self.patience = self.patience.saturating_sub(1);
        if served != self.served {
            self.served = served;
            self.progress();
        }
        served
    }

    fn progress(&mut self) {
        if self.patience > 0 {
            self.patience = PATIENCE;
        }
    }

    /// Whether a name is better looked up later. Who is to say when may be gone.
    fn is_to_wait(&self, host: &dyn Host) -> bool {
        self.patience > 0 && background::is_defining(host)
    }

    fn look_up(&mut self, host: &dyn Host, metric: &mut MetricState) -> Result<(), HostError> {
        self.progress();
        self.change(metric, |metric| metric.define(host))
    }

    fn record(&mut self, host: &dyn Host, metric: &mut MetricState) -> Result<(), HostError> {
        if metric.is_defined() {
            self.progress();
        }
        self.change(metric, |metric| metric.record(host))
    }

    /// Defines a metric and records what waited for it.
    fn define(&mut self, host: &dyn Host, metric: &mut MetricState) -> Result<(), HostError> {
        if metric.is_undefined() {
            self.look_up(host, metric)?;
        }
        self.record(host, metric)
    }

    /// Keeps count of what the metric's name and samples take.
    fn change<T>(&mut self, metric: &mut MetricState, change: impl FnOnce(&mut MetricState) -> T) -> T {
        let before = metric.held_bytes();
        let result = change(metric);
        self.bytes = self.bytes.saturating_add(metric.held_bytes()).saturating_sub(before);
        result
    }
}
