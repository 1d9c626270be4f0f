//! What has to be known of a stream. Each read costs Envoy some microseconds, so
//! what no metric shows is not read.

use crate::catalogue::dimension::{Dimension, Dimensions};
use crate::catalogue::metric::{Metric, Metrics};
use crate::peer::side::{Side, Sides};
use crate::workload::fact::{DESTINATION_LABELS, SOURCE_LABELS};

/// What some stream may be reported with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Labels that some metric shows.
    pub labels: Dimensions,
    /// Metrics that are recorded.
    pub metrics: Metrics,
    /// Peers that expressions name, whatever the reporter.
    pub peers: Sides,
}

// === impl Needs ===

impl Needs {
    /// Whether any of these labels is shown.
    pub fn any_label(&self, labels: &[Dimension]) -> bool {
        labels.iter().any(|label| self.labels.contains(*label))
    }

    /// Whether the metric is recorded.
    pub fn metric(&self, metric: Metric) -> bool {
        self.metrics.contains(metric)
    }

    /// Whether any label says which service was called.
    pub fn service(&self) -> bool {
        use Dimension::{DestinationService, DestinationServiceName, DestinationServiceNamespace};
        self.any_label(&[DestinationService, DestinationServiceName, DestinationServiceNamespace])
    }

    /// Whether anything depends on whether a request is gRPC.
    pub fn protocol(&self) -> bool {
        self.any_label(&[Dimension::RequestProtocol, Dimension::GrpcResponseStatus]) || self.messages()
    }

    /// Whether messages are counted.
    pub fn messages(&self) -> bool {
        self.metric(Metric::RequestMessages) || self.metric(Metric::ResponseMessages)
    }

    /// Whether anything speaks of the peer on this side.
    pub fn peer(&self, side: Side) -> bool {
        let labels = match side {
            Side::Downstream => SOURCE_LABELS,
            // The service's namespace is the peer's where nothing else tells, and so is
            // the principal.
            Side::Upstream => DESTINATION_LABELS
                .with(Dimension::DestinationServiceNamespace)
                .with(Dimension::DestinationPrincipal),
        };
        self.peers.contains(side) || !self.labels.and(labels).is_empty()
    }
}
