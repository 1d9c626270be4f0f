//! Expressions whose text depends on the stream: what the host does not know of it
//! stands in the text.

use std::cell::RefCell;

use hashbrown::HashMap;

use crate::host::{ExpressionToken, Host};

/// The expressions that were made of streams lately, known to the host.
///
/// A bounded cache in two generations: when the young one is full it becomes the old
/// one, and what is left of that is forgotten. What is in use moves back.
#[derive(Debug, Default)]
pub struct Filled {
    generations: RefCell<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: Generation,
    old: Generation,
}

/// By their text; `None`: the host refused it.
type Generation = HashMap<String, Option<ExpressionToken>>;

/// Expressions of one generation: as many as there are peers in a [cache] of them.
///
/// [cache]: crate::peer::cache::MAX_ENTRIES
const MAX_EXPRESSIONS: usize = 500;

// === impl Filled ===

impl Filled {
    /// What a text evaluates to; `None` if the host cannot tell.
    pub fn evaluate(&self, host: &dyn Host, text: &str) -> Option<Vec<u8>> {
        let token = self.generations.borrow_mut().token(host, text)?;
        host.evaluate_expression(token).ok()
    }
}

// === impl Generations ===

impl Generations {
    fn token(&mut self, host: &dyn Host, text: &str) -> Option<ExpressionToken> {
        if let Some(known) = self.young.get(text) {
            return *known;
        }
        let token = match self.old.remove(text) {
            Some(known) => known,
            None => host.create_expression(text).ok(),
        };
        if self.young.len() >= MAX_EXPRESSIONS {
            let forgotten = core::mem::replace(&mut self.old, core::mem::take(&mut self.young));
            forgotten.into_values().flatten().for_each(|token| host.delete_expression(token));
        }
        self.young.insert(text.to_owned(), token);
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{FakeHost, Hostcall};

    #[test]
    fn a_flood_of_texts_is_bounded_and_what_is_in_use_is_kept() {
        let host = FakeHost::new();
        host.open_stream();
        host.set_expression("'steady'", "steady");
        let filled = Filled::default();
        let made = |call| host.calls(call);
        for n in 0..3000 {
            assert_eq!(filled.evaluate(&host, "'steady'").as_deref(), Some(&b"steady"[..]));
            assert_eq!(filled.evaluate(&host, &format!("'{n}'")), None);
            let kept = made(Hostcall::CreateExpression) - made(Hostcall::DeleteExpression);
            assert!(kept <= 2 * MAX_EXPRESSIONS, "{kept}");
        }
        assert_eq!(made(Hostcall::CreateExpression), 3001);
    }

    #[test]
    fn what_the_host_refuses_is_asked_once() {
        let host = FakeHost::new();
        let filled = Filled::default();
        for _ in 0..3 {
            assert_eq!(filled.evaluate(&host, "("), None);
        }
        assert_eq!(host.calls(Hostcall::CreateExpression), 1);
    }
}
