//! `metrics` and `labels`: how metrics and their labels differ from the standard.

use super::bounds::{too_long, Distinct, MAX_CONDITIONS, MAX_ENTRIES, MAX_LABELS};
use super::definitions::Definition;
use super::names::{is_identifier, IDENTIFIER};
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

/// Reads `metrics`, in order.
pub fn read(config: &mut Object<'_>, definitions: &[Definition]) -> Vec<Override> {
    let mut index = 0usize;
    let mut conditions = Distinct::new(MAX_CONDITIONS);
    let mut set = Labels { names: Distinct::new(MAX_LABELS), expressions: Distinct::new(MAX_LABELS) };
    let mut overrides = Vec::new();
    config.objects("metrics", MAX_ENTRIES, &mut |entry| {
        let path = format!("metrics[{index}]");
        index = index.saturating_add(1);
        let (name, condition) = (entry.scope("name"), entry.scope("match"));
        let mut dimensions = entry.texts("dimensions");
        dimensions.retain(|(label, text)| set.admit(label, text, entry));
        let tags_to_remove = entry.strings("tags_to_remove", MAX_ENTRIES);
        let drop = entry.boolean("drop").unwrap_or_default();
        let (Ok(name), Ok(condition)) = (name, condition) else {
            return;
        };
        let change = Override { path, name, dimensions, tags_to_remove, condition, drop };
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
        if let Some(condition) = &change.condition {
            let too_many = || format!("more than {MAX_CONDITIONS} different conditions");
            let too_many = || (!conditions.admits(condition)).then(too_many);
            if let Some(why) = too_long(condition).or_else(too_many) {
                return entry.warn("match", &format!("{why}; entry ignored"));
            }
        }
        overrides.push(change);
    });
    overrides
}

/// The labels that entries set.
struct Labels {
    names: Distinct,
    expressions: Distinct,
}

// === impl Labels ===

impl Labels {
    /// Whether an entry may set this label; else reports it.
    fn admit(&mut self, label: &str, text: &str, entry: &mut Object<'_>) -> bool {
        let why = if !is_identifier(label) {
            format!(" is no label name ({IDENTIFIER})")
        } else if let Some(why) = too_long(text) {
            format!(": {why}")
        } else if !self.names.admits(label) || !self.expressions.admits(text) {
            format!(": more than {MAX_LABELS} different labels or expressions")
        } else {
            return true;
        };
        entry.warn("dimensions", &format!("{}{why}; ignored", quoted(label)));
        false
    }
}

/// Reads `labels`, the allow-list of labels; `None`: all of them.
pub fn read_labels(config: &mut Object<'_>) -> Option<Vec<String>> {
    let labels = config.strings("labels", MAX_ENTRIES);
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
