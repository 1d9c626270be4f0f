//! Says of an expression whether Envoy will understand it.
//!
//! Envoy compiles expressions with cel-cpp: the standard functions and macros,
//! none of the extensions, and nothing that nests deeper than 32. All that is
//! said here is tried in real Envoys (tests/e2e/test_command.py).

use istio_stats::config::bounds::MAX_EXPRESSION_BYTES;
use istio_stats::rules::expression;
use istio_stats::rules::rewrite::rewrite;

use crate::fields;
use crate::inspect::inspect;
use crate::vocabulary::names;

/// What an expression is for: that decides what the host is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The value of a label.
    Label,
    /// The value of a metric.
    Value,
    /// A condition.
    Condition,
}

/// What can be said of an expression.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Opinion {
    /// Why Envoy will refuse it.
    pub refused: Option<String>,
    /// Names that Envoy does not have.
    pub unknown_names: Vec<String>,
    /// What the plugin replaces in it, by what.
    pub changes: Vec<(String, String)>,
    /// How deep macros that go through lists are in one another.
    pub loops: u16,
    /// It calls no function and makes no message: no Envoy can miss any.
    pub is_plain: bool,
}

/// Judges an expression of a configuration.
pub fn judge(text: &str, purpose: Purpose) -> Opinion {
    with_room(|| judge_here(text, purpose))
        .unwrap_or_else(|| Opinion::refused("cannot be judged".to_owned(), Vec::new()))
}

/// Runs what parses, which recurses before it counts: `a.b.b.b…`. `None`: it panicked, or there is no
/// thread to be had for it.
pub(crate) fn with_room<T: Send>(act: impl FnOnce() -> T + Send) -> Option<T> {
    const STACK_BYTES: usize = 64 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, act);
        thread.ok()?.join().ok()
    })
}

fn judge_here(text: &str, purpose: Purpose) -> Opinion {
    // The plugin refuses it itself.
    if text.len() > MAX_EXPRESSION_BYTES {
        return Opinion::refused(format!("longer than {MAX_EXPRESSION_BYTES} bytes"), Vec::new());
    }
    let rewritten = rewrite(text);
    let text = rewritten.text();
    let changes = rewritten.changes;
    let given = match purpose {
        Purpose::Label => expression::printed(&text),
        Purpose::Value => expression::whole(&text),
        Purpose::Condition => text.clone(),
    };
    let own = match inspect(&text) {
        Ok((inspection, _)) => inspection,
        Err(refused) => return Opinion::refused(refused, changes),
    };
    let refused = own.refused.or_else(|| match inspect(&given) {
        Ok((inspection, _)) => inspection.refused,
        Err(refused) => Some(refused),
    });
    let is_plain = refused.is_none() && !own.calls;
    Opinion { is_plain, refused, unknown_names: own.names, changes, loops: own.loops }
}

/// What may stand in place of an unknown name, or of its part behind the dot: the
/// fields of its attribute, else what an expression can begin with.
pub fn instead_of(unknown: &str) -> Vec<&'static str> {
    let fields = unknown.split_once('.').and_then(|(attribute, _)| fields::of(attribute));
    fields.map_or_else(|| names().collect(), Iterator::collect)
}

/// The expression with another in place of a name; as it is if it is none.
pub fn with_name_replaced(text: &str, name: &str, by: &str) -> String {
    let mut replaced = text.to_owned();
    let mut places = inspect(text).map(|(inspection, _)| inspection.places).unwrap_or_default();
    places.retain(|(known, _)| known == name);
    places.sort_by_key(|(_, start)| *start);
    for (_, start) in places.into_iter().rev() {
        let range = start..start.saturating_add(name.len());
        if replaced.get(range.clone()) == Some(name) {
            replaced.replace_range(range, by);
        }
    }
    replaced
}

// === impl Opinion ===

impl Opinion {
    fn refused(why: String, changes: Vec<(String, String)>) -> Self {
        Self { refused: Some(why), changes, ..Self::default() }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
