//! How far a metric of one label set has come: unused, undefined, defined, recorded.

use core::mem;

use crate::host::{Host, HostError, MetricKind};
use crate::series::host_metric::HostMetric;
use crate::series::request::RequestNumber;

/// A metric of one label set.
#[derive(Debug, Default)]
pub enum MetricState {
    /// It never had something to count.
    #[default]
    Unused,
    /// It is not known to be defined.
    Undefined(Box<UndefinedMetric>),
    /// It is defined, but this thread has not recorded it yet.
    Defined(Box<DefinedMetric>),
    /// Its samples are recorded at once.
    Recorded(HostMetric),
}

/// A metric that is being defined.
#[derive(Debug)]
pub struct UndefinedMetric {
    /// `None`: the definition is not requested yet.
    request: Option<RequestNumber>,
    kind: MetricKind,
    stat_name: String,
    samples: HeldSamples,
}

/// A metric whose first samples wait for a tick.
#[derive(Debug)]
pub struct DefinedMetric {
    metric: HostMetric,
    samples: HeldSamples,
}

/// Samples to record; of a counter their sum, of a gauge the last.
#[derive(Debug, Default)]
struct HeldSamples(Vec<u64>);

// === impl MetricState ===

impl MetricState {
    /// Keeps a sample until it can be recorded. `new` tells what the metric is, if it was unused.
    pub fn hold(&mut self, sample: u64, new: impl FnOnce() -> UndefinedMetric) {
        if let Self::Unused = self {
            *self = Self::Undefined(Box::new(new()));
        }
        match self {
            Self::Undefined(metric) => metric.samples.hold(metric.kind, sample),
            Self::Defined(defined) => defined.samples.hold(defined.metric.kind, sample),
            Self::Unused | Self::Recorded(_) => {}
        }
    }

    /// What to request: kind, stat name and last sample. `None`: it was requested.
    pub fn unrequested(&self) -> Option<(MetricKind, &str, u64)> {
        match self {
            Self::Undefined(metric) if metric.request.is_none() => {
                let last = metric.samples.0.last().copied().unwrap_or_default();
                Some((metric.kind, &metric.stat_name, last))
            }
            _ => None,
        }
    }

    /// All that was unrequested is requested now: whoever serves it records the last sample.
    pub fn request_with(&mut self, number: RequestNumber) {
        if let Self::Undefined(metric) = self {
            if metric.request.is_none() {
                metric.request = Some(number);
                metric.samples.0.pop();
            }
        }
    }

    /// Whether its definition was served.
    pub fn is_served(&self, served: RequestNumber) -> bool {
        match self {
            Self::Undefined(metric) => metric.request.is_some_and(|number| number <= served),
            _ => false,
        }
    }

    /// Whether it is to be defined.
    pub fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// Whether it is defined, and not recorded yet.
    pub fn is_defined(&self) -> bool {
        matches!(self, Self::Defined(_))
    }

    /// Has it defined, which it mostly is. If the host refuses, its samples are lost.
    ///
    /// # Errors
    /// The host refused the definition.
    pub fn define(&mut self, host: &dyn Host) -> Result<(), HostError> {
        let Self::Undefined(undefined) = self else {
            return Ok(());
        };
        let defined = HostMetric::define(host, undefined.kind, &undefined.stat_name);
        let samples = mem::take(&mut undefined.samples);
        *self = match defined {
            Ok(metric) => Self::Defined(Box::new(DefinedMetric { metric, samples })),
            Err(_) => Self::Unused,
        };
        defined.map(drop)
    }

    /// Records what waited for that.
    ///
    /// # Errors
    /// The host refused a sample; those after it are lost.
    pub fn record(&mut self, host: &dyn Host) -> Result<(), HostError> {
        let Self::Defined(defined) = self else {
            return Ok(());
        };
        let metric = defined.metric;
        let result = defined.samples.0.iter().try_for_each(|sample| metric.record(host, *sample));
        *self = Self::Recorded(metric);
        result
    }

    /// Whether something is left to do.
    pub fn waits(&self) -> bool {
        match self {
            Self::Undefined(_) => true,
            Self::Defined(metric) => !metric.samples.0.is_empty(),
            Self::Unused | Self::Recorded(_) => false,
        }
    }

    /// What its name and samples take.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Undefined(metric) => metric.stat_name.len().saturating_add(metric.samples.bytes()),
            Self::Defined(metric) => metric.samples.bytes(),
            Self::Unused | Self::Recorded(_) => 0,
        }
    }
}

// === impl UndefinedMetric ===

impl UndefinedMetric {
    /// A metric with nothing to count yet.
    pub fn new(kind: MetricKind, stat_name: String) -> Self {
        Self { request: None, kind, stat_name, samples: HeldSamples::default() }
    }
}

// === impl HeldSamples ===

impl HeldSamples {
    fn hold(&mut self, kind: MetricKind, sample: u64) {
        match (kind, self.0.last_mut()) {
            (MetricKind::Counter, Some(sum)) => *sum = sum.saturating_add(sample),
            (MetricKind::Gauge, Some(last)) => *last = sample,
            _ => self.0.push(sample),
        }
    }

    fn bytes(&self) -> usize {
        mem::size_of_val(self.0.as_slice())
    }
}
