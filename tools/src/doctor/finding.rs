//! A symptom that was found, with what was seen of it.

use serde_json::{json, Value};

use super::symptom::Symptom;

/// What is wrong with this Envoy, where exactly, and what to write to cure it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) symptom: &'static Symptom,
    /// What was seen, one fact a line.
    pub(crate) seen: Vec<String>,
    /// Lines to paste, with where they go.
    pub(crate) paste: Vec<Paste>,
}

/// Lines for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paste {
    pub(crate) place: String,
    pub(crate) lines: String,
}

/// Where lines for labels go.
pub(crate) const STATS_TAGS: &str = "`stats_config.stats_tags` of the bootstrap";

// === impl Finding ===

impl Finding {
    pub(crate) fn new(symptom: &'static Symptom, seen: impl IntoIterator<Item = String>) -> Self {
        Self { symptom, seen: seen.into_iter().collect(), paste: Vec::new() }
    }

    /// With lines to paste into `place`.
    pub(crate) fn paste(mut self, place: &str, lines: impl Into<String>) -> Self {
        self.paste.push(Paste { place: place.to_owned(), lines: lines.into() });
        self
    }

    pub(crate) fn json(&self) -> Value {
        let paste = self.paste.iter().map(|paste| json!({"place": paste.place, "lines": paste.lines}));
        json!({
            "code": self.symptom.code,
            "severity": self.symptom.severity.to_string(),
            "title": self.symptom.title,
            "seen": self.seen,
            "why": self.symptom.why,
            "remedy": self.symptom.remedy,
            "paste": paste.collect::<Vec<_>>(),
        })
    }
}
