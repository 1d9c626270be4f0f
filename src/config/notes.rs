//! What is noted while a configuration is read.

use super::issue::Issue;
use super::names::is_key;

/// What the objects of one configuration note.
#[derive(Debug, Default)]
pub struct Notes {
    /// What cannot be followed.
    pub issues: Vec<Issue>,
    /// Every field that was asked for, with the path of its object; not in a module,
    /// where nobody wants to know.
    pub fields: Vec<(String, Field)>,
}

/// A field that an object may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// In snake_case.
    pub name: &'static str,
    /// Or it is accepted and ignored.
    pub has_effect: bool,
}

// === impl Field ===

impl Field {
    /// Whether a configuration may call it so.
    pub fn is_called(self, name: &str) -> bool {
        is_key(self.name, name)
    }
}
