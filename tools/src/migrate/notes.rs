//! What has to be said beside what is printed.

use std::fmt::Display;

/// Notes, in the order in which they came, each once.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) lines: Vec<String>,
}

// === impl Notes ===

impl Notes {
    /// Notes something about a place.
    pub(super) fn add(&mut self, place: impl Display, what: impl Display) {
        let line = format!("{place}: {what}");
        if !self.lines.contains(&line) {
            self.lines.push(line);
        }
    }

    /// Notes it about the first place alone.
    pub(super) fn add_once(&mut self, place: impl Display, what: &str) {
        if !self.lines.iter().any(|line| line.ends_with(what)) {
            self.add(place, what);
        }
    }
}
