use std::time::{Duration, Instant};

use super::*;
use crate::exposition::Page;
use crate::top::measure::{flows, Reading};

const CALL: &str = "source_cluster=\"east\",source_workload=\"web\",source_workload_namespace=\"shop\",\
        destination_cluster=\"west\",destination_workload=\"db\",destination_workload_namespace=\"shop\",\
        destination_service_name=\"db\",destination_service_namespace=\"shop\"";

fn line(metric: &str, reporter: &str, more: &str, value: u32) -> String {
    format!("{metric}{{reporter=\"{reporter}\",{CALL}{more}}} {value}\n")
}

fn reading(text: &str) -> Reading {
    Reading { at: Instant::now(), page: Page::parse(text, |_| true).unwrap() }
}

fn totals(text: &str, by: By, whose: Whose) -> Vec<Row> {
    rows(&flows(None, &reading(text)), by, whose, Unit::Total)
}

fn reporters(rows: &[Row]) -> Vec<(&str, f64)> {
    let of = |row: &'_ Row| row.http.as_ref().map_or(0.0, |http| http.requests);
    rows.iter().map(|row| (row.labels.last().unwrap().1.as_str(), of(row))).collect()
}

#[test]
fn what_both_sides_report_counts_once() {
    let both = line("requests_total", "source", "", 9) + &line("requests_total", "destination", "", 8);
    assert_eq!(reporters(&totals(&both, By::Cluster, Whose::Auto)), [("source", 9.0)]);
    assert_eq!(reporters(&totals(&both, By::Cluster, Whose::Source)), [("source", 9.0)]);
    assert_eq!(reporters(&totals(&both, By::Cluster, Whose::Destination)), [("destination", 8.0)]);
    assert_eq!(reporters(&totals(&both, By::Cluster, Whose::Both)), [("source", 9.0), ("destination", 8.0)]);
}

#[test]
fn what_only_the_destination_reports_counts_beside() {
    let other = line("requests_total", "destination", "", 8).replace("\"web\"", "\"batch\"");
    let text =
        line("requests_total", "source", "", 9) + &line("requests_total", "destination", "", 7) + &other;
    assert_eq!(reporters(&totals(&text, By::Cluster, Whose::Auto)), [("source", 9.0), ("destination", 8.0)]);
    let waypoint = line("requests_total", "waypoint", "", 5);
    assert_eq!(reporters(&totals(&waypoint, By::Cluster, Whose::Auto)), [("waypoint", 5.0)]);
}

#[test]
fn a_source_that_reports_no_tcp_leaves_it_to_the_destination() {
    let text = line("requests_total", "source", "", 9) + &line("tcp_sent_bytes_total", "destination", "", 7);
    let found = totals(&text, By::Cluster, Whose::Auto);
    assert_eq!(
        found.iter().map(|row| row.tcp.map(|tcp| tcp.sent_bytes)).collect::<Vec<_>>(),
        [None, Some(7.0)]
    );
}

#[test]
fn success_is_what_did_not_fail() {
    let of = |labels: &str, value| line("requests_total", "source", labels, value);
    let text = of(",response_code=\"200\"", 5) + &of(",response_code=\"503\"", 15);
    assert_eq!(totals(&text, By::Cluster, Whose::Auto)[0].success_ratio(), Some(0.25));
    assert_eq!(Row::default().success_ratio(), None);
}

#[test]
fn tcp_connections_that_are_open() {
    let text = line("tcp_connections_opened_total", "source", "", 11)
        + &line("tcp_connections_closed_total", "source", "", 10)
        + &line("tcp_received_bytes_total", "source", "", 99)
        + &line("tcp_sent_bytes_total", "source", "", 132);
    let [row] = totals(&text, By::Cluster, Whose::Auto).try_into().unwrap();
    let expected = Tcp { open: 1.0, opened: 11.0, received_bytes: 99.0, sent_bytes: 132.0 };
    assert_eq!((row.tcp, row.http), (Some(expected), None));
}

#[test]
fn rates_leave_the_number_of_open_connections_a_number() {
    let before = reading(&line("tcp_connections_opened_total", "source", "", 3));
    let mut now = reading(&line("tcp_connections_opened_total", "source", "", 5));
    now.at = before.at + Duration::from_secs(4);
    let [row] = rows(&flows(Some(&before.counts()), &now), By::Cluster, Whose::Auto, Unit::PerSecond)
        .try_into()
        .unwrap();
    assert_eq!(row.tcp, Some(Tcp { open: 5.0, opened: 0.5, ..Tcp::default() }));
}

#[test]
fn durations_of_all_series_of_a_row() {
    let of = |code: &str, bound: &str, value| {
        let labels = format!(",response_code=\"{code}\",le=\"{bound}\"");
        line("request_duration_milliseconds_bucket", "source", &labels, value)
    };
    let text = of("200", "5", 1) + &of("200", "10", 2) + &of("200", "+Inf", 2) + &of("500", "5", 0);
    let text = text + &of("500", "10", 2) + &of("500", "+Inf", 2);
    let [row] = totals(&text, By::Cluster, Whose::Auto).try_into().unwrap();
    let durations = row.http.unwrap().duration_ms;
    assert_eq!(durations.quantile(0.25), Some(5.0));
    assert_eq!(durations.quantile(1.0), Some(10.0));
}

#[test]
fn rows_are_told_apart_by_what_was_asked_for() {
    let other = line("requests_total", "source", "", 20).replace("\"web\"", "\"batch\"");
    let text = line("requests_total", "source", "", 9) + &other;
    assert_eq!(totals(&text, By::Cluster, Whose::Auto).len(), 1);
    assert_eq!(totals(&text, By::Service, Whose::Auto).len(), 1);
    let by_workload = totals(&text, By::Workload, Whose::Auto);
    let sources: Vec<_> = by_workload.iter().map(|row| row.labels[2].clone()).collect();
    // The busiest first.
    assert_eq!(sources, [("source_workload", "batch".to_owned()), ("source_workload", "web".to_owned())]);
}
