//! The configuration's rules on metrics, applied to one stream: which variant of
//! the plans it meets, and the values of its expressions.

pub mod expression;
pub mod filled;
pub mod literal;
pub mod plan;
pub mod rewrite;
pub mod said;
pub mod sample;

use std::rc::Rc;

use crate::attachment::Attachment;
use crate::attribute::Attributes;
use crate::catalogue::dimension::Dimension;
use crate::catalogue::label_value::UNKNOWN;
use crate::config::issue::Issue;
use crate::facts::call::Call;
use crate::facts::needs::Needs;
use crate::host::excerpt::quoted;
use crate::host::{is_told, ExpressionToken, Host, HostError};
use crate::workload::fact::Fact;
use crate::workload::further::Further;
use expression::{Condition, Number, Place, Shown, Text};
use filled::Filled;
use plan::{MetricIndex, MetricShape, Plans, Variant};
use rewrite::{rewrite, PeerFact, What};
use said::Said;
use sample::Sample;

/// Plans with their expressions, known to the host. What the host refused is
/// absent.
#[derive(Debug)]
pub struct Rules {
    plans: Plans,
    texts: Vec<Option<Text>>,
    numbers: Vec<Option<Number>>,
    conditions: Vec<Option<Condition>>,
    /// What the host has to be asked of a stream. `None`: what the rules make of it takes
    /// more than that, and who called whom.
    asked: Option<Vec<ExpressionToken>>,
    filled: Filled,
}

/// What the rules make of one stream.
#[derive(Clone, Debug)]
pub struct StreamPlan {
    /// Plans of the metrics.
    pub variant: Rc<Variant>,
    /// Values of the labels' expressions.
    pub texts: Texts,
}

/// Values of expressions by number.
#[derive(Clone, Debug, Default)]
pub struct Texts(Vec<Shown>);

/// What the first report of a stream said: those that follow say the same.
#[derive(Debug, Default)]
pub struct KeptPlan(Option<Kept>);

#[derive(Debug)]
struct Kept {
    plan: StreamPlan,
    /// Whether a peer might still tell who it is.
    was_pending: bool,
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
        let numbers: Vec<_> = plans
            .definitions()
            .iter()
            .map(|definition| {
                let (what, created) = number(&definition.value);
                found.check(what, &definition.value, created)
            })
            .collect();
        let conditions: Vec<_> = plans
            .conditions()
            .map(|text| found.check("metrics: match", text, Condition::create(host, text)))
            .collect();
        let asked = if numbers.is_empty() { asked(&texts, &conditions) } else { None };
        Self { plans, texts, numbers, conditions, asked, filled: Filled::default() }
    }

    /// Every metric that such streams, or any, may be recorded in.
    pub fn metrics(&self, attachment: Option<Attachment>) -> Vec<MetricShape> {
        self.plans.metrics(attachment)
    }

    /// What they need to know of a stream.
    pub fn needs(&self) -> Needs {
        let mut needs = self.plans.needs();
        for PeerFact { side, what } in self.peer_facts() {
            needs.peers.insert(*side);
            if *what == What::Fact(Fact::Identity) {
                needs.labels.insert(Dimension::SourcePrincipal);
                needs.labels.insert(Dimension::DestinationPrincipal);
            }
        }
        needs
    }

    /// What is to be known of peers for them.
    pub fn further(&self) -> Further {
        let mut further = Further::default();
        for PeerFact { what, .. } in self.peer_facts() {
            match what {
                What::Fact(fact) => further.facts.insert(*fact),
                What::Label(name) if !further.labels.contains(name) => further.labels.push(name.clone()),
                What::Presence | What::Label(_) => {}
            }
        }
        further
    }

    fn peer_facts(&self) -> impl Iterator<Item = &PeerFact> {
        let texts = self.texts.iter().flatten().flat_map(Text::peer_facts);
        let numbers = self.numbers.iter().flatten().flat_map(Number::peer_facts);
        texts.chain(numbers).chain(self.conditions.iter().flatten().flat_map(Condition::peer_facts))
    }

    /// What the host says of a stream in its callback, if the rules say the same of all
    /// streams of which it says that, and that are the same call. Is free where nothing
    /// has to be asked.
    pub fn ask(&self, host: &dyn Host) -> Option<Said> {
        self.asked.as_ref().map(|asked| Said::ask(host, asked))
    }

    /// What the rules say in a callback of the stream, of which the host may have `said`
    /// something.
    pub fn at_end(&self, host: &dyn Host, call: &Call, said: Option<&Said>) -> StreamPlan {
        self.plan(Place { host, call, filled: &self.filled, attributes: None, said })
    }

    /// What the rules say in a tick that made the stream effective.
    pub fn on_tick(&self, host: &dyn Host, attributes: &Attributes<'_>, call: &Call) -> StreamPlan {
        let attributes = Some(attributes).filter(|_| !is_told(host));
        self.plan(Place { host, call, filled: &self.filled, attributes, said: None })
    }

    fn plan(&self, place: Place<'_>) -> StreamPlan {
        let conditions = self.conditions.iter().enumerate();
        let holding = conditions.filter(|(_, condition)| condition.as_ref().is_some_and(|c| c.holds(place)));
        let conditions = holding.map(|(number, _)| number).collect();
        let texts = self.texts.iter();
        let texts = texts.map(|text| text.as_ref().map(|text| text.evaluate(place)).unwrap_or_default());
        StreamPlan { variant: self.plans.variant(conditions), texts: Texts(texts.collect()) }
    }

    /// What the stream adds to the metrics that the configuration defines.
    pub fn defined_samples<'a>(
        &'a self,
        host: &'a dyn Host,
        call: &'a Call,
    ) -> impl Iterator<Item = Sample> + 'a {
        self.numbers.iter().enumerate().filter_map(move |(n, number)| {
            let place = Place { host, call, filled: &self.filled, attributes: None, said: None };
            let value = number.as_ref()?.evaluate(place);
            Some(Sample { metric: MetricIndex::of_definition(n), value })
        })
    }
}

/// What the host has to be asked, if that, and who called whom, is all.
fn asked(texts: &[Option<Text>], conditions: &[Option<Condition>]) -> Option<Vec<ExpressionToken>> {
    let conditions = conditions.iter().flatten().map(|condition| condition.asks().map(Some));
    let asked = conditions.chain(texts.iter().flatten().map(Text::asks)).collect::<Option<Vec<_>>>()?;
    Some(asked.into_iter().flatten().collect())
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
        self.0.get(number).map_or(UNKNOWN, Shown::as_str)
    }
}

// === impl KeptPlan ===

impl KeptPlan {
    /// What was said of the call before; or what `make` says now, of a first report, or
    /// since a peer told late who it is.
    pub fn get_or(&mut self, call: &Call, make: impl FnOnce() -> StreamPlan) -> &StreamPlan {
        let kept = self.0.take().filter(|kept| call.is_pending() || !kept.was_pending);
        let kept = kept.unwrap_or_else(|| Kept { plan: make(), was_pending: call.is_pending() });
        &self.0.insert(kept).plan
    }
}
