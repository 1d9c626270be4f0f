//! What is to be known of peers beside what the standard labels show.

use super::fact::{Fact, Facts};

/// What expressions ask of peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Further {
    /// Facts that no label shows.
    pub facts: Facts,
    /// Kubernetes labels that tell no fact.
    pub labels: Vec<String>,
}

// === impl Further ===

impl Further {
    /// The facts to be known: those that labels show, and these.
    pub fn facts(&self) -> impl Iterator<Item = Fact> + '_ {
        Fact::ALL.into_iter().filter(|fact| fact.row().labels.is_some() || self.facts.contains(*fact))
    }
}
