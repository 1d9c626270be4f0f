//! A metric that the host has defined.

use crate::host::metric_name::MetricName;
use crate::host::{Host, HostError, MetricId, MetricKind};

/// What it takes to record samples.
#[derive(Clone, Copy, Debug)]
pub struct HostMetric {
    /// How it counts.
    pub kind: MetricKind,
    id: MetricId,
}

// === impl HostMetric ===

impl HostMetric {
    /// Defines it, or finds it if it was.
    ///
    /// # Errors
    /// The host refused the definition.
    pub fn define(host: &dyn Host, kind: MetricKind, stat_name: &str) -> Result<Self, HostError> {
        Ok(Self { kind, id: host.define_metric(kind, MetricName::of(stat_name))? })
    }

    /// Records a sample.
    ///
    /// # Errors
    /// The host refused it.
    pub fn record(self, host: &dyn Host, sample: u64) -> Result<(), HostError> {
        match self.kind {
            MetricKind::Counter => host.increment_metric(self.id, i64::try_from(sample).unwrap_or(i64::MAX)),
            MetricKind::Gauge | MetricKind::Histogram => host.record_metric(self.id, sample),
        }
    }
}
