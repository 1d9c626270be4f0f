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
use crate::label::OVERFLOW;
use crate::metric::Metric;
use crate::plan::{Conditions, MetricIndex, Plan, TagValue};
use crate::rules::Ruling;
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
    conditions: Conditions,
    set: LabelSet,
    /// The values, each followed by [`SEPARATOR`].
    key: Box<str>,
    /// By number of the metric; it is defined when it first has something to
    /// count.
    ids: Box<[Option<MetricId>]>,
}

/// The values of a stream's labels, and the plans that say who carries which.
#[derive(Clone, Copy)]
struct Series<'a> {
    set: LabelSet,
    values: &'a Values<'a>,
    ruling: &'a Ruling,
    /// Stands for every expression's value, if it is given.
    folded: Option<&'a str>,
}

/// What a stream adds to one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The metric.
    pub metric: MetricIndex,
    /// Added to a counter, sampled by a histogram, set by a gauge.
    pub value: u64,
}

/// Counts the reports that were folded into the overflow.
const OVERFLOW_METRIC: &str = "stats_series_overflow_total";

/// No label value holds a control character.
const SEPARATOR: char = '\0';

// === impl Sample ===

impl Sample {
    /// A sample of a standard metric.
    pub fn new(metric: Metric, value: u64) -> Self {
        Self { metric: metric.into(), value }
    }
}

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

    /// Records samples of metrics that carry `set`, with these values and the
    /// ruling's. `overflow` gives the values to use beyond the bound.
    ///
    /// Counters with nothing to add are left alone, so that no series appears
    /// that never counted.
    ///
    /// # Errors
    /// The host refused a call; the samples before it were recorded.
    pub fn record<'a>(
        &mut self,
        host: &dyn Host,
        ruling: &Ruling,
        set: LabelSet,
        values: &Values<'a>,
        samples: impl IntoIterator<Item = Sample>,
        overflow: impl FnOnce() -> Values<'a>,
    ) -> Result<(), HostError> {
        let counts = |sample: &Sample| {
            let plan = ruling.variant.plan(sample.metric);
            plan.is_some_and(|plan| sample.value > 0 || plan.kind != MetricKind::Counter)
        };
        let mut samples = samples.into_iter().filter(counts).peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let overflown;
        let mut series = Series { set, values, ruling, folded: None };
        let mut hash = series.hash(&self.hasher);
        let is_new = self.table.find(hash, |entry| entry.is(&series)).is_none();
        if is_new && self.table.len() >= self.max_series {
            self.count_overflow(host)?;
            overflown = overflow();
            series = Series { values: &overflown, folded: Some(OVERFLOW), ..series };
            hash = series.hash(&self.hasher);
        }
        let entry = self
            .table
            .entry(hash, |entry| entry.is(&series), |entry| entry.hash)
            .or_insert_with(|| Entry::new(hash, &series))
            .into_mut();
        for sample in samples {
            let Some(plan) = ruling.variant.plan(sample.metric) else {
                continue;
            };
            let id = entry.id(host, sample.metric, plan, &series)?;
            match plan.kind {
                MetricKind::Counter => {
                    host.increment_metric(id, i64::try_from(sample.value).unwrap_or(i64::MAX))?;
                }
                MetricKind::Gauge | MetricKind::Histogram => host.record_metric(id, sample.value)?,
            }
        }
        Ok(())
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

// === impl Series ===

impl<'a> Series<'a> {
    /// The values that tell it from the others of its label set.
    fn key(&self) -> impl Iterator<Item = &'a str> {
        let Self { set, values, ruling, folded } = *self;
        let key = ruling.variant.key(set);
        let standard = key.dimensions.iter().map(move |dimension| values.get(*dimension));
        let expressions = key.slots.iter().map(move |slot| folded.unwrap_or_else(|| ruling.texts.get(*slot)));
        standard.chain(expressions)
    }

    fn value(&self, value: TagValue) -> &'a str {
        match value {
            TagValue::Standard(dimension) => self.values.get(dimension),
            TagValue::Expression(slot) => self.folded.unwrap_or_else(|| self.ruling.texts.get(slot)),
        }
    }

    fn hash(&self, hasher: &DefaultHashBuilder) -> u64 {
        let mut hasher = hasher.build_hasher();
        hasher.write_u32(self.ruling.variant.conditions.0);
        for value in self.key() {
            hasher.write(value.as_bytes());
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }
}

// === impl Entry ===

impl Entry {
    fn new(hash: u64, series: &Series<'_>) -> Self {
        let mut key = String::new();
        for value in series.key() {
            key.push_str(value);
            key.push(SEPARATOR);
        }
        let variant = &series.ruling.variant;
        Self {
            hash,
            conditions: variant.conditions,
            set: series.set,
            key: key.into_boxed_str(),
            ids: vec![None; variant.len()].into_boxed_slice(),
        }
    }

    fn is(&self, series: &Series<'_>) -> bool {
        if self.set != series.set || self.conditions != series.ruling.variant.conditions {
            return false;
        }
        let mut rest = &*self.key;
        for value in series.key() {
            match rest.strip_prefix(value).and_then(|rest| rest.strip_prefix(SEPARATOR)) {
                Some(tail) => rest = tail,
                None => return false,
            }
        }
        rest.is_empty()
    }

    fn id(
        &mut self,
        host: &dyn Host,
        metric: MetricIndex,
        plan: &Plan,
        series: &Series<'_>,
    ) -> Result<MetricId, HostError> {
        let slot = self.ids.get_mut(metric.as_usize());
        if let Some(Some(id)) = slot {
            return Ok(*id);
        }
        let labels = plan.labels().map(|(name, value)| (name, series.value(value)));
        let id = host.define_metric(plan.kind, &stat_name::encode(labels, &plan.name))?;
        if let Some(slot) = slot {
            *slot = Some(id);
        }
        Ok(id)
    }
}
