//! The metrics as a configuration wants them: the standard ones and its own,
//! each with its labels and where their values come from.
//!
//! Overrides are replayed in the order of the configuration, with Istio's
//! rules. Those with a condition apply to some streams only, so there is a
//! [`Variant`] of all plans for each combination of conditions that streams
//! meet; without conditions there is one.

use std::cell::RefCell;
use std::rc::Rc;

use crate::attachment::Attachment;
use crate::catalogue::dimension::{Dimension, LabelSet};
use crate::catalogue::metric::Metric;
use crate::collections::set::Set;
use crate::config::definitions::Definition;
use crate::config::overrides::Override;
use crate::config::Config;
use crate::facts::needs::Needs;
use crate::host::MetricKind;

/// What a configuration makes of the metrics: its definitions and overrides with
/// their expressions numbered, and the variants compiled so far.
#[derive(Debug)]
pub struct Plans {
    prefix: String,
    definitions: Vec<Definition>,
    overrides: Vec<Override>,
    labels: Option<Vec<String>>,
    /// Names of all labels, the standard ones first; its index is its number.
    tag_names: Vec<String>,
    /// Every distinct expression of a label; its index is its number.
    expressions: Vec<String>,
    /// Every distinct condition; its index is its number.
    conditions: Vec<String>,
    /// Numbers of the expressions that the host refused.
    refused: Vec<usize>,
    /// Few: one for each combination of conditions met, of which there are few.
    variants: RefCell<Vec<Rc<Variant>>>,
}

/// Which conditions are true, by number: the n-th distinct one of the configuration.
pub type Conditions = Set<usize>;

/// All plans for streams of which the same conditions are true.
#[derive(Debug)]
pub struct Variant {
    /// Precedes the metrics' names.
    pub prefix: String,
    /// Tells label sets of different variants apart.
    pub conditions: Conditions,
    /// By [`MetricIndex`]; `None` was dropped.
    plans: Vec<Option<Plan>>,
    /// What the values of each label set are found by, in [`SETS`]' order.
    keys: [Key; SETS.len()],
}

/// The values that distinguish the series of a label set's metrics.
#[derive(Clone, Debug, Default)]
pub struct Key {
    /// Standard labels that some metric carries.
    pub dimensions: Vec<Dimension>,
    /// Numbers of expressions that some metric carries.
    pub expressions: Vec<usize>,
}

/// One metric.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name without the prefix.
    pub name: String,
    /// How it counts.
    pub kind: MetricKind,
    tags: Vec<Tag>,
}

#[derive(Clone, Debug)]
struct Tag {
    /// Number of its name.
    label: usize,
    name: String,
    value: TagValue,
    /// Kept in its place, since a later entry may bring it back there.
    removed: bool,
}

/// A metric without the values of its labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetricShape {
    /// How it counts.
    pub kind: MetricKind,
    /// Its name, with the prefix.
    pub name: String,
    /// The names of its labels, in order.
    pub labels: Vec<String>,
}

/// Where a label's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagValue {
    /// A standard label.
    Standard(Dimension),
    /// The expression with this number.
    Expression(usize),
}

/// Number of a metric: the standard ones as in [`Metric`], then the definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricIndex(usize);

const SETS: [LabelSet; 3] = [LabelSet::Messages, LabelSet::Tcp, LabelSet::Http];

// === impl MetricIndex ===

impl From<Metric> for MetricIndex {
    fn from(metric: Metric) -> Self {
        Self(metric as usize)
    }
}

impl MetricIndex {
    /// The number of the n-th definition.
    pub fn of_definition(n: usize) -> Self {
        Self(Metric::ALL.len().saturating_add(n))
    }

    /// The number, as an index.
    pub fn as_usize(self) -> usize {
        self.0
    }
}

// === impl Plans ===

impl Plans {
    /// Numbers the expressions.
    pub fn new(config: &Config) -> Self {
        let Config { metric_prefix, definitions, overrides, labels, .. } = config.clone();
        let set = || overrides.iter().flat_map(|change| &change.dimensions);
        let standard = Dimension::ALL.map(|dimension| dimension.name().to_owned());
        Self {
            tag_names: distinct(standard.iter().chain(set().map(|(name, _)| name))),
            expressions: distinct(set().map(|(_, text)| text)),
            conditions: distinct(overrides.iter().filter_map(|change| change.condition.as_ref())),
            prefix: metric_prefix,
            definitions,
            overrides,
            labels,
            refused: Vec::new(),
            variants: RefCell::default(),
        }
    }

    /// The expressions of labels, by number.
    pub fn expressions(&self) -> &[String] {
        &self.expressions
    }

    /// The definitions, in order.
    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// The conditions, by number.
    pub fn conditions(&self) -> impl Iterator<Item = &str> {
        self.conditions.iter().map(String::as_str)
    }

    /// The host does not understand the expression with this number: the labels
    /// that it sets are left out.
    pub fn refuse(&mut self, expression: usize) {
        self.refused.push(expression);
    }

    /// The plans for streams of which these conditions are true.
    pub fn variant(&self, conditions: Conditions) -> Rc<Variant> {
        let mut variants = self.variants.borrow_mut();
        if let Some(known) = variants.iter().find(|known| known.conditions == conditions) {
            return Rc::clone(known);
        }
        let variant = Rc::new(self.compile(conditions));
        variants.push(Rc::clone(&variant));
        variant
    }

    fn compile(&self, conditions: Conditions) -> Variant {
        let standard = Metric::ALL.into_iter().map(|metric| Some(self.standard_plan(metric)));
        let defined = self.definitions.iter().map(|definition| {
            let tags = Vec::new();
            Some(Plan { name: definition.name.clone(), kind: definition.kind, tags })
        });
        let mut plans: Vec<_> = standard.chain(defined).collect();
        let holds = |text: &String| {
            let number = self.conditions.iter().position(|known| known == text);
            number.is_some_and(|number| conditions.contains(number))
        };
        for change in &self.overrides {
            if change.condition.as_ref().is_none_or(holds) {
                self.apply(change, &mut plans);
            }
        }
        let keys = SETS.map(|set| key_of(set, &plans));
        Variant { prefix: self.prefix.clone(), conditions, plans, keys }
    }

    fn standard_plan(&self, metric: Metric) -> Plan {
        let is_listed =
            |name: &str| self.labels.as_ref().is_none_or(|labels| labels.iter().any(|l| l == name));
        let tag = |dimension: &Dimension| Tag {
            label: *dimension as usize,
            name: dimension.name().to_owned(),
            value: TagValue::Standard(*dimension),
            removed: !is_listed(dimension.name()),
        };
        Plan {
            name: metric.name().to_owned(),
            kind: metric.kind(),
            tags: metric.labels().dimensions().iter().map(tag).collect(),
        }
    }

    /// What an entry does to which label is looked up once, since there may be
    /// hundreds of entries.
    fn apply(&self, change: &Override, plans: &mut [Option<Plan>]) {
        let Override { path: _, name, dimensions, tags_to_remove, condition: _, drop } = change;
        let removed: Vec<bool> = self.tag_names.iter().map(|name| tags_to_remove.contains(name)).collect();
        let set: Vec<_> = dimensions.iter().filter_map(|(label, text)| self.tag(label, text)).collect();
        let mut by_label: Vec<Option<&Tag>> = vec![None; self.tag_names.len()];
        for tag in &set {
            if let Some(by_label) = by_label.get_mut(tag.label) {
                *by_label = Some(tag);
            }
        }
        for (number, kept) in plans.iter_mut().enumerate() {
            let is_meant = |plan: &&mut Plan| name.as_ref().is_none_or(|name| *name == plan.name);
            let Some(plan) = kept.as_mut().filter(is_meant) else {
                continue;
            };
            if *drop {
                *kept = None;
                continue;
            }
            let mut new = by_label.clone();
            for tag in &mut plan.tags {
                tag.removed |= removed.get(tag.label).copied().unwrap_or_default();
                match new.get_mut(tag.label).and_then(Option::take) {
                    Some(refused) if refused.removed => tag.removed = true,
                    Some(set) => (tag.value, tag.removed) = (set.value, false),
                    None => {}
                }
            }
            // An entry for all gives no standard metric a standard label that it has not.
            let is_complete = name.is_none() && number < Metric::ALL.len();
            let is_new = |tag: &&Tag| new.get(tag.label).is_some_and(Option::is_some);
            let is_wanted = |tag: &&Tag| is_new(tag) && !(is_complete && is_standard(&tag.name));
            plan.tags.extend(set.iter().filter(is_wanted).cloned());
        }
    }

    /// What an entry sets a label to.
    fn tag(&self, name: &str, expression: &str) -> Option<Tag> {
        let label = self.tag_names.iter().position(|known| known == name)?;
        let number = self.expressions.iter().position(|known| known == expression)?;
        let removed = self.refused.contains(&number);
        Some(Tag { label, name: name.to_owned(), value: TagValue::Expression(number), removed })
    }

    /// Shows the plans for every combination of conditions; none of them is kept.
    pub fn each_variant(&self, mut show: impl FnMut(&Variant)) {
        let bits = u32::try_from(self.conditions.len()).unwrap_or(u32::MAX);
        for conditions in 0..1u32.checked_shl(bits).unwrap_or(1) {
            show(&self.compile(Conditions::of_bits(conditions)));
        }
    }

    /// What has to be known of streams, expressions aside.
    pub fn needs(&self) -> Needs {
        // An entry that applies takes metrics and standard labels away, or leaves them.
        let variant = self.compile(Conditions::EMPTY);
        let mut needs = Needs::default();
        let is_kept = |metric: &Metric| variant.plan((*metric).into()).is_some();
        Metric::ALL.into_iter().filter(is_kept).for_each(|metric| needs.metrics.insert(metric));
        for (_, value) in variant.plans().flat_map(Plan::labels) {
            if let TagValue::Standard(dimension) = value {
                needs.labels.insert(dimension);
            }
        }
        needs
    }

    /// Every metric that such streams, or any, may be recorded in: once for each list of
    /// labels that it has in some variant.
    pub fn metrics(&self, attachment: Option<Attachment>) -> Vec<MetricShape> {
        let counts = |plan: &&Plan| attachment.is_none_or(|attachment| attachment.counts_in(&plan.name));
        let mut shapes = Vec::new();
        self.each_variant(|variant| {
            for plan in variant.plans().filter(counts) {
                let name = [variant.prefix.as_str(), &plan.name].concat();
                let labels = plan.labels().map(|(label, _)| label.to_owned()).collect();
                let shape = MetricShape { kind: plan.kind, name, labels };
                if !shapes.contains(&shape) {
                    shapes.push(shape);
                }
            }
        });
        shapes
    }

    /// Every label that some metric carries in some variant, in the order of the
    /// stat names; for the bootstrap's `stats_tags`.
    pub fn all_labels(&self) -> Vec<String> {
        let mut labels: Vec<String> = Vec::new();
        self.each_variant(|variant| {
            for (name, _) in variant.plans().flat_map(Plan::labels) {
                if !labels.iter().any(|known| known == name) {
                    labels.push(name.to_owned());
                }
            }
        });
        let position = |name: &String| Dimension::ALL.iter().position(|d| d.name() == name);
        labels.sort_by_key(|name| position(name).unwrap_or(Dimension::ALL.len()));
        labels
    }
}

// === impl Variant ===

impl Variant {
    /// A metric's plan; `None` if it was dropped.
    pub fn plan(&self, metric: MetricIndex) -> Option<&Plan> {
        self.plans.get(metric.0)?.as_ref()
    }

    /// The plans of all metrics that are kept.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.plans.iter().flatten()
    }

    /// How many metrics there are, dropped ones too.
    pub fn metrics(&self) -> usize {
        self.plans.len()
    }

    /// What the values of a label set are found by.
    pub fn key(&self, set: LabelSet) -> &Key {
        let [messages, tcp, http] = &self.keys;
        match set {
            LabelSet::Messages => messages,
            LabelSet::Tcp => tcp,
            LabelSet::Http => http,
        }
    }
}

// === impl Plan ===

impl Plan {
    /// Its labels, in the order of the stat name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, TagValue)> {
        self.tags.iter().filter(|tag| !tag.removed).map(|tag| (tag.name.as_str(), tag.value))
    }
}

fn is_standard(label: &str) -> bool {
    Dimension::ALL.into_iter().any(|known| known.name() == label)
}

fn distinct<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut known = Vec::new();
    for text in texts {
        if !known.contains(text) {
            known.push(text.clone());
        }
    }
    known
}

/// Definitions are recorded with HTTP requests and with TCP connections.
fn key_of(set: LabelSet, plans: &[Option<Plan>]) -> Key {
    let mut key = Key::default();
    let belongs = |index: usize| match Metric::ALL.get(index) {
        Some(metric) => metric.labels() == set,
        None => set != LabelSet::Messages,
    };
    let plans =
        plans.iter().enumerate().filter(|(index, _)| belongs(*index)).filter_map(|(_, plan)| plan.as_ref());
    for (_, value) in plans.flat_map(Plan::labels) {
        match value {
            TagValue::Standard(dimension) if !key.dimensions.contains(&dimension) => {
                key.dimensions.push(dimension)
            }
            TagValue::Expression(number) if !key.expressions.contains(&number) => {
                key.expressions.push(number)
            }
            _ => {}
        }
    }
    key
}
