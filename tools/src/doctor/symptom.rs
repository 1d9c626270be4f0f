//! What can be wrong, in words. docs/troubleshooting.md holds the same words.

use std::fmt;

/// Whether something has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Metrics are wrong or missing, or will be.
    Problem,
    /// May be as it was meant.
    Hint,
}

/// Something that can be wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Symptom {
    /// Short name, for scripts.
    pub(crate) code: &'static str,
    pub(crate) severity: Severity,
    /// What is wrong, in a few words.
    pub(crate) title: &'static str,
    /// How it comes.
    pub(crate) why: &'static str,
    /// What to do about it.
    pub(crate) remedy: &'static str,
}

// === impl Severity ===

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Problem => "problem",
            Self::Hint => "hint",
        })
    }
}
