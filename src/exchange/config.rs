//! The metadata exchange's configuration.

use crate::attachment::Attachment;
use crate::config::issue::Issue;
use crate::config::notes::Field;
use crate::config::object::Object;
use crate::config::{fields, local, parse, Trust};
use crate::workload::local::LocalOverrides;

/// What the metadata exchange was told to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Which peers to listen to.
    pub trust: Trust,
    /// Whether upstream clusters outside the mesh are told nothing.
    pub skip_external: bool,
    /// What the plugin is said to be attached to. It finds that out itself; `istio-stats check` compares.
    pub attachment: Option<Attachment>,
    /// Upstream clusters (Envoy's) that expect the exchange over TCP, beside
    /// those that say so in their metadata.
    pub tcp_upstream_clusters: Vec<String>,
    /// Kubernetes labels that peers are told beside those that become metric labels.
    pub additional_labels: Vec<String>,
    /// Local facts that replace the node's.
    pub local: LocalOverrides,
}

/// Each is looked at for each TCP connection; many are better marked in their metadata.
const MAX_TCP_UPSTREAM_CLUSTERS: usize = 1024;

/// Fields of Istio's schema that this plugin does not need: it decodes nothing
/// and so caches nothing.
const IGNORED: &[&str] = &["max_peer_cache_size"];

/// Additional labels that are sent, at most: a peer reads 8 kB in all.
const MAX_ADDITIONAL_LABELS: usize = 32;

// === impl Config ===

impl Config {
    /// Compiles the bytes of a plugin configuration; `None` if they are unusable.
    pub fn compile(bytes: &[u8]) -> (Option<Self>, Vec<Issue>) {
        parse::compile(bytes, Self::read)
    }

    /// The fields that the object at a JSON path may have: `""`, `local`.
    pub fn fields(path: &str) -> Vec<Field> {
        fields::at(path, Self::read)
    }

    fn read(object: &mut Object<'_>) -> Self {
        object.ignore(IGNORED);
        Self {
            trust: object.choice("trust", Trust::CHOICES).unwrap_or_default(),
            skip_external: object.boolean("skip_external").unwrap_or_default(),
            attachment: object.choice("attachment", Attachment::CHOICES),
            tcp_upstream_clusters: object.strings("tcp_upstream_clusters", MAX_TCP_UPSTREAM_CLUSTERS),
            additional_labels: object.strings("additional_labels", MAX_ADDITIONAL_LABELS),
            local: local::read(object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::fact::Fact;

    fn compile(text: &str) -> (Option<Config>, Vec<String>) {
        let (config, issues) = Config::compile(text.as_bytes());
        (config, issues.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn nothing_means_the_defaults() {
        for text in ["", "{}"] {
            assert_eq!(compile(text), (Some(Config::default()), vec![]), "{text:?}");
        }
    }

    #[test]
    fn every_field_is_read_in_both_cases() {
        let mut local = LocalOverrides::default();
        local.set(Fact::ClusterId, Some("east".to_owned()));
        local.set(Fact::CanonicalService, Some("web".to_owned()));
        let expected = Config {
            trust: Trust::Mtls,
            skip_external: true,
            attachment: Some(Attachment::Tcp),
            tcp_upstream_clusters: vec!["outbound|3306||db".to_owned()],
            additional_labels: vec!["role".to_owned()],
            local,
        };
        for text in [
            r#"{"trust": "mtls", "skip_external": true,
                "attachment": "tcp", "tcp_upstream_clusters": ["outbound|3306||db"], "additional_labels": ["role"],
                "local": {"cluster_id": "east", "canonical_service": "web"}}"#,
            r#"{"trust": "MTLS", "skipExternal": "true",
                "attachment": "tcp", "tcpUpstreamClusters": ["outbound|3306||db"], "additionalLabels": ["role"],
                "local": {"clusterId": "east", "canonicalService": "web"}}"#,
        ] {
            assert_eq!(compile(text), (Some(expected.clone()), vec![]), "{text}");
        }
    }

    #[test]
    fn additional_labels_are_bounded() {
        let names: Vec<_> = (0..=MAX_ADDITIONAL_LABELS).map(|n| format!("\"l{n}\"")).collect();
        let (config, said) = compile(&format!(r#"{{"additional_labels": [{}]}}"#, names.join(",")));
        assert_eq!(config.unwrap().additional_labels.len(), MAX_ADDITIONAL_LABELS);
        assert_eq!(said, ["additional_labels: 33 entries are more than 32; the first ones count"]);
    }

    #[test]
    fn each_bad_field_is_named_and_skipped() {
        let text =
            r#"{"trust": "sometimes", "skip_external": 2, "local": {"namespace": 7, "zone": "a"}, "x": []}"#;
        let (config, said) = compile(text);
        assert_eq!(config, Some(Config::default()));
        assert_eq!(
            said,
            [
                "trust: expected one of always, mtls, found \"sometimes\"; ignored",
                "skip_external: expected true or false, found 2; ignored",
                "local.namespace: expected a string, found 7; ignored",
                "local.zone: unknown field with value \"a\"; ignored",
                "x: unknown field with value []; ignored",
            ]
        );
    }

    #[test]
    fn what_is_no_object_compiles_to_nothing_and_one_error() {
        for text in ["null", "[]", "{\"trust\"", "\u{0}"] {
            let (config, said) = compile(text);
            assert_eq!((config, said.len()), (None, 1), "{text:?}");
        }
    }
}
