//! From series to one row for each pair of Kubernetes clusters.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::label_value::UNKNOWN;

use super::choice::{By, Whose};
use super::latency::Buckets;
use super::measure::{Flow, Measure};
use crate::exposition::Labels;

/// One line of the table. Without readings to compare, numbers are totals since the
/// proxies' start; else they are per second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// Labels of [`By::labels`] and, last, the reporter.
    pub(crate) labels: Vec<(&'static str, String)>,
    /// HTTP and gRPC; `None` if the pair has none.
    pub(crate) http: Option<Http>,
    /// `None` if the pair has none.
    pub(crate) tcp: Option<Tcp>,
}

/// Requests of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Http {
    pub(crate) requests: f64,
    pub(crate) failed: f64,
    pub(crate) duration_ms: Buckets,
}

/// Connections of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tcp {
    /// Now.
    pub(crate) open: f64,
    pub(crate) opened: f64,
    pub(crate) received_bytes: f64,
    pub(crate) sent_bytes: f64,
}

/// What the numbers of rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Since the proxies' start.
    Total,
    /// Per second.
    PerSecond,
}

/// Between whom: what two proxies that report the same agree on.
type Pair<'a> = (bool, [&'a str; 6]);

// === impl Row ===

impl Row {
    /// Adds what a series did, `amount` of it.
    fn add(&mut self, flow: &Flow<'_>, amount: f64) {
        if flow.measure.is_http() {
            let http = self.http.get_or_insert_default();
            match flow.measure {
                Measure::DurationBucket => {
                    if let Some(bound) = flow.labels.get("le").and_then(|bound| bound.parse().ok()) {
                        http.duration_ms.add(bound, amount);
                    }
                }
                _ => {
                    http.requests += amount;
                    if !succeeded(flow.labels) {
                        http.failed += amount;
                    }
                }
            }
            return;
        }
        let tcp = self.tcp.get_or_insert_default();
        match flow.measure {
            Measure::Opened => {
                tcp.open += flow.total;
                tcp.opened += amount;
            }
            Measure::Closed => tcp.open -= flow.total,
            Measure::Received => tcp.received_bytes += amount,
            _ => tcp.sent_bytes += amount,
        }
    }

    /// The share of requests that succeeded; `None` without requests.
    pub(crate) fn success_ratio(&self) -> Option<f64> {
        let http = self.http.as_ref().filter(|http| http.requests > 0.0)?;
        Some(1.0 - http.failed / http.requests)
    }

    /// Sorts the busiest first.
    fn busyness(&self) -> (Reverse<u64>, Reverse<u64>) {
        let requests = self.http.as_ref().map_or(0.0, |http| http.requests);
        let bytes = self.tcp.as_ref().map_or(0.0, |tcp| tcp.received_bytes + tcp.sent_bytes);
        // No number here is negative: their bits sort as they do.
        (Reverse(requests.to_bits()), Reverse(bytes.to_bits()))
    }
}

/// One row for each combination of labels, the busiest first.
pub(crate) fn rows(flows: &[Flow<'_>], by: By, whose: Whose, unit: Unit) -> Vec<Row> {
    let mut reporters: HashMap<Pair<'_>, HashSet<&str>> = HashMap::new();
    for flow in flows {
        reporters.entry(pair(flow)).or_default().insert(reporter(flow.labels));
    }
    let counts = |flow: &&Flow<'_>| {
        let reporter = reporter(flow.labels);
        match whose {
            Whose::Both => true,
            Whose::Auto => reporters.get(&pair(flow)).is_none_or(|all| preferred(all) == reporter),
            _ => whose.only() == Some(reporter),
        }
    };
    let mut rows: BTreeMap<Vec<&str>, Row> = BTreeMap::new();
    for flow in flows.iter().filter(counts) {
        let labels = || by.labels().iter().chain(&[Dimension::Reporter]);
        let key = labels().map(|label| value(flow.labels, *label)).collect();
        let row = rows.entry(key).or_insert_with(|| Row {
            labels: labels().map(|label| (label.name(), value(flow.labels, *label).to_owned())).collect(),
            ..Row::default()
        });
        let amount = match unit {
            Unit::Total => flow.total,
            Unit::PerSecond => flow.rate.unwrap_or_default(),
        };
        row.add(flow, amount);
    }
    let mut rows: Vec<_> = rows.into_values().collect();
    // Stable, so that equally busy ones stay in the order of their labels.
    rows.sort_by_key(Row::busyness);
    rows
}

/// As in Istio's dashboards, HTTP succeeds unless the code is 5xx (0, no response, is
/// the client's doing); gRPC succeeds with status 0, whatever the HTTP code says.
fn succeeded(labels: &Labels) -> bool {
    if value(labels, Dimension::RequestProtocol) == "grpc" {
        return value(labels, Dimension::GrpcResponseStatus) == "0";
    }
    !value(labels, Dimension::ResponseCode).starts_with('5')
}

fn pair<'a>(flow: &Flow<'a>) -> Pair<'a> {
    let of = |dimension| value(flow.labels, dimension);
    let names = [
        of(Dimension::SourceClusterId),
        of(Dimension::SourceWorkloadNamespace),
        of(Dimension::SourceWorkload),
        of(Dimension::DestinationClusterId),
        of(Dimension::DestinationWorkloadNamespace),
        of(Dimension::DestinationWorkload),
    ];
    (flow.measure.is_http(), names)
}

/// As Kiali does, where all report the same: the caller sees what failed on the way.
fn preferred<'a>(reporters: &HashSet<&'a str>) -> &'a str {
    let by_rank = ["source", "destination", "waypoint"];
    by_rank.into_iter().find(|one| reporters.contains(one)).unwrap_or(UNKNOWN)
}

fn reporter(labels: &Labels) -> &str {
    value(labels, Dimension::Reporter)
}

/// A label that was left out is as good as unknown.
fn value(labels: &Labels, dimension: Dimension) -> &str {
    labels.get(dimension.name()).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            reporters(&totals(&both, By::Cluster, Whose::Both)),
            [("source", 9.0), ("destination", 8.0)]
        );
    }

    #[test]
    fn what_only_the_destination_reports_counts_beside() {
        let other = line("requests_total", "destination", "", 8).replace("\"web\"", "\"batch\"");
        let text =
            line("requests_total", "source", "", 9) + &line("requests_total", "destination", "", 7) + &other;
        assert_eq!(
            reporters(&totals(&text, By::Cluster, Whose::Auto)),
            [("source", 9.0), ("destination", 8.0)]
        );
        let waypoint = line("requests_total", "waypoint", "", 5);
        assert_eq!(reporters(&totals(&waypoint, By::Cluster, Whose::Auto)), [("waypoint", 5.0)]);
    }

    #[test]
    fn a_source_that_reports_no_tcp_leaves_it_to_the_destination() {
        let text =
            line("requests_total", "source", "", 9) + &line("tcp_sent_bytes_total", "destination", "", 7);
        let found = totals(&text, By::Cluster, Whose::Auto);
        assert_eq!(
            found.iter().map(|row| row.tcp.map(|tcp| tcp.sent_bytes)).collect::<Vec<_>>(),
            [None, Some(7.0)]
        );
    }

    #[test]
    fn success_of_http_and_of_grpc() {
        let of = |labels: &str, value| line("requests_total", "source", labels, value);
        let http = of(",request_protocol=\"http\",response_code=\"200\"", 5)
            + &of(",request_protocol=\"http\",response_code=\"404\"", 2)
            + &of(",request_protocol=\"http\",response_code=\"0\"", 1)
            + &of(",request_protocol=\"http\",response_code=\"503\"", 2);
        assert_eq!(totals(&http, By::Cluster, Whose::Auto)[0].success_ratio(), Some(0.8));
        let grpc = of(",request_protocol=\"grpc\",response_code=\"200\",grpc_response_status=\"0\"", 1)
            + &of(",request_protocol=\"grpc\",response_code=\"200\",grpc_response_status=\"5\"", 2)
            + &of(",request_protocol=\"grpc\",response_code=\"503\",grpc_response_status=\"\"", 1);
        assert_eq!(totals(&grpc, By::Cluster, Whose::Auto)[0].success_ratio(), Some(0.25));
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
        let [row] =
            rows(&flows(Some(&before), &now), By::Cluster, Whose::Auto, Unit::PerSecond).try_into().unwrap();
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
}
