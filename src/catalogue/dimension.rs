//! The 25 standard labels, in the order of the stat name.
//!
//! The order is meaning: the messages of a gRPC stream carry the first 20, TCP
//! metrics the first 23, HTTP metrics all. Names, tags, documents and tests
//! come from this one list. Where the value of a new label comes from says
//! `workload::fact`, if a fact of a workload fills it, else `stats::report`.

use super::label_value::UNKNOWN;
use crate::collections::set::{Numbered, Set};

macro_rules! dimensions {
    ($($variant:ident $name:literal $doc:literal,)*) => {
        /// A standard label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Dimension {
            $(#[doc = $doc] $variant,)*
        }

        impl Dimension {
            /// Every label, in order.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The label's name in Prometheus.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it says, in one sentence.
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)*
                }
            }
        }
    };
}

dimensions! {
    Reporter "reporter" "Which side this proxy reports from: `source`, `destination` or `waypoint`.",
    SourceWorkload "source_workload" "Workload that sent the request.",
    SourceWorkloadNamespace "source_workload_namespace" "Its Kubernetes namespace.",
    SourcePrincipal "source_principal" "Its SPIFFE identity, from mutual TLS.",
    SourceApp "source_app" "Its label `app.kubernetes.io/name`, else `app`.",
    SourceVersion "source_version" "Its label `app.kubernetes.io/version`, else `version`.",
    SourceCanonicalService "source_canonical_service" "Its canonical service.",
    SourceCanonicalRevision "source_canonical_revision" "Its canonical revision.",
    SourceClusterId "source_cluster" "Kubernetes cluster it runs in.",
    DestinationWorkload "destination_workload" "Workload that answered.",
    DestinationWorkloadNamespace "destination_workload_namespace" "Its Kubernetes namespace.",
    DestinationPrincipal "destination_principal" "Its SPIFFE identity, from mutual TLS, else as Istio's filters know it.",
    DestinationApp "destination_app" "Its label `app.kubernetes.io/name`, else `app`.",
    DestinationVersion "destination_version" "Its label `app.kubernetes.io/version`, else `version`.",
    DestinationService "destination_service" "Host name of the service that was called.",
    DestinationServiceName "destination_service_name" "Short name of that service.",
    DestinationServiceNamespace "destination_service_namespace" "Kubernetes namespace of that service.",
    DestinationCanonicalService "destination_canonical_service" "Canonical service of the destination workload.",
    DestinationCanonicalRevision "destination_canonical_revision" "Canonical revision of the destination workload.",
    DestinationClusterId "destination_cluster" "Kubernetes cluster of the destination workload.",
    RequestProtocol "request_protocol" "`http`, `grpc` or `tcp`.",
    ResponseFlags "response_flags" "Envoy's response flags, `-` if there are none.",
    ConnectionSecurityPolicy "connection_security_policy" "`mutual_tls` or `none`; the source does not know it: `unknown`.",
    ResponseCode "response_code" "HTTP status, `0` if there was no response.",
    GrpcResponseStatus "grpc_response_status" "gRPC status; empty if nobody sent one, or the request was not gRPC.",
}

/// How many of the labels a metric carries, counted from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LabelSet {
    /// Source, destination and service: the messages of a gRPC stream.
    Messages,
    /// Those, protocol, flags and security policy: TCP.
    Tcp,
    /// Those, response code and gRPC status: HTTP and gRPC.
    Http,
}

/// One value for each of the first labels; borrowed, so that looking up a
/// known label set allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    values: [&'a str; Dimension::ALL.len()],
}

/// Some of the labels.
pub type Dimensions = Set<Dimension>;

// === impl Dimension ===

impl Numbered for Dimension {
    fn number(self) -> usize {
        self as usize
    }
}

// === impl LabelSet ===

impl LabelSet {
    /// The labels, in order.
    pub fn dimensions(self) -> &'static [Dimension] {
        let last = match self {
            Self::Messages => Dimension::DestinationClusterId,
            Self::Tcp => Dimension::ConnectionSecurityPolicy,
            Self::Http => Dimension::GrpcResponseStatus,
        };
        Dimension::ALL.get(..=last as usize).unwrap_or(&Dimension::ALL)
    }
}

// === impl Values ===

impl<'a> Values<'a> {
    /// Every label unknown.
    pub const UNKNOWN: Self = Self::all(UNKNOWN);

    /// Every label with the same value.
    pub const fn all(value: &'a str) -> Self {
        Self { values: [value; Dimension::ALL.len()] }
    }

    /// Sets the value of a label.
    pub fn set(&mut self, dimension: Dimension, value: &'a str) {
        if let Some(slot) = self.values.get_mut(dimension as usize) {
            *slot = value;
        }
    }

    /// The value of a label.
    pub fn get(&self, dimension: Dimension) -> &'a str {
        self.values.get(dimension as usize).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_sets_are_prefixes_of_20_23_and_25() {
        let sets = [LabelSet::Messages, LabelSet::Tcp, LabelSet::Http];
        assert_eq!(sets.map(|set| set.dimensions().len()), [20, 23, 25]);
        assert_eq!(Dimension::ALL.map(|d| d as usize), core::array::from_fn(|i| i));
    }

    #[test]
    fn a_value_is_found_where_it_was_set() {
        let mut values = Values::all("unknown");
        values.set(Dimension::SourceClusterId, "east");
        assert_eq!(values.get(Dimension::SourceClusterId), "east");
        assert_eq!(values.get(Dimension::DestinationClusterId), "unknown");
    }
}
