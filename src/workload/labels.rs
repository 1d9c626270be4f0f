//! A workload's facts as label values, cleaned once.

use super::fact::{Fact, Missing};
use super::further::Further;
use super::Workload;
use crate::catalogue::label_value::{LabelValue, LATEST, UNKNOWN};

/// What the labels of one side say about its workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadLabels {
    by_fact: [Option<LabelValue>; Fact::ALL.len()],
    identity_namespace: Option<LabelValue>,
    /// Kubernetes labels that are asked for beside facts, and are there.
    further: Vec<(String, LabelValue)>,
}

// === impl WorkloadLabels ===

impl WorkloadLabels {
    /// A side that nothing is known of.
    pub const NOBODY: &Self =
        &Self { by_fact: [const { None }; Fact::ALL.len()], identity_namespace: None, further: Vec::new() };

    /// Cleans the facts of a workload that labels show, and its identity.
    pub fn new(workload: &Workload) -> Self {
        Self::of(|fact| workload.get(fact).and_then(LabelValue::clean_str))
    }

    /// The same with what is asked for beside them.
    pub fn with(workload: &Workload, further: &Further) -> Self {
        let mut labels = Self::new(workload);
        for fact in Fact::ALL.into_iter().filter(|fact| further.facts.contains(*fact)) {
            labels.set(fact, workload.get(fact).and_then(LabelValue::clean_str));
        }
        let told = |(name, text): (&str, &str)| Some((name.to_owned(), LabelValue::clean_str(text)?));
        labels.further = workload.further().filter_map(told).collect();
        labels
    }

    /// The facts that `value` tells.
    pub fn of(value: impl Fn(Fact) -> Option<LabelValue>) -> Self {
        let mut labels = Self::default();
        for fact in Fact::shown().chain([Fact::Identity]) {
            labels.set(fact, value(fact));
        }
        labels.identity_namespace = labels.get(Fact::Identity).and_then(spiffe_namespace);
        labels
    }

    fn set(&mut self, fact: Fact, value: Option<LabelValue>) {
        if let Some(slot) = self.by_fact.get_mut(fact as usize) {
            *slot = value;
        }
    }

    /// The value of a fact; `None` is missing.
    pub fn get(&self, fact: Fact) -> Option<&LabelValue> {
        self.by_fact.get(fact as usize)?.as_ref()
    }

    /// The value of a Kubernetes label that tells no fact; `None` is missing, or was
    /// not asked for.
    pub fn further(&self, name: &str) -> Option<&LabelValue> {
        self.further.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The Kubernetes namespace in its identity.
    pub fn identity_namespace(&self) -> Option<&LabelValue> {
        self.identity_namespace.as_ref()
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

/// The namespace in a SPIFFE id: what follows the first `/ns/`, up to the next
/// slash, as Istio's own filter reads it.
pub fn spiffe_namespace(principal: &LabelValue) -> Option<LabelValue> {
    const MARK: &[u8] = b"/ns/";
    let id = principal.as_str();
    let at = id.as_bytes().windows(MARK.len()).position(|window| window == MARK)?;
    let namespace = id.get(at.checked_add(MARK.len())?..)?.split('/').next()?;
    LabelValue::clean_str(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_read_from_a_spiffe_id() {
        let namespace = |id: &str| {
            let namespace = spiffe_namespace(&LabelValue::clean_str(id).unwrap());
            namespace.map(|value| value.as_str().to_owned())
        };
        assert_eq!(namespace("spiffe://east.local/ns/shop/sa/web").as_deref(), Some("shop"));
        assert_eq!(namespace("spiffe://east.local/ns/shop").as_deref(), Some("shop"));
        assert_eq!(namespace("spiffe://td/ns/a/ns/b/sa/x").as_deref(), Some("a"));
        assert_eq!(namespace("spiffe://td/ns//sa/x"), None);
        assert_eq!(namespace("spiffe://td/vm/web"), None);
    }
}
