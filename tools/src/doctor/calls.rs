//! Calls as the page counts them, and what their labels say of both sides.

use istio_stats::attachment::Attachment;
use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::label_value::UNKNOWN;
use istio_stats::catalogue::metric::Metric;
use istio_stats::peer::side::Side;

use super::seen::Seen;
use crate::exposition::Sample;
use crate::names::full;

/// One side of a call, by its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    Source,
    Destination,
}

/// Lines for a node that does not know its Kubernetes cluster.
pub(crate) const CLUSTER_ID_LINES: &str = "node:\n  metadata:\n    CLUSTER_ID: my-kubernetes-cluster";

// === impl Party ===

impl Party {
    /// Whoever is there, where it is not this proxy's own side.
    pub(crate) fn peer(self) -> Side {
        match self {
            Self::Source => Side::Downstream,
            Self::Destination => Side::Upstream,
        }
    }

    /// The label that says its Kubernetes cluster.
    pub(crate) fn cluster(self) -> &'static str {
        match self {
            Self::Source => Dimension::SourceClusterId.name(),
            Self::Destination => Dimension::DestinationClusterId.name(),
        }
    }

    /// The label that says its workload.
    pub(crate) fn workload(self) -> &'static str {
        match self {
            Self::Source => Dimension::SourceWorkload.name(),
            Self::Destination => Dimension::DestinationWorkload.name(),
        }
    }
}

/// Requests and connections under each of the prefixes.
pub(crate) fn kinds(seen: &Seen) -> impl Iterator<Item = (Attachment, &str)> {
    let attachments = [Attachment::Http, Attachment::Tcp];
    attachments
        .into_iter()
        .flat_map(|attachment| seen.names.prefixes().map(move |prefix| (attachment, prefix)))
}

/// The series that count them.
pub(crate) fn counted<'a>(
    seen: &'a Seen,
    attachment: Attachment,
    prefix: &str,
) -> impl Iterator<Item = &'a Sample> {
    let metric = match attachment {
        Attachment::Http => Metric::Requests,
        Attachment::Tcp => Metric::TcpOpened,
    };
    let name = full(prefix, metric);
    seen.page.samples.iter().filter(move |sample| sample.name == name)
}

/// Whether there are series, all of them without a value for this label; series
/// from which it was left out say nothing.
pub(crate) fn all_unknown(samples: &[&Sample], label: &str) -> bool {
    !samples.is_empty() && samples.iter().all(|sample| sample.labels.get(label) == Some(UNKNOWN))
}

/// Who reports a series.
pub(crate) fn reporter(sample: &Sample) -> Option<&str> {
    sample.labels.get(Dimension::Reporter.name())
}
