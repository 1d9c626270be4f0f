//! What the plugin tells of itself when it is configured: its build, and what was
//! wrong with what it was given.

use crate::catalogue::label_value::{LabelValue, UNKNOWN};
use crate::catalogue::metric::PREFIX;
use crate::catalogue::own_metric::{BUILD, CONFIG_ERRORS, PROXY_BUILD};
use crate::catalogue::stat_name;
use crate::config::issue::{self, Issue};
use crate::config::Config;
use crate::host::metric_name::MetricName;
use crate::host::say::{log_failure, say};
use crate::host::{Host, MetricKind};
use crate::version::VERSION;
use crate::workload::labels::or;
use crate::workload::{node, Workload};

/// Who the node says that it is.
#[derive(Debug)]
pub(crate) struct Node {
    /// The local workload.
    pub(crate) workload: Workload,
    istio_version: Option<LabelValue>,
}

// === impl Node ===

impl Node {
    /// Reads the node's metadata; each thing wrong in it is logged.
    pub(crate) fn read(host: &dyn Host) -> Self {
        let (workload, warnings) = node::read(host);
        for warning in warnings {
            say(host, log::Level::Warn, format_args!("{warning}"));
        }
        let istio_version = node::istio_version(host).as_deref().and_then(LabelValue::clean_str);
        say(host, log::Level::Info, format_args!("version {VERSION}"));
        Self { workload, istio_version }
    }
}

/// Defines the metrics that tell versions.
pub(crate) fn builds(host: &dyn Host, config: Option<&Config>, node: &Node) {
    let prefix = config.map_or(PREFIX, |config| &config.metric_prefix);
    let proxy = or(node.istio_version.as_ref(), UNKNOWN);
    set_gauge(host, &stat_name::build("proxy", proxy, &format!("{prefix}{PROXY_BUILD}")), 1);
    set_gauge(host, &stat_name::build("istio_stats", VERSION, &format!("{PREFIX}{}", BUILD.name)), 1);
}

/// Logs and counts what a configuration got wrong.
pub(crate) fn issues(host: &dyn Host, issues: &[Issue]) {
    for (level, line) in issue::shown(issues) {
        say(host, level, format_args!("configuration: {line}"));
    }
    let errors = issues.iter().filter(|issue| issue.level <= log::Level::Warn).count();
    if errors > 0 {
        let errors = u64::try_from(errors).unwrap_or(u64::MAX);
        set_gauge(host, &stat_name::encode([], CONFIG_ERRORS.name), errors);
    }
}

fn set_gauge(host: &dyn Host, stat_name: &str, value: u64) {
    let result = host.define_metric(MetricKind::Gauge, MetricName::of(stat_name));
    let result = result.and_then(|id| host.record_metric(id, value));
    log_failure(host, "setting a gauge", result);
}
