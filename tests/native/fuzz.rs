//! The fuzz targets for a short time, the same each time: their corpora, then
//! mutations of them. `make fuzz` runs them for long.

use std::fs;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
pub mod targets;

use istio_stats::config::Config;
use serde_json::json;
use targets::input::hash;

/// About a third of a second of a debug build for each target.
const MUTATIONS: [(&str, usize); targets::TARGETS.len()] = [
    ("configuration", 1200),
    ("extremes", 100),
    ("peer_header", 6000),
    ("tcp_frame", 4000),
    ("pairs", 20_000),
    ("flat_buffer", 10_000),
    ("istio_peer", 4000),
    ("stat_name", 2500),
    ("http_story", 500),
    ("likeness", 20),
];

#[test]
fn configuration() {
    run("configuration");
}

#[test]
fn extremes() {
    run("extremes");
}

#[test]
fn peer_header() {
    run("peer_header");
}

#[test]
fn tcp_frame() {
    run("tcp_frame");
}

#[test]
fn pairs() {
    run("pairs");
}

#[test]
fn flat_buffer() {
    run("flat_buffer");
}

#[test]
fn istio_peer() {
    run("istio_peer");
}

#[test]
fn stat_name() {
    run("stat_name");
}

#[test]
fn http_story() {
    run("http_story");
}

#[test]
fn likeness() {
    run("likeness");
}

#[test]
fn every_field_at_every_extreme_leaves_requests_counted() {
    for field in Config::fields("") {
        for value in targets::extremes::scalars() {
            targets::extremes::counts(&json!({field.name: value}).to_string());
        }
    }
}

#[test]
fn the_readme_describes_every_target() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/README.md");
    let readme = fs::read_to_string(readme).unwrap();
    for (name, _) in targets::TARGETS {
        let rows = readme.lines().filter(|line| line.starts_with(&format!("| `{name}` |")));
        assert_eq!(rows.count(), 2, "{name}: what it promises, and its numbers");
    }
}

fn run(name: &str) {
    let (_, target) = targets::TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
    let (_, mutations) = MUTATIONS.into_iter().find(|(known, _)| *known == name).unwrap();
    let corpus = corpus(name);
    for (file, bytes) in &corpus {
        check(target, bytes, &format!("fuzz/corpus/{name}/{file}"));
    }
    let mut random = Random(hash(name.as_bytes()));
    for n in 0..mutations {
        let mut bytes = random.choose(&corpus).1.clone();
        for _ in 0..=random.below(4) {
            let other = &random.choose(&corpus).1;
            random.mutate(&mut bytes, other);
        }
        check(target, &bytes, &format!("mutation {n} of {name}"));
    }
}

/// The corpus of a target, by file name: the order must not depend on the disk.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut corpus: Vec<_> = files
        .map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())
        })
        .collect();
    corpus.sort();
    assert!(!corpus.is_empty(), "nothing in {}", directory.display());
    corpus
}

fn check(target: targets::Target, bytes: &[u8], what: &str) {
    let result = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    assert!(result.is_ok(), "{what}: panicked on b\"{}\"", bytes.escape_ascii());
}

/// A linear congruential generator: the same numbers everywhere.
struct Random(u32);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // The lower bits have short periods.
        (self.0 >> 8) as usize % bound.max(1)
    }

    fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn range(&mut self, length: usize) -> core::ops::Range<usize> {
        let start = self.below(length + 1);
        start..start + self.below((length - start).min(32) + 1)
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        const ODD: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b';', b'"', b'.'];
        let at = self.below(bytes.len());
        match self.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[at] = *self.choose(&ODD),
            2 => drop(bytes.drain(self.range(bytes.len()))),
            3 => bytes.insert(at, *self.choose(&ODD)),
            4 => {
                let copied = other[self.range(other.len())].to_vec();
                bytes.splice(at..at, copied);
            }
            _ => {
                let replaced = self.range(bytes.len());
                let copied = other[self.range(other.len())].to_vec();
                bytes.splice(replaced, copied);
            }
        }
    }
}
