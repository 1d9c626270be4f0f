//! Whether there is room for further label sets.

use istio_stats::config::Config;

use crate::artefact::Artefact;
use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&OVERFLOW, &NEARLY_FULL];

const OVERFLOW: Symptom = Symptom {
    code: "series-overflow",
    severity: Severity::Problem,
    title: "There are more label sets than the plugin keeps",
    why: "Envoy never forgets a stat, so the plugin keeps at most `max_series` label sets per worker. Later \
         ones are counted in a series whose peer and request labels are `overflow`.",
    remedy: "See which label has so many values, and leave it out with `labels` or `tags_to_remove`. Where \
         they are meant, raise `max_series`: a label set takes Envoy some 10 kB.",
};

const NEARLY_FULL: Symptom = Symptom {
    code: "series-nearly-full",
    severity: Severity::Hint,
    title: "The plugin has nearly as many label sets as it keeps",
    why: "Beyond `max_series`, new label sets are counted as `overflow`.",
    remedy:
        "See which label has so many values, and leave it out with `labels` or `tags_to_remove`; or raise \
         `max_series`.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let overflow = seen.total("istio_stats_series_overflow_total").unwrap_or_default();
    let series = seen.total("istio_stats_series").unwrap_or_default();
    let configured = seen.dump().and_then(|dump| {
        let bounds = dump.plugins(Artefact::IstioStats).filter_map(|(_, plugin)| plugin.stats_config());
        bounds.map(|config| config.max_series).min()
    });
    let bound = configured.unwrap_or(Config::default().max_series);
    if overflow > 0.0 {
        let fact = format!("istio_stats_series_overflow_total is {overflow}; max_series is {bound}");
        return vec![Finding::new(&OVERFLOW, [fact])];
    }
    // The gauge sums up the workers' label sets; the bound is each worker's.
    let workers = seen.admin.as_ref().map_or(0, |admin| admin.workers);
    if workers > 0 && series >= 0.9 * f64::from(bound) * workers as f64 {
        let fact =
            format!("istio_stats_series is {series}; max_series is {bound} for each of {workers} workers");
        return vec![Finding::new(&NEARLY_FULL, [fact])];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture::{page, plugin, running};

    #[test]
    fn room_for_label_sets() {
        let of = |text: &str| {
            let running = running(&[plugin("istio_stats", r#"{"max_series": 20}"#)], "");
            let findings = find(&Seen { page: page(text), ..running });
            findings.first().map(|finding| (finding.symptom, finding.seen[0].clone()))
        };
        assert_eq!(of("istio_stats_series{} 35\n"), None);
        let full = "istio_stats_series is 36; max_series is 20 for each of 2 workers".to_owned();
        assert_eq!(of("istio_stats_series{} 36\n"), Some((&NEARLY_FULL, full)));
        let over = "istio_stats_series_overflow_total is 4; max_series is 20".to_owned();
        assert_eq!(of("istio_stats_series_overflow_total{} 4\n"), Some((&OVERFLOW, over)));
    }
}
