//! The pods behind a service or a workload: who reported, by the labels of the scrape.

use std::collections::BTreeMap;

use anyhow::Result;
use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::metric::Metric;

use super::mesh::{Call, Place};
use super::prometheus::{buckets, selecting, Prometheus};
use super::traffic::Traffic;
use super::view::Range;
use crate::exposition::Labels;
use crate::top::measure::{Flow, Measure};

/// What a page is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    Service(&'a Place),
    Workload(&'a Place),
}

/// One proxy, and the pod that it is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pod {
    /// Where it was scraped, if a federating Prometheus says so.
    pub(crate) cluster_id: String,
    pub(crate) namespace: String,
    /// Empty if the scrape knows no pods.
    pub(crate) name: String,
    pub(crate) instance: String,
    pub(crate) node: String,
}

const POD: &str = "cluster, namespace, pod, instance, node";

// === impl Subject ===

impl<'a> Subject<'a> {
    pub(crate) fn place(self) -> &'a Place {
        match self {
            Self::Service(place) | Self::Workload(place) => place,
        }
    }

    /// Whether it is what is called.
    pub(crate) fn is_called(self, call: &Call) -> bool {
        match self {
            Self::Service(place) => call.service == *place,
            Self::Workload(place) => call.answering() == *place,
        }
    }

    /// Whether it calls.
    pub(crate) fn calls(self, call: &Call) -> bool {
        match self {
            Self::Service(place) => call.caller() == *place,
            Self::Workload(place) => call.source == *place,
        }
    }

    /// Selects what it answered, as these proxies report it.
    fn answered(self, reporter: &str) -> String {
        let place = self.place();
        let (namespace, name) = match self {
            Self::Service(_) => (Dimension::DestinationServiceNamespace, Dimension::DestinationServiceName),
            Self::Workload(_) => (Dimension::DestinationWorkloadNamespace, Dimension::DestinationWorkload),
        };
        selecting([
            (Dimension::Reporter, reporter),
            (Dimension::DestinationClusterId, place.cluster_id.as_str()),
            (namespace, place.namespace.as_str()),
            (name, place.name.as_str()),
        ])
    }

    /// Selects what it sent, as its own proxies report it.
    fn sent(self) -> String {
        let place = self.place();
        let name = match self {
            Self::Service(_) => Dimension::SourceCanonicalService,
            Self::Workload(_) => Dimension::SourceWorkload,
        };
        selecting([
            (Dimension::Reporter, "source"),
            (Dimension::SourceClusterId, place.cluster_id.as_str()),
            (Dimension::SourceWorkloadNamespace, place.namespace.as_str()),
            (name, place.name.as_str()),
        ])
    }

    /// The buckets of what it answered in a second, whoever reports it: callers see more.
    pub(crate) fn latency(self, prometheus: &Prometheus, range: Range) -> String {
        let name = prometheus.name(Metric::RequestDuration);
        let of = |reporter: &str| buckets("", &name, &self.answered(reporter), range.promql());
        let (callers, own) = (of("source"), of("destination"));
        // Of both reporters the first that has any.
        format!("{callers} or ({own} unless on () {callers})")
    }
}

/// What each pod answers; what it sends, if it answers nothing.
///
/// # Errors
/// Prometheus does not answer.
pub(crate) fn pods(
    prometheus: &Prometheus,
    range: Range,
    subject: Subject<'_>,
) -> Result<BTreeMap<Pod, Traffic>> {
    let answered = read(prometheus, range, &subject.answered("destination"))?;
    if answered.is_empty() {
        return read(prometheus, range, &subject.sent());
    }
    Ok(answered)
}

fn read(prometheus: &Prometheus, range: Range, selector: &str) -> Result<BTreeMap<Pod, Traffic>> {
    let outcome = "request_protocol, response_code, grpc_response_status, response_flags";
    let range = range.promql();
    let rates = |metric, labels| {
        format!("sum by ({POD}, {labels}) (rate({}{selector}[{range}]))", prometheus.name(metric))
    };
    let durations = buckets(POD, &prometheus.name(Metric::RequestDuration), selector, range);
    let asked = [
        (Measure::Requests, rates(Metric::Requests, outcome)),
        (Measure::DurationBucket, durations),
        (Measure::Received, rates(Metric::TcpReceivedBytes, "request_protocol")),
        (Measure::Sent, rates(Metric::TcpSentBytes, "request_protocol")),
    ];
    let mut pods: BTreeMap<Pod, Traffic> = BTreeMap::new();
    for (measure, expression) in asked {
        for (labels, value) in prometheus.query(&expression)? {
            let flow = Flow { measure, labels: &labels, total: 0.0, rate: Some(value) };
            pods.entry(Pod::of(&labels)).or_default().add(&flow);
        }
    }
    Ok(pods)
}

// === impl Pod ===

impl Pod {
    fn of(labels: &Labels) -> Self {
        let of = |label| labels.get(label).unwrap_or_default().to_owned();
        Self {
            cluster_id: of("cluster"),
            namespace: of("namespace"),
            name: of("pod"),
            instance: of("instance"),
            node: of("node"),
        }
    }
}
