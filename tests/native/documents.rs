//! The documents say what the code's tables say, and their links lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use istio_stats::catalogue::dimension::{Dimension, LabelSet};
use istio_stats::catalogue::metric::{Metric, PREFIX};
use istio_stats::catalogue::own_metric::{self, OwnMetric};
use istio_stats::config::bounds::{
    MAX_CONDITIONS, MAX_DEFINITIONS, MAX_ENTRIES, MAX_EXPRESSION_BYTES, MAX_LABELS, MAX_NAME_BYTES,
};
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
fn the_readme_lists_what_the_plugin_tells_of_itself() {
    let readme = file("README.md");
    for OwnMetric { name, kind } in own_metric::ALL {
        let mut rows = readme.lines().filter(|line| {
            let rest = line.strip_prefix(&format!("| `{PREFIX}{name}"));
            rest.is_some_and(|rest| rest.starts_with(['`', '{']))
        });
        let kind = format!("{kind:?}").to_lowercase();
        assert!(rows.next().is_some_and(|row| row.contains(&format!("| {kind} |"))), "{name}: {kind}");
        assert_eq!(rows.next(), None, "{name}");
    }
}

#[test]
fn the_readme_says_the_bounds_of_a_configuration() {
    let readme = file("README.md");
    let words = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = format!(
        "{MAX_ENTRIES} entries of a list, {MAX_DEFINITIONS} definitions, {MAX_LABELS} labels that are set, \
         {MAX_CONDITIONS} conditions; names of {MAX_NAME_BYTES} bytes and expressions of {MAX_EXPRESSION_BYTES}"
    );
    assert!(words.contains(&sentence), "README.md does not say: {sentence}");
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

/// Every document below a directory, but for what was built or downloaded.
fn documents(directory: &Path) -> Vec<PathBuf> {
    let built = ["target", "dist", "out", "node_modules"];
    let mut found = vec![];
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with('.') || built.contains(&name) {
            continue;
        }
        if path.is_dir() {
            found.extend(documents(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

/// Without code, in which brackets mean something else and `#` begins a comment.
fn prose(document: &str) -> String {
    document.split("```").step_by(2).collect()
}

/// A title as GitHub makes an anchor of it.
fn anchor(title: &str) -> String {
    let title = title.trim_start_matches('#').trim().to_lowercase();
    let kept = title.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut count = 0;
    for path in documents(Path::new(ROOT)) {
        let document = prose(&fs::read_to_string(&path).unwrap());
        let links = document.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0);
        for link in links.filter(|link| !link.contains("://")) {
            let (target, wanted) = link.split_once('#').unwrap_or((link, ""));
            let target = if target.is_empty() { path.clone() } else { path.with_file_name(target) };
            assert!(target.exists(), "{}: there is no {link}", path.display());
            if !wanted.is_empty() {
                let target = prose(&fs::read_to_string(&target).unwrap());
                let mut titles = target.lines().filter(|line| line.starts_with('#'));
                assert!(
                    titles.any(|title| anchor(title) == wanted),
                    "{}: there is no {link}",
                    path.display()
                );
            }
            count += 1;
        }
    }
    assert!(count > 100, "{count} links");
}
