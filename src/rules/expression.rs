//! CEL expressions, evaluated by the host: labels, values and conditions of a
//! configuration.
//!
//! The host evaluates them against the stream whose callback it is in, never against
//! one that a tick made effective, and knows nothing of what this plugin knows of peers.
//! So peers stand as values in the text that the host is given; and in a tick so does
//! every attribute.

use crate::attribute::Attributes;
use crate::catalogue::label_value::{LabelValue, UNKNOWN};
use crate::facts::call::Call;
use crate::host::{is_told, ExpressionToken, Host, HostError, MAY_BE_TOLD};
use crate::rules::filled::Filled;
use crate::rules::literal::Literal;
use crate::rules::rewrite::{rewrite, Part, PeerFact, What};
use crate::rules::said::Said;
use crate::wire::cel::put_text;
use crate::workload::fact::Fact;

/// What an expression says of one stream, as a label has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// It cannot be evaluated.
    #[default]
    Unknown,
    /// An empty text.
    Empty,
    /// A text.
    Text(LabelValue),
}

/// Where an expression is evaluated.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The host.
    pub host: &'a dyn Host,
    /// What is known of the stream.
    pub call: &'a Call,
    /// The expressions that were made of streams.
    pub filled: &'a Filled,
    /// Its attributes, where the host cannot evaluate them: in a tick.
    pub attributes: Option<&'a Attributes<'a>>,
    /// What the host said of them already.
    pub said: Option<&'a Said>,
}

/// The expression of a label.
#[derive(Debug)]
pub struct Text(Expression);

/// The expression of a definition's value.
#[derive(Debug)]
pub struct Number(Expression);

/// The expression of a condition.
#[derive(Debug)]
pub struct Condition(Expression);

#[derive(Debug)]
struct Expression {
    form: fn(&str) -> String,
    parts: Vec<Part>,
    /// The only part, if it tells all.
    only: Option<Part>,
    /// The whole as it is, if it asks nothing of peers.
    token: Option<ExpressionToken>,
    /// The whole for a host that is told what it asks of peers.
    told: Option<ExpressionToken>,
}

/// Below this name stands what a host [is told](Host::is_told), as `v0`, `v1`, ….
pub const TOLD: &str = "istio_stats_told";

/// What the host is given for a label: the wire does not tell types, so the host
/// prints what is no text. (Its `string()` takes no booleans before Envoy 1.37.)
pub fn printed(expression: &str) -> String {
    format!("type({expression}\n) == bool ? (({expression}\n) == true ? 'true' : 'false') : string({expression}\n)")
}

/// What the host is given for a value.
pub fn whole(expression: &str) -> String {
    format!("int({expression}\n)")
}

// === impl Shown ===

impl Shown {
    /// The label's value.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unknown => UNKNOWN,
            Self::Empty => "",
            Self::Text(text) => text.as_str(),
        }
    }

    fn of(bytes: Vec<u8>) -> Self {
        LabelValue::clean(bytes).map_or(Self::Empty, Self::Text)
    }
}

// === impl Text ===

impl Text {
    /// Prepares an expression.
    ///
    /// # Errors
    /// The host does not understand it, or has no expressions.
    pub fn create(host: &dyn Host, expression: &str) -> Result<Self, HostError> {
        Expression::create(host, expression, printed).map(Self)
    }

    /// What it asks of peers.
    pub fn peer_facts(&self) -> impl Iterator<Item = &PeerFact> {
        self.0.peer_facts()
    }

    /// What the host has to be asked to know what it says. `None`: that is not all.
    pub fn asks(&self) -> Option<Option<ExpressionToken>> {
        match self.0.only {
            Some(Part::Peer(_)) => Some(None),
            _ => self.0.token.map(Some),
        }
    }

    /// What it says of a stream.
    pub fn evaluate(&self, place: Place<'_>) -> Shown {
        match (&self.0.only, place.attributes) {
            // Known here.
            (Some(Part::Peer(fact)), _) => {
                told(fact, place.call).cloned().map_or(Shown::Unknown, Shown::Text)
            }
            (Some(Part::Attribute(path, _)), Some(attributes)) => {
                let value = read(attributes, path);
                match value.as_ref().map(Literal::printed) {
                    None => Shown::Unknown,
                    Some(Some(text)) => Shown::of(text.into_bytes()),
                    Some(None) => self.ask(place),
                }
            }
            _ => self.ask(place),
        }
    }

    fn ask(&self, place: Place<'_>) -> Shown {
        self.0.evaluate(place).map_or(Shown::Unknown, Shown::of)
    }
}

// === impl Number ===

impl Number {
    /// Prepares an expression.
    ///
    /// # Errors
    /// The host does not understand it, or has no expressions.
    pub fn create(host: &dyn Host, expression: &str) -> Result<Self, HostError> {
        Expression::create(host, expression, whole).map(Self)
    }

    /// What it asks of peers.
    pub fn peer_facts(&self) -> impl Iterator<Item = &PeerFact> {
        self.0.peer_facts()
    }

    /// Its value; zero if it cannot be evaluated, is no number or below zero.
    pub fn evaluate(&self, place: Place<'_>) -> u64 {
        let bytes = self.0.evaluate(place);
        let number = bytes.and_then(|bytes| bytes.try_into().ok()).map(i64::from_le_bytes);
        number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
    }
}

// === impl Condition ===

impl Condition {
    /// Prepares an expression.
    ///
    /// # Errors
    /// The host does not understand it, or has no expressions.
    pub fn create(host: &dyn Host, expression: &str) -> Result<Self, HostError> {
        Expression::create(host, expression, str::to_owned).map(Self)
    }

    /// What it asks of peers.
    pub fn peer_facts(&self) -> impl Iterator<Item = &PeerFact> {
        self.0.peer_facts()
    }

    /// What the host has to be asked to know whether it holds. `None`: that is not all.
    pub fn asks(&self) -> Option<ExpressionToken> {
        self.0.token
    }

    /// Whether it is true; not if it cannot be evaluated.
    pub fn holds(&self, place: Place<'_>) -> bool {
        self.0.evaluate(place).is_some_and(|bytes| bytes == [1])
    }
}

// === impl Expression ===

impl Expression {
    /// Has the host compile it: first what was written, since unbalanced brackets
    /// must not pair with those of the form.
    fn create(host: &dyn Host, text: &str, form: fn(&str) -> String) -> Result<Self, HostError> {
        let rewritten = rewrite(text);
        let only = rewritten.only().cloned();
        let text = if is_told(host) { rewritten.text_told(TOLD) } else { rewritten.text() };
        let is_tried = !matches!(only, Some(Part::Peer(_)));
        let (mut token, mut told) = (None, None);
        if is_tried {
            let plain = host.create_expression(&text)?;
            host.delete_expression(plain);
            let formed = host.create_expression(&form(&text))?;
            if rewritten.peer_facts().next().is_none() {
                token = Some(formed);
            } else if is_told(host) {
                told = Some(formed);
            } else {
                host.delete_expression(formed);
            }
        }
        Ok(Self { form, parts: rewritten.parts, only, token, told })
    }

    fn peer_facts(&self) -> impl Iterator<Item = &PeerFact> {
        self.parts.iter().filter_map(|part| match part {
            Part::Peer(fact) => Some(fact),
            _ => None,
        })
    }

    fn evaluate(&self, place: Place<'_>) -> Option<Vec<u8>> {
        if let Some(token) = self.told.filter(|_| MAY_BE_TOLD) {
            let values: Vec<_> = self.peer_facts().map(|fact| said_of(fact, place.call)).collect();
            return place.host.evaluate_told(token, &values).ok();
        }
        let is_attribute = |part: &Part| matches!(part, Part::Attribute(..));
        let is_the_hosts = place.attributes.is_none() || !self.parts.iter().any(is_attribute);
        match self.token {
            Some(token) if is_the_hosts => match place.said.and_then(|said| said.get(token)) {
                Some(answer) => answer.map(<[u8]>::to_vec),
                None => place.host.evaluate_expression(token).ok(),
            },
            _ => place.filled.evaluate(place.host, &(self.form)(&self.text(place))),
        }
    }

    /// The text with what is known of the stream in it.
    fn text(&self, place: Place<'_>) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match (part, place.attributes) {
                (Part::Text(plain), _) | (Part::Attribute(_, plain), None) => text.push_str(plain),
                (Part::Attribute(path, _), Some(attributes)) => {
                    let value = read(attributes, path);
                    put(&mut text, value.map(|value| move |out: &mut String| value.write(out)));
                }
                (Part::Peer(PeerFact { side, what: What::Presence }), _) => {
                    let known = place.call.peer(*side).labels();
                    put(&mut text, known.map(|_| |out: &mut String| out.push_str("true")));
                }
                (Part::Peer(fact), _) => {
                    let value = told(fact, place.call);
                    put(&mut text, value.map(|value| |out: &mut String| put_text(out, value.as_str())));
                }
            }
        }
        text
    }
}

/// Appends a value as a field of a map, so that `has()` may ask for it; what is absent
/// as a field that there is not.
fn put(out: &mut String, write: Option<impl FnOnce(&mut String)>) {
    let Some(write) = write else {
        return out.push_str("{}.v");
    };
    out.push_str("{'v':");
    write(out);
    out.push_str("}.v");
}

fn read(attributes: &Attributes<'_>, path: &[String]) -> Option<Literal> {
    let names: Vec<_> = path.iter().map(String::as_str).collect();
    Literal::read(&names, &attributes.maybe_empty(&names)?)
}

/// As a text; of somebody of whom anything is known an empty one.
fn said_of<'a>(fact: &PeerFact, call: &'a Call) -> Option<&'a str> {
    match fact.what {
        What::Presence => call.peer(fact.side).labels().map(|_| ""),
        _ => told(fact, call).map(LabelValue::as_str),
    }
}

fn told<'a>(PeerFact { side, what }: &PeerFact, call: &'a Call) -> Option<&'a LabelValue> {
    let labels = call.peer(*side).labels();
    match what {
        What::Presence => None,
        // What a certificate shows is more than what anybody says.
        What::Fact(Fact::Identity) => call.principal(*side).or_else(|| labels?.get(Fact::Identity)),
        What::Fact(fact) => labels?.get(*fact),
        What::Label(name) => labels?.further(name),
    }
}
