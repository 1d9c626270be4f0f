//! One metric of the process.

use std::collections::BTreeSet;

use crate::host::{HostError, MetricKind};

#[derive(Debug)]
pub(super) struct Metric {
    pub(super) kind: MetricKind,
    pub(super) stat_name: String,
    pub(super) value: u64,
    pub(super) samples: Vec<u64>,
    /// Numbers of the modules that defined it and are still there; Envoy drops it with the last.
    pub(super) modules: BTreeSet<u32>,
}

// === impl Metric ===

impl Metric {
    /// A metric that no module defined yet.
    pub(super) fn new(kind: MetricKind, stat_name: &str) -> Self {
        let stat_name = stat_name.to_owned();
        Self { kind, stat_name, value: 0, samples: Vec::new(), modules: BTreeSet::new() }
    }

    pub(super) fn is_there(&self) -> bool {
        !self.modules.is_empty()
    }

    pub(super) fn is(&self, kind: MetricKind, stat_name: &str) -> bool {
        self.is_there() && (self.kind, &*self.stat_name) == (kind, stat_name)
    }

    /// Adds to a counter or a gauge.
    ///
    /// # Errors
    /// The status for a delta that this kind does not take.
    pub(super) fn increment(&mut self, delta: i64) -> Result<(), u32> {
        match self.kind {
            MetricKind::Counter if delta > 0 => {}
            // Below zero a gauge wraps.
            MetricKind::Gauge => {}
            MetricKind::Counter | MetricKind::Histogram => return Err(HostError::BAD_ARGUMENT),
        }
        self.value = self.value.wrapping_add_signed(delta);
        Ok(())
    }

    pub(super) fn record(&mut self, value: u64) {
        match self.kind {
            MetricKind::Counter => self.value = self.value.wrapping_add(value),
            MetricKind::Gauge => self.value = value,
            MetricKind::Histogram => self.samples.push(value),
        }
    }
}
