//! What Istio's Telemetry calls the metrics.

use istio_stats::attachment::Attachment;
use istio_stats::catalogue::dimension::LabelSet;
use istio_stats::catalogue::metric::Metric;

/// Stands there for all of them.
pub(crate) const ALL_METRICS: &str = "ALL_METRICS";

/// Each metric that a Telemetry can name.
const METRICS: [(&str, Metric); 10] = [
    ("REQUEST_COUNT", Metric::Requests),
    ("REQUEST_DURATION", Metric::RequestDuration),
    ("REQUEST_SIZE", Metric::RequestBytes),
    ("RESPONSE_SIZE", Metric::ResponseBytes),
    ("TCP_OPENED_CONNECTIONS", Metric::TcpOpened),
    ("TCP_CLOSED_CONNECTIONS", Metric::TcpClosed),
    ("TCP_SENT_BYTES", Metric::TcpSentBytes),
    ("TCP_RECEIVED_BYTES", Metric::TcpReceivedBytes),
    ("GRPC_REQUEST_MESSAGES", Metric::RequestMessages),
    ("GRPC_RESPONSE_MESSAGES", Metric::ResponseMessages),
];

/// The metric of that name there, in whatever case.
pub(crate) fn of_telemetry(name: &str) -> Option<Metric> {
    METRICS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, metric)| *metric)
}

/// Whether Istio has it, too.
pub(crate) fn is_istios(metric: Metric) -> bool {
    METRICS.iter().any(|(_, known)| *known == metric)
}

/// What the plugin is attached to that counts a metric.
pub(crate) fn attachment_of(metric: Metric) -> Attachment {
    match metric.labels() {
        LabelSet::Tcp => Attachment::Tcp,
        LabelSet::Http | LabelSet::Messages => Attachment::Http,
    }
}
