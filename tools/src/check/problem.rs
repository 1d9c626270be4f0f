//! What `check` says.

use serde::Serialize;

use crate::find::found::Found;
use crate::yaml::Position;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// The plugin does not follow it.
    Error,
    /// The plugin follows it; hardly what is wanted.
    Warning,
    /// Good to know.
    Info,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    pub(super) level: Level,
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
    /// Where in the file's resources, from the outside in.
    pub(super) place: Vec<String>,
    /// JSON path in the plugin's configuration; empty: not about one field.
    pub(super) path: String,
    pub(super) message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) suggestion: Option<String>,
}

/// All that is wrong, in the order of the files.
#[derive(Debug, Default)]
pub(super) struct Problems {
    all: Vec<Problem>,
    /// Those before are in order.
    settled: usize,
}

// === impl Problem ===

impl Problem {
    /// A problem that is not about one field.
    pub(super) fn new(level: Level, position: Position, place: &[String], message: String) -> Self {
        Self {
            level,
            file: String::new(),
            line: position.line,
            column: position.column,
            place: place.to_vec(),
            path: String::new(),
            message,
            suggestion: None,
        }
    }

    /// A problem of the field at `path` in a plugin's configuration.
    pub(super) fn of_field(level: Level, found: &Found, path: &str, message: String) -> Self {
        let position = found.configuration.position_of(path);
        Self { path: path.to_owned(), ..Self::new(level, position, &found.place, message) }
    }

    /// The same with what to do about it.
    pub(super) fn suggest(self, suggestion: impl Into<Option<String>>) -> Self {
        Self { suggestion: suggestion.into(), ..self }
    }
}

// === impl Problems ===

impl Problems {
    pub(super) fn push(&mut self, problem: Problem) {
        self.all.push(problem);
    }

    /// Those since the last call are of this file: puts them in its order.
    pub(super) fn settle(&mut self, file: &str) {
        let new = self.all.get_mut(self.settled..).unwrap_or_default();
        new.iter_mut().for_each(|problem| problem.file = file.to_owned());
        new.sort_by_key(|problem| (problem.line, problem.column));
        self.settled = self.all.len();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.all.iter()
    }

    pub(super) fn errors(&self) -> usize {
        self.count(Level::Error)
    }

    pub(super) fn warnings(&self) -> usize {
        self.count(Level::Warning)
    }

    fn count(&self, level: Level) -> usize {
        self.all.iter().filter(|problem| problem.level == level).count()
    }
}
