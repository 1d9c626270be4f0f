//! Whether Istio's own filter counts beside the plugin.

use istio_stats::catalogue::metric::{Metric, PREFIX};

use crate::artefact::Artefact;
use crate::doctor::chain::Chain;
use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&NATIVE_TOO];

const NATIVE_TOO: Symptom = Symptom {
    code: "native-filter-too",
    severity: Severity::Problem,
    title: "Istio's own metrics filter runs, too",
    why: "It exports metrics of the same names. Envoy then prints two families of one name, and sums count \
         every request twice.",
    remedy:
        "Switch one of them off, or give the plugin names of its own with `metric_prefix`. Istio's off: a \
         `Telemetry` resource with `metrics: [{providers: [{name: prometheus}], overrides: [{disabled: \
         true}]}]`.",
};

/// Istio's own filter beside the plugin.
pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let Some(admin) = &seen.admin else {
        return Vec::new();
    };
    // Under another prefix it is meant to.
    let has_its_names = |chain: &Chain| {
        chain.plugins(Artefact::IstioStats).any(|one| one.metric_prefix().as_deref() == Some(PREFIX))
    };
    let both =
        admin.dump.chains.iter().filter(|chain| {
            has_its_names(chain) && chain.filters.iter().any(|filter| filter.is_native_stats())
        });
    let mut facts: Vec<_> = both.map(|chain| format!("both are in {}", chain.describe())).collect();
    if admin.stats.native > 0 && admin.stats.plugin.iter().any(|stat| is_standard(&stat.metric)) {
        facts.push(format!("{} stats are istiocustom.istio_…, which are Istio's own", admin.stats.native));
    }
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(&NATIVE_TOO, facts)]
}

/// Whether Istio has a metric of this name.
fn is_standard(metric: &str) -> bool {
    metric.strip_prefix(PREFIX).is_some_and(|name| Metric::ALL.iter().any(|one| one.name() == name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::fixture::{plugin, running};

    #[test]
    fn istios_own_filter_is_known_by_its_name_type_or_stats() {
        let typed = json!({"name": "x", "typed_config": {
            "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
            "type_url": "type.googleapis.com/stats.PluginConfig",
        }});
        let named = json!({"name": "istio.stats", "typed_config": {"@type": "x.y"}});
        for native in [typed, named] {
            let both = running(&[plugin("istio_stats", "{}"), native.clone()], "");
            assert_eq!(find(&both)[0].seen, ["both are in listener in (HTTP)"]);
            assert_eq!(find(&running(&[native], "")), []);
        }
        let stats = "wasmcustom.istio_requests_total: 1\nistiocustom.istio_requests_total.x: 1\n";
        let by_stats = running(&[], stats);
        assert_eq!(find(&by_stats)[0].seen.len(), 1);
    }

    #[test]
    fn under_another_prefix_the_plugin_may_run_beside_it() {
        let native = json!({"name": "istio.stats", "typed_config": {"@type": "x.y"}});
        let mesh = plugin("istio_stats", r#"{"metric_prefix": "mesh_"}"#);
        let stats = "wasmcustom.mesh_requests_total: 1\nistiocustom.istio_requests_total.x: 1\n";
        assert_eq!(find(&running(&[mesh, native], stats)), []);
    }
}
