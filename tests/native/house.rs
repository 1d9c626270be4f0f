//! The house: data flows one way through it, and no room is too large to be
//! looked over.

mod arrows;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use arrows::{Arrow, Arrows};

/// The stages of the core, from the first to the last: each knows those before it.
/// A file directly below `src/` with no folder beside it is a stage, too.
const STAGES: [&str; 15] = [
    "collections",
    "wire",
    "version",
    "host",
    "catalogue",
    "attribute",
    "attachment",
    "workload",
    "config",
    "peer",
    "facts",
    "rules",
    "series",
    "stats",
    "exchange",
];

/// Lines of a file that a reader still looks over.
const MAX_LINES: usize = 400;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Every Rust file of a folder, by its path below it.
fn sources(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), text);
            }
        }
    }
    assert!(!found.is_empty(), "{} holds no source", folder.display());
    found
}

fn stage_of(file: &Path) -> usize {
    let first = file.components().next().unwrap();
    let name = Path::new(first.as_os_str()).file_stem().unwrap();
    let stage = STAGES.iter().position(|stage| name == *stage);
    stage.unwrap_or_else(|| {
        panic!("{} is of no stage: STAGES in this test says which there are", file.display())
    })
}

#[test]
fn no_arrow_leads_to_a_later_stage() {
    let arrows = Arrows::of(&sources(&folder("src")));
    let back = |arrow: &&Arrow| stage_of(&arrow.from) < stage_of(&arrow.to);
    let back: Vec<_> = arrows.iter().filter(back).map(ToString::to_string).collect();
    assert!(back.is_empty(), "a stage uses a later one:\n{}", back.join("\n"));
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    for name in ["src", "tools/src"] {
        let arrows = Arrows::of(&sources(&folder(name)));
        assert!(arrows.iter().count() > 50, "{name}: too few arrows, something was not read");
        if let Some(circle) = arrows.circle() {
            let circle: Vec<_> = circle.iter().map(ToString::to_string).collect();
            panic!("{name}: files use each other in a circle:\n{}", circle.join("\n"));
        }
    }
}

#[test]
fn no_file_is_too_long() {
    for name in ["src", "tools/src"] {
        for (path, text) in sources(&folder(name)) {
            let lines = text.lines().count();
            assert!(lines <= MAX_LINES, "{name}/{}: {lines} lines, at most {MAX_LINES}", path.display());
        }
    }
}

/// The files of the core whose code, tests aside, has one of these words.
fn files_with(words: &[&str]) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let code = |text: &str| {
        let code = text.split("#[cfg(test)]").next().unwrap().lines();
        code.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    };
    let sources = sources(&folder("src")).into_iter();
    let sources = sources.filter(|(path, _)| !path.starts_with("host/fake"));
    let named =
        sources.filter(|(_, text)| code(text).split(|c| !is_part(c)).any(|word| words.contains(&word)));
    named.map(|(path, _)| path.to_str().unwrap().to_owned()).collect()
}

/// What CONTRIBUTING.md promises of each addition, counted for one that is there.
#[test]
fn what_is_added_is_added_in_two_files() {
    let label_of_a_workload = ["SourceApp", "DestinationApp", "source_app", "destination_app", "app"];
    assert_eq!(files_with(&label_of_a_workload), ["catalogue/dimension.rs", "workload/fact.rs"]);
    let version = ["SourceVersion", "DestinationVersion", "AppVersion"];
    assert_eq!(files_with(&version), ["catalogue/dimension.rs", "workload/fact.rs"]);
    let peer_source = ["DownstreamPeerMetadata", "UpstreamPeerMetadata"];
    assert_eq!(files_with(&peer_source), ["attribute/element.rs", "peer/sources.rs"]);
    let http_metric = ["ResponseBytes", "response_bytes"];
    assert_eq!(files_with(&http_metric), ["catalogue/metric.rs", "facts/outcome.rs"]);
    let tcp_metric = ["TcpDuration", "tcp_connection_duration_milliseconds"];
    assert_eq!(files_with(&tcp_metric), ["catalogue/metric.rs", "stats/tcp.rs"]);
}

/// The tests above have to see what they are there for.
#[test]
fn an_arrow_is_seen_however_it_is_written() {
    let files = [
        ("lib.rs", "pub mod a; pub mod b; pub mod c; pub mod d;"),
        ("a.rs", "pub mod deep; pub use deep::Deep; fn f() { crate::c::g(); }"),
        ("a/deep.rs", "pub struct Deep; #[cfg(test)] mod tests { use crate::d::D; }"),
        ("b.rs", "use crate::{a::Deep, c::{self, G}}; use std::fmt; use serde::de;"),
        ("c.rs", "impl super::d::D { fn x() {} }"),
        ("d.rs", "use crate::b; pub struct D;"),
    ];
    let files = files.into_iter().map(|(path, text)| (PathBuf::from(path), text.to_owned())).collect();
    let arrows = Arrows::of(&files);
    let seen: Vec<_> =
        arrows.iter().map(|arrow| (arrow.from.to_str().unwrap(), arrow.to.to_str().unwrap())).collect();
    assert_eq!(
        seen,
        [("a.rs", "c.rs"), ("b.rs", "a/deep.rs"), ("b.rs", "c.rs"), ("c.rs", "d.rs"), ("d.rs", "b.rs")]
    );
    let circle: Vec<_> = arrows.circle().unwrap().iter().map(|arrow| arrow.from.clone()).collect();
    assert_eq!(circle, ["c.rs", "d.rs", "b.rs"].map(PathBuf::from));
}
