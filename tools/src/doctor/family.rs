//! Families of metrics on the page, their names taken apart.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::seen::Seen;
use crate::exposition::{Labels, Page};

/// Names of one family on the page, taken apart.
pub(crate) struct Family<'a> {
    pub(crate) name: &'a str,
    /// What precedes the metric: nothing, if all is well.
    pub(crate) prefix: &'a str,
    pub(crate) metric: &'a str,
    pub(crate) labels: BTreeSet<&'a str>,
    pub(crate) example: &'a Labels,
}

/// Every family of the plugin.
pub(crate) fn families(seen: &Seen) -> Vec<Family<'_>> {
    let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    let names = names(&seen.page);
    for sample in &seen.page.samples {
        let name = base(&sample.name, &names);
        let Some((prefix, metric)) = seen.names.split(name) else {
            continue;
        };
        let family = families.entry(name).or_insert_with(|| Family {
            name,
            prefix,
            metric,
            labels: BTreeSet::new(),
            example: &sample.labels,
        });
        family.labels.extend(sample.labels.names());
    }
    families.into_values().collect()
}

/// A sample's family: its name without what a histogram adds.
pub(crate) fn base<'a>(name: &'a str, families: &HashSet<&str>) -> &'a str {
    let stripped = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    stripped.filter(|base| families.contains(base)).unwrap_or(name)
}

/// The names of all families.
pub(crate) fn names(page: &Page) -> HashSet<&str> {
    page.families.iter().map(String::as_str).collect()
}

/// Long names are cut amid: what tells them apart is at their ends.
pub(crate) fn shorten(text: &str) -> String {
    const ENDS: usize = 45;
    let count = text.chars().count();
    if count <= ENDS.saturating_mul(2) {
        return text.to_owned();
    }
    let head: String = text.chars().take(ENDS).collect();
    let tail: String = text.chars().skip(count.saturating_sub(ENDS)).collect();
    format!("{head}…{tail}")
}
