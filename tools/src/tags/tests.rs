use super::*;
use crate::extraction::StatsTags;
use istio_stats::catalogue::metric;
use istio_stats::host::fake::FakeHost;
use istio_stats::stats::plugin::StatsPlugin;

fn stats_tags(names: &[StatName]) -> StatsTags {
    read_block(&stat_names::positions(names))
}

fn read_block(positions: &[LabelPosition]) -> StatsTags {
    let list = crate::yaml::parse(&block(positions)).unwrap();
    StatsTags::read(list[0].get("stats_tags").unwrap())
}

fn of(configuration: &str) -> Vec<StatName> {
    let (config, issues) = Config::compile(configuration.as_bytes());
    assert_eq!(issues, []);
    let mut names = stat_names::of_config(&config.unwrap());
    names.extend(stat_names::of_plugin());
    names
}

#[test]
fn every_label_comes_out_of_every_name() {
    let many = r#"{
            "definitions": [{"name": "n", "value": "1"}],
            "metrics": [
                {"dimensions": {"a": "request.id", "source_app": "string(response.code)", "reason": "'x'"}},
                {"name": "requests_total", "match": "request.method == 'GET'", "tags_to_remove": ["source_cluster"]},
                {"name": "tcp_sent_bytes_total", "match": "request.method == 'PUT'", "tags_to_remove": ["reporter"]}
            ]
        }"#;
    for configuration in ["{}", r#"{"labels": ["response_code", "source_app"]}"#, many] {
        let names = of(configuration);
        let tags = stats_tags(&names);
        for name in &names {
            // What a value may hold that looks most like a separator.
            let value = |n| format!("{n}.=.:=");
            let extracted = tags.extract(&full_name(name, value));
            let expected = name.labels.iter().enumerate().map(|(n, label)| (label.name.clone(), value(n)));
            let mut labels = extracted.labels;
            labels.sort();
            let mut expected: Vec<_> = expected.collect();
            expected.sort();
            assert_eq!(labels, expected, "{configuration}");
            assert_eq!(extracted.name, format!("{WASM_PREFIX}{}{}", metric::PREFIX, name.metric));
        }
    }
}

#[test]
fn a_list_that_searches_fits_configurations_with_fewer_labels() {
    let mut positions = stat_names::positions(&of("{}"));
    let counting = read_block(&positions);
    positions.iter_mut().for_each(|label| label.position = None);
    let searching = read_block(&positions);
    let fewer = of(r#"{"metrics": [{"tags_to_remove": ["reporter"]}]}"#);
    let name = full_name(&fewer[0], |n| n.to_string());
    assert_eq!(searching.extract(&name).labels.len(), fewer[0].labels.len());
    assert_eq!(counting.extract(&name).labels, []);
}

/// What the plugin really defines when it starts: gauges about itself.
#[test]
fn the_plugins_own_names_come_out_clean() {
    let proxy = FakeHost::new();
    proxy.set_node_metadata("ISTIO_VERSION", "1.29.2");
    proxy.set_plugin_configuration("{\"zone\": 1}");
    assert!(StatsPlugin::configure(&proxy).is_some());
    let tags = stats_tags(&of("{}"));
    let names = proxy.stat_names();
    assert!(names.len() >= 2, "{names:?}");
    for (_, name) in names {
        let extracted = tags.extract(&format!("{WASM_PREFIX}{name}"));
        let metric = extracted.name.strip_prefix(WASM_PREFIX).unwrap();
        let is_clean = metric.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        assert!(is_clean && metric.starts_with(metric::PREFIX), "{name} leaves {metric}");
    }
}

#[test]
fn istios_annotation_names_every_label() {
    let positions = stat_names::positions(&of(r#"{"labels": ["reporter"]}"#));
    assert_eq!(annotation(&positions), "sidecar.istio.io/extraStatTags: reporter,reason");
}

#[test]
fn known_and_new_labels_have_anywhere() {
    assert_eq!(
        anywhere(["source_app", "team"]),
        r"- { tag_name: source_app, regex: '^wasmcustom\.(?:[^;]*;\.;)*?(source_app=\.=([^;]*);\.;)' }
- { tag_name: team, regex: '^wasmcustom\.(?:[^;]*;\.;)*?(team=\.=([^;]*);\.;)' }"
    );
    assert!(anywhere(["tag"]).contains("component"));
}
