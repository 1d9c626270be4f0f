//! The metrics of an upstream cluster of this module: a series of theirs has a handle, by which a sample is
//! recorded without being looked up, by whomever. Filters have nothing like it.

use core::sync::atomic::{AtomicU64, Ordering};
use core::{mem, ptr};
use std::sync::OnceLock;

use istio_stats::host::MetricKind;

use super::metrics::{accepted, define, Buffers, LabelValues, Refused};
use super::{dlsym, Buffer, Raw};

/// Envoy's part of the configuration of an upstream cluster of this module. `handles` has none longer than
/// Envoy has the configuration.
#[derive(Debug)]
pub(crate) struct UpstreamCluster {
    raw: Raw,
    /// No other has it, nor ever had.
    id: u64,
}

// SAFETY: what it is asked for after configuring is to find and record series, which Envoy does on any thread.
unsafe impl Send for UpstreamCluster {}
// SAFETY: the same.
unsafe impl Sync for UpstreamCluster {}

/// A metric that was defined for its labels, by the upstream cluster's number of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vector {
    kind: MetricKind,
    number: usize,
}

/// Envoy's counter, gauge or histogram of one series: there as long as the configuration that found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handle {
    kind: MetricKind,
    series: Series,
    of: u64,
}

#[derive(Clone, Copy, Debug)]
enum Series {
    One(Raw),
    /// The metric with this number has no labels, and so no handles: Envoy has it at hand.
    Only(usize),
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

callbacks! {
    cluster_pre_init_complete(Raw);
    cluster_config_define_counter(Raw, Buffer, Buffers, usize, *mut usize) -> u32;
    cluster_config_define_gauge(Raw, Buffer, Buffers, usize, *mut usize) -> u32;
    cluster_config_define_histogram(Raw, Buffer, Buffers, usize, *mut usize) -> u32;
    cluster_config_resolve_counter_vec(Raw, usize, Buffers, usize, *mut Raw) -> u32;
    cluster_config_resolve_gauge_vec(Raw, usize, Buffers, usize, *mut Raw) -> u32;
    cluster_config_resolve_histogram_vec(Raw, usize, Buffers, usize, *mut Raw) -> u32;
    cluster_config_increment_counter(Raw, usize, Buffers, usize, u64) -> u32;
    cluster_config_set_gauge(Raw, usize, Buffers, usize, u64) -> u32;
    cluster_config_record_histogram_value(Raw, usize, Buffers, usize, u64) -> u32;
    cluster_metric_counter_add(Raw, u64);
    cluster_metric_gauge_set(Raw, u64);
    cluster_metric_histogram_record(Raw, u64);
}

// === impl UpstreamCluster ===

impl UpstreamCluster {
    /// Of the hook that Envoy configures with.
    pub(crate) fn of(raw: Raw) -> Self {
        Self { raw, id: NEXT_ID.fetch_add(1, Ordering::Relaxed) }
    }

    /// What tells it from all others.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Defines a metric. While configuring only: later Envoy refuses.
    ///
    /// # Errors
    /// Envoy's reason, by number.
    pub(crate) fn define<'a>(
        &self,
        kind: MetricKind,
        name: &str,
        labels: impl Iterator<Item = &'a str>,
    ) -> Result<Vector, Refused> {
        let callback = CALLBACKS.get().map(|envoy| match kind {
            MetricKind::Counter => envoy.cluster_config_define_counter,
            MetricKind::Gauge => envoy.cluster_config_define_gauge,
            MetricKind::Histogram => envoy.cluster_config_define_histogram,
        });
        // SAFETY: the configuration is there.
        let number = unsafe { define(callback, self.raw, name, labels) }?;
        Ok(Vector { kind, number })
    }

    /// The series of a metric with these labels, which is made if it is not there.
    ///
    /// # Errors
    /// Envoy's reason, by number.
    pub(crate) fn find(&self, vector: Vector, labels: &LabelValues) -> Result<Handle, Refused> {
        if labels.buffers.is_empty() {
            return Ok(Handle { kind: vector.kind, series: Series::Only(vector.number), of: self.id });
        }
        let mut series = ptr::null_mut();
        let find = CALLBACKS.get().map(|envoy| match vector.kind {
            MetricKind::Counter => envoy.cluster_config_resolve_counter_vec,
            MetricKind::Gauge => envoy.cluster_config_resolve_gauge_vec,
            MetricKind::Histogram => envoy.cluster_config_resolve_histogram_vec,
        });
        let buffers = &labels.buffers;
        // SAFETY: the configuration is there, the number is one that it gave, and so are the values until
        // the call returns. Envoy itself refuses another number of values than of labels.
        accepted(find.map(|find| unsafe {
            find(self.raw, vector.number, buffers.as_ptr(), buffers.len(), &mut series)
        }))?;
        if series.is_null() {
            return Err(Refused(0));
        }
        Ok(Handle { kind: vector.kind, series: Series::One(series), of: self.id })
    }

    /// Adds to a counter, sets a gauge or adds a sample to a histogram; false if the handle is another's.
    pub(crate) fn record(&self, handle: Handle, value: u64) -> bool {
        let Some(envoy) = CALLBACKS.get().filter(|_| handle.of == self.id) else {
            return false;
        };
        match handle.series {
            Series::One(series) => {
                let record = match handle.kind {
                    MetricKind::Counter => envoy.cluster_metric_counter_add,
                    MetricKind::Gauge => envoy.cluster_metric_gauge_set,
                    MetricKind::Histogram => envoy.cluster_metric_histogram_record,
                };
                // SAFETY: the configuration that found the series is this one, and there.
                unsafe { record(series, value) }
                true
            }
            Series::Only(number) => {
                let record = match handle.kind {
                    MetricKind::Counter => envoy.cluster_config_increment_counter,
                    MetricKind::Gauge => envoy.cluster_config_set_gauge,
                    MetricKind::Histogram => envoy.cluster_config_record_histogram_value,
                };
                // SAFETY: the same of the metric with this number; there are no values to be read.
                accepted(Some(unsafe { record(self.raw, number, ptr::null(), 0, value) })).is_ok()
            }
        }
    }
}

/// Tells Envoy that an upstream cluster has all the endpoints that it will have before Envoy is ready: none.
/// It is the argument of a hook that runs.
pub(crate) fn has_no_endpoints(raw: Raw) {
    if let Some(envoy) = CALLBACKS.get() {
        // SAFETY: it is there while its hook runs.
        unsafe { (envoy.cluster_pre_init_complete)(raw) }
    }
}
