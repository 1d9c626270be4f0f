//! What a configuration says of the local workload, for proxies whose node
//! metadata cannot be set.

use super::fact::Fact;

/// Facts that replace the node's; an empty text takes the fact away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalOverrides {
    by_fact: [Option<String>; Fact::ALL.len()],
}

// === impl LocalOverrides ===

impl LocalOverrides {
    /// What replaces this fact; `None` keeps what the node says.
    pub fn get(&self, fact: Fact) -> Option<&str> {
        self.by_fact.get(fact as usize)?.as_deref()
    }

    /// Replaces a fact.
    pub fn set(&mut self, fact: Fact, text: Option<String>) {
        if let Some(given) = self.by_fact.get_mut(fact as usize) {
            *given = text;
        }
    }

    /// The facts that can be replaced, by their names.
    pub fn fields() -> impl Iterator<Item = (&'static str, Fact)> {
        Fact::ALL.into_iter().filter_map(|fact| Some((fact.row().local?, fact)))
    }
}
