//! What the plugin did, for a test to see.

use std::time::Duration;

use crate::host::{Data, HeaderMap, MetricKind};

use super::hostcall::Hostcall;
use super::metric::Metric;
use super::vm::FakeHost;

// === impl FakeHost: streams ===

impl FakeHost {
    /// All values of a header of the current stream, in any phase.
    pub fn header_values(&self, map: HeaderMap, name: &str) -> Vec<Vec<u8>> {
        let contexts = self.contexts.borrow();
        let stream = contexts.current();
        stream.map_or_else(Vec::new, |stream| stream.headers(map).values(name).cloned().collect())
    }

    /// All data of the current connection that went on in this direction.
    pub fn passed_data(&self, direction: Data) -> Vec<u8> {
        let mut contexts = self.contexts.borrow_mut();
        contexts.current_mut().map_or_else(Vec::new, |stream| stream.pipe(direction).passed().to_vec())
    }

    /// What the plugin stored in a stream's filter state under `wasm.<key>`.
    pub fn filter_state(&self, context_id: u32, key: &str) -> Option<Vec<u8>> {
        self.contexts.borrow().stream(context_id)?.filter_state.get(key).cloned()
    }
}

// === impl FakeHost: metrics and log ===

impl FakeHost {
    /// The counter with this stat name, if it was defined.
    pub fn counter(&self, stat_name: &str) -> Option<u64> {
        self.metric(MetricKind::Counter, stat_name, |metric| metric.value)
    }

    /// The gauge with this stat name, if it was defined.
    pub fn gauge(&self, stat_name: &str) -> Option<u64> {
        self.metric(MetricKind::Gauge, stat_name, |metric| metric.value)
    }

    /// The samples of the histogram with this stat name, if it was defined.
    pub fn histogram(&self, stat_name: &str) -> Option<Vec<u64>> {
        self.metric(MetricKind::Histogram, stat_name, |metric| metric.samples.clone())
    }

    /// Kind and stat name of every metric of the process, in order of definition.
    pub fn stat_names(&self) -> Vec<(MetricKind, String)> {
        let process = self.process.borrow();
        process.metrics().map(|metric| (metric.kind, metric.stat_name.clone())).collect()
    }

    /// The keys of all shared data.
    pub fn shared_keys(&self) -> Vec<String> {
        self.process.borrow().shared_keys()
    }

    /// The process's log so far.
    pub fn log_lines(&self) -> Vec<(log::Level, String)> {
        self.process.borrow().log.clone()
    }

    fn metric<T>(&self, kind: MetricKind, stat_name: &str, read: impl FnOnce(&Metric) -> T) -> Option<T> {
        let process = self.process.borrow();
        let found = process.metrics().find(|metric| metric.is(kind, stat_name));
        found.map(read)
    }
}

// === impl FakeHost: hostcalls ===

impl FakeHost {
    /// The period that the plugin's tick has, if it asked for one.
    pub fn tick_period(&self) -> Option<Duration> {
        self.tick_period.get()
    }

    /// How often such a hostcall was made since the last [`Self::reset_calls`].
    pub fn calls(&self, call: Hostcall) -> usize {
        self.calls.borrow().made(call)
    }

    /// How many hostcalls of any kind were made.
    pub fn all_calls(&self) -> usize {
        self.calls.borrow().all_made()
    }

    /// How many of them returned bytes, which makes the host call back into the
    /// VM to allocate.
    pub fn calls_that_returned_bytes(&self) -> usize {
        self.calls.borrow().returned_bytes()
    }

    /// Counts hostcalls from zero again.
    pub fn reset_calls(&self) {
        self.calls.borrow_mut().reset();
    }
}
