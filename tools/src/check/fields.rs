//! Which fields an object of a configuration may have: asked of the plugin's
//! own compiler, so that no list can fall behind it.

use istio_stats::config::issue::Issue;
use istio_stats::{config, exchange};
use serde_json::{Map, Value};

use crate::find::Plugin;

/// Where the plugin's compiler gets its fields' names from.
const SOURCES: [&str; 5] = [
    include_str!("../../../src/config.rs"),
    include_str!("../../../src/config/definitions.rs"),
    include_str!("../../../src/config/local.rs"),
    include_str!("../../../src/config/overrides.rs"),
    include_str!("../../../src/exchange/config.rs"),
];

/// What a configuration comes to.
pub(super) fn compile(plugin: Plugin, bytes: &[u8]) -> (Compiled, Vec<Issue>) {
    match plugin {
        Plugin::Stats => {
            let (config, issues) = config::Config::compile(bytes);
            (config.map_or(Compiled::Nothing, |config| Compiled::Stats(Box::new(config))), issues)
        }
        Plugin::Exchange => {
            let (config, issues) = exchange::config::Config::compile(bytes);
            (config.map_or(Compiled::Nothing, |config| Compiled::Exchange(Box::new(config))), issues)
        }
    }
}

/// A configuration that was compiled.
#[derive(Debug)]
pub(super) enum Compiled {
    /// It is unusable.
    Nothing,
    Stats(Box<config::Config>),
    Exchange(Box<exchange::config::Config>),
}

/// The fields that the object around the field at `path` may have, without those
/// that have no effect; `None` if the field is one of them.
pub(super) fn instead_of(plugin: Plugin, path: &str) -> Option<Vec<&'static str>> {
    let (parent, field) = path.rsplit_once('.').unwrap_or(("", path));
    let mut words: Vec<&str> = words_of_source().collect();
    words.push(field);
    let said_of = |value: Value| {
        let fields = words.iter().map(|word| ((*word).to_owned(), value.clone()));
        let configuration = around(parent, Value::Object(fields.collect::<Map<_, _>>()));
        let (_, issues) = compile(plugin, configuration.to_string().as_bytes());
        move |word: &str, level| {
            let path = join(&first_elements(parent), word);
            issues.iter().any(|issue| issue.path == path && issue.level == level)
        }
    };
    // Null is fine wherever there is a field; an object shows what is passed over.
    let of_null = said_of(Value::Null);
    let of_object = said_of(Value::Object(Map::new()));
    let is_unknown = |word: &str| of_null(word, log::Level::Warn);
    let has_effect = |word: &str| !is_unknown(word) && !of_object(word, log::Level::Info);
    is_unknown(field).then(|| words_of_source().filter(|word| has_effect(word)).collect())
}

/// Whatever may be a field: the quoted words of the compiler's source.
fn words_of_source() -> impl Iterator<Item = &'static str> {
    let is_field = |word: &&str| {
        let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
        !word.is_empty() && word.chars().all(is_part)
    };
    let mut words: Vec<_> = SOURCES.iter().flat_map(|source| source.split('"')).filter(is_field).collect();
    words.sort_unstable();
    words.dedup();
    words.into_iter()
}

/// The object at `path` of an otherwise empty configuration.
fn around(path: &str, object: Value) -> Value {
    let segments = path.split('.').filter(|segment| !segment.is_empty());
    segments.rev().fold(object, |inner, segment| {
        let (key, is_element) = match segment.split_once('[') {
            Some((key, _)) => (key, true),
            None => (segment, false),
        };
        let inner = if is_element { Value::Array(vec![inner]) } else { inner };
        Value::Object(Map::from_iter([(key.to_owned(), inner)]))
    })
}

/// The path as it is in [`around`], where every list has one element.
fn first_elements(path: &str) -> String {
    let segments = path.split('.').map(|segment| match segment.split_once('[') {
        Some((key, _)) => format!("{key}[0]"),
        None => segment.to_owned(),
    });
    segments.collect::<Vec<_>>().join(".")
}

fn join(parent: &str, field: &str) -> String {
    if parent.is_empty() {
        field.to_owned()
    } else {
        format!("{parent}.{field}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_has_its_fields() {
        let fields = |plugin, path| instead_of(plugin, path).unwrap();
        assert_eq!(
            fields(Plugin::Stats, "metrics[3].remove_tags"),
            ["dimensions", "drop", "match", "name", "tags_to_remove"]
        );
        assert_eq!(fields(Plugin::Stats, "definitions[0].kind"), ["name", "type", "value"]);
        let local = fields(Plugin::Stats, "local.zone");
        assert!(local.contains(&"cluster_id") && local.contains(&"workload_name"), "{local:?}");
        assert_eq!(fields(Plugin::Exchange, "local.zone"), local);
        let root = fields(Plugin::Stats, "x");
        assert!(root.contains(&"tcp_reporting_duration") && !root.contains(&"stat_prefix"), "{root:?}");
        assert!(!root.contains(&"cluster_id") && !root.contains(&"skip_external"), "{root:?}");
        assert!(fields(Plugin::Exchange, "x").contains(&"skip_external"));
    }

    #[test]
    fn a_field_that_there_is_needs_no_other() {
        for path in ["max_series", "maxSeries", "metrics[0].tagsToRemove", "local.cluster_id"] {
            assert_eq!(instead_of(Plugin::Stats, path), None, "{path}");
        }
    }
}
