//! A workload's facts as label values, cleaned once.

use super::fact::{Fact, Missing};
use super::Workload;
use crate::catalogue::label_value::{LabelValue, LATEST, UNKNOWN};

/// What the labels of one side say about its workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadLabels {
    by_fact: [Option<LabelValue>; Fact::ALL.len()],
}

// === impl WorkloadLabels ===

impl WorkloadLabels {
    /// A side that nothing is known of.
    pub const NOBODY: &Self = &Self { by_fact: [const { None }; Fact::ALL.len()] };

    /// Cleans the facts of a workload that labels show.
    pub fn new(workload: &Workload) -> Self {
        Self::of(|fact| workload.get(fact).and_then(LabelValue::clean_str))
    }

    /// The facts that `value` tells.
    pub fn of(value: impl Fn(Fact) -> Option<LabelValue>) -> Self {
        let mut labels = Self::default();
        for fact in Fact::shown() {
            if let Some(slot) = labels.by_fact.get_mut(fact as usize) {
                *slot = value(fact);
            }
        }
        labels
    }

    /// The value of a fact; `None` is missing.
    pub fn get(&self, fact: Fact) -> Option<&LabelValue> {
        self.by_fact.get(fact as usize)?.as_ref()
    }

    /// The value that the fact's label has.
    pub fn shown(&self, fact: Fact) -> &str {
        match self.get(fact) {
            Some(value) => value.as_str(),
            None => match fact.row().missing {
                Missing::Unknown => UNKNOWN,
                Missing::Latest => LATEST,
                Missing::Workload => or(self.get(Fact::Workload), UNKNOWN),
            },
        }
    }
}

/// The value, or else `missing`.
pub fn or<'a>(value: Option<&'a LabelValue>, missing: &'a str) -> &'a str {
    value.map_or(missing, LabelValue::as_str)
}
