//! The configuration's rules on metrics, applied to one stream: which variant of
//! the plans it meets, and the values of its expressions.

pub mod expression;
pub mod plan;
pub mod rewrite;

use std::rc::Rc;

use crate::attribute::Attributes;
use crate::catalogue::label_value::{LabelValue, UNKNOWN};
use crate::config::reader::Issue;
use crate::facts::needs::Needs;
use crate::host::excerpt::quoted;
use crate::host::{Host, HostError};
use crate::rules::expression::{Condition, Number, Text};
use crate::rules::plan::{Catalogue, Conditions, MetricIndex, Variant};
use crate::rules::rewrite::rewrite;
use crate::series::registry::Sample;
use crate::stats::report::Call;

/// A catalogue with its expressions, known to the host. What the host refused is
/// absent.
#[derive(Debug)]
pub struct Rules {
    catalogue: Catalogue,
    texts: Vec<Option<Text>>,
    numbers: Vec<Option<Number>>,
    conditions: Vec<Option<Condition>>,
}

/// What the rules say of a stream.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// Plans of the metrics.
    pub variant: Rc<Variant>,
    /// Values of the labels' expressions, by slot.
    pub texts: Texts,
}

/// Values of expressions by slot; one that could not be evaluated is `unknown`.
#[derive(Clone, Debug, Default)]
pub struct Texts(Vec<Option<LabelValue>>);

/// What could be evaluated when a stream opened, for the reports while it is open.
#[derive(Debug, Default)]
pub struct Early {
    conditions: Conditions,
    texts: Texts,
}

// === impl Rules ===

impl Rules {
    /// Has the host compile every expression. What it refuses is reported.
    pub fn create(host: &dyn Host, mut catalogue: Catalogue, issues: &mut Vec<Issue>) -> Self {
        let mut told = Told { issues };
        let texts: Vec<_> = catalogue.expressions().to_vec();
        let texts: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(slot, text)| {
                let created = told.check("metrics: dimension", text, Text::create(host, text));
                if created.is_none() {
                    catalogue.refuse(slot);
                }
                created
            })
            .collect();
        let number = |value: &str| ("definitions: value", Number::create(host, value));
        let numbers = catalogue
            .definitions()
            .iter()
            .map(|definition| {
                let (what, created) = number(&definition.value);
                told.check(what, &definition.value, created)
            })
            .collect();
        let conditions = catalogue
            .conditions()
            .map(|text| told.check("metrics: match", text, Condition::create(host, text)))
            .collect();
        Self { catalogue, texts, numbers, conditions }
    }

    /// What they need to know of a stream.
    pub fn needs(&self) -> Needs {
        let texts = self.texts.iter().flatten().any(Text::names_peers);
        let numbers = self.numbers.iter().flatten().any(Number::names_peers);
        let conditions = self.conditions.iter().flatten().any(Condition::names_peers);
        Needs::of(&self.catalogue, texts || numbers || conditions)
    }

    /// What the rules say in a callback of the stream.
    pub fn at_end(&self, host: &dyn Host, call: &Call) -> Ruling {
        let conditions = self.holding(|condition| condition.holds(host, call));
        let texts = self.texts.iter().map(|text| text.as_ref()?.evaluate(host, call));
        Ruling { variant: self.catalogue.variant(conditions), texts: Texts(texts.collect()) }
    }

    /// What can be said when the stream opens; `None` if nothing needs to be.
    pub fn at_open(&self, host: &dyn Host) -> Option<Box<Early>> {
        if self.texts.is_empty() && self.conditions.is_empty() {
            return None;
        }
        let conditions = self.holding(|condition| condition.holds_early(host));
        let texts = self.texts.iter().map(|text| text.as_ref()?.evaluate_early(host));
        Some(Box::new(Early { conditions, texts: Texts(texts.collect()) }))
    }

    /// What the rules say in a tick that made the stream effective.
    pub fn on_tick(&self, attributes: &Attributes<'_>, call: &Call, early: Option<&Early>) -> Ruling {
        let conditions = early.map(|early| early.conditions).unwrap_or_default();
        let texts = self.texts.iter().enumerate().map(|(slot, text)| {
            let early = early.and_then(|early| early.texts.0.get(slot)?.as_ref());
            text.as_ref()?.evaluate_on_tick(attributes, call, early)
        });
        Ruling { variant: self.catalogue.variant(conditions), texts: Texts(texts.collect()) }
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
        let bits = (0..u32::BITS).zip(&self.conditions);
        let bit = |(bit, condition): (u32, &Option<Condition>)| match condition {
            Some(condition) if holds(condition) => 1 << bit,
            _ => 0,
        };
        Conditions(bits.map(bit).fold(0, |all, one| all | one))
    }
}

/// Reports what becomes of expressions.
struct Told<'a> {
    issues: &'a mut Vec<Issue>,
}

impl Told<'_> {
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
    /// The value in a slot.
    pub fn get(&self, slot: usize) -> &str {
        self.0.get(slot).and_then(Option::as_ref).map_or(UNKNOWN, LabelValue::as_str)
    }
}
