//! Which side of a call this proxy reports from.

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

// === impl Reporter ===

impl Reporter {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Waypoint => "waypoint",
        }
    }
}
