//! What the host says of a stream's expressions: asked once, for whoever wants to know.

use crate::host::{ExpressionToken, Host};

/// Expressions that the host evaluates by itself, and what each came to; `None`: it could
/// not be evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Said(Vec<(ExpressionToken, Option<Vec<u8>>)>);

// === impl Said ===

impl Said {
    /// Asks, in a callback of the stream.
    pub fn ask(host: &dyn Host, expressions: &[ExpressionToken]) -> Self {
        Self(expressions.iter().map(|token| (*token, host.evaluate_expression(*token).ok())).collect())
    }

    /// What one came to, if it was asked.
    pub fn get(&self, expression: ExpressionToken) -> Option<Option<&[u8]>> {
        let (_, answer) = self.0.iter().find(|(token, _)| *token == expression)?;
        Some(answer.as_deref())
    }

    /// How long it all is.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(_, answer)| answer.as_ref().map_or(0, Vec::len)).sum()
    }
}
