//! What the plugins' own compilers make of a configuration, and which fields they
//! would take instead.

use istio_stats::config::issue::Issue;
use istio_stats::{config, exchange};

use crate::artefact::Artefact;

/// What a configuration comes to.
pub(super) fn compile(artefact: Artefact, bytes: &[u8]) -> (Compiled, Vec<Issue>) {
    match artefact {
        Artefact::IstioStats => {
            let (config, issues) = config::Config::compile(bytes);
            (config.map_or(Compiled::Nothing, |config| Compiled::Stats(Box::new(config))), issues)
        }
        Artefact::MetadataExchange => {
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
pub(super) fn instead_of(artefact: Artefact, path: &str) -> Option<Vec<&'static str>> {
    let (object, field) = path.rsplit_once('.').unwrap_or(("", path));
    let field = field.split('[').next().unwrap_or(field);
    let fields = match artefact {
        Artefact::IstioStats => config::Config::fields(object),
        Artefact::MetadataExchange => exchange::config::Config::fields(object),
    };
    if fields.iter().any(|known| known.is_called(field)) {
        return None;
    }
    let mut names: Vec<_> = fields.iter().filter(|field| field.has_effect).map(|field| field.name).collect();
    names.sort_unstable();
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_has_its_fields() {
        let fields = |artefact, path| instead_of(artefact, path).unwrap();
        assert_eq!(
            fields(Artefact::IstioStats, "metrics[3].remove_tags"),
            ["dimensions", "drop", "match", "name", "tags_to_remove"]
        );
        assert_eq!(fields(Artefact::IstioStats, "definitions[0].kind"), ["name", "type", "value"]);
        let local = fields(Artefact::IstioStats, "local.zone");
        assert!(local.contains(&"cluster_id") && local.contains(&"workload_name"), "{local:?}");
        assert_eq!(fields(Artefact::MetadataExchange, "local.zone"), local);
        let root = fields(Artefact::IstioStats, "x");
        assert!(root.contains(&"tcp_reporting_duration") && !root.contains(&"stat_prefix"), "{root:?}");
        assert!(!root.contains(&"cluster_id") && !root.contains(&"skip_external"), "{root:?}");
        assert!(fields(Artefact::MetadataExchange, "x").contains(&"skip_external"));
    }

    #[test]
    fn a_field_that_there_is_needs_no_other() {
        for path in [
            "max_series",
            "maxSeries",
            "stat_prefix",
            "labels[1]",
            "metrics[0].tagsToRemove",
            "metrics[0].tags_to_remove[1]",
            "local.cluster_id",
        ] {
            assert_eq!(instead_of(Artefact::IstioStats, path), None, "{path}");
        }
    }
}
