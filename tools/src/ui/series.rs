//! The series of the mesh in a Prometheus: which questions bring them all.

use std::thread;

use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::metric::Metric;

use super::prometheus::{buckets, Prometheus, Vector};
use crate::exposition::Labels;
use crate::top::measure::{Flow, Measure};

/// What came, whatever did not.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    series: Vec<Series>,
    pub(crate) problems: Vec<Problem>,
}

/// What cannot be shown, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) part: String,
    pub(crate) why: String,
}

#[derive(Debug)]
struct Series {
    measure: Measure,
    labels: Labels,
    total: f64,
    rate: f64,
}

/// One of the questions.
struct Question {
    part: &'static str,
    metric: Metric,
    measure: Measure,
    /// Beside [`ENDS`].
    labels: &'static [Dimension],
    /// Whether counts are asked for, or else what they grow by in a second.
    is_total: bool,
}

/// What every question keeps apart.
const ENDS: [Dimension; 11] = [
    Dimension::Reporter,
    Dimension::SourceClusterId,
    Dimension::SourceWorkload,
    Dimension::SourceWorkloadNamespace,
    Dimension::SourceCanonicalService,
    Dimension::DestinationClusterId,
    Dimension::DestinationWorkload,
    Dimension::DestinationWorkloadNamespace,
    Dimension::DestinationServiceName,
    Dimension::DestinationServiceNamespace,
    Dimension::RequestProtocol,
];

const OUTCOME: &[Dimension] = &[
    Dimension::ResponseCode,
    Dimension::GrpcResponseStatus,
    Dimension::ResponseFlags,
    Dimension::ConnectionSecurityPolicy,
];

const QUESTIONS: [Question; 8] = [
    ask("Requests", Metric::Requests, Measure::Requests, OUTCOME),
    ask("Latency", Metric::RequestDuration, Measure::DurationBucket, &[]),
    ask("TCP connections", Metric::TcpOpened, Measure::Opened, &[]),
    ask("TCP connections", Metric::TcpClosed, Measure::Closed, &[Dimension::ResponseFlags]),
    ask(
        "TCP throughput",
        Metric::TcpReceivedBytes,
        Measure::Received,
        &[Dimension::ConnectionSecurityPolicy],
    ),
    ask("TCP throughput", Metric::TcpSentBytes, Measure::Sent, &[Dimension::ConnectionSecurityPolicy]),
    Question { is_total: true, ..ask("Open TCP connections", Metric::TcpOpened, Measure::Opened, &[]) },
    Question { is_total: true, ..ask("Open TCP connections", Metric::TcpClosed, Measure::Closed, &[]) },
];

const fn ask(part: &'static str, metric: Metric, measure: Measure, labels: &'static [Dimension]) -> Question {
    Question { part, metric, measure, labels, is_total: false }
}

// === impl Answers ===

impl Answers {
    /// Asks all, at once. `range` is how PromQL writes the time over which rates are.
    pub(crate) fn of(prometheus: &Prometheus, range: &str) -> Self {
        let answers = thread::scope(|scope| {
            let asked = QUESTIONS.map(|question| {
                let expression = question.expression(prometheus, range);
                (question, scope.spawn(move || prometheus.query(&expression)))
            });
            asked.map(|(question, answer)| (question, answer.join().ok()))
        });
        let mut all = Self::default();
        for (question, answer) in answers {
            match answer {
                Some(Ok(vector)) => all.series.extend(question.series(vector)),
                Some(Err(error)) => all.fail(question.part, format!("{error:#}")),
                None => all.fail(question.part, "it ended unexpectedly".to_owned()),
            }
        }
        all
    }

    pub(crate) fn flows(&self) -> Vec<Flow<'_>> {
        self.series.iter().map(Series::flow).collect()
    }

    /// What has the same reason is one problem.
    fn fail(&mut self, part: &str, why: String) {
        match self.problems.iter_mut().find(|problem| problem.why == why) {
            Some(problem) if problem.part.split(", ").any(|one| one == part) => {}
            Some(problem) => problem.part = format!("{}, {part}", problem.part),
            None => self.problems.push(Problem { part: part.to_owned(), why }),
        }
    }
}

// === impl Series ===

impl Series {
    fn flow(&self) -> Flow<'_> {
        Flow { measure: self.measure, labels: &self.labels, total: self.total, rate: Some(self.rate) }
    }
}

// === impl Question ===

impl Question {
    fn expression(&self, prometheus: &Prometheus, range: &str) -> String {
        let labels: Vec<_> = ENDS.iter().chain(self.labels).map(|label| label.name()).collect();
        let (labels, series) = (labels.join(", "), prometheus.name(self.metric));
        if self.measure == Measure::DurationBucket {
            return buckets(&labels, &series, "", range);
        }
        let of = if self.is_total { series } else { format!("rate({series}[{range}])") };
        format!("sum by ({labels}) ({of})")
    }

    fn series(self, vector: Vector) -> impl Iterator<Item = Series> {
        vector.into_iter().map(move |(labels, value)| Series {
            measure: self.measure,
            labels,
            total: if self.is_total { value } else { 0.0 },
            rate: if self.is_total { 0.0 } else { value },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;

    #[test]
    fn recorded_series_are_asked_for_by_their_prefix() {
        let prometheus = Prometheus::new(Endpoint::new("127.0.0.1:9090").unwrap(), "workload:istio_");
        let expressions = QUESTIONS.map(|question| question.expression(&prometheus, "5m"));
        assert!(expressions[0].ends_with("(rate(workload:istio_requests_total[5m]))"), "{}", expressions[0]);
        assert!(
            expressions[1].contains(", le) (rate(workload:istio_request_duration_milliseconds_bucket[5m]")
        );
        assert!(
            expressions[7].ends_with(" (workload:istio_tcp_connections_closed_total)"),
            "{}",
            expressions[7]
        );
    }

    #[test]
    fn what_has_the_same_reason_is_said_once() {
        let mut answers = Answers::default();
        for (part, why) in [("Requests", "gone"), ("Latency", "gone"), ("Latency", "gone"), ("TCP", "slow")] {
            answers.fail(part, why.to_owned());
        }
        let said: Vec<_> = answers.problems.iter().map(|one| format!("{}: {}", one.part, one.why)).collect();
        assert_eq!(said, ["Requests, Latency: gone", "TCP: slow"]);
    }
}
