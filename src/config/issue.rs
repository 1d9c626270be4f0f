//! What cannot be followed of a configuration.

use core::fmt;

/// Most that a log shows of one configuration.
pub const MAX_SHOWN: usize = 20;

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

/// What a log shows of them: the worst ones, in order, and how many there are more.
pub fn shown(issues: &[Issue]) -> impl Iterator<Item = (log::Level, String)> + '_ {
    let of_level = |level| issues.iter().filter(move |issue| issue.level == level);
    let worst: Vec<_> = log::Level::iter().flat_map(of_level).collect();
    let more = issues.len().saturating_sub(MAX_SHOWN);
    let rest = worst
        .get(MAX_SHOWN)
        .map(|issue| (issue.level, format!("{more} more; the command `istio-stats check` shows all")));
    let lines = worst.into_iter().take(MAX_SHOWN).map(|issue| (issue.level, issue.to_string()));
    lines.chain(rest)
}
