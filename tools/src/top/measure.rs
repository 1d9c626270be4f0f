//! What is read of each series, and what it did since the last time.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::time::Instant;

use istio_stats::catalogue::metric::Metric;

use crate::exposition::{Labels, Page, Sample};

/// What the series says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Measure {
    Requests,
    /// Requests that took no longer than the label `le` says.
    DurationBucket,
    Opened,
    Closed,
    /// From the client of the connection.
    Received,
    /// To the client of the connection.
    Sent,
}

/// One page, its names without their prefix, and when it was read.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) at: Instant,
    pub(crate) page: Page,
}

/// What was counted at one time. A page of a large proxy takes a hundred times as much.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    pub(crate) at: Instant,
    /// By the hash of name and labels, of which there are too few to meet.
    values: HashMap<u64, f64>,
}

/// What one series adds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow<'a> {
    pub(crate) measure: Measure,
    pub(crate) labels: &'a Labels,
    /// Since the proxy's start.
    pub(crate) total: f64,
    /// Per second since the reading before; `None` without one.
    pub(crate) rate: Option<f64>,
}

// === impl Measure ===

impl Measure {
    const ALL: [(Metric, &'static str, Self); 6] = [
        (Metric::Requests, "", Self::Requests),
        (Metric::RequestDuration, "_bucket", Self::DurationBucket),
        (Metric::TcpOpened, "", Self::Opened),
        (Metric::TcpClosed, "", Self::Closed),
        (Metric::TcpReceivedBytes, "", Self::Received),
        (Metric::TcpSentBytes, "", Self::Sent),
    ];

    /// Of a sample's name without its prefix; `None` if it is of no use here.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let is_it =
            |(metric, suffix, _): &&(Metric, &str, Self)| name.strip_suffix(suffix) == Some(metric.name());
        Self::ALL.iter().find(is_it).map(|(_, _, measure)| *measure)
    }

    /// Whether it tells of HTTP and gRPC rather than of TCP.
    pub(crate) fn is_http(self) -> bool {
        matches!(self, Self::Requests | Self::DurationBucket)
    }
}

// === impl Reading ===

impl Reading {
    /// All that a later one is compared with.
    pub(crate) fn counts(&self) -> Counts {
        let values = self.page.samples.iter().map(|sample| (identity(sample), sample.value)).collect();
        Counts { at: self.at, values }
    }
}

/// What the series of an endpoint did between two readings. A counter that fell
/// began anew, from zero; so did one that was not there before.
pub(crate) fn flows<'a>(before: Option<&Counts>, now: &'a Reading) -> Vec<Flow<'a>> {
    let seconds = before.map_or(0.0, |before| now.at.saturating_duration_since(before.at).as_secs_f64());
    let known = before.filter(|_| seconds > 0.0).map(|before| &before.values);
    let flow = |sample: &'a Sample| {
        let rate = known.map(|known| {
            let before = known.get(&identity(sample)).copied().unwrap_or_default();
            let grown = if sample.value < before { sample.value } else { sample.value - before };
            grown / seconds
        });
        Some(Flow { measure: Measure::of(&sample.name)?, labels: &sample.labels, total: sample.value, rate })
    };
    now.page.samples.iter().filter_map(flow).collect()
}

fn identity(sample: &Sample) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one((&sample.name, &sample.labels))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reading(at: Instant, text: &str) -> Reading {
        Reading { at, page: Page::parse(text, |_| true).unwrap() }
    }

    #[test]
    fn only_what_is_shown_is_read() {
        assert_eq!(Measure::of("requests_total"), Some(Measure::Requests));
        assert_eq!(Measure::of("request_duration_milliseconds_bucket"), Some(Measure::DurationBucket));
        for name in [
            "request_duration_milliseconds_sum",
            "request_bytes_bucket",
            "build",
            "my_requests_total",
            "requests_total_bucket",
        ] {
            assert_eq!(Measure::of(name), None, "{name}");
        }
    }

    #[test]
    fn rates_are_growth_over_time() {
        let start = Instant::now();
        let before = reading(start, "requests_total{a=\"1\"} 10\nrequests_total{a=\"2\"} 50\n");
        let now = reading(
            start + Duration::from_secs(4),
            "requests_total{a=\"1\"} 30\nrequests_total{a=\"2\"} 8\nrequests_total{a=\"3\"} 4\n",
        );
        let rates: Vec<_> = flows(Some(&before.counts()), &now).iter().map(|flow| flow.rate).collect();
        // Grew, began anew, is new.
        assert_eq!(rates, [Some(5.0), Some(2.0), Some(1.0)]);
        assert!(flows(None, &now).iter().all(|flow| flow.rate.is_none()));
        assert_eq!(flows(Some(&now.counts()), &now)[0].rate, None);
    }
}
