//! README's tables of fields hold those that are read.

use std::fs;
use std::path::Path;

use istio_stats::config::notes::Field;
use istio_stats::config::Config;
use istio_stats::exchange;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The rows of the first table below a line, as cells.
fn rows(document: &str, above: &str) -> Vec<Vec<String>> {
    let below = document.lines().skip_while(|line| *line != above).skip(1);
    let table = below.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.split(" | ").map(str::to_owned).collect();
    table.skip(2).map(cells).collect()
}

/// The names of fields in a text: words in backticks, in lower case.
fn names(text: &str) -> Vec<&str> {
    let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    text.split('`').skip(1).step_by(2).filter(is_name).collect()
}

fn assert_fields(mut documented: Vec<&str>, fields: Vec<Field>, have_effect: bool) {
    let fields = fields.into_iter().filter(|field| field.has_effect == have_effect);
    let mut read: Vec<_> = fields.map(|field| field.name).collect();
    documented.sort_unstable();
    read.sort_unstable();
    assert_eq!(documented, read);
}

/// The names in the first column.
fn first_column(rows: &[Vec<String>]) -> Vec<&str> {
    rows.iter().flat_map(|cells| names(&cells[0])).collect()
}

#[test]
fn the_readme_lists_every_field_that_is_read() {
    let readme = readme();
    let stats = rows(&readme, "`istio_stats`:");
    assert_fields(first_column(&stats), Config::fields(""), true);
    assert_fields(first_column(&rows(&readme, "An entry of `metrics`:")), Config::fields("metrics[]"), true);
    for (field, path) in [("`definitions`", "definitions[]"), ("`local`", "local")] {
        let row = stats.iter().find(|cells| cells[0].contains(field)).unwrap();
        assert_fields(names(row.last().unwrap()), Config::fields(path), true);
    }
    let fields = exchange::config::Config::fields;
    assert_fields(first_column(&rows(&readme, "`metadata_exchange`:")), fields(""), true);
    assert_eq!(fields("local"), Config::fields("local"));
}

#[test]
fn the_readme_lists_every_field_that_is_ignored() {
    let readme = readme();
    let ignored = |end: &str| {
        let (before, _) = readme.split_once(end).unwrap();
        names(before.rsplit("\n\n").next().unwrap())
    };
    assert_fields(ignored(" are accepted and have no effect."), Config::fields(""), false);
    assert_fields(ignored(" is accepted and has no effect."), exchange::config::Config::fields(""), false);
}
