//! What may be chosen of the table.

use clap::ValueEnum;
use istio_stats::catalogue::dimension::Dimension;

/// What a row stands for, beside its pair of Kubernetes clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Nothing else
    Cluster,
    /// The service that was called
    Service,
    /// The workloads on both sides
    Workload,
}

/// Whose reports count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Whose {
    /// Of each pair of workloads the source's, if it reports; else the destination's, else a waypoint's
    Auto,
    /// The caller's proxy
    Source,
    /// The called workload's proxy
    Destination,
    /// A waypoint between the two
    Waypoint,
    /// All: what two proxies report is there twice, in a row for each reporter
    Both,
}

// === impl By ===

impl By {
    pub(crate) const ALL: [Self; 3] = [Self::Cluster, Self::Service, Self::Workload];

    /// The labels that tell its rows apart.
    pub(crate) fn labels(self) -> &'static [Dimension] {
        use Dimension::{
            DestinationClusterId, DestinationServiceName, DestinationServiceNamespace, DestinationWorkload,
            DestinationWorkloadNamespace, SourceClusterId, SourceWorkload, SourceWorkloadNamespace,
        };
        match self {
            Self::Cluster => &[SourceClusterId, DestinationClusterId],
            Self::Service => {
                &[SourceClusterId, DestinationClusterId, DestinationServiceName, DestinationServiceNamespace]
            }
            Self::Workload => &[
                SourceClusterId,
                DestinationClusterId,
                SourceWorkload,
                SourceWorkloadNamespace,
                DestinationWorkload,
                DestinationWorkloadNamespace,
            ],
        }
    }

    /// The next one, for a key that goes through them.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Cluster => Self::Service,
            Self::Service => Self::Workload,
            Self::Workload => Self::Cluster,
        }
    }
}

// === impl Whose ===

impl Whose {
    /// The next one, for a key that goes through them.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Auto => Self::Source,
            Self::Source => Self::Destination,
            Self::Destination => Self::Waypoint,
            Self::Waypoint => Self::Both,
            Self::Both => Self::Auto,
        }
    }

    /// The only reporter that counts, if there is one.
    pub(crate) fn only(self) -> Option<&'static str> {
        match self {
            Self::Auto | Self::Both => None,
            Self::Source => Some("source"),
            Self::Destination => Some("destination"),
            Self::Waypoint => Some("waypoint"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_and_reporter_comes_round() {
        assert_eq!(By::Cluster.next().next().next(), By::Cluster);
        assert_eq!(Whose::Auto.next().next().next().next().next(), Whose::Auto);
    }
}
