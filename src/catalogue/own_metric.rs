//! What the plugin tells of itself. `istio_` precedes these names whatever the
//! configuration says.

use crate::host::MetricKind;

/// A metric that is not about traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnMetric {
    /// Its name without `istio_`.
    pub name: &'static str,
    /// How it counts.
    pub kind: MetricKind,
}

/// The module's version.
pub const BUILD: OwnMetric = gauge("stats_build");
/// Label sets that are kept, of all VMs together.
pub const SERIES: OwnMetric = gauge("stats_series");
/// Reports that were folded into the overflow.
pub const SERIES_OVERFLOW: OwnMetric = counter("stats_series_overflow_total");
/// Requests for series that another plugin made.
pub const SERIES_REFUSED: OwnMetric = counter("stats_series_refused_total");
/// Peers whose metadata could not be decoded, by reason.
pub const PEER_DECODE_ERRORS: OwnMetric = counter("stats_peer_decode_errors_total");
/// How many things a configuration got wrong; defined when there are any.
pub const CONFIG_ERRORS: OwnMetric = gauge("stats_config_errors");

/// Every one.
pub const ALL: [OwnMetric; 6] =
    [BUILD, SERIES, SERIES_OVERFLOW, SERIES_REFUSED, PEER_DECODE_ERRORS, CONFIG_ERRORS];

/// Tells the version of the proxy itself; the configured prefix precedes it.
pub const PROXY_BUILD: &str = "build";

const fn gauge(name: &'static str) -> OwnMetric {
    OwnMetric { name, kind: MetricKind::Gauge }
}

const fn counter(name: &'static str) -> OwnMetric {
    OwnMetric { name, kind: MetricKind::Counter }
}
