//! What a metric's name is made of. The plugin's configuration may put another
//! prefix than `istio_` in front of it (`metric_prefix`).

use std::collections::BTreeMap;

use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::metric::{Metric, PREFIX};

use crate::exposition::Page;

/// The metrics that the plugins of an Envoy export, by their prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    prefixes: Vec<String>,
}

/// Begins the names of the plugin's metrics about itself, whatever is configured.
const OWN: &str = "istio_stats_";
/// Ends a label that stayed in front of a metric's name, as Prometheus gets it.
const LABEL_END: &str = "__";
/// Who counts anything counts one of these.
const FIRST: [Metric; 2] = [Metric::Requests, Metric::TcpOpened];

// === impl Names ===

impl Names {
    /// With these prefixes; with `istio_` if there are none.
    pub(crate) fn with_prefixes(prefixes: impl IntoIterator<Item = String>) -> Self {
        let prefixes: Vec<_> = prefixes.into_iter().collect();
        if prefixes.is_empty() {
            return Self::default();
        }
        Self { prefixes }
    }

    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.prefixes.iter().map(String::as_str)
    }

    /// Every name that a standard metric has.
    pub(crate) fn of(&self, metric: Metric) -> impl Iterator<Item = String> + '_ {
        self.prefixes().map(move |prefix| full(prefix, metric))
    }

    /// Whether a metric of the plugin may be called so.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all_prefixes().any(|prefix| name.starts_with(prefix))
    }

    /// Takes a name on the page apart: the labels that stayed in front of the
    /// metric, if any did, and the metric.
    pub(crate) fn split<'a>(&self, name: &'a str) -> Option<(&'a str, &'a str)> {
        if self.has(name) {
            return Some(("", name));
        }
        let starts = self.all_prefixes().filter_map(|prefix| {
            let before = name.rfind(&format!("{LABEL_END}{prefix}"))?;
            before.checked_add(LABEL_END.len())
        });
        name.split_at_checked(starts.max()?)
    }

    /// Whether it is one of those whose labels have a form of their own.
    pub(crate) fn is_build(&self, metric: &str) -> bool {
        self.all_prefixes().any(|prefix| metric.strip_prefix(prefix) == Some("build"))
    }

    /// How they begin, for people.
    pub(crate) fn describe(&self) -> String {
        self.prefixes.join(" or ")
    }

    fn all_prefixes(&self) -> impl Iterator<Item = &str> {
        self.prefixes().chain([OWN])
    }
}

impl Default for Names {
    fn default() -> Self {
        Self { prefixes: vec![PREFIX.to_owned()] }
    }
}

/// A standard metric's name under a prefix.
pub(crate) fn full(prefix: &str, metric: Metric) -> String {
    format!("{prefix}{}", metric.name())
}

/// What to add to a number, for people: nothing, unless the prefix is not Istio's.
pub(crate) fn under(prefix: &str) -> String {
    if prefix == PREFIX {
        String::new()
    } else {
        format!(" as {prefix}…")
    }
}

/// What matches the names that [`advice`] looks at, as a regular expression.
pub(crate) fn any_prefix() -> String {
    FIRST.map(Metric::name).join("|")
}

/// Whether [`advice`] looks at a sample of this name.
pub(crate) fn is_telling(name: &str) -> bool {
    FIRST.iter().any(|metric| name.ends_with(metric.name()))
}

/// Says which option would find something, on a page where nothing has the wanted
/// prefix: the same metrics are there under another one.
pub(crate) fn advice(wanted: &str, page: &Page) -> Option<String> {
    let mut found = BTreeMap::new();
    for sample in &page.samples {
        let ends = |metric: &Metric| sample.name.strip_suffix(metric.name());
        let prefix = FIRST.iter().find_map(ends).filter(|prefix| parse_prefix(prefix).is_ok());
        let is_ours = [Dimension::SourceClusterId, Dimension::DestinationClusterId]
            .iter()
            .all(|label| sample.labels.get(label.name()).is_some());
        if let Some(prefix) = prefix.filter(|_| is_ours) {
            found.entry(prefix).or_insert(sample.name.as_str());
        }
    }
    let (_, example) = found.first_key_value()?;
    let options: Vec<_> = found.keys().map(|prefix| format!("--metric-prefix {prefix}")).collect();
    Some(format!("no metric begins with {wanted}, but there is {example}: try {}", options.join(" or ")))
}

/// Of the option `--metric-prefix`. Those of Prometheus' recording rules hold colons.
pub(crate) fn parse_prefix(text: &str) -> Result<String, String> {
    let starts = text.starts_with(|c: char| !c.is_ascii_digit());
    if starts && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':')) {
        Ok(text.to_owned())
    } else {
        Err("must be letters, digits, _ and : without a digit in front".to_owned())
    }
}

#[cfg(test)]
mod tests;
