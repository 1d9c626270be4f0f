//! The stat names that a configuration makes, as far as labels go, and the
//! positions of the labels in them.

use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::own_metric::PEER_DECODE_ERRORS;
use istio_stats::config::Config;
use istio_stats::rules::plan::{Plans, TagValue};

use expressions::Purpose;

/// Envoy's prefix for the stats of plugins, in front of the labels.
pub(crate) const WASM_PREFIX: &str = "wasmcustom.";

/// The labels of some metrics, in the order of their stat names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatName {
    /// One of the metrics, without `istio_`.
    pub(crate) metric: String,
    pub(crate) labels: Vec<Label>,
}

/// A label in a stat name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) name: String,
    /// Whether an Envoy might refuse its expression, and so leave it out.
    may_be_missing: bool,
}

/// A label and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelPosition {
    pub(crate) label: String,
    /// How many labels precede it, if that is the same in every stat name.
    pub(crate) position: Option<usize>,
}

/// The stat names of a configuration, for every combination of its conditions.
/// Names with the same labels are given once.
pub(crate) fn of_config(config: &Config) -> Vec<StatName> {
    let mut plans = Plans::new(config);
    let opinions: Vec<_> =
        plans.expressions().iter().map(|text| expressions::judge(text, Purpose::Label)).collect();
    for (number, opinion) in opinions.iter().enumerate() {
        if opinion.refused.is_some() {
            plans.refuse(number);
        }
    }
    let may_be_missing = |value| match value {
        TagValue::Standard(_) => false,
        TagValue::Expression(number) => opinions.get(number).is_some_and(|opinion| !opinion.is_plain),
    };
    let mut names: Vec<StatName> = Vec::new();
    plans.each_variant(|variant| {
        for plan in variant.plans() {
            let label = |(name, value): (&str, TagValue)| Label {
                name: name.to_owned(),
                may_be_missing: may_be_missing(value),
            };
            let labels: Vec<_> = plan.labels().map(label).collect();
            if !names.iter().any(|known| known.labels == labels) {
                names.push(StatName { metric: plan.name.clone(), labels });
            }
        }
    });
    names
}

/// The plugin's metrics about itself that carry a label of their own; those
/// without one need no line. (`istio_build` has a form of its own.)
pub(crate) fn of_plugin() -> Vec<StatName> {
    let label = Label { name: "reason".to_owned(), may_be_missing: false };
    vec![StatName { metric: PEER_DECODE_ERRORS.name.to_owned(), labels: vec![label] }]
}

/// Every label once: the standard ones in order, then the others as they come.
pub(crate) fn positions(names: &[StatName]) -> Vec<LabelPosition> {
    let mut positions: Vec<LabelPosition> = Vec::new();
    for name in names {
        let mut is_sure = true;
        for (position, label) in name.labels.iter().enumerate() {
            let position = Some(position).filter(|_| is_sure);
            match positions.iter_mut().find(|known| known.label == label.name) {
                Some(known) if known.position == position => {}
                Some(known) => known.position = None,
                None => positions.push(LabelPosition { label: label.name.clone(), position }),
            }
            is_sure &= !label.may_be_missing;
        }
    }
    let rank = |label: &LabelPosition| Dimension::ALL.iter().position(|d| d.name() == label.label);
    positions.sort_by_key(|label| rank(label).unwrap_or(Dimension::ALL.len()));
    positions
}

/// Labels whose name is the end of another's, each with that one. Istio's
/// expressions are not anchored: they find the one in the other.
pub(crate) fn suffixes(positions: &[LabelPosition]) -> Vec<(&str, &str)> {
    let labels = || positions.iter().map(|label| label.label.as_str());
    let pairs = labels().flat_map(|one| labels().map(move |other| (one, other)));
    pairs.filter(|(one, other)| one != other && other.ends_with(one)).collect()
}

#[cfg(test)]
mod tests;
