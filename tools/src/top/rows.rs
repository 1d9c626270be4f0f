//! From series to one row for each pair of Kubernetes clusters.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::label_value::UNKNOWN;

use super::choice::{By, Whose};
use super::failure::failed;
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
pub(crate) type Pair<'a> = (bool, [&'a str; 6]);

// === impl Row ===

impl Row {
    /// Adds what a series did, `amount` of it.
    fn add(&mut self, flow: &Flow<'_>, amount: f64) {
        if flow.measure.is_http() {
            self.http.get_or_insert_default().add(flow, amount);
        } else {
            self.tcp.get_or_insert_default().add(flow, amount);
        }
    }

    /// The share of requests that succeeded; `None` without requests.
    pub(crate) fn success_ratio(&self) -> Option<f64> {
        let http = self.http.as_ref().filter(|http| http.requests > 0.0)?;
        Some(1.0 - http.failed / http.requests)
    }

    /// Its requests; where there are none, its bytes of TCP.
    pub(crate) fn pace(&self) -> f64 {
        let requests = self.http.as_ref().map(|http| http.requests);
        requests.unwrap_or_else(|| self.tcp.map_or(0.0, |tcp| tcp.received_bytes + tcp.sent_bytes))
    }

    /// Sorts the busiest first.
    fn busyness(&self) -> (Reverse<u64>, Reverse<u64>) {
        let requests = self.http.as_ref().map_or(0.0, |http| http.requests);
        let bytes = self.tcp.as_ref().map_or(0.0, |tcp| tcp.received_bytes + tcp.sent_bytes);
        // No number here is negative: their bits sort as they do.
        (Reverse(requests.to_bits()), Reverse(bytes.to_bits()))
    }
}

// === impl Http ===

impl Http {
    /// Adds what a series of its measures did, `amount` of it.
    pub(crate) fn add(&mut self, flow: &Flow<'_>, amount: f64) {
        if flow.measure == Measure::DurationBucket {
            if let Some(bound) = flow.labels.get("le").and_then(|bound| bound.parse().ok()) {
                self.duration_ms.add(bound, amount);
            }
            return;
        }
        self.requests += amount;
        if failed(flow.labels) {
            self.failed += amount;
        }
    }
}

// === impl Tcp ===

impl Tcp {
    /// Adds what a series of its measures did, `amount` of it.
    pub(crate) fn add(&mut self, flow: &Flow<'_>, amount: f64) {
        match flow.measure {
            Measure::Opened => {
                self.open += flow.total;
                self.opened += amount;
            }
            Measure::Closed => self.open -= flow.total,
            Measure::Received => self.received_bytes += amount,
            _ => self.sent_bytes += amount,
        }
    }
}

/// Of what several proxies report about the same, what counts.
pub(crate) fn counted<'f, 'a>(flows: &'f [Flow<'a>], whose: Whose) -> impl Iterator<Item = &'f Flow<'a>> {
    let mut reporters: HashMap<Pair<'a>, HashSet<&'a str>> = HashMap::new();
    for flow in flows {
        reporters.entry(pair(flow)).or_default().insert(reporter(flow.labels));
    }
    flows.iter().filter(move |flow| {
        let reporter = reporter(flow.labels);
        match whose {
            Whose::Both => true,
            Whose::Auto => reporters.get(&pair(flow)).is_none_or(|all| preferred(all) == reporter),
            _ => whose.only() == Some(reporter),
        }
    })
}

/// One row for each combination of labels, the busiest first.
pub(crate) fn rows(flows: &[Flow<'_>], by: By, whose: Whose, unit: Unit) -> Vec<Row> {
    let mut rows: BTreeMap<Vec<&str>, Row> = BTreeMap::new();
    for flow in counted(flows, whose) {
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

pub(crate) fn pair<'a>(flow: &Flow<'a>) -> Pair<'a> {
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
pub(crate) fn value(labels: &Labels, dimension: Dimension) -> &str {
    labels.get(dimension.name()).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests;
