//! Whether anything is counted twice.

use std::collections::{BTreeSet, HashSet};

use istio_stats::catalogue::metric::{Metric, PREFIX};

use crate::doctor::config::Place;
use crate::doctor::finding::Finding;
use crate::doctor::plugin::Role;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::Symptom;

/// Istio's own filter beside the plugin.
pub(crate) fn native_filter(seen: &Seen) -> Vec<Finding> {
    let Some(admin) = &seen.admin else {
        return Vec::new();
    };
    // Under another prefix it is meant to.
    let has_its_names =
        |place: &Place| place.plugins(Role::Stats).any(|one| one.metric_prefix().as_deref() == Some(PREFIX));
    let both =
        admin.config.places.iter().filter(|place| {
            has_its_names(place) && place.filters.iter().any(|filter| filter.is_native_stats())
        });
    let mut facts: Vec<_> = both.map(|place| format!("both are in {}", place.describe())).collect();
    if admin.stats.native > 0 && admin.stats.plugin.iter().any(|stat| is_standard(&stat.metric)) {
        facts.push(format!("{} stats are istiocustom.istio_…, which are Istio's own", admin.stats.native));
    }
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(Symptom::NativeToo, facts)]
}

/// Two of our plugins where one is enough.
pub(crate) fn attached_twice(seen: &Seen) -> Vec<Finding> {
    let Some(config) = seen.config() else {
        return Vec::new();
    };
    let pairs =
        config.places.iter().flat_map(|place| seen.names.prefixes().map(move |prefix| (place, prefix)));
    let facts: Vec<_> = pairs
        .filter_map(|(place, prefix)| {
            let same =
                place.plugins(Role::Stats).filter(|one| one.metric_prefix().as_deref() == Some(prefix));
            let filters: Vec<_> = same.map(|plugin| plugin.filter.as_str()).collect();
            (filters.len() > 1).then(|| format!("{} has {}", place.describe(), filters.join(" and ")))
        })
        .collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(Symptom::Twice, facts)]
}

/// The same twice on the page, of whatever origin.
pub(crate) fn on_the_page(seen: &Seen) -> Vec<Finding> {
    if !native_filter(seen).is_empty() {
        return Vec::new();
    }
    let mut families = BTreeSet::new();
    let mut known = HashSet::new();
    for family in seen.page.families.iter().filter(|family| seen.names.has(family)) {
        if !known.insert(family) {
            families.insert(family.as_str());
        }
    }
    let mut series = BTreeSet::new();
    let mut known = HashSet::new();
    for sample in seen.page.samples.iter().filter(|sample| seen.names.has(&sample.name)) {
        if !known.insert((&sample.name, &sample.labels)) {
            series.insert(sample.name.as_str());
        }
    }
    let mut facts = Vec::new();
    if !families.is_empty() {
        facts.push(format!("two # TYPE lines for {}", join(&families)));
    }
    if !series.is_empty() {
        facts.push(format!("two samples with the same labels of {}", join(&series)));
    }
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(Symptom::Duplicates, facts)]
}

/// Whether Istio has a metric of this name.
fn is_standard(metric: &str) -> bool {
    metric.strip_prefix(PREFIX).is_some_and(|name| Metric::ALL.iter().any(|one| one.name() == name))
}

fn join(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::config::Config;
    use crate::doctor::seen::Admin;
    use crate::doctor::stats::Stats;
    use crate::exposition::Page;

    /// An inbound listener with the plugin and what more is said.
    fn seen(filters: serde_json::Value, loggers: serde_json::Value, stats: &str) -> Seen {
        let manager =
            json!({"@type": "x.HttpConnectionManager", "http_filters": filters, "access_log": loggers});
        let listener = json!({"name": "in", "filter_chains": [{"filters": [{"typed_config": manager}]}]});
        let dump = json!({"configs": [
            {"@type": "x.ListenersConfigDump", "static_listeners": [{"listener": listener}]},
        ]});
        let config = Config::parse(&dump);
        let names = config.names();
        let admin = Admin::new(&json!({}), config, Stats::parse(stats, &names));
        Seen { admin: Some(admin), names, ..Seen::default() }
    }

    fn plugin() -> serde_json::Value {
        with_prefix("istio_")
    }

    fn with_prefix(prefix: &str) -> serde_json::Value {
        let configuration = json!({"value": {"metric_prefix": prefix}});
        let config = json!({"vm_config": {}, "configuration": configuration});
        json!({"name": "istio_stats", "typed_config": {"@type": "x.Wasm", "config": config}})
    }

    #[test]
    fn one_plugin_is_enough() {
        let good = seen(json!([plugin()]), json!([]), "wasmcustom.istio_requests_total: 1\n");
        for check in [native_filter, attached_twice, on_the_page] {
            assert_eq!(check(&good), []);
        }
        let both = seen(json!([plugin()]), json!([plugin()]), "");
        assert_eq!(attached_twice(&both)[0].seen, ["listener in (HTTP) has istio_stats and istio_stats"]);
    }

    #[test]
    fn istios_own_filter_is_known_by_its_name_type_or_stats() {
        let typed = json!({"name": "x", "typed_config": {
            "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
            "type_url": "type.googleapis.com/stats.PluginConfig",
        }});
        let named = json!({"name": "istio.stats", "typed_config": {"@type": "x.y"}});
        for native in [typed, named] {
            let both = seen(json!([plugin(), native]), json!([]), "");
            assert_eq!(native_filter(&both)[0].seen, ["both are in listener in (HTTP)"]);
            assert_eq!(native_filter(&seen(json!([native]), json!([]), "")), []);
        }
        let stats = "wasmcustom.istio_requests_total: 1\nistiocustom.istio_requests_total.x: 1\n";
        let by_stats = seen(json!([]), json!([]), stats);
        assert_eq!(native_filter(&by_stats)[0].seen.len(), 1);
    }

    #[test]
    fn under_another_prefix_it_may_run_beside_any_other() {
        let native = json!({"name": "istio.stats", "typed_config": {"@type": "x.y"}});
        let stats = "wasmcustom.mesh_requests_total: 1\nistiocustom.istio_requests_total.x: 1\n";
        let mut beside = seen(json!([with_prefix("mesh_"), native]), json!([]), stats);
        beside.page = Page::parse(&"# TYPE istio_a counter\nistio_a{} 1\n".repeat(2), |_| true).unwrap();
        let two = seen(json!([plugin(), with_prefix("mesh_")]), json!([]), stats);
        for check in [native_filter, attached_twice, on_the_page] {
            assert_eq!(check(&beside), []);
        }
        assert_eq!(attached_twice(&two), []);
        let twice = seen(json!([with_prefix("mesh_")]), json!([with_prefix("mesh_")]), stats);
        assert_eq!(attached_twice(&twice).len(), 1);
    }

    #[test]
    fn families_and_series_stand_there_once() {
        let text = "# TYPE istio_a counter\nistio_a{x=\"1\"} 1\nistio_a{x=\"2\"} 1\n";
        let page = |text: &str| Seen { page: Page::parse(text, |_| true).unwrap(), ..Seen::default() };
        assert_eq!(on_the_page(&page(text)), []);
        assert_eq!(
            on_the_page(&page(&text.repeat(2)))[0].seen,
            ["two # TYPE lines for istio_a", "two samples with the same labels of istio_a"]
        );
    }
}
