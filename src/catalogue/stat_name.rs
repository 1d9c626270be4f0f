//! The stat name that carries labels through Envoy's Wasm interface.
//!
//! The labels are written into it, as Istio's Wasm plugin did (the form is
//! [`crate::host::metric_name`]'s). The bootstrap's `stats_tags` take them out again.
//! Values are [`crate::catalogue::label_value::LabelValue`]s or constants: none can hold a
//! separator.

use crate::catalogue::metric::PREFIX;
use crate::host::metric_name::{AFTER_VALUE, BEFORE_VALUE};

/// Writes the stat name of `metric` (without `istio_`) with these labels.
///
/// ```
/// # use istio_stats::catalogue::stat_name::encode;
/// assert_eq!(
///     encode([("reporter", "source"), ("grpc_response_status", "")], "requests_total"),
///     "reporter=.=source;.;grpc_response_status=.=;.;istio_requests_total"
/// );
/// ```
pub fn encode<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>, metric: &str) -> String {
    encode_with_prefix(PREFIX, labels, metric)
}

/// The same with another prefix than `istio_`.
pub fn encode_with_prefix<'a>(
    prefix: &str,
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    metric: &str,
) -> String {
    // 25 labels with long SPIFFE names make about 1 kB.
    let mut stat_name = String::with_capacity(1024);
    for (tag, value) in labels {
        for part in [tag, BEFORE_VALUE, value, AFTER_VALUE] {
            stat_name.push_str(part);
        }
    }
    stat_name.push_str(prefix);
    stat_name.push_str(metric);
    stat_name
}

/// The stat name of a metric that tells a component's version.
/// Istio's bootstraps hold regexes for the tags `component` and `tag` in just
/// this form, with dots, which versions hold too: hence the `;` that ends the
/// tag. (A tag `version` would be found within `source_version`, too.)
///
/// ```
/// # use istio_stats::catalogue::stat_name::build;
/// assert_eq!(build("proxy", "1.29.2", "istio_build"), "component.proxy.tag.1.29.2;.istio_build");
/// ```
pub fn build(component: &str, version: &str, metric: &str) -> String {
    format!("component.{component}.tag.{version};.{metric}")
}
