//! How much a configuration may ask for. What is more is told and left out: each
//! worker would take seconds to start, or for the first request.

/// Longest name of a metric or a label, and prefix of such, as labels' values.
pub const MAX_NAME_BYTES: usize = 256;

/// Longest expression. Envoy compiles it, with what the plugin puts around it.
pub const MAX_EXPRESSION_BYTES: usize = 4096;

/// Most entries of any list that nothing else bounds.
pub const MAX_ENTRIES: usize = 256;

/// Most metrics that a configuration defines, each evaluated for each request.
pub const MAX_DEFINITIONS: usize = 64;

/// Most labels that a configuration sets, and most expressions of labels.
pub const MAX_LABELS: usize = 64;

/// Distinct conditions that are followed: each doubles the number of
/// combinations that clients may make streams meet, and each combination has
/// plans (20 kB) and an overflow series of its own.
pub const MAX_CONDITIONS: usize = 8;

/// So many different texts and no more.
#[derive(Debug)]
pub(super) struct Distinct {
    most: usize,
    known: Vec<String>,
}

// === impl Distinct ===

impl Distinct {
    /// None yet.
    pub(super) fn new(most: usize) -> Self {
        Self { most, known: Vec::new() }
    }

    /// Whether the text is one of them, which it becomes while there is room.
    pub(super) fn admits(&mut self, text: &str) -> bool {
        let is_known = self.known.iter().any(|known| known == text);
        let has_room = self.known.len() < self.most;
        if !is_known && has_room {
            self.known.push(text.to_owned());
        }
        is_known || has_room
    }
}

/// Why an expression is not given to the host, if it is not.
pub(super) fn too_long(expression: &str) -> Option<String> {
    let is_too_long = expression.len() > MAX_EXPRESSION_BYTES;
    is_too_long.then(|| format!("its expression is longer than {MAX_EXPRESSION_BYTES} bytes"))
}
