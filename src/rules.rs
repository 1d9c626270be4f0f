//! The configuration's rules on metrics, applied to one stream: which variant of
//! the plans it meets, and the values of its expressions.

pub mod expression;
pub mod plan;
pub mod rewrite;
pub mod sample;

use std::rc::Rc;

use crate::attribute::Attributes;
use crate::catalogue::label_value::{LabelValue, UNKNOWN};
use crate::config::issue::Issue;
use crate::facts::call::Call;
use crate::facts::needs::Needs;
use crate::host::excerpt::quoted;
use crate::host::{Host, HostError};
use expression::{Condition, Number, Text};
use plan::{Conditions, MetricIndex, MetricShape, Plans, Variant};
use rewrite::rewrite;
use sample::Sample;

/// Plans with their expressions, known to the host. What the host refused is
/// absent.
#[derive(Debug)]
pub struct Rules {
    plans: Plans,
    texts: Vec<Option<Text>>,
    numbers: Vec<Option<Number>>,
    conditions: Vec<Option<Condition>>,
}

/// What the rules make of one stream.
#[derive(Clone, Debug)]
pub struct StreamPlan {
    /// Plans of the metrics.
    pub variant: Rc<Variant>,
    /// Values of the labels' expressions.
    pub texts: Texts,
}

/// Values of expressions by number; one that could not be evaluated is `unknown`.
#[derive(Clone, Debug, Default)]
pub struct Texts(Vec<Option<LabelValue>>);

/// What could be evaluated when a stream opened, for the reports while it is open.
#[derive(Debug, Default)]
pub struct OpeningValues {
    conditions: Conditions,
    texts: Texts,
}

// === impl Rules ===

impl Rules {
    /// Has the host compile every expression. What it refuses is reported.
    pub fn create(host: &dyn Host, mut plans: Plans, issues: &mut Vec<Issue>) -> Self {
        let mut found = ExpressionIssues { issues };
        let texts: Vec<_> = plans.expressions().to_vec();
        let texts: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(number, text)| {
                let created = found.check("metrics: dimension", text, Text::create(host, text));
                if created.is_none() {
                    plans.refuse(number);
                }
                created
            })
            .collect();
        let number = |value: &str| ("definitions: value", Number::create(host, value));
        let numbers = plans
            .definitions()
            .iter()
            .map(|definition| {
                let (what, created) = number(&definition.value);
                found.check(what, &definition.value, created)
            })
            .collect();
        let conditions = plans
            .conditions()
            .map(|text| found.check("metrics: match", text, Condition::create(host, text)))
            .collect();
        Self { plans, texts, numbers, conditions }
    }

    /// Every metric that streams may be recorded in.
    pub fn metrics(&self) -> Vec<MetricShape> {
        self.plans.metrics()
    }

    /// What they need to know of a stream.
    pub fn needs(&self) -> Needs {
        let texts = self.texts.iter().flatten().any(Text::names_peers);
        let numbers = self.numbers.iter().flatten().any(Number::names_peers);
        let conditions = self.conditions.iter().flatten().any(Condition::names_peers);
        self.plans.needs(texts || numbers || conditions)
    }

    /// Whether no stream has to be looked at to know what they say of it.
    pub fn are_the_same_for_all(&self) -> bool {
        self.texts.is_empty() && self.numbers.is_empty() && self.conditions.is_empty()
    }

    /// What the rules say in a callback of the stream.
    pub fn at_end(&self, host: &dyn Host, call: &Call) -> StreamPlan {
        let conditions = self.holding(|condition| condition.holds(host, call));
        let texts = self.texts.iter().map(|text| text.as_ref()?.evaluate(host, call));
        StreamPlan { variant: self.plans.variant(conditions), texts: Texts(texts.collect()) }
    }

    /// What can be said when the stream opens; `None` if nothing needs to be.
    pub fn at_open(&self, host: &dyn Host) -> Option<Box<OpeningValues>> {
        if self.texts.is_empty() && self.conditions.is_empty() {
            return None;
        }
        let conditions = self.holding(|condition| condition.holds_at_open(host));
        let texts = self.texts.iter().map(|text| text.as_ref()?.evaluate_at_open(host));
        Some(Box::new(OpeningValues { conditions, texts: Texts(texts.collect()) }))
    }

    /// What the rules say in a tick that made the stream effective.
    pub fn on_tick(
        &self,
        attributes: &Attributes<'_>,
        call: &Call,
        opening: Option<&OpeningValues>,
    ) -> StreamPlan {
        let conditions = opening.map(|opening| opening.conditions).unwrap_or_default();
        let texts = self.texts.iter().enumerate().map(|(number, text)| {
            let at_open = opening.and_then(|opening| opening.texts.0.get(number)?.as_ref());
            text.as_ref()?.evaluate_on_tick(attributes, call, at_open)
        });
        StreamPlan { variant: self.plans.variant(conditions), texts: Texts(texts.collect()) }
    }

    /// What the stream adds to the metrics that the configuration defines.
    pub fn defined_samples<'a>(
        &'a self,
        host: &'a dyn Host,
        call: &'a Call,
    ) -> impl Iterator<Item = Sample> + 'a {
        self.numbers.iter().enumerate().filter_map(move |(n, number)| {
            let value = number.as_ref()?.evaluate(host, call);
            Some(Sample { metric: MetricIndex::of_definition(n), value })
        })
    }

    fn holding(&self, holds: impl Fn(&Condition) -> bool) -> Conditions {
        let conditions = self.conditions.iter().enumerate();
        let holding = conditions.filter(|(_, condition)| condition.as_ref().is_some_and(&holds));
        holding.map(|(number, _)| number).collect()
    }
}

/// Reports what becomes of expressions.
struct ExpressionIssues<'a> {
    issues: &'a mut Vec<Issue>,
}

impl ExpressionIssues<'_> {
    fn check<T>(&mut self, what: &str, text: &str, created: Result<T, HostError>) -> Option<T> {
        self.explain(what, text, created.is_ok());
        created.ok()
    }

    fn explain(&mut self, what: &str, text: &str, understood: bool) {
        for (from, to) in rewrite(text).changes {
            let message = format!("{from} reads {to} on this host");
            self.tell(log::Level::Info, what, text, &message);
        }
        if !understood {
            let message = "the host does not understand this expression; ignored";
            self.tell(log::Level::Warn, what, text, message);
        }
    }

    fn tell(&mut self, level: log::Level, what: &str, text: &str, message: &str) {
        let path = what.to_owned();
        self.issues.push(Issue { level, path, message: format!("{}: {message}", quoted(text)) });
    }
}

// === impl Texts ===

impl Texts {
    /// The value of the expression with this number.
    pub fn get(&self, number: usize) -> &str {
        self.0.get(number).and_then(Option::as_ref).map_or(UNKNOWN, LabelValue::as_str)
    }
}
