//! What a configuration needs to know of a stream. Each read costs Envoy some
//! microseconds, so what no metric shows is not read.

use crate::catalogue::dimension::{Dimension, DimensionSet};
use crate::catalogue::metric::Metric;
use crate::rules::plan::{Catalogue, MetricIndex, TagValue};

/// The labels and metrics that some stream may be reported with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    labels: DimensionSet,
    /// By bit: the number of the metric.
    metrics: u32,
    /// Expressions may ask for any fact of a peer.
    peer_facts: bool,
}

// === impl Needs ===

impl Needs {
    /// The needs of a catalogue. `peer_facts`: its expressions name facts of peers.
    pub fn of(catalogue: &Catalogue, peer_facts: bool) -> Self {
        let mut needs = Self { labels: DimensionSet::default(), metrics: 0, peer_facts };
        catalogue.each_variant(|variant| {
            for (bit, metric) in Metric::ALL.into_iter().enumerate() {
                if variant.plan(metric.into()).is_some() {
                    needs.metrics |= 1 << bit;
                }
            }
            let plans = (0..variant.metrics()).filter_map(|n| variant.plan(MetricIndex::of_number(n)));
            for (_, value) in plans.flat_map(|plan| plan.labels()) {
                if let TagValue::Standard(dimension) = value {
                    needs.labels.insert(dimension);
                }
            }
        });
        needs
    }

    /// Whether any of these labels is shown.
    pub fn any_label(&self, labels: &[Dimension]) -> bool {
        labels.iter().any(|label| self.labels.contains(*label))
    }

    /// Whether the metric is recorded.
    pub fn metric(&self, metric: Metric) -> bool {
        self.metrics >> metric as usize & 1 == 1
    }

    /// Whether any label says which service was called.
    pub fn service(&self) -> bool {
        use Dimension::{DestinationService, DestinationServiceName, DestinationServiceNamespace};
        self.any_label(&[DestinationService, DestinationServiceName, DestinationServiceNamespace])
    }

    /// Whether anything depends on whether a request is gRPC.
    pub fn protocol(&self) -> bool {
        let metrics = [Metric::RequestMessages, Metric::ResponseMessages];
        self.any_label(&[Dimension::RequestProtocol, Dimension::GrpcResponseStatus])
            || metrics.into_iter().any(|metric| self.metric(metric))
    }

    /// Whether expressions name facts of peers.
    pub fn peer_facts(&self) -> bool {
        self.peer_facts
    }
}
