//! Which side of a call this proxy reports from.

use crate::attribute::Attributes;

/// The label `reporter`, and with it which workload is the local one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reporter {
    /// The proxy of the workload that called.
    Source,
    /// The proxy of the workload that answered.
    Destination,
    /// A waypoint between the two; neither is local.
    Waypoint,
}

/// The value of Envoy's `listener_direction` for inbound traffic.
const INBOUND: i64 = 1;

// === impl Reporter ===

impl Reporter {
    /// What is known before any stream: the configuration decides, then the
    /// root ids of Istio's charts; else each stream's listener does.
    pub fn fixed(waypoint: bool, root_id: &[u8]) -> Option<Self> {
        match root_id {
            _ if waypoint => Some(Self::Waypoint),
            b"stats_inbound" => Some(Self::Destination),
            b"stats_outbound" => Some(Self::Source),
            _ => None,
        }
    }

    /// From the direction of the stream's listener: inbound is the destination;
    /// outbound and unspecified are the source, as in Istio's own filter.
    pub fn of_listener(attributes: &Attributes<'_>) -> Self {
        match attributes.int(&["xds", "listener_direction"]) {
            Some(INBOUND) => Self::Destination,
            _ => Self::Source,
        }
    }

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Waypoint => "waypoint",
        }
    }
}
