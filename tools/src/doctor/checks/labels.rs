//! Whether the labels that the plugin wrote into a stat's name arrived as labels.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use istio_stats::catalogue::dimension::Dimension;

use crate::doctor::config::Config;
use crate::doctor::finding::Finding;
use crate::doctor::plugin::{Plugin, Role};
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::symptom::Symptom;
use crate::exposition::{Labels, Page};
use crate::tags;

/// Names of one family on the page, taken apart.
struct Family<'a> {
    name: &'a str,
    /// What precedes the metric: nothing, if all is well.
    prefix: &'a str,
    metric: &'a str,
    labels: BTreeSet<&'a str>,
    example: &'a Labels,
}

/// What ends a label in a sanitised name; the `=.=` between label and value looks
/// the same.
const SEPARATOR: &str = "___";
/// What ends a value in the name that the plugin gave.
const VALUE_END: &str = ";.;";
/// Labels that no standard metric has, but Istio's bootstraps look for.
const ISTIO_EXTRAS: [&str; 4] = ["cache", "component", "tag", "wasm_filter"];

/// Labels that stayed in the names of metrics, or will.
pub(crate) fn in_names(seen: &Seen) -> Vec<Finding> {
    let known = known_labels(seen);
    let families = families(seen);
    let mut stuck = BTreeSet::new();
    let mut swallowed = BTreeSet::new();
    let mut stuck_in = Vec::new();
    let mut swallowed_in = Vec::new();
    for family in families.iter().filter(|family| !family.prefix.is_empty()) {
        let labels = labels_in(family, seen, &known);
        let (taken, left): (BTreeSet<_>, BTreeSet<_>) =
            labels.into_iter().partition(|label| family.labels.contains(label.as_str()));
        if !taken.is_empty() {
            swallowed_in.push(family);
        } else if !left.is_empty() {
            stuck_in.push(family);
        }
        swallowed.extend(taken);
        stuck.extend(left);
    }
    let mut findings = Vec::new();
    if !stuck.is_empty() {
        let seen_of = [
            format!("metrics: {}, {}", stuck_in.len(), example(&stuck_in)),
            format!("labels: {}", join(&stuck)),
        ];
        findings.push(with_lines(Finding::new(Symptom::LabelInName, seen_of), seen, &stuck, &known));
    } else if let Some(finding) = expected_in_names(seen) {
        findings.push(finding);
    }
    if !swallowed.is_empty() {
        let mut facts = vec![example(&swallowed_in)];
        facts.extend(swallowed.iter().map(|label| describe_swallowed(label, &swallowed_in)));
        let lines = tags::anywhere(swallowed.iter().map(String::as_str));
        findings.push(Finding::new(Symptom::Swallowed, facts).paste(BOOTSTRAP, lines));
    }
    findings
}

/// Values that hold what ends a value.
pub(crate) fn greedy(seen: &Seen) -> Vec<Finding> {
    let mut values = BTreeMap::new();
    for family in families(seen) {
        for (label, value) in &family.example.0 {
            if value.contains(VALUE_END) {
                values.entry(label.as_str()).or_insert(value.as_str());
            }
        }
    }
    if values.is_empty() {
        return Vec::new();
    }
    let facts = values.iter().map(|(label, value)| format!("{label}={}", shorten(value)));
    vec![Finding::new(Symptom::Greedy, facts).paste(BOOTSTRAP, tags::anywhere(values.keys().copied()))]
}

/// Labels that the plugin did not write.
pub(crate) fn spurious(seen: &Seen) -> Vec<Finding> {
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
    vec![Finding::new(Symptom::Spurious, facts.into_values())
        .paste("`metric_relabel_configs` of the scrape, if these labels are nowhere else", drop)]
}

const BOOTSTRAP: &str = "`stats_config.stats_tags` of the bootstrap";

/// Before anything was counted: labels that the configuration asks for and the
/// bootstrap has no line for.
fn expected_in_names(seen: &Seen) -> Option<Finding> {
    let admin = seen.admin.as_ref()?;
    let counted =
        admin.stats.plugin.iter().any(|stat| stat.labels.iter().any(|(label, _)| label == "reporter"));
    if counted {
        return None;
    }
    let plugins: Vec<_> = admin.config.plugins(Role::Stats).map(|(_, plugin)| plugin).collect();
    let wanted: BTreeSet<_> = plugins.iter().flat_map(|plugin| configured_labels(plugin)).collect();
    let lacking: BTreeSet<_> = wanted.into_iter().filter(|label| !admin.config.has_tag(label)).collect();
    if lacking.is_empty() {
        return None;
    }
    let facts = [format!("nothing was counted yet; the bootstrap has no line for: {}", join(&lacking))];
    Some(with_lines(Finding::new(Symptom::LabelInName, facts), seen, &lacking, &known_labels(seen)))
}

/// The labels that this plugin emits on one metric or other.
fn configured_labels(plugin: &Plugin) -> Vec<String> {
    let Some(config) = plugin.stats_config() else {
        return Vec::new();
    };
    let standard = config.labels.unwrap_or_else(|| Dimension::ALL.map(|one| one.name().to_owned()).to_vec());
    let added = config.overrides.into_iter().flat_map(|change| change.dimensions).map(|(label, _)| label);
    standard.into_iter().chain(added).collect()
}

/// All labels that there may be, as far as it is known.
fn known_labels(seen: &Seen) -> BTreeSet<String> {
    let mut known: BTreeSet<_> = Dimension::ALL.map(|one| one.name().to_owned()).into();
    known.insert("reason".to_owned());
    if let Some(Admin { config, stats, .. }) = &seen.admin {
        known.extend(config.plugins(Role::Stats).flat_map(|(_, plugin)| configured_labels(plugin)));
        known.extend(stats.plugin.iter().flat_map(|stat| stat.labels.iter().map(|(label, _)| label.clone())));
    }
    known
}

/// The lines for the labels; for Istio, which needs all of them in one line, all.
fn with_lines(finding: Finding, seen: &Seen, labels: &BTreeSet<String>, known: &BTreeSet<String>) -> Finding {
    let is_istio = seen.config().map(|config: &Config| config.is_istio);
    let mut finding = finding;
    if is_istio != Some(true) {
        finding = finding.paste(BOOTSTRAP, tags::anywhere(labels.iter().map(String::as_str)));
    }
    if is_istio != Some(false) {
        let standard: Vec<_> = Dimension::ALL.iter().map(|one| one.name()).collect();
        let more = known.union(labels).map(String::as_str);
        let more = more.filter(|label| !standard.contains(label) && !matches!(*label, "component" | "tag"));
        let all: Vec<_> = standard.iter().copied().chain(more).collect();
        let annotation = format!("sidecar.istio.io/extraStatTags: {}", all.join(","));
        finding = finding.paste("the pod's annotations, if this is a proxy of Istio's", annotation);
    }
    finding
}

fn families(seen: &Seen) -> Vec<Family<'_>> {
    let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    let names = names(&seen.page);
    for sample in &seen.page.samples {
        let name = base(&sample.name, &names);
        let Some((prefix, metric)) = seen.names.split(name) else {
            continue;
        };
        let family = families.entry(name).or_insert_with(|| Family {
            name,
            prefix,
            metric,
            labels: BTreeSet::new(),
            example: &sample.labels,
        });
        family.labels.extend(sample.labels.names());
    }
    families.into_values().collect()
}

/// A sample's family: its name without what a histogram adds.
fn base<'a>(name: &'a str, families: &HashSet<&str>) -> &'a str {
    let stripped = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    stripped.filter(|base| families.contains(base)).unwrap_or(name)
}

fn names(page: &Page) -> HashSet<&str> {
    page.families.iter().map(String::as_str).collect()
}

/// The labels inside a family's name.
fn labels_in(family: &Family<'_>, seen: &Seen, known: &BTreeSet<String>) -> Vec<String> {
    if seen.names.is_build(family.metric) {
        return build_labels_in(family.prefix);
    }
    let starts = family.prefix.char_indices().map(|(at, _)| family.prefix.split_at(at));
    let starts = starts.filter(|(before, _)| before.is_empty() || before.ends_with(SEPARATOR));
    let found: Vec<_> = starts
        .filter_map(|(_, rest)| {
            let begins =
                |label: &&String| rest.strip_prefix(label.as_str()).is_some_and(|r| r.starts_with(SEPARATOR));
            known.iter().find(begins).cloned()
        })
        .collect();
    if found.is_empty() && family.prefix.ends_with(SEPARATOR) {
        // Of a label that is not known here: name and value take turns.
        return family
            .prefix
            .split(SEPARATOR)
            .step_by(2)
            .filter(|label| !label.is_empty())
            .map(str::to_owned)
            .collect();
    }
    found
}

/// `component_proxy_tag_1_25_0__`, or a part of it.
fn build_labels_in(prefix: &str) -> Vec<String> {
    let mut labels = Vec::new();
    if prefix.starts_with("component_") {
        labels.push("component".to_owned());
    }
    if prefix.starts_with("tag_") || prefix.contains("_tag_") {
        labels.push("tag".to_owned());
    }
    labels
}

fn is_fixed(admin: &Admin, label: &str) -> bool {
    let by_config = admin.config.tags.iter().any(|tag| tag.fixed && tag.name == label);
    // Of a histogram's buckets.
    by_config || label == "le" || admin.fixed_labels.iter().any(|fixed| fixed == label)
}

/// Whose value the label has instead of its own.
fn describe_swallowed(label: &str, families: &[&Family<'_>]) -> String {
    for family in families {
        let Some(value) = family.example.get(label) else {
            continue;
        };
        let is_source =
            |(other, text): &&(String, String)| other != label && other.ends_with(label) && text == value;
        if let Some((other, _)) = family.example.0.iter().find(is_source) {
            return format!("{label}={value:?} is the value of {other}");
        }
    }
    format!("{label} is a label, too, with another value")
}

fn example(families: &[&Family<'_>]) -> String {
    families.first().map_or(String::new(), |family| format!("for example {}", shorten(family.name)))
}

/// Long names are cut amid: what tells them apart is at their ends.
fn shorten(text: &str) -> String {
    const ENDS: usize = 45;
    let count = text.chars().count();
    if count <= ENDS.saturating_mul(2) {
        return text.to_owned();
    }
    let head: String = text.chars().take(ENDS).collect();
    let tail: String = text.chars().skip(count.saturating_sub(ENDS)).collect();
    format!("{head}…{tail}")
}

fn join(labels: &BTreeSet<String>) -> String {
    labels.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::stats::Stats;
    use crate::doctor::symptom::Symptom;
    use crate::names::Names;

    fn page_only(text: &str) -> Seen {
        Seen { page: Page::parse(text, |_| true).unwrap(), ..Seen::default() }
    }

    fn with_stats(text: &str, stats: &str) -> Seen {
        let admin = Admin { stats: Stats::parse(stats, &Names::default()), ..Admin::default() };
        Seen { admin: Some(admin), ..page_only(text) }
    }

    fn only(findings: Vec<Finding>) -> Finding {
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        finding.clone()
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
            for check in [in_names, greedy, spurious] {
                assert_eq!(check(&seen), []);
            }
        }
    }

    #[test]
    fn names_with_all_labels_or_one() {
        let all = page_only("reporter___source___grpc_response_status______istio_requests_total{} 3\n");
        let finding = only(in_names(&all));
        assert_eq!(finding.seen[1], "labels: grpc_response_status, reporter");
        assert!(finding.paste[0].lines.contains("tag_name: reporter, regex: '^wasmcustom"), "{finding:?}");
        assert!(finding.paste[1]
            .lines
            .starts_with("sidecar.istio.io/extraStatTags: reporter,source_workload,"));

        let new = page_only("zone___Z1___istio_requests_total{reporter=\"source\"} 3\n");
        let finding = only(in_names(&new));
        assert_eq!(finding.seen[1], "labels: zone");
        assert!(finding.paste[0].lines.contains("(zone=\\.=([^;]*);\\.;)"));
    }

    #[test]
    fn names_begin_with_any_prefix() {
        let text = "zone___Z1___mesh_requests_total{reporter=\"source\"} 3\n";
        assert_eq!(in_names(&page_only(text)), []);
        let seen = Seen { names: Names::with_prefixes(["mesh_".to_owned()]), ..page_only(text) };
        assert_eq!(only(in_names(&seen)).seen[1], "labels: zone");
        // Istio's own are none of the plugin's.
        let text = text.to_owned() + "istio_requests_total{cache=\"x\"} 3\n";
        assert_eq!(spurious(&Seen { names: seen.names, ..page_only(&text) }), []);
    }

    #[test]
    fn histograms_count_once() {
        let seen = page_only(
            "# TYPE zone___a___istio_request_bytes histogram\n\
             zone___a___istio_request_bytes_bucket{le=\"1\"} 0\nzone___a___istio_request_bytes_count{} 0\n",
        );
        assert_eq!(only(in_names(&seen)).seen[0], "metrics: 1, for example zone___a___istio_request_bytes");
    }

    #[test]
    fn build_labels_stay_in_names_in_their_own_form() {
        let both = page_only("component_proxy_tag_1_25_0__istio_build{} 1\n");
        assert_eq!(only(in_names(&both)).seen[1], "labels: component, tag");
        let one = page_only("tag_1_25_0__istio_build{component=\"proxy\"} 1\n");
        assert_eq!(only(in_names(&one)).seen[1], "labels: tag");
    }

    #[test]
    fn other_names_are_no_labels() {
        let seen = page_only("my_istio_metric{} 1\nistio_agent_startup{} 1\npilot_x{} 1\n");
        assert_eq!(in_names(&seen), []);
    }

    #[test]
    fn a_label_that_is_also_a_label_was_swallowed() {
        let seen = page_only("app___mine___istio_requests_total{source_app=\"shop\",app=\"shop\"} 3\n");
        let finding = only(in_names(&seen));
        assert_eq!(finding.symptom, Symptom::Swallowed);
        assert_eq!(finding.seen[1], "app=\"shop\" is the value of source_app");
        assert!(finding.paste[0].lines.contains("tag_name: app,"));
    }

    #[test]
    fn values_that_go_on_too_long() {
        let seen = page_only("istio_requests_total{reporter=\"source;.;source_app=.=shop\"} 3\n");
        assert_eq!(only(greedy(&seen)).seen, ["reporter=source;.;source_app=.=shop"]);
    }

    #[test]
    fn labels_that_the_plugin_did_not_write() {
        let text = GOOD.replace("source_app=\"shop\"", "source_app=\"a.cache.x.b\",cache=\"x\"");
        for seen in [page_only(&text), with_stats(&text, GOOD_STATS)] {
            let finding = only(spurious(&seen));
            assert_eq!(
                finding.seen,
                ["cache=\"x\" on istio_requests_total, out of source_app=\"a.cache.x.b\""]
            );
            assert!(finding.paste[0].lines.contains("regex: cache"));
        }
        // Only the stats tell that nobody set this one.
        let text = GOOD.replace("source_app=\"shop\"", "source_app=\"shop\",app=\"shop\"");
        assert_eq!(spurious(&page_only(&text)), []);
        assert_eq!(only(spurious(&with_stats(&text, GOOD_STATS))).symptom, Symptom::Spurious);
    }

    #[test]
    fn fixed_labels_are_meant() {
        let text = GOOD.replace("source_app=\"shop\"", "source_app=\"shop\",zone=\"z1\"");
        let mut seen = with_stats(&text, GOOD_STATS);
        seen.admin.as_mut().unwrap().fixed_labels.push("zone".to_owned());
        assert_eq!(spurious(&seen), []);
    }
}
