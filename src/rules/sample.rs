//! What a stream adds to one metric.

use super::plan::MetricIndex;
use crate::catalogue::metric::Metric;

/// One number for one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The metric.
    pub metric: MetricIndex,
    /// Added to a counter, sampled by a histogram, set by a gauge.
    pub value: u64,
}

// === impl Sample ===

impl Sample {
    /// A sample of a standard metric.
    pub fn new(metric: Metric, value: u64) -> Self {
        Self { metric: metric.into(), value }
    }
}
