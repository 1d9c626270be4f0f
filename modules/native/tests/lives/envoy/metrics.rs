//! Metrics with labels, and what they belong to: a configured HTTP filter, an upstream cluster.

use super::Envoy;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A way to record.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    Count,
    Set,
    Sample,
}

/// What metrics belong to.
#[derive(Default)]
pub struct Owner {
    /// Afterwards nothing can be defined.
    is_configured: bool,
    is_ready: bool,
    metrics: Vec<Metric>,
}

#[derive(Clone)]
struct Metric {
    kind: Kind,
    name: String,
    labels: usize,
}

/// One that has a handle.
pub struct Series {
    owner: usize,
    kind: Kind,
    name: String,
}

/// Envoy's number for "no".
const REFUSED: u32 = 2;

impl Envoy {
    /// Something is configured that may have metrics.
    pub fn configure(&mut self) -> usize {
        let owner = self.new_number();
        self.owners.insert(owner, Owner::default());
        owner
    }

    /// Its hook returned.
    pub fn is_configured(&mut self, owner: usize) {
        if let Some(owner) = self.owners.get_mut(&owner) {
            owner.is_configured = true;
        }
    }

    /// It is gone, once its hook returned.
    pub fn forget(&mut self, owner: usize) {
        self.owners.remove(&owner);
        self.series.retain(|_, series| series.owner != owner);
    }

    /// Whether an upstream cluster said that Envoy may go on.
    pub fn said_ready(&self, owner: usize) -> bool {
        self.owners.get(&owner).is_some_and(|owner| owner.is_ready)
    }

    /// What was recorded of a metric, in all.
    pub fn total(&self, name: &str) -> u128 {
        self.totals.get(name).copied().unwrap_or_default()
    }

    /// What a gauge was last set to.
    pub fn gauge(&self, name: &str) -> u64 {
        self.gauges.get(name).copied().unwrap_or_default()
    }

    pub(super) fn is_ready(&mut self, owner: usize) {
        if let Some(owner) = self.owners.get_mut(&owner) {
            owner.is_ready = true;
        }
    }

    pub(super) fn define(
        &mut self,
        owner: usize,
        kind: Kind,
        name: &[u8],
        labels: &[Vec<u8>],
    ) -> Result<usize, u32> {
        let Ok(name) = String::from_utf8(name.to_vec()) else {
            self.wrong("the name of a metric is no text");
            return Err(REFUSED);
        };
        self.read_labels(labels);
        let is_possible = self.is_friendly || self.take(|input| input.below(8)) != 7;
        let wrong = match self.owners.get_mut(&owner) {
            None => "a metric is defined of what is gone",
            Some(owner) if owner.is_configured => "a metric is defined too late",
            Some(owner) if is_possible => {
                owner.metrics.push(Metric { kind, name, labels: labels.len() });
                return Ok(owner.metrics.len() - 1);
            }
            Some(_) => return Err(REFUSED),
        };
        self.wrong(wrong);
        Err(REFUSED)
    }

    pub(super) fn record(
        &mut self,
        owner: usize,
        call: Call,
        number: usize,
        labels: &[Vec<u8>],
        value: u64,
    ) -> u32 {
        let Some(metric) = self.metric(owner, number, labels) else {
            return REFUSED;
        };
        let fits = match call {
            Call::Count => Kind::Counter,
            Call::Set => Kind::Gauge,
            Call::Sample => Kind::Histogram,
        };
        if metric.kind != fits {
            self.wrong(format!("{call:?} of a {:?}", metric.kind));
            return REFUSED;
        }
        self.add(metric.kind, metric.name, value);
        0
    }

    pub(super) fn resolve(&mut self, owner: usize, number: usize, labels: &[Vec<u8>]) -> Result<usize, u32> {
        let metric = self.metric(owner, number, labels).ok_or(REFUSED)?;
        if !self.is_friendly && self.take(|input| input.below(8)) == 7 {
            return Err(REFUSED);
        }
        let series = self.new_number();
        self.series.insert(series, Series { owner, kind: metric.kind, name: metric.name });
        Ok(series)
    }

    pub(super) fn record_by_handle(&mut self, series: usize, value: u64) {
        match self.series.get(&series) {
            Some(Series { kind, name, .. }) => self.add(*kind, name.clone(), value),
            None => self.wrong("a handle is used of what is gone"),
        }
    }

    fn add(&mut self, kind: Kind, name: String, value: u64) {
        if kind == Kind::Gauge {
            self.gauges.insert(name, value);
        } else {
            *self.totals.entry(name).or_default() += u128::from(value);
        }
    }

    /// A metric that is recorded with these labels.
    fn metric(&mut self, owner: usize, number: usize, labels: &[Vec<u8>]) -> Option<Metric> {
        self.read_labels(labels);
        let Some(owner) = self.owners.get(&owner) else {
            self.wrong("a metric is recorded of what is gone");
            return None;
        };
        let metric = owner.metrics.get(number).filter(|metric| metric.labels == labels.len()).cloned();
        if metric.is_none() {
            self.wrong("a metric is recorded with labels that it has not");
        }
        metric
    }

    fn read_labels(&mut self, labels: &[Vec<u8>]) {
        if labels.iter().any(|label| std::str::from_utf8(label).is_err()) {
            self.wrong("a label is no text");
        }
    }
}
