//! `metrics` and `labels`: how metrics and their labels differ from the standard.

use super::definitions::Definition;
use super::names::is_identifier;
use super::object::Object;
use crate::catalogue::dimension::Dimension;
use crate::catalogue::metric::{Metric, PREFIX};
use crate::host::excerpt::quoted;

/// An entry of `metrics`: a change to one metric, or to all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// JSON path of the entry, for messages.
    pub path: String,
    /// The metric without `istio_`; `None`: all of them.
    pub name: Option<String>,
    /// A CEL expression for each label to set, in the order of the labels.
    pub dimensions: Vec<(String, String)>,
    /// Labels to leave out.
    pub tags_to_remove: Vec<String>,
    /// A CEL condition; where it is not true, the entry does not apply.
    pub condition: Option<String>,
    /// Whether to record the metric at all.
    pub drop: bool,
}

/// Distinct conditions that are followed: each doubles the number of
/// combinations that clients may make streams meet, and each combination has
/// plans (20 kB) and an overflow series of its own.
const MAX_CONDITIONS: usize = 8;

/// Reads `metrics`, in order.
pub fn read(config: &mut Object<'_>, definitions: &[Definition]) -> Vec<Override> {
    let mut index = 0usize;
    let mut conditions: Vec<String> = Vec::new();
    let mut overrides = Vec::new();
    config.objects("metrics", &mut |entry| {
        let path = format!("metrics[{index}]");
        index = index.saturating_add(1);
        let name = entry.filled("name");
        let mut dimensions = entry.texts("dimensions");
        dimensions.retain(|(label, _)| {
            let usable = is_identifier(label);
            if !usable {
                entry.warn(
                    "dimensions",
                    &format!("{} is no label name (letters, digits, _); ignored", quoted(label)),
                );
            }
            usable
        });
        let change = Override {
            path,
            dimensions,
            tags_to_remove: entry.strings("tags_to_remove"),
            condition: entry.filled("match"),
            drop: entry.boolean("drop").unwrap_or_default(),
            name,
        };
        if let Some(name) = &change.name {
            let is_standard = Metric::ALL.into_iter().any(|metric| metric.name() == name);
            if !is_standard && !definitions.iter().any(|known| known.name == *name) {
                let hint = match name.strip_prefix(PREFIX) {
                    Some(_) => "; leave out \"istio_\"",
                    None => "",
                };
                entry.warn("name", &format!("there is no metric {}{hint}; ignored", quoted(name)));
                return;
            }
        }
        if let Some(condition) = change.condition.as_ref().filter(|text| !conditions.contains(text)) {
            if conditions.len() == MAX_CONDITIONS {
                entry.warn(
                    "match",
                    &format!("more than {MAX_CONDITIONS} different conditions; entry ignored"),
                );
                return;
            }
            conditions.push(condition.clone());
        }
        overrides.push(change);
    });
    overrides
}

/// Reads `labels`, the allow-list of labels; `None`: all of them.
pub fn read_labels(config: &mut Object<'_>) -> Option<Vec<String>> {
    let labels = config.strings("labels");
    if labels.is_empty() {
        return None;
    }
    for label in &labels {
        let is_standard = Dimension::ALL.into_iter().any(|dimension| dimension.name() == label);
        if !is_standard {
            config.warn("labels", &format!("{} is no standard label", quoted(label)));
        }
    }
    Some(labels)
}
