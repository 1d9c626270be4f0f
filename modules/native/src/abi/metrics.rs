//! Metrics with labels. Envoy has them for configured HTTP filters, not for network filters.

use core::{mem, ptr};
use std::sync::OnceLock;

use istio_stats::host::MetricKind;

use super::{dlsym, Buffer, Raw};

/// Envoy's part of a configured HTTP filter, which its metrics belong to. It is there as long as this module's
/// part of it, which every stream of it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner(Raw);

// SAFETY: what it is asked for after configuring is to record metrics, which Envoy does on any thread.
unsafe impl Send for Owner {}
// SAFETY: the same.
unsafe impl Sync for Owner {}

pub(super) type Buffers = *const Buffer;
/// Defines a metric of an owner, by its name and its labels' names, whose number it is.
pub(super) type Define = unsafe extern "C" fn(Raw, Buffer, Buffers, usize, *mut usize) -> u32;

/// The values of a metric's labels, in the form that Envoy takes them.
#[derive(Debug)]
pub(crate) struct LabelValues {
    /// Into the text, which nothing changes.
    pub(super) buffers: Box<[Buffer]>,
    _text: Box<str>,
}

/// A metric that was defined for its labels, by its owner's number of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vector {
    owner: Owner,
    kind: MetricKind,
    number: usize,
}

/// Envoy refused a metric: its reason, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) u32);

callbacks! {
    http_filter_config_define_counter(Raw, Buffer, Buffers, usize, *mut usize) -> u32;
    http_filter_config_define_gauge(Raw, Buffer, Buffers, usize, *mut usize) -> u32;
    http_filter_config_define_histogram(Raw, Buffer, Buffers, usize, *mut usize) -> u32;
    http_filter_config_increment_counter(Raw, usize, Buffers, usize, u64) -> u32;
    http_filter_config_set_gauge(Raw, usize, Buffers, usize, u64) -> u32;
    http_filter_config_record_histogram_value(Raw, usize, Buffers, usize, u64) -> u32;
}

pub(super) fn accepted(result: Option<u32>) -> Result<(), Refused> {
    match result {
        Some(0) => Ok(()),
        other => Err(Refused(other.unwrap_or_default())),
    }
}

/// Has `define` define a metric; its number.
///
/// # Safety
/// The callback takes such an owner, which is there.
pub(super) unsafe fn define<'a>(
    define: Option<Define>,
    owner: Raw,
    name: &str,
    labels: impl Iterator<Item = &'a str>,
) -> Result<usize, Refused> {
    let mut number = 0;
    let name = Buffer::of(name.as_bytes());
    let labels: Vec<_> = labels.map(|label| Buffer::of(label.as_bytes())).collect();
    // SAFETY: as the caller says; all names are there until the call returns, and Envoy copies them.
    let result =
        define.map(|define| unsafe { define(owner, name, labels.as_ptr(), labels.len(), &mut number) });
    accepted(result).map(|()| number)
}

// === impl LabelValues ===

impl LabelValues {
    /// Copies them.
    pub(crate) fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let values: Vec<_> = values.collect();
        let text = values.concat().into_boxed_str();
        let mut rest = &*text;
        let buffers = values.iter().map(|value| {
            let (own, after) = rest.split_at_checked(value.len()).unwrap_or_default();
            rest = after;
            Buffer::of(own.as_bytes())
        });
        Self { buffers: buffers.collect(), _text: text }
    }
}

// === impl Owner ===

impl Owner {
    /// Of the hook that Envoy configures an HTTP filter with.
    pub(crate) fn of(raw: Raw) -> Self {
        Self(raw)
    }

    /// Defines a metric with labels. While configuring only: later Envoy refuses.
    ///
    /// # Errors
    /// Envoy's reason, by number.
    pub(crate) fn define<'a>(
        self,
        kind: MetricKind,
        name: &str,
        labels: impl Iterator<Item = &'a str>,
    ) -> Result<Vector, Refused> {
        let callback = CALLBACKS.get().map(|envoy| match kind {
            MetricKind::Counter => envoy.http_filter_config_define_counter,
            MetricKind::Gauge => envoy.http_filter_config_define_gauge,
            MetricKind::Histogram => envoy.http_filter_config_define_histogram,
        });
        // SAFETY: the owner is there.
        let number = unsafe { define(callback, self.0, name, labels) }?;
        Ok(Vector { owner: self, kind, number })
    }
}

// === impl Vector ===

impl Vector {
    /// Adds to a counter, sets a gauge or adds a sample to a histogram.
    ///
    /// # Errors
    /// Envoy's reason, by number.
    pub(crate) fn record(self, labels: &LabelValues, value: u64) -> Result<(), Refused> {
        let record = CALLBACKS.get().map(|envoy| match self.kind {
            MetricKind::Counter => envoy.http_filter_config_increment_counter,
            MetricKind::Gauge => envoy.http_filter_config_set_gauge,
            MetricKind::Histogram => envoy.http_filter_config_record_histogram_value,
        });
        let (Owner(owner), buffers) = (self.owner, &labels.buffers);
        // SAFETY: the owner is there, the number is one that it gave, and so are the values until the call
        // returns. Envoy itself refuses another number of values than of labels.
        accepted(
            record
                .map(|record| unsafe { record(owner, self.number, buffers.as_ptr(), buffers.len(), value) }),
        )
    }
}
