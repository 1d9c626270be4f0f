//! The stats plugin's configuration: parsed, then compiled.
//!
//! A field that cannot be followed is skipped with an [`Issue`]; only a
//! configuration that is no JSON object is unusable as a whole.

pub mod bounds;
pub mod definitions;
mod duration;
mod families;
pub mod fields;
pub mod issue;
pub mod local;
pub mod names;
pub mod notes;
pub mod object;
pub mod overrides;
pub mod parse;
mod structs;

use core::time::Duration;

use crate::attachment::Attachment;
use crate::catalogue::metric::PREFIX;
use crate::workload::local::LocalOverrides;
use definitions::Definition;
use issue::Issue;
use object::Object;
use overrides::Override;

/// What the stats plugin was told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether the request's `Host` may name the destination service where no
    /// upstream metadata does. Unsaid: only for outbound traffic, since
    /// inbound the client chooses it.
    pub host_header_fallback: Option<bool>,
    /// Period of the reports made while a stream is open, [`LEAST_PERIOD`] or
    /// longer; zero: only at the end.
    pub reporting_period: Duration,
    /// Reports as a waypoint (`reporter: SERVER_GATEWAY`).
    pub waypoint: bool,
    /// What the plugin is attached to; unsaid: found out per stream.
    pub attachment: Option<Attachment>,
    /// Which peers' metadata to believe.
    pub trust: Trust,
    /// Local facts that replace the node's.
    pub local: LocalOverrides,
    /// Precedes the names of all metrics, in place of `istio_`; not those of what
    /// the plugin tells of itself.
    pub metric_prefix: String,
    /// Metrics beside the standard ones.
    pub definitions: Vec<Definition>,
    /// Changes to metrics, in order.
    pub overrides: Vec<Override>,
    /// The only standard labels to emit, if given.
    pub labels: Option<Vec<String>>,
    /// Label sets a VM keeps before it folds new ones into the overflow.
    pub max_series: u32,
    /// Defines new series on the worker that meets them, not in the background.
    pub define_in_place: bool,
}

/// Which peers to believe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Every peer.
    #[default]
    Always,
    /// Those that showed a certificate; the others count as absent.
    Mtls,
}

// === impl Trust ===

impl Trust {
    /// The choices of the field `trust`.
    pub const CHOICES: &[(&str, Self)] = &[("always", Self::Always), ("mtls", Self::Mtls)];
}

/// Fields of Istio's schema that this plugin accepts and does not need.
const IGNORED: &[&str] = &[
    "debug",
    "stat_prefix",
    "field_separator",
    "value_separator",
    "max_peer_cache_size",
    "rotation_interval",
    "graceful_deletion_interval",
];

/// The shortest period of reports. Each wakes every worker, and the host's timer
/// counts whole milliseconds: with less than one it would never.
pub const LEAST_PERIOD: Duration = Duration::from_millis(100);

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            host_header_fallback: None,
            reporting_period: Duration::from_secs(5),
            waypoint: false,
            attachment: None,
            trust: Trust::Always,
            local: LocalOverrides::default(),
            metric_prefix: PREFIX.to_owned(),
            definitions: Vec::new(),
            overrides: Vec::new(),
            labels: None,
            max_series: 10_000,
            define_in_place: false,
        }
    }
}

impl Config {
    /// Compiles the bytes of a plugin configuration; `None` if they are unusable.
    pub fn compile(bytes: &[u8]) -> (Option<Self>, Vec<Issue>) {
        parse::compile(bytes, Self::read)
    }

    /// The fields that the object at a JSON path may have: `""`, `local`, `metrics[]`, …
    pub fn fields(path: &str) -> Vec<notes::Field> {
        fields::at(path, Self::read)
    }

    fn read(object: &mut Object<'_>) -> Self {
        let default = Self::default();
        object.ignore(IGNORED);
        let metric_prefix = object.identifier("metric_prefix").unwrap_or(default.metric_prefix);
        let definitions = definitions::read(object, &metric_prefix);
        Self {
            host_header_fallback: object.boolean("disable_host_header_fallback").map(|disabled| !disabled),
            reporting_period: object
                .duration("tcp_reporting_duration", LEAST_PERIOD)
                .unwrap_or(default.reporting_period),
            waypoint: object
                .choice("reporter", &[("UNSPECIFIED", false), ("SERVER_GATEWAY", true)])
                .unwrap_or_default(),
            attachment: object.choice("attachment", Attachment::CHOICES),
            trust: object.choice("trust", Trust::CHOICES).unwrap_or_default(),
            local: local::read(object),
            overrides: overrides::read(object, &definitions),
            metric_prefix,
            definitions,
            labels: overrides::read_labels(object),
            max_series: object.positive("max_series").unwrap_or(default.max_series),
            define_in_place: object.boolean("define_in_place").unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::fact::Fact;

    #[test]
    fn nothing_means_the_defaults() {
        for text in ["", " ", "{}"] {
            assert_eq!(Config::compile(text.as_bytes()), (Some(Config::default()), vec![]), "{text:?}");
        }
    }

    #[test]
    fn every_field_is_read() {
        let text = r#"{
            "disable_host_header_fallback": true, "tcpReportingDuration": "1s", "reporter": "SERVER_GATEWAY",
            "attachment": "tcp", "trust": "mtls", "max_series": 7, "metric_prefix": "mesh_", "local": {"cluster_id": "east", "version": "v2"}, "debug": "false"
        }"#;
        let (config, issues) = Config::compile(text.as_bytes());
        let config = config.unwrap();
        assert_eq!(config.host_header_fallback, Some(false));
        assert_eq!(config.reporting_period, Duration::from_secs(1));
        assert!(config.waypoint);
        assert_eq!(config.attachment, Some(Attachment::Tcp));
        assert_eq!(config.max_series, 7);
        assert_eq!(config.metric_prefix, "mesh_");
        assert_eq!(config.trust, Trust::Mtls);
        assert_eq!(config.local.get(Fact::ClusterId), Some("east"));
        assert_eq!(config.local.get(Fact::AppVersion), Some("v2"));
        let said: Vec<_> = issues.iter().map(|i| (i.level, i.to_string())).collect();
        let ignored = "debug: has no effect in this plugin; ignored".to_owned();
        assert_eq!(said, [(log::Level::Info, ignored)]);
    }

    #[test]
    fn one_bad_field_leaves_the_others_alone() {
        let (config, issues) = Config::compile(
            br#"{"reporter": 3, "max_series": "500", "attachment": "udp", "tcp_reporting_duration": "1s"}"#,
        );
        let config = config.unwrap();
        assert!(!config.waypoint && config.attachment.is_none());
        assert_eq!(config.max_series, 500);
        assert_eq!(config.reporting_period, Duration::from_secs(1));
        let said: Vec<_> = issues.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "reporter: expected one of UNSPECIFIED, SERVER_GATEWAY, found 3; ignored",
                "attachment: expected one of http, tcp, found \"udp\"; ignored",
            ]
        );
    }

    #[test]
    fn the_period_is_the_least_one_or_longer_or_none() {
        for (text, millis, said) in [
            ("1ns", 100, r#""1ns" is less than "100ms", which is taken instead"#),
            ("0.4ms", 100, r#""0.4ms" is less than "100ms", which is taken instead"#),
            ("99.999999ms", 100, r#""99.999999ms" is less than "100ms", which is taken instead"#),
            ("100ms", 100, ""),
            ("24h", 86_400_000, ""),
            ("0s", 0, ""),
        ] {
            let (config, issues) =
                Config::compile(format!(r#"{{"tcp_reporting_duration": "{text}"}}"#).as_bytes());
            assert_eq!(config.unwrap().reporting_period, Duration::from_millis(millis), "{text}");
            let messages: Vec<_> = issues.iter().map(|issue| issue.message.as_str()).collect();
            assert_eq!(messages.concat(), said, "{text}");
        }
    }

    #[test]
    fn unusable_bytes_compile_to_nothing_and_one_error() {
        let (config, issues) = Config::compile(b"not json");
        assert_eq!(config, None);
        assert_eq!(issues.len(), 1);
        assert_eq!(issues[0].level, log::Level::Error);
    }
}
