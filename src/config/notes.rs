//! What is noted while a configuration is read.

use super::issue::Issue;

/// What the objects of one configuration note.
#[derive(Debug, Default)]
pub struct Notes {
    /// What cannot be followed.
    pub issues: Vec<Issue>,
    /// Every field that was asked for, with the path of its object.
    #[cfg(not(target_family = "wasm"))]
    pub fields: Vec<(String, Field)>,
}

/// A field that an object may have.
#[cfg(not(target_family = "wasm"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// In snake_case.
    pub name: &'static str,
    /// Or it is accepted and ignored.
    pub has_effect: bool,
}
