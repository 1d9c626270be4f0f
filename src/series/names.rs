//! Whose metrics may be asked for on the queue: those of some plugin of ours.
//!
//! All VMs with the same `vm_id` share the queue, and each may have another
//! configuration, or be of another build; whoever serves a request knows only its own.
//! So each VM announces in shared data the names of what it may ask for. What is none of
//! them came from another plugin that happened on the queue: it is not defined. (That
//! stops mistakes, no malice: who shares our data may write there, and may define metrics
//! without us.)

use crate::catalogue::label_value::LabelValue;
use crate::catalogue::metric::Metric;
use crate::config::bounds::MAX_DEFINITIONS;
use crate::config::names::is_identifier;
use crate::config::Config;
use crate::host::Host;
use crate::series::request::{self, QueuedMetric};
use crate::series::shared;

/// The announced metrics: of each the code of its kind and its name, then a zero byte.
#[derive(Debug)]
pub struct Names(Vec<u8>);

/// Shared data: the announced metrics.
const NAMES: &str = "istio_stats.names";

/// What all VMs may announce: a configuration takes 0.4 kB, one with as many definitions
/// as there may be 20 kB. Whoever comes later defines its metrics itself.
const MAX_BYTES: usize = 64 * 1024;

/// Longest request. Ours take 2 kB; with all labels as long as may be, and others for each
/// of many metrics, it could be more.
pub const MAX_REQUEST_BYTES: usize = 256 * 1024;

/// Metrics of one request: as many as a configuration has.
const MAX_METRICS: usize = Metric::ALL.len() + MAX_DEFINITIONS;

// === impl Names ===

impl Names {
    /// Those of a configuration, dropped ones too.
    pub fn of(config: &Config) -> Self {
        let mut names = Self(Vec::new());
        for metric in Metric::ALL {
            names.add(&[
                &[request::code_of(metric.kind())],
                config.metric_prefix.as_bytes(),
                metric.name().as_bytes(),
            ]);
        }
        for metric in &config.definitions {
            names.add(&[
                &[request::code_of(metric.kind)],
                config.metric_prefix.as_bytes(),
                metric.name.as_bytes(),
            ]);
        }
        names
    }

    fn add(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
        self.0.push(0);
    }

    /// Announces them; whether all are.
    pub fn announce(&self, host: &dyn Host) -> bool {
        let announced = shared::change(host, NAMES, |known| {
            let mut all = Self(known.unwrap_or_default());
            for name in self.each().filter(|name| !name.is_empty()) {
                if !all.each().any(|known| known == name) {
                    all.add(&[name]);
                }
            }
            (all.0.len() <= MAX_BYTES).then_some(all.0)
        });
        announced.is_ok_and(|announced| announced.is_some())
    }

    /// What is announced.
    pub fn read(host: &dyn Host) -> Self {
        Self(host.shared_data(NAMES).ok().and_then(|shared| shared.value).unwrap_or_default())
    }

    /// Whether a plugin of ours may have asked for these metrics, in the form of a request.
    pub fn admit(&self, metrics: &[u8]) -> bool {
        metrics.len() <= MAX_REQUEST_BYTES
            && request::metrics(metrics)
                .enumerate()
                .all(|(n, metric)| n < MAX_METRICS && metric.is_some_and(|metric| self.is_ours(metric)))
    }

    fn is_ours(&self, metric: QueuedMetric<'_>) -> bool {
        let known = Some((&request::code_of(metric.kind), metric.name.as_bytes()));
        self.each().any(|name| name.split_first() == known) && are_labels(metric.labels.as_bytes())
    }

    fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == 0)
    }
}

/// Whether the labels of a stat name, without the last `;`, are some that we write.
fn are_labels(labels: &[u8]) -> bool {
    let is_part = |(n, part): (usize, &[u8])| if n % 2 == 0 { is_label(part) } else { part == b"." };
    let mut parts = labels.split(|byte| *byte == b';').enumerate();
    labels.is_empty() || (labels.ends_with(b";.") && parts.all(is_part))
}

fn is_label(label: &[u8]) -> bool {
    let end = label.iter().position(|byte| *byte == b'=').unwrap_or(0);
    let Some((name, rest)) = label.split_at_checked(end) else {
        return false;
    };
    let is_clean = |value: &[u8]| {
        let clean = LabelValue::clean(value.to_vec());
        value == clean.as_ref().map_or("", LabelValue::as_str).as_bytes()
    };
    core::str::from_utf8(name).is_ok_and(is_identifier) && rest.strip_prefix(b"=.=").is_some_and(is_clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn labels_are_those_that_we_write() {
        for ours in ["", "reporter=.=source;.", "a=.=;.;b_2=.=x=y.z;."] {
            assert!(are_labels(ours.as_bytes()), "{ours:?}");
        }
        for other in [
            ";",
            ".",
            "a",
            "a=.=x",
            "a=.=x;",
            "a=.=x;.;",
            "a=.=x;.;b",
            "=.=x;.",
            "a=x;.",
            "a-b=.=x;.",
            "a=.=x.;.",
            "a=.=\u{1b};.",
        ] {
            assert!(!are_labels(other.as_bytes()), "{other:?}");
        }
        let long = |length: usize| format!("a=.={};.", "x".repeat(length));
        assert!(are_labels(long(256).as_bytes()) && !are_labels(long(257).as_bytes()));
    }

    #[test]
    fn a_configuration_has_the_standard_metrics_and_its_own() {
        let text = br#"{"metric_prefix": "mesh_", "definitions": [{"name": "mine", "value": "1"}],
            "metrics": [{"name": "request_bytes", "drop": true}]}"#;
        let names = Names::of(&Config::compile(text).0.unwrap());
        assert_eq!(names.each().count(), Metric::ALL.len() + 2);
        for (metric, is_ours) in [
            (&b"cmesh_requests_total\0"[..], true),
            (b"hmesh_request_bytes\0", true),
            (b"cmesh_mine\0", true),
            (b"cistio_requests_total\0", false),
            (b"c\0", false),
        ] {
            assert_eq!(names.admit(metric), is_ours, "{}", String::from_utf8_lossy(metric));
        }
    }

    #[test]
    fn what_one_vm_announces_each_admits_and_all_together_are_bounded() {
        let host = FakeHost::new();
        let announce = |host: &FakeHost, names: &[u8]| Names(names.to_vec()).announce(host);
        assert!(announce(&host, b"ca_total\0hb\0"));
        assert!(announce(&host.another_vm(), b"cc\0"));
        let names = Names::read(&host);
        for (metrics, is_ours) in [
            (&b"ca_total\0ct=.=1;.;c\0h;b\0"[..], true),
            (b"ct=.=1;.;a_total\0c;c\0ht=.=2;.;b\0", true),
            (b"ha_total\0", false),
            (b"ca\0", false),
            (b"xa_total\0", false),
            (b"ca_total\0h\xff\0", false),
            (b"ct=.=1;.a_total\0", false),
        ] {
            assert_eq!(names.admit(metrics), is_ours, "{}", String::from_utf8_lossy(metrics));
        }
        assert!(names.admit(&b"ca_total\0".repeat(MAX_METRICS)));
        assert!(!names.admit(&b"ca_total\0".repeat(MAX_METRICS + 1)));

        let mut announced = 0;
        for n in 0..1000 {
            announced += usize::from(announce(&host, format!("g{n:0256}\0").as_bytes()));
        }
        assert_eq!(announced, (MAX_BYTES - names.0.len()) / 258);
        assert!(announce(&host, b"cc\0"), "known already");
    }
}
