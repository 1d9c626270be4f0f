//! CEL expressions, evaluated by the host: labels, values and conditions of a
//! configuration.
//!
//! The host evaluates them against the stream whose callback it is in, never
//! against one that a tick made effective. So for streams that are reported
//! while open, what is a plain attribute is read as such, and the rest is
//! evaluated when the stream opens.

use crate::attribute::Attributes;
use crate::catalogue::label_value::LabelValue;
use crate::facts::call::Call;
use crate::host::{ExpressionToken, Host, HostError};
use crate::peer::side::Side;
use crate::rules::rewrite::{self, PeerFact};
use crate::wire::cel::plain_path;

/// The expression of a label.
#[derive(Debug)]
pub struct Text {
    source: Source,
    peer_facts: Vec<PeerFact>,
}

#[derive(Debug)]
enum Source {
    /// A fact of a peer and nothing else: known here, in any callback.
    Peer(PeerFact),
    /// Anything else; with the path if it is a plain attribute.
    Host { token: ExpressionToken, path: Option<Vec<String>> },
}

/// The expression of a definition's value.
#[derive(Debug)]
pub struct Number {
    token: ExpressionToken,
    peer_facts: Vec<PeerFact>,
}

/// The expression of a condition.
#[derive(Debug)]
pub struct Condition {
    token: ExpressionToken,
    peer_facts: Vec<PeerFact>,
}

/// What the host is given for a label: the wire does not tell types, so the host
/// prints what is no text. (Its `string()` takes no booleans before Envoy 1.37.)
pub fn printed(expression: &str) -> String {
    format!("type({expression}\n) == bool ? (({expression}\n) == true ? 'true' : 'false') : string({expression}\n)")
}

/// What the host is given for a value.
pub fn whole(expression: &str) -> String {
    format!("int({expression}\n)")
}

/// Creates what `form` makes of an expression, once the host understands the
/// expression itself: unbalanced brackets must not pair with those of the form.
fn create(host: &dyn Host, text: &str, form: impl Fn(&str) -> String) -> Result<ExpressionToken, HostError> {
    let plain = host.create_expression(text)?;
    host.delete_expression(plain);
    host.create_expression(&form(text))
}

// === impl Text ===

impl Text {
    /// Prepares an expression; old names in it are rewritten.
    ///
    /// # Errors
    /// The host does not understand it, or has no expressions.
    pub fn create(host: &dyn Host, expression: &str) -> Result<Self, HostError> {
        let rewritten = rewrite::rewrite(expression);
        if let [fact] = rewritten.peer_facts[..] {
            if rewritten.text.trim() == fact.expression() {
                return Ok(Self { source: Source::Peer(fact), peer_facts: Vec::new() });
            }
        }
        let token = create(host, &rewritten.text, printed)?;
        let path = plain_path(&rewritten.text);
        Ok(Self { source: Source::Host { token, path }, peer_facts: rewritten.peer_facts })
    }

    /// Whether it asks for facts of peers.
    pub fn names_peers(&self) -> bool {
        matches!(self.source, Source::Peer(_)) || !self.peer_facts.is_empty()
    }

    /// Its value in a callback of the stream; `None` if it cannot be evaluated.
    pub fn evaluate(&self, host: &dyn Host, call: &Call) -> Option<LabelValue> {
        match &self.source {
            Source::Peer(fact) => fact_of(*fact, call).cloned(),
            Source::Host { token, .. } => {
                show_peer(host, &self.peer_facts, call);
                host.evaluate_expression(*token).ok().and_then(LabelValue::clean)
            }
        }
    }

    /// Its value when the stream opens, if that is the time to ask.
    pub fn evaluate_at_open(&self, host: &dyn Host) -> Option<LabelValue> {
        match &self.source {
            Source::Host { token, path: None } if self.peer_facts.is_empty() => {
                host.evaluate_expression(*token).ok().and_then(LabelValue::clean)
            }
            _ => None,
        }
    }

    /// Its value in a tick that made the stream effective; `at_open` is what it was
    /// when the stream opened.
    pub fn evaluate_on_tick(
        &self,
        attributes: &Attributes<'_>,
        call: &Call,
        at_open: Option<&LabelValue>,
    ) -> Option<LabelValue> {
        match &self.source {
            Source::Peer(fact) => fact_of(*fact, call).cloned(),
            Source::Host { path: Some(path), .. } => {
                let path: Vec<_> = path.iter().map(String::as_str).collect();
                attributes.bytes(path.as_slice()).and_then(|bytes| printed_attribute(bytes.into_owned()))
            }
            Source::Host { path: None, .. } => at_open.cloned(),
        }
    }
}

// === impl Number ===

impl Number {
    /// Prepares an expression.
    ///
    /// # Errors
    /// The host does not understand it, or has no expressions.
    pub fn create(host: &dyn Host, expression: &str) -> Result<Self, HostError> {
        let rewritten = rewrite::rewrite(expression);
        let token = create(host, &rewritten.text, whole)?;
        Ok(Self { token, peer_facts: rewritten.peer_facts })
    }

    /// Whether it asks for facts of peers.
    pub fn names_peers(&self) -> bool {
        !self.peer_facts.is_empty()
    }

    /// Its value; zero if it cannot be evaluated, is no number or below zero.
    pub fn evaluate(&self, host: &dyn Host, call: &Call) -> u64 {
        show_peer(host, &self.peer_facts, call);
        let bytes = host.evaluate_expression(self.token).ok();
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
        let rewritten = rewrite::rewrite(expression);
        let token = host.create_expression(&rewritten.text)?;
        Ok(Self { token, peer_facts: rewritten.peer_facts })
    }

    /// Whether it asks for facts of peers.
    pub fn names_peers(&self) -> bool {
        !self.peer_facts.is_empty()
    }

    /// Whether it is true; not if it cannot be evaluated.
    pub fn holds(&self, host: &dyn Host, call: &Call) -> bool {
        show_peer(host, &self.peer_facts, call);
        host.evaluate_expression(self.token).is_ok_and(|bytes| bytes == [1])
    }

    /// The same when the stream opens.
    pub fn holds_at_open(&self, host: &dyn Host) -> bool {
        host.evaluate_expression(self.token).is_ok_and(|bytes| bytes == [1])
    }
}

/// Shows facts of peers to the host's expressions, as properties of the stream.
/// One that is unknown is absent; one that was shown stays.
fn show_peer(host: &dyn Host, facts: &[PeerFact], call: &Call) {
    for fact in facts {
        if let Some(value) = fact_of(*fact, call) {
            // A second time is refused; the value is the same.
            let _ = host.set_property(&fact.property(), value.as_str().as_bytes());
        }
    }
}

fn fact_of(PeerFact { side, fact }: PeerFact, call: &Call) -> Option<&LabelValue> {
    let peer = match side {
        Side::Downstream => &call.downstream,
        Side::Upstream => &call.upstream,
    };
    peer.labels()?.get(fact)
}

/// Prints an attribute of unknown type: text as it is; what cannot be text is a
/// flag of one byte or a number of eight.
fn printed_attribute(bytes: Vec<u8>) -> Option<LabelValue> {
    let is_text = core::str::from_utf8(&bytes).is_ok_and(|text| !text.chars().any(char::is_control));
    if is_text {
        return LabelValue::clean(bytes);
    }
    match bytes.as_slice() {
        [0] => LabelValue::clean_str("false"),
        [1] => LabelValue::clean_str("true"),
        number => {
            let number = i64::from_le_bytes(number.try_into().ok()?);
            LabelValue::clean_str(&number.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_printed_by_their_form() {
        let printed = |bytes: &[u8]| printed_attribute(bytes.to_vec()).map(|value| value.as_str().to_owned());
        assert_eq!(printed(b"10.0.0.1:80").as_deref(), Some("10.0.0.1:80"));
        assert_eq!(printed(&200i64.to_le_bytes()).as_deref(), Some("200"));
        assert_eq!(printed(&[1]).as_deref(), Some("true"));
        assert_eq!(printed(&[0, 1, 2]), None);
    }
}
