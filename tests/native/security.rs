//! `docs/security.md` says what holds: its limits are the code's, and the tests
//! that it names exist.

use std::fs;
use std::path::Path;

use istio_stats::catalogue::label_value::MAX_VALUE_BYTES;
use istio_stats::exchange::{MAX_ID_BYTES, MAX_SENT_BYTES};
use istio_stats::facts::connections::MAX_KINDS;
use istio_stats::peer::cache::{MAX_BYTES, MAX_ENTRIES};
use istio_stats::peer::frame::MAX_PAYLOAD_BYTES;
use istio_stats::peer::metadata::MAX_ENCODED_BYTES;
use istio_stats::stats::memo;
use istio_stats::wire::pairs;
use istio_stats::workload::MAX_FACT_BYTES;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_limits_are_those_of_the_code() {
    let document = read("docs/security.md");
    let (_, table) = document.split_once("<!-- limits -->\n").unwrap();
    let rows: Vec<_> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    let expected = [
        format!("| a peer's metadata, encoded | {MAX_ENCODED_BYTES} bytes |"),
        format!("| one fact in it | {MAX_FACT_BYTES} bytes |"),
        format!("| metadata that is sent with `additional_labels`, encoded | {MAX_SENT_BYTES} bytes |"),
        format!("| a node's id that is sent | {MAX_ID_BYTES} bytes |"),
        format!("| a frame's payload over TCP | {MAX_PAYLOAD_BYTES} bytes |"),
        format!("| entries of a map from the host | {} |", pairs::MAX_ENTRIES),
        format!("| a label's value | {MAX_VALUE_BYTES} bytes |"),
        format!("| decoded peers kept, twice | {MAX_ENTRIES}, of {MAX_BYTES} bytes |"),
        format!(
            "| kinds of requests remembered, twice | {}, of {} bytes |",
            memo::MAX_ENTRIES,
            memo::MAX_BYTES
        ),
        format!("| kinds of connections remembered | {MAX_KINDS} |"),
    ];
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.into_iter().zip(expected) {
        assert!(row.starts_with(&expected), "{row}, expected {expected}");
    }
}

#[test]
fn the_tests_that_it_names_exist() {
    let document = read("docs/security.md");
    let named = document.split('`').filter(|text| text.starts_with("tests/"));
    let mut count = 0;
    for test in named {
        let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{test} names no test"));
        let keyword = if file.ends_with(".py") { "def" } else { "fn" };
        assert!(read(file).contains(&format!("{keyword} {name}(")), "there is no {test}");
        count += 1;
    }
    assert!(count > 30, "{count} tests named");
}
