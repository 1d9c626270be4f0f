//! Which way the traffic goes through a listener.

use super::Attributes;
use crate::catalogue::reporter::Reporter;

/// The direction of a stream's listener, as its configuration says it. What it
/// does not say counts as unspecified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Nobody says.
    #[default]
    Unspecified,
    /// To the local workload.
    Inbound,
    /// From the local workload.
    Outbound,
}

// === impl Direction ===

impl Direction {
    /// What is known before any stream.
    pub fn of_root(attributes: &Attributes<'_>) -> Option<Self> {
        Self::of_root_id(&attributes.bytes(&["plugin_root_id"])?)
    }

    /// The root ids of Istio's charts say it.
    pub fn of_root_id(root_id: &[u8]) -> Option<Self> {
        match root_id {
            b"stats_inbound" => Some(Self::Inbound),
            b"stats_outbound" => Some(Self::Outbound),
            _ => None,
        }
    }

    /// That of the stream's listener; readable only on a stream.
    pub fn read(attributes: &Attributes<'_>) -> Self {
        match attributes.int(&["xds", "listener_direction"]) {
            Some(1) => Self::Inbound,
            Some(2) => Self::Outbound,
            _ => Self::Unspecified,
        }
    }

    /// The side that reports: inbound is the destination; outbound and unspecified
    /// are the source, as in Istio's own filter.
    pub fn reporter(self) -> Reporter {
        match self {
            Self::Inbound => Reporter::Destination,
            Self::Outbound | Self::Unspecified => Reporter::Source,
        }
    }
}
