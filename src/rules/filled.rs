//! Expressions whose text depends on the stream: what the host does not know of it
//! stands in the text.

use core::hash::BuildHasher;
use std::cell::RefCell;

use hashbrown::DefaultHashBuilder;

use crate::collections::generations::{Cached, Generations};
use crate::collections::index::is_same_key;
use crate::host::{ExpressionToken, Host};

/// The expressions that were made of streams lately, known to the host.
#[derive(Debug, Default)]
pub struct Filled {
    hasher: DefaultHashBuilder,
    known: RefCell<Generations<Entry>>,
}

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    /// `None`: the host refused it.
    token: Option<ExpressionToken>,
}

/// Expressions of one generation: as many as there are peers in a [cache] of them.
///
/// [cache]: crate::peer::cache::MAX_ENTRIES
const MAX_EXPRESSIONS: usize = 500;
/// Bytes of their texts.
const MAX_BYTES: usize = 512 * 1024;

// === impl Filled ===

impl Filled {
    /// What a text evaluates to; `None` if the host cannot tell.
    pub fn evaluate(&self, host: &dyn Host, text: &str) -> Option<Vec<u8>> {
        host.evaluate_expression(self.token(host, text)?).ok()
    }

    fn token(&self, host: &dyn Host, text: &str) -> Option<ExpressionToken> {
        let hash = self.hasher.hash_one(text);
        let mut known = self.known.borrow_mut();
        let forget = |entry: Entry| entry.token.into_iter().for_each(|token| host.delete_expression(token));
        if let Some(entry) =
            known.find(hash, |entry| is_same_key(entry.text.as_bytes(), text.as_bytes()), forget)
        {
            return entry.token;
        }
        let token = host.create_expression(text).ok();
        known.insert(hash, Entry { text: text.into(), token }, forget);
        token
    }
}

// === impl Entry ===

impl Cached for Entry {
    const MAX_BYTES: usize = MAX_BYTES;
    const MAX_ENTRIES: usize = MAX_EXPRESSIONS;

    fn bytes(&self) -> usize {
        self.text.len()
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
