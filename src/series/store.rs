//! The label sets that were met, found by their keys, and how far their metrics
//! have come. Looking one up allocates nothing.

use core::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use crate::collections::index::{is_same_key, Index};
use crate::series::key::Series;
use crate::series::metric_state::MetricState;

/// Label sets by their numbers, which count from zero.
#[derive(Debug, Default)]
pub struct SeriesStore {
    entries: Vec<StoredSeries>,
    index: Index,
    hasher: DefaultHashBuilder,
    /// Of the label set in hand; here so that its memory is used again.
    key: Vec<u8>,
}

/// One label set.
#[derive(Debug)]
struct StoredSeries {
    /// As [`Series::write_key`] writes it.
    key: Box<[u8]>,
    /// By number of the metric.
    metrics: Box<[MetricState]>,
}

// === impl SeriesStore ===

impl SeriesStore {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The number of a label set; `None` if it is new.
    pub fn find(&mut self, series: &Series<'_>) -> Option<usize> {
        let hash = self.write_key(series);
        let is_it =
            |number: usize| self.entries.get(number).is_some_and(|known| is_same_key(&known.key, &self.key));
        self.index.find(hash, is_it)
    }

    /// Adds a new one, with none of its metrics in use.
    pub fn add(&mut self, series: &Series<'_>) -> usize {
        let hash = self.write_key(series);
        let number = self.entries.len();
        let metrics = (0..series.plan.variant.metrics()).map(|_| MetricState::Unused).collect();
        self.entries.push(StoredSeries { key: self.key.as_slice().into(), metrics });
        self.index.insert(hash, number);
        number
    }

    /// The metrics of the label set with this number.
    pub fn metrics(&self, number: usize) -> Option<&[MetricState]> {
        self.entries.get(number).map(|known| &*known.metrics)
    }

    /// The same, to change them.
    pub fn metrics_mut(&mut self, number: usize) -> Option<&mut [MetricState]> {
        self.entries.get_mut(number).map(|known| &mut *known.metrics)
    }

    /// Has its key at hand; returns the key's hash.
    fn write_key(&mut self, series: &Series<'_>) -> u64 {
        series.write_key(&mut self.key);
        self.hasher.hash_one(self.key.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::dimension::{LabelSet, Values};
    use crate::catalogue::reporter::Reporter;
    use crate::config::Config;
    use crate::rules::plan::{Conditions, Plans};
    use crate::rules::{StreamPlan, Texts};

    #[test]
    fn only_what_has_the_same_key_is_found_again() {
        let plans = Plans::new(&Config::default());
        let plan = StreamPlan { variant: plans.variant(Conditions::EMPTY), texts: Texts::default() };
        let [one, other] = ["one", "other"].map(Values::all);
        let [one, other] =
            [&one, &other].map(|values| Series::new(Reporter::Source, LabelSet::Http, values, &plan));
        let mut store = SeriesStore::default();
        assert_eq!((store.add(&one), store.count()), (0, 1));
        assert_eq!(store.find(&one), Some(0));
        assert_eq!(store.find(&other), None);
        // Even if it had the same hash.
        let hash = store.write_key(&other);
        store.index.insert(hash, 0);
        assert_eq!(store.find(&other), None);
    }
}
