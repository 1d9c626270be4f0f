//! What all VMs of an Envoy share: metrics, data, queues, clock and log.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::host::{HostError, MetricKind, QueueId, Shared};

use super::hostcall::{CAS_MISMATCH, UNIMPLEMENTED};
use super::metric::Metric;

type Queue = VecDeque<Vec<u8>>;

/// An Envoy.
#[derive(Debug)]
pub(super) struct Process {
    metrics: Vec<Metric>,
    /// Values and their versions.
    shared: BTreeMap<String, (Vec<u8>, u32)>,
    /// Queues and their names, by number; `None`: there are none.
    queues: Option<Vec<(String, Queue)>>,
    pub(super) now: Instant,
    /// What a metric takes that its module had not defined yet.
    pub(super) time_to_define: Duration,
    pub(super) log: Vec<(log::Level, String)>,
}

// === impl Process ===

impl Process {
    /// An Envoy that just started, without queues.
    pub(super) fn new() -> Self {
        Self {
            metrics: Vec::new(),
            shared: BTreeMap::new(),
            queues: None,
            now: Instant::now(),
            time_to_define: Duration::ZERO,
            log: Vec::new(),
        }
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now = self.now.checked_add(by).unwrap_or(self.now);
    }

    pub(super) fn go_back(&mut self, by: Duration) {
        self.now = self.now.checked_sub(by).unwrap_or(self.now);
    }

    /// The metrics that are there, in order of definition.
    pub(super) fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.metrics.iter().filter(|metric| metric.is_there())
    }

    /// Defines or finds a metric for a module; returns its place.
    pub(super) fn define_metric(&mut self, kind: MetricKind, stat_name: &str, module: u32) -> usize {
        let known = self.metrics.iter().position(|metric| metric.is(kind, stat_name));
        let place = known.unwrap_or(self.metrics.len());
        if known.is_none() {
            self.metrics.push(Metric::new(kind, stat_name));
        }
        if self.metrics.get_mut(place).is_some_and(|metric| metric.modules.insert(module)) {
            self.advance(self.time_to_define);
        }
        place
    }

    /// The metric at a place, there or not.
    pub(super) fn metric_at(&mut self, place: usize) -> Option<&mut Metric> {
        self.metrics.get_mut(place)
    }

    /// A module goes.
    pub(super) fn unload(&mut self, module: u32) {
        for metric in &mut self.metrics {
            metric.modules.remove(&module);
        }
    }

    pub(super) fn shared_data(&self, key: &str) -> Shared {
        let known = self.shared.get(key).cloned();
        let (value, version) = known.map_or((None, 0), |(value, version)| (Some(value), version));
        Shared { value, version }
    }

    pub(super) fn shared_keys(&self) -> Vec<String> {
        self.shared.keys().cloned().collect()
    }

    /// Sets shared data, if it has this version.
    ///
    /// # Errors
    /// The status if it has another.
    pub(super) fn set_shared_data(&mut self, key: &str, value: &[u8], version: u32) -> Result<(), u32> {
        let (known, known_version) = self.shared.entry(key.to_owned()).or_default();
        // Zero asks for no check.
        if version != 0 && version != *known_version {
            return Err(CAS_MISMATCH);
        }
        *known = value.to_vec();
        *known_version = known_version.saturating_add(1);
        Ok(())
    }

    /// Lets there be queues.
    pub(super) fn add_queues(&mut self) {
        self.queues = Some(Vec::new());
    }

    /// Makes or finds the queue of this name.
    ///
    /// # Errors
    /// The status if there are no queues.
    pub(super) fn queue_named(&mut self, name: &str) -> Result<QueueId, u32> {
        let queues = self.queues.as_mut().ok_or(UNIMPLEMENTED)?;
        let known = queues.iter().position(|(known, _)| known == name);
        let index = known.unwrap_or(queues.len());
        if known.is_none() {
            queues.push((name.to_owned(), Queue::new()));
        }
        u32::try_from(index).map(QueueId).map_err(|_| UNIMPLEMENTED)
    }

    /// The queue with this id.
    ///
    /// # Errors
    /// The status if there is none.
    pub(super) fn queue(&mut self, id: QueueId) -> Result<&mut Queue, u32> {
        let index = usize::try_from(id.0).ok();
        let found = self.queues.as_mut().zip(index).and_then(|(queues, index)| queues.get_mut(index));
        found.map(|(_, queue)| queue).ok_or(HostError::NOT_FOUND)
    }
}
