//! What cannot be followed of a configuration.

use core::fmt;

/// Something a configuration says that the plugin cannot follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is: errors make the plugin inert, warnings make it skip the
    /// field, infos are only told.
    pub level: log::Level,
    /// Path of the field, `local.cluster_id` for example; empty for the whole.
    pub path: String,
    /// What is wrong, with the value, and what is done about it.
    pub message: String,
}

// === impl Issue ===

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}
