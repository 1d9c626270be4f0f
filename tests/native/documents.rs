//! The documents and samples say what the code's tables say.

use std::fs;
use std::path::{Path, PathBuf};

use istio_stats::dimension::{Dimension, LabelSet};
use istio_stats::host::MetricKind;
use istio_stats::metric::{Metric, PREFIX};

/// Tags of our own metrics, beside the standard labels.
const OTHER_TAGS: [&str; 3] = ["reason", "component", "tag"];

fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The tag names in a bootstrap's `stats_tags`, with their lines.
fn stats_tags(text: &str) -> Vec<(String, String)> {
    let tag = |line: &str| {
        let (_, rest) = line.split_once("tag_name: ")?;
        let name = rest.split([',', ' ']).next()?;
        Some((name.to_owned(), line.trim().to_owned()))
    };
    text.lines().filter_map(tag).collect()
}

/// A table's lines between `<!-- name -->` and the next blank line.
fn table(document: &str, name: &str) -> Vec<String> {
    let marker = format!("<!-- {name} -->");
    let lines = document.lines().skip_while(|line| *line != marker).skip(1);
    lines.take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
}

fn standalone() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root.join("envoy-config/standalone")).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect()
}

#[test]
fn the_stats_tags_are_the_labels_in_order() {
    let expected: Vec<_> = Dimension::ALL.iter().map(|d| d.name()).chain(OTHER_TAGS).collect();
    let tags = stats_tags(&file("envoy-config/stats_tags.yaml"));
    assert_eq!(tags.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected);
    for (name, line) in tags {
        if name != "component" && name != "tag" {
            let regex = format!(r"^wasmcustom\.(?:[^;]*;\.;)*?({name}=\.=([^;]*);\.;)");
            assert!(line.contains(&regex), "{line}");
        }
    }
}

#[test]
fn every_standalone_bootstrap_holds_the_same_stats_tags() {
    let expected = stats_tags(&file("envoy-config/stats_tags.yaml"));
    let samples = standalone();
    assert!(samples.len() >= 2);
    for path in samples {
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(stats_tags(&text), expected, "{}", path.display());
    }
}

#[test]
fn the_annotation_for_istio_names_every_label() {
    let readme = file("envoy-config/README.md");
    let line = readme.lines().find(|line| line.starts_with("sidecar.istio.io/extraStatTags: ")).unwrap();
    let (_, names) = line.split_once(": ").unwrap();
    let expected: Vec<_> = Dimension::ALL.iter().map(|d| d.name()).chain(["reason"]).collect();
    assert_eq!(names.split(',').collect::<Vec<_>>(), expected);
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
