//! What a stream is reported under, and what tells that from all else.

use crate::catalogue::dimension::{LabelSet, Values};
use crate::catalogue::label_value::OVERFLOW;
use crate::catalogue::reporter::Reporter;
use crate::catalogue::stat_name;
use crate::rules::plan::{Plan, TagValue};
use crate::rules::StreamPlan;
use crate::workload::fact::is_local;

/// The values of a stream's labels, and the plans that say who carries which.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// The side that reports.
    pub reporter: Reporter,
    /// The labels.
    pub set: LabelSet,
    /// Their values.
    pub values: &'a Values<'a>,
    /// What the rules make of the stream.
    pub plan: &'a StreamPlan,
    /// Whether it stands for all beyond the bound on series.
    is_overflow: bool,
}

/// No label value holds a control character.
const SEPARATOR: u8 = 0;

// === impl Series ===

impl<'a> Series<'a> {
    /// What a stream is reported under.
    pub fn new(reporter: Reporter, set: LabelSet, values: &'a Values<'a>, plan: &'a StreamPlan) -> Self {
        Self { reporter, set, values, plan, is_overflow: false }
    }

    /// What it is reported under beyond the bound on series: these values, and
    /// `overflow` for each expression's.
    pub fn folded(self, values: &'a Values<'a>) -> Self {
        Self { values, is_overflow: true, ..self }
    }

    /// The stat name of one of its metrics.
    pub fn stat_name(&self, of_metric: &Plan) -> String {
        let value = |value| match value {
            TagValue::Standard(dimension) => self.values.get(dimension),
            TagValue::Expression(number) => self.text(number),
        };
        let labels = of_metric.labels().map(|(name, tag)| (name, value(tag)));
        stat_name::encode_with_prefix(&self.plan.variant.prefix, labels, &of_metric.name)
    }

    /// Writes what tells it from all others: its kind, and the values that are not
    /// the same for every stream of its reporter.
    pub fn write_key(&self, key: &mut Vec<u8>) {
        let variant = &self.plan.variant;
        key.clear();
        key.extend_from_slice(&variant.conditions.bits().to_le_bytes());
        key.extend_from_slice(&[self.reporter as u8, self.set as u8]);
        let mut write = |value: &str| {
            key.extend_from_slice(value.as_bytes());
            key.push(SEPARATOR);
        };
        let parts = variant.key(self.set);
        for dimension in &parts.dimensions {
            if !is_local(self.reporter, *dimension) {
                write(self.values.get(*dimension));
            }
        }
        for number in &parts.expressions {
            write(self.text(*number));
        }
    }

    /// The value of the expression with this number.
    fn text(&self, number: usize) -> &'a str {
        if self.is_overflow {
            OVERFLOW
        } else {
            self.plan.texts.get(number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::rules::plan::{Conditions, Plans};
    use crate::rules::Texts;

    /// A hash finds candidates; which of them it is, clients must not be able to choose.
    #[test]
    fn each_label_set_has_a_key_of_its_own() {
        let plans = Plans::new(&Config::default());
        let stream_plan =
            |bits| StreamPlan { variant: plans.variant(Conditions::of_bits(bits)), texts: Texts::default() };
        let (plan, other_plan) = (stream_plan(0), stream_plan(1));
        let values = |workload| {
            let mut values = Values::all("x");
            values.set(crate::catalogue::dimension::Dimension::DestinationWorkload, workload);
            values
        };
        let [a, b, ab] = ["a", "b", "ab"].map(values);
        let of = |reporter, set, values, plan| Series::new(reporter, set, values, plan);
        let series = of(Reporter::Source, LabelSet::Http, &a, &plan);
        let key = |series: &Series<'_>| {
            let mut key = b"of another".to_vec();
            series.write_key(&mut key);
            key
        };
        assert_eq!(key(&series), key(&series));
        for other in [
            of(Reporter::Source, LabelSet::Http, &b, &plan),
            of(Reporter::Source, LabelSet::Http, &ab, &plan),
            of(Reporter::Source, LabelSet::Tcp, &a, &plan),
            of(Reporter::Waypoint, LabelSet::Http, &a, &plan),
            of(Reporter::Source, LabelSet::Http, &a, &other_plan),
        ] {
            assert_ne!(key(&series), key(&other), "{other:?}");
        }
    }
}
