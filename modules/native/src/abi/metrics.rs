//! Metrics with labels. Envoy has them for configured HTTP filters and for extensions of the bootstrap, not for
//! network filters.

use core::{mem, ptr};
use std::sync::OnceLock;

use istio_stats::host::MetricKind;

use super::{dlsym, Buffer, Raw};

/// Envoy's part of what metrics with labels belong to, as long as there is this module's part of it: a
/// configured HTTP filter, which every stream of it holds, or an extension of the bootstrap, which goes after
/// all filters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    raw: Raw,
    calls: fn(&Callbacks) -> MetricCalls,
}

// SAFETY: what it is asked for after configuring is to record metrics, which Envoy does on any thread.
unsafe impl Send for Owner {}
// SAFETY: the same.
unsafe impl Sync for Owner {}

/// What an owner of metrics does with them.
struct MetricCalls {
    define_counter: Define,
    define_gauge: Define,
    define_histogram: Define,
    increment_counter: Record,
    increment_gauge: Record,
    decrement_gauge: Record,
    set_gauge: Record,
    record_histogram_value: Record,
}

pub(super) type Buffers = *const Buffer;
/// Defines a metric of an owner, by its name and its labels' names, whose number it is.
pub(super) type Define = unsafe extern "C" fn(Raw, Buffer, Buffers, usize, *mut usize) -> u32;
type Record = unsafe extern "C" fn(Raw, usize, Buffers, usize, u64) -> u32;

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
    http_filter_config_increment_gauge(Raw, usize, Buffers, usize, u64) -> u32;
    http_filter_config_decrement_gauge(Raw, usize, Buffers, usize, u64) -> u32;
    http_filter_config_set_gauge(Raw, usize, Buffers, usize, u64) -> u32;
    http_filter_config_record_histogram_value(Raw, usize, Buffers, usize, u64) -> u32;
    bootstrap_extension_config_define_counter(Raw, Buffer, Buffers, usize, *mut usize) -> u32;
    bootstrap_extension_config_define_gauge(Raw, Buffer, Buffers, usize, *mut usize) -> u32;
    bootstrap_extension_config_define_histogram(Raw, Buffer, Buffers, usize, *mut usize) -> u32;
    bootstrap_extension_config_increment_counter(Raw, usize, Buffers, usize, u64) -> u32;
    bootstrap_extension_config_increment_gauge(Raw, usize, Buffers, usize, u64) -> u32;
    bootstrap_extension_config_decrement_gauge(Raw, usize, Buffers, usize, u64) -> u32;
    bootstrap_extension_config_set_gauge(Raw, usize, Buffers, usize, u64) -> u32;
    bootstrap_extension_config_record_histogram_value(Raw, usize, Buffers, usize, u64) -> u32;
    bootstrap_extension_config_signal_init_complete(Raw);
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
    pub(crate) fn of_http_filter(raw: Raw) -> Self {
        let calls = |envoy: &Callbacks| MetricCalls {
            define_counter: envoy.http_filter_config_define_counter,
            define_gauge: envoy.http_filter_config_define_gauge,
            define_histogram: envoy.http_filter_config_define_histogram,
            increment_counter: envoy.http_filter_config_increment_counter,
            increment_gauge: envoy.http_filter_config_increment_gauge,
            decrement_gauge: envoy.http_filter_config_decrement_gauge,
            set_gauge: envoy.http_filter_config_set_gauge,
            record_histogram_value: envoy.http_filter_config_record_histogram_value,
        };
        Self { raw, calls }
    }

    /// Of the hook that Envoy configures an extension of the bootstrap with.
    pub(crate) fn of_extension(raw: Raw) -> Self {
        let calls = |envoy: &Callbacks| MetricCalls {
            define_counter: envoy.bootstrap_extension_config_define_counter,
            define_gauge: envoy.bootstrap_extension_config_define_gauge,
            define_histogram: envoy.bootstrap_extension_config_define_histogram,
            increment_counter: envoy.bootstrap_extension_config_increment_counter,
            increment_gauge: envoy.bootstrap_extension_config_increment_gauge,
            decrement_gauge: envoy.bootstrap_extension_config_decrement_gauge,
            set_gauge: envoy.bootstrap_extension_config_set_gauge,
            record_histogram_value: envoy.bootstrap_extension_config_record_histogram_value,
        };
        Self { raw, calls }
    }

    fn calls(self) -> Option<MetricCalls> {
        CALLBACKS.get().map(self.calls)
    }

    /// Tells Envoy that nothing more has to happen before it may serve: an extension of the bootstrap has to.
    pub(crate) fn is_ready(self) {
        if let Some(envoy) = CALLBACKS.get() {
            // SAFETY: the extension is there: it is being configured.
            unsafe { (envoy.bootstrap_extension_config_signal_init_complete)(self.raw) }
        }
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
        let callback = self.calls().map(|calls| match kind {
            MetricKind::Counter => calls.define_counter,
            MetricKind::Gauge => calls.define_gauge,
            MetricKind::Histogram => calls.define_histogram,
        });
        // SAFETY: the owner is there.
        let number = unsafe { define(callback, self.raw, name, labels) }?;
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
        let record = self.owner.calls().map(|calls| match self.kind {
            MetricKind::Counter => calls.increment_counter,
            MetricKind::Gauge => calls.set_gauge,
            MetricKind::Histogram => calls.record_histogram_value,
        });
        self.call(record, labels, value)
    }

    /// Adds to a gauge, or takes away from it.
    ///
    /// # Errors
    /// Envoy's reason, by number.
    pub(crate) fn change_gauge(self, labels: &LabelValues, by: i64) -> Result<(), Refused> {
        let change =
            self.owner
                .calls()
                .map(|calls| if by < 0 { calls.decrement_gauge } else { calls.increment_gauge });
        self.call(change, labels, by.unsigned_abs())
    }

    fn call(self, call: Option<Record>, labels: &LabelValues, value: u64) -> Result<(), Refused> {
        let buffers = &labels.buffers;
        // SAFETY: the owner is there, the number is one that it gave, and so are the values until the call
        // returns. Envoy itself refuses another number of values than of labels.
        accepted(
            call.map(|call| unsafe {
                call(self.owner.raw, self.number, buffers.as_ptr(), buffers.len(), value)
            }),
        )
    }
}
