//! Labels that the plugin did not write.

use std::collections::BTreeMap;

use crate::doctor::family::{base, names};
use crate::doctor::finding::Finding;
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&SPURIOUS];

const SPURIOUS: Symptom = Symptom {
    code: "label-spurious",
    severity: Severity::Problem,
    title: "A label appeared that nobody set",
    why: "A line of `stats_tags` found its pattern inside another label's value or name. Istio's bootstraps \
         have such lines: `cache\\.(.+?)\\.`, `component\\.(.+?)\\.` and `tag\\.(.+?);\\.` make a service \
         `redis-cache.prod` grow a label `cache=\"prod\"`.",
    remedy: "The plugin's labels stay right, and so do queries that name theirs; what compares whole label \
         sets finds no match. Make the line begin at the name's start, or drop the label where Prometheus \
         scrapes.",
};

/// Labels that no standard metric has, but Istio's bootstraps look for.
const ISTIO_EXTRAS: [&str; 4] = ["cache", "component", "tag", "wasm_filter"];

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let written = seen.admin.as_ref().map(|admin| (admin, admin.stats.labels_by_metric()));
    let mut facts = BTreeMap::new();
    let names = names(&seen.page);
    for sample in seen.page.samples.iter().filter(|sample| seen.names.has(&sample.name)) {
        let metric = base(&sample.name, &names);
        for (label, value) in &sample.labels.0 {
            let is_spurious = match &written {
                Some((admin, written)) => written
                    .get(metric)
                    .is_some_and(|labels| !labels.contains(label.as_str()) && !is_fixed(admin, label)),
                None => ISTIO_EXTRAS.contains(&label.as_str()) && !seen.names.is_build(metric),
            };
            if is_spurious {
                let source =
                    sample.labels.0.iter().find(|(other, text)| other != label && text.contains(value));
                let source = source.map(|(other, text)| format!(", out of {other}={text:?}"));
                facts.entry(label.as_str()).or_insert_with(|| {
                    format!("{label}={value:?} on {metric}{}", source.unwrap_or_default())
                });
            }
        }
    }
    if facts.is_empty() {
        return Vec::new();
    }
    let labels: Vec<_> = facts.keys().copied().collect();
    let drop = format!("- action: labeldrop\n  regex: {}", labels.join("|"));
    vec![Finding::new(&SPURIOUS, facts.into_values())
        .paste("`metric_relabel_configs` of the scrape, if these labels are nowhere else", drop)]
}

fn is_fixed(admin: &Admin, label: &str) -> bool {
    let by_config = admin.dump.tags.iter().any(|tag| tag.fixed && tag.name == label);
    // Of a histogram's buckets.
    by_config || label == "le" || admin.fixed_labels.iter().any(|fixed| fixed == label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture::{only, page_only};
    use crate::doctor::stats::Stats;
    use crate::names::Names;

    fn with_stats(text: &str, stats: &str) -> Seen {
        let admin = Admin { stats: Stats::parse(stats, &Names::default()), ..Admin::default() };
        Seen { admin: Some(admin), ..page_only(text) }
    }

    const GOOD: &str = "# TYPE istio_requests_total counter\n\
        istio_requests_total{reporter=\"source\",source_app=\"shop\",response_code=\"200\"} 3\n\
        # TYPE istio_request_bytes histogram\n\
        istio_request_bytes_bucket{reporter=\"source\",source_app=\"shop\",le=\"+Inf\"} 3\n\
        istio_build{component=\"proxy\",tag=\"1.25.0\"} 1\n";

    const GOOD_STATS: &str = "\
        wasmcustom.reporter=.=source;.;source_app=.=shop;.;response_code=.=200;.;istio_requests_total: 3\n\
        wasmcustom.reporter=.=source;.;source_app=.=shop;.;istio_request_bytes: P0(1,1)\n\
        wasmcustom.component.proxy.tag.1.25.0;.istio_build: 1\n";

    #[test]
    fn nothing_is_wrong_with_a_good_page() {
        for seen in [page_only(GOOD), with_stats(GOOD, GOOD_STATS)] {
            assert_eq!(find(&seen), []);
        }
    }

    #[test]
    fn under_another_prefix_istios_own_are_none_of_the_plugins() {
        let names = Names::with_prefixes(["mesh_".to_owned()]);
        let text = "mesh_requests_total{} 3\nistio_requests_total{cache=\"x\"} 3\n";
        assert_eq!(find(&Seen { names, ..page_only(text) }), []);
    }

    #[test]
    fn labels_that_the_plugin_did_not_write() {
        let text = GOOD.replace("source_app=\"shop\"", "source_app=\"a.cache.x.b\",cache=\"x\"");
        for seen in [page_only(&text), with_stats(&text, GOOD_STATS)] {
            let finding = only(find(&seen));
            assert_eq!(
                finding.seen,
                ["cache=\"x\" on istio_requests_total, out of source_app=\"a.cache.x.b\""]
            );
            assert!(finding.paste[0].lines.contains("regex: cache"));
        }
        // Only the stats tell that nobody set this one.
        let text = GOOD.replace("source_app=\"shop\"", "source_app=\"shop\",app=\"shop\"");
        assert_eq!(find(&page_only(&text)), []);
        assert_eq!(only(find(&with_stats(&text, GOOD_STATS))).symptom, &SPURIOUS);
    }

    #[test]
    fn fixed_labels_are_meant() {
        let text = GOOD.replace("source_app=\"shop\"", "source_app=\"shop\",zone=\"z1\"");
        let mut seen = with_stats(&text, GOOD_STATS);
        seen.admin.as_mut().unwrap().fixed_labels.push("zone".to_owned());
        assert_eq!(find(&seen), []);
    }
}
