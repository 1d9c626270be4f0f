//! `definitions`: metrics beside the standard ones.

use super::bounds::{too_long, MAX_DEFINITIONS};
use super::families::Families;
use super::names::{is_identifier, IDENTIFIER};
use super::object::Object;
use crate::catalogue::metric::Metric;
use crate::host::excerpt::quoted;
use crate::host::MetricKind;

/// A metric that the configuration adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name; `istio_` precedes it in Prometheus.
    pub name: String,
    /// A CEL expression for what a request, or a closed connection, adds.
    pub value: String,
    /// How it counts.
    pub kind: MetricKind,
}

/// Reads `definitions`, whose names `prefix` precedes. An entry that cannot be
/// followed is left out.
pub fn read(config: &mut Object<'_>, prefix: &str) -> Vec<Definition> {
    let mut definitions: Vec<Definition> = Vec::new();
    let mut families = Families::standard(prefix);
    config.objects("definitions", MAX_DEFINITIONS, &mut |entry| {
        let name = entry.string("name");
        let value = entry.filled("value");
        let kinds = [
            ("COUNTER", MetricKind::Counter),
            ("GAUGE", MetricKind::Gauge),
            ("HISTOGRAM", MetricKind::Histogram),
        ];
        let kind = entry.choice("type", &kinds).unwrap_or(MetricKind::Counter);
        let Some((name, value)) = name.zip(value) else {
            return entry.warn("", "needs a name and a value; ignored");
        };
        let is_known = |metric: Metric| metric.name() == name;
        if Metric::ALL.into_iter().any(is_known) {
            entry.warn(
                "name",
                &format!("{} is a standard metric and cannot be redefined; ignored", quoted(&name)),
            );
        } else if definitions.iter().any(|known| known.name == name) {
            entry.warn("name", &format!("{} is defined twice; the first one counts", quoted(&name)));
        } else if !is_identifier(&name) {
            entry.warn("name", &format!("{} is no metric name ({IDENTIFIER}); ignored", quoted(&name)));
        } else if let Some(why) = too_long(&value) {
            entry.warn("value", &format!("{}: {why}; ignored", quoted(&name)));
        } else if let Err((family, metric)) = families.claim(&name, kind) {
            entry.warn("name", &format!("{}: {family} is in use by {metric}; ignored", quoted(&name)));
        } else {
            definitions.push(Definition { name, value, kind });
        }
    });
    definitions
}
