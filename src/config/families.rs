//! Which families of Prometheus are in use, so that no two metrics are one family.

use crate::catalogue::metric::{Metric, PREFIX};
use crate::catalogue::own_metric::{self, PROXY_BUILD};
use crate::host::MetricKind;

/// Names of families, each with the metric that it belongs to.
#[derive(Debug)]
pub(super) struct Families<'a> {
    prefix: &'a str,
    taken: Vec<(String, String)>,
}

// === impl Families ===

impl<'a> Families<'a> {
    /// The standard metrics with this prefix, and what the plugin tells of itself.
    pub(super) fn standard(prefix: &'a str) -> Self {
        let mut families = Self { prefix, taken: Vec::new() };
        for metric in Metric::ALL {
            families.take(prefix, metric.name(), metric.kind());
        }
        families.take(prefix, PROXY_BUILD, MetricKind::Gauge);
        for own in own_metric::ALL {
            families.take(PREFIX, own.name, own.kind);
        }
        families
    }

    /// Takes what a metric of this name needs, if all of it is free.
    ///
    /// # Errors
    /// The first family that is in use, and by which metric.
    pub(super) fn claim(&mut self, name: &str, kind: MetricKind) -> Result<(), (String, String)> {
        for family in families(self.prefix, name, kind) {
            if let Some(taken) = self.taken.iter().find(|(known, _)| *known == family) {
                return Err(taken.clone());
            }
        }
        self.take(self.prefix, name, kind);
        Ok(())
    }

    fn take(&mut self, prefix: &str, name: &str, kind: MetricKind) {
        let metric = format!("{prefix}{name}");
        self.taken.extend(families(prefix, name, kind).map(|family| (family, metric.clone())));
    }
}

/// The names under which Prometheus knows a metric.
fn families<'a>(prefix: &'a str, name: &'a str, kind: MetricKind) -> impl Iterator<Item = String> + 'a {
    let parts: &[&str] = match kind {
        MetricKind::Histogram => &["", "_bucket", "_sum", "_count"],
        MetricKind::Counter | MetricKind::Gauge => &[""],
    };
    parts.iter().map(move |part| format!("{prefix}{name}{part}"))
}
