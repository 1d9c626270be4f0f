//! From label values to the host's metric ids.
//!
//! One registry per VM. Looking up a known label set borrows its values and
//! allocates nothing; only a new one builds stat names and defines metrics.
//! The host keeps a stat for ever and cannot be told to drop one, so the number
//! of label sets is bounded: what comes later is folded into the overflow.

use core::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::dimension::{LabelSet, Values};
use crate::host::{Host, HostError, MetricId, MetricKind};
use crate::metric::Metric;
use crate::stat_name;

/// The label sets of one VM and the metric ids they resolve to.
#[derive(Debug)]
pub struct Registry {
    table: HashTable<Entry>,
    hasher: DefaultHashBuilder,
    max_series: usize,
    overflow_total: Option<MetricId>,
}

/// One label set.
#[derive(Debug)]
struct Entry {
    hash: u64,
    /// The values, each followed by [`SEPARATOR`].
    key: Box<str>,
    /// By [`Metric`]; a metric is defined when it first has something to count.
    ids: [Option<MetricId>; Metric::ALL.len()],
}

/// What a stream adds to one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The metric.
    pub metric: Metric,
    /// Added to a counter, sampled by a histogram.
    pub value: u64,
}

/// Counts the reports that were folded into the overflow.
const OVERFLOW_METRIC: &str = "stats_series_overflow_total";

/// No label value holds a control character.
const SEPARATOR: char = '\0';

// === impl Registry ===

impl Registry {
    /// A registry that keeps at most this many label sets.
    pub fn new(max_series: usize) -> Self {
        Self {
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            max_series,
            overflow_total: None,
        }
    }

    /// Records samples of metrics that carry `set`, with these values.
    /// `overflow` gives the values to use beyond the bound.
    ///
    /// Counters with nothing to add are left alone, so that no series appears
    /// that never counted.
    ///
    /// # Errors
    /// The host refused a call; the samples before it were recorded.
    pub fn record<'a>(
        &mut self,
        host: &dyn Host,
        set: LabelSet,
        values: &Values<'a>,
        samples: impl IntoIterator<Item = Sample>,
        overflow: impl FnOnce() -> Values<'a>,
    ) -> Result<(), HostError> {
        let counts = |sample: &Sample| sample.value > 0 || sample.metric.kind() == MetricKind::Histogram;
        let mut samples = samples.into_iter().filter(counts).peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let overflown;
        let mut values = values;
        let mut hash = self.hash(set, values);
        if !self.holds(hash, set, values) && self.table.len() >= self.max_series {
            self.count_overflow(host)?;
            overflown = overflow();
            values = &overflown;
            hash = self.hash(set, values);
        }
        let entry = self
            .table
            .entry(hash, |entry| entry.is(set, values), |entry| entry.hash)
            .or_insert_with(|| Entry::new(hash, set, values))
            .into_mut();
        for sample in samples {
            let id = entry.id(host, sample.metric, values)?;
            match sample.metric.kind() {
                MetricKind::Counter => {
                    host.increment_metric(id, i64::try_from(sample.value).unwrap_or(i64::MAX))?
                }
                MetricKind::Gauge | MetricKind::Histogram => host.record_metric(id, sample.value)?,
            }
        }
        Ok(())
    }

    fn hash(&self, set: LabelSet, values: &Values<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for (_, value) in values.of(set) {
            hasher.write(value.as_bytes());
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }

    fn holds(&self, hash: u64, set: LabelSet, values: &Values<'_>) -> bool {
        self.table.find(hash, |entry| entry.is(set, values)).is_some()
    }

    fn count_overflow(&mut self, host: &dyn Host) -> Result<(), HostError> {
        let id = match self.overflow_total {
            Some(id) => id,
            None => {
                let stat_name = stat_name::encode([], OVERFLOW_METRIC);
                let id = host.define_metric(MetricKind::Counter, &stat_name)?;
                *self.overflow_total.insert(id)
            }
        };
        host.increment_metric(id, 1)
    }
}

// === impl Entry ===

impl Entry {
    fn new(hash: u64, set: LabelSet, values: &Values<'_>) -> Self {
        let mut key = String::new();
        for (_, value) in values.of(set) {
            key.push_str(value);
            key.push(SEPARATOR);
        }
        Self { hash, key: key.into_boxed_str(), ids: [None; Metric::ALL.len()] }
    }

    fn is(&self, set: LabelSet, values: &Values<'_>) -> bool {
        let mut rest = &*self.key;
        for (_, value) in values.of(set) {
            match rest.strip_prefix(value).and_then(|rest| rest.strip_prefix(SEPARATOR)) {
                Some(tail) => rest = tail,
                None => return false,
            }
        }
        rest.is_empty()
    }

    fn id(&mut self, host: &dyn Host, metric: Metric, values: &Values<'_>) -> Result<MetricId, HostError> {
        let slot = self.ids.get_mut(metric as usize);
        if let Some(Some(id)) = slot {
            return Ok(*id);
        }
        let labels = values.of(metric.labels()).map(|(dimension, value)| (dimension.name(), value));
        let id = host.define_metric(metric.kind(), &stat_name::encode(labels, metric.name()))?;
        if let Some(slot) = slot {
            *slot = Some(id);
        }
        Ok(id)
    }
}
