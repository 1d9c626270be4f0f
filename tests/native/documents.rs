//! The documents say what the code's tables say.

use std::fs;
use std::path::Path;
use std::process::Command;

use istio_stats::catalogue::dimension::{Dimension, LabelSet};
use istio_stats::catalogue::metric::{Metric, PREFIX};
use istio_stats::host::MetricKind;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A table's lines between `<!-- name -->` and the next blank line.
fn table(document: &str, name: &str) -> Vec<String> {
    let marker = format!("<!-- {name} -->");
    let lines = document.lines().skip_while(|line| *line != marker).skip(1);
    lines.take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
}

#[test]
fn the_readme_lists_every_metric() {
    let mut expected =
        vec!["| metric | type | labels | what it counts |".to_owned(), "|---|---|---|---|".to_owned()];
    for metric in Metric::ALL {
        let kind = match metric.kind() {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let labels = metric.labels().dimensions().len();
        expected.push(format!("| `{PREFIX}{}` | {kind} | {labels} | {} |", metric.name(), metric.help()));
    }
    assert_eq!(table(&file("README.md"), "metrics"), expected);
}

#[test]
fn the_readme_lists_every_label() {
    let sets = [(LabelSet::Messages, "all"), (LabelSet::Tcp, "HTTP, TCP"), (LabelSet::Http, "HTTP")];
    let mut expected = vec!["| label | on | what it says |".to_owned(), "|---|---|---|".to_owned()];
    for dimension in Dimension::ALL {
        let (_, on) = sets.iter().find(|(set, _)| set.dimensions().contains(&dimension)).unwrap();
        expected.push(format!("| `{}` | {on} | {} |", dimension.name(), dimension.help()));
    }
    assert_eq!(table(&file("README.md"), "labels"), expected);
}

#[test]
fn the_readme_lists_every_supported_envoy() {
    let listed = Command::new("scripts/envoy-path").arg("--list").current_dir(ROOT).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut versions: Vec<_> = listed.split_whitespace().collect();
    let newest = versions.pop().unwrap();
    let sentence = format!("\n{} and {newest}, with the V8 runtime.", versions.join(", "));
    assert!(file("README.md").contains(&sentence), "README.md does not say:{sentence}");
}

#[test]
fn the_changelog_begins_with_this_version() {
    let changelog = file("CHANGELOG.md");
    let newest = changelog.lines().find(|line| line.starts_with("## ")).unwrap();
    assert!(newest.starts_with(concat!("## [", env!("CARGO_PKG_VERSION"), "] - ")), "{newest}");
}
