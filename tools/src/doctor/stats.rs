//! Envoy's page `/stats`: every stat under its full name, as the proxy keeps it,
//! before any label was taken out.

use std::collections::{BTreeMap, BTreeSet};

use crate::exposition::{Page, Sample};
use crate::names::Names;
use crate::stat_names::WASM_PREFIX;

/// The page, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    /// Counters and gauges, by name.
    values: BTreeMap<String, u64>,
    /// What Wasm plugins defined under the names that are looked for.
    pub(crate) plugin: Vec<PluginStat>,
    /// Counters and gauges of Istio's own filter.
    pub(crate) native: usize,
}

/// A stat of a plugin, its labels read out of its name as the plugin wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginStat {
    /// With its prefix, without labels.
    pub(crate) metric: String,
    pub(crate) labels: Vec<(String, String)>,
    /// `None` for a histogram.
    pub(crate) value: Option<u64>,
}

/// Precedes the stats of Istio's own filter.
const NATIVE: &str = "istiocustom.istio_";

// === impl Stats ===

impl Stats {
    /// Reads the page; lines of another form are no stats.
    pub(crate) fn parse(text: &str, names: &Names) -> Self {
        let mut stats = Self::default();
        for (name, shown) in text.lines().filter_map(|line| line.rsplit_once(": ")) {
            let value = shown.parse().ok();
            if let Some(name) = name.strip_prefix(WASM_PREFIX) {
                let stat = PluginStat::parse(name, value);
                if names.has(&stat.metric) {
                    stats.plugin.push(stat);
                }
            }
            stats.native = stats.native.saturating_add(usize::from(name.starts_with(NATIVE)));
            if let Some(value) = value {
                stats.values.insert(name.to_owned(), value);
            }
        }
        stats
    }

    /// What the native module defined: labels are none of those stats' names, so Prometheus' page tells.
    pub(crate) fn add_native(&mut self, page: &Page, names: &Names) {
        for Sample { name, labels, value } in &page.samples {
            let histogram = name.strip_suffix("_count").filter(|metric| names.has(metric));
            let metric = histogram.or_else(|| names.has(name).then_some(name.as_str()));
            if let Some(metric) = metric {
                let value = histogram.is_none().then(|| whole(*value));
                let labels = labels.0.clone();
                self.plugin.push(PluginStat { metric: metric.to_owned(), labels, value });
            }
        }
    }

    /// A counter or gauge of Envoy's own.
    pub(crate) fn get(&self, name: &str) -> Option<u64> {
        self.values.get(name).copied()
    }

    /// Counters and gauges whose name begins and ends so, with what is between.
    pub(crate) fn between<'a>(
        &'a self,
        start: &'a str,
        end: &'a str,
    ) -> impl Iterator<Item = (&'a str, u64)> {
        let from = self.values.range(start.to_owned()..).take_while(move |(name, _)| name.starts_with(start));
        from.filter_map(move |(name, value)| {
            Some((name.strip_prefix(start)?.strip_suffix(end).filter(|middle| !middle.is_empty())?, *value))
        })
    }

    /// The sum over all series of a metric of the plugin.
    pub(crate) fn total(&self, metric: &str) -> u64 {
        let values = self.plugin.iter().filter(|stat| stat.metric == metric).filter_map(|stat| stat.value);
        values.fold(0, u64::saturating_add)
    }

    /// The labels that the plugin wrote for each metric, whatever became of them.
    pub(crate) fn labels_by_metric(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut by_metric: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for stat in &self.plugin {
            let labels = stat.labels.iter().map(|(label, _)| label.as_str());
            by_metric.entry(&stat.metric).or_default().extend(labels);
        }
        by_metric
    }
}

/// A count as Prometheus' page has it.
fn whole(value: f64) -> u64 {
    format!("{value:.0}").parse().unwrap_or_default()
}

// === impl PluginStat ===

impl PluginStat {
    /// `tag=.=value;.;…istio_metric`, or the form of the build metrics,
    /// `component.C.tag.T;.istio_metric`.
    fn parse(name: &str, value: Option<u64>) -> Self {
        let mut rest = name;
        let mut labels = Vec::new();
        while let Some((pair, after)) = rest.split_once(";.;") {
            let Some((label, value)) = pair.split_once("=.=") else {
                break;
            };
            labels.push((label.to_owned(), value.to_owned()));
            rest = after;
        }
        if let Some((component, (tag, metric))) = rest
            .strip_prefix("component.")
            .and_then(|rest| rest.split_once(".tag."))
            .and_then(|(component, rest)| Some((component, rest.split_once(";.")?)))
        {
            labels.push(("component".to_owned(), component.to_owned()));
            labels.push(("tag".to_owned(), tag.to_owned()));
            rest = metric;
        }
        Self { metric: rest.to_owned(), labels, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
http.west.downstream_rq_total: 8
wasm.istio_stats.vm_reload_success: 2
wasmcustom.component.proxy.tag.1.25.0;.istio_build: 1
wasmcustom.reporter=.=source;.;source_app=.=a: b;.;istio_requests_total: 5
wasmcustom.reporter=.=destination;.;istio_requests_total: 2
wasmcustom.reporter=.=source;.;istio_request_bytes: P0(1,1) P25(2,2)
wasmcustom.istio_stats_series: 7
wasmcustom.other_plugin.hits: 3
istiocustom.istio_requests_total.reporter.source: 5
listener_manager.lds.version_text: \"1: 2\"
listener_manager.lds.update_duration: No recorded values
";

    #[test]
    fn plugin_stats_have_the_labels_they_were_given() {
        let stats = Stats::parse(PAGE, &Names::default());
        let shown: Vec<_> =
            stats.plugin.iter().map(|s| (s.metric.as_str(), s.labels.len(), s.value)).collect();
        assert_eq!(
            shown,
            [
                ("istio_build", 2, Some(1)),
                ("istio_requests_total", 2, Some(5)),
                ("istio_requests_total", 1, Some(2)),
                ("istio_request_bytes", 1, None),
                ("istio_stats_series", 0, Some(7)),
            ]
        );
        assert_eq!(stats.plugin[1].labels[1], ("source_app".to_owned(), "a: b".to_owned()));
        assert_eq!(stats.total("istio_requests_total"), 7);
        assert_eq!(stats.native, 1);
    }

    #[test]
    fn only_what_is_looked_for_is_kept() {
        let names = Names::with_prefixes(["other_".to_owned()]);
        let kept: Vec<_> = Stats::parse(PAGE, &names).plugin.into_iter().map(|stat| stat.metric).collect();
        assert_eq!(kept, ["istio_stats_series", "other_plugin.hits"]);
    }

    #[test]
    fn envoys_own_stats_are_found_by_name() {
        let stats = Stats::parse(PAGE, &Names::default());
        assert_eq!(stats.get("http.west.downstream_rq_total"), Some(8));
        assert_eq!(stats.get("listener_manager.lds.version_text"), None);
        let reloads: Vec<_> = stats.between("wasm.", ".vm_reload_success").collect();
        assert_eq!(reloads, [("istio_stats", 2)]);
    }
}
