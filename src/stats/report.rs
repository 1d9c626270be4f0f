//! From one stream's facts to label values and samples. Makes no hostcall.

use std::borrow::Cow;

use crate::catalogue::dimension::{Dimension, DimensionSet, Values};
use crate::catalogue::label_value::{LATEST, OVERFLOW, UNKNOWN};
use crate::catalogue::metric::Metric;
use crate::catalogue::reporter::Reporter;
use crate::catalogue::response_flags;
use crate::facts::needs::Needs;
use crate::facts::service::Service;
use crate::facts::{Identity, Messages, Outcome, Protocol};
use crate::peer::{Peer, Side};
use crate::series::registry::Sample;
use crate::workload::labels::{or, WorkloadLabels};

/// Who called whom: all that the source, destination and service labels need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The side this proxy reports from.
    pub reporter: Reporter,
    /// The workload that this proxy accepted the stream from.
    pub downstream: Peer,
    /// The workload that it sent the stream to.
    pub upstream: Peer,
    /// What TLS says of both.
    pub identity: Identity,
    /// The service that was called.
    pub service: Service,
}

/// The texts of the labels that only the end of a request knows.
#[derive(Clone, Debug)]
pub struct OutcomeTexts {
    response_flags: Cow<'static, str>,
    response_code: String,
    grpc_response_status: String,
}

/// The labels of one side.
struct SideDimensions {
    workload: Dimension,
    namespace: Dimension,
    principal: Dimension,
    app: Dimension,
    app_version: Dimension,
    canonical_service: Dimension,
    canonical_revision: Dimension,
    cluster_id: Dimension,
}

const SOURCE: SideDimensions = SideDimensions {
    workload: Dimension::SourceWorkload,
    namespace: Dimension::SourceWorkloadNamespace,
    principal: Dimension::SourcePrincipal,
    app: Dimension::SourceApp,
    app_version: Dimension::SourceVersion,
    canonical_service: Dimension::SourceCanonicalService,
    canonical_revision: Dimension::SourceCanonicalRevision,
    cluster_id: Dimension::SourceClusterId,
};

const DESTINATION: SideDimensions = SideDimensions {
    workload: Dimension::DestinationWorkload,
    namespace: Dimension::DestinationWorkloadNamespace,
    principal: Dimension::DestinationPrincipal,
    app: Dimension::DestinationApp,
    app_version: Dimension::DestinationVersion,
    canonical_service: Dimension::DestinationCanonicalService,
    canonical_revision: Dimension::DestinationCanonicalRevision,
    cluster_id: Dimension::DestinationClusterId,
};

/// Whether the label says the same for every stream of this reporter.
pub fn is_local(reporter: Reporter, dimension: Dimension) -> bool {
    const OF_SOURCE: DimensionSet = DimensionSet::of(&SOURCE.of_workload());
    const OF_DESTINATION: DimensionSet = DimensionSet::of(&DESTINATION.of_workload());
    dimension == Dimension::Reporter
        || match reporter {
            Reporter::Source => OF_SOURCE.contains(dimension),
            Reporter::Destination => OF_DESTINATION.contains(dimension),
            Reporter::Waypoint => false,
        }
}

/// Whether any label that is shown speaks of the peer on this side.
pub fn shows_peer(needs: &Needs, side: Side) -> bool {
    match side {
        Side::Downstream => needs.any_label(&SOURCE.of_workload()),
        // The service's namespace is the peer's where nothing else tells.
        Side::Upstream => {
            needs.any_label(&DESTINATION.of_workload())
                || needs.any_label(&[Dimension::DestinationServiceNamespace])
        }
    }
}

// === impl SideDimensions ===

impl SideDimensions {
    /// The labels that [`WorkloadLabels`] fill.
    const fn of_workload(&self) -> [Dimension; 7] {
        [
            self.workload,
            self.namespace,
            self.app,
            self.app_version,
            self.canonical_service,
            self.canonical_revision,
            self.cluster_id,
        ]
    }
}

/// A side that nothing is known of.
const NOBODY: &WorkloadLabels = &WorkloadLabels {
    workload: None,
    namespace: None,
    cluster_id: None,
    app: None,
    app_version: None,
    canonical_service: None,
    canonical_revision: None,
};

// === impl Call ===

impl Call {
    /// Whether a peer may still tell who it is.
    pub fn is_pending(&self) -> bool {
        self.downstream.is_pending() || self.upstream.is_pending()
    }

    /// The values of the labels that say who called whom; those that only the
    /// end of a request knows are `unknown` until [`OutcomeTexts::fill`].
    pub fn values<'a>(&'a self, local: &'a WorkloadLabels) -> Values<'a> {
        let downstream = self.downstream.labels().unwrap_or(NOBODY);
        let upstream = self.upstream.labels().unwrap_or(NOBODY);
        let (source, destination) = match self.reporter {
            Reporter::Source => (local, upstream),
            Reporter::Destination => (downstream, local),
            Reporter::Waypoint => (downstream, upstream),
        };
        // Istio leaves the revision of a waypoint's destination open.
        let destination_revision = match self.reporter {
            Reporter::Waypoint => UNKNOWN,
            _ => LATEST,
        };
        let mut values = Values::UNKNOWN;
        values.set(Dimension::Reporter, self.reporter.as_str());
        fill(&mut values, &SOURCE, source, LATEST);
        fill(&mut values, &DESTINATION, destination, destination_revision);

        let Identity { source_principal, destination_principal, peer_namespace, mutual_tls: _ } =
            &self.identity;
        values.set(SOURCE.principal, or(source_principal, UNKNOWN));
        values.set(DESTINATION.principal, or(destination_principal, UNKNOWN));
        values.set(Dimension::ConnectionSecurityPolicy, self.identity.security_policy());
        let (peer_side, peer) = match self.reporter {
            Reporter::Source => (&DESTINATION, upstream),
            Reporter::Destination | Reporter::Waypoint => (&SOURCE, downstream),
        };
        let peer_namespace = or(peer_namespace, or(&peer.namespace, UNKNOWN));
        values.set(peer_side.namespace, peer_namespace);

        let Service { host, name, namespace } = &self.service;
        values.set(Dimension::DestinationService, or(host, UNKNOWN));
        values.set(Dimension::DestinationServiceName, or(name, UNKNOWN));
        let service_namespace = match self.reporter {
            Reporter::Source => or(namespace, peer_namespace),
            Reporter::Destination => or(&local.namespace, UNKNOWN),
            Reporter::Waypoint => or(namespace, UNKNOWN),
        };
        values.set(Dimension::DestinationServiceNamespace, service_namespace);
        values
    }
}

/// The values beyond the bound on series: the local side as it is, and
/// `overflow` for all that peers and clients can choose.
pub fn overflow_values(reporter: Reporter, local: &WorkloadLabels) -> Values<'_> {
    let mut values = Values::all(OVERFLOW);
    values.set(Dimension::Reporter, reporter.as_str());
    match reporter {
        Reporter::Source => fill(&mut values, &SOURCE, local, LATEST),
        Reporter::Destination => fill(&mut values, &DESTINATION, local, LATEST),
        Reporter::Waypoint => {}
    }
    values
}

fn fill<'a>(
    values: &mut Values<'a>,
    side: &SideDimensions,
    workload: &'a WorkloadLabels,
    missing_revision: &'a str,
) {
    // Every field by name: a new one that is not put into a label does not compile.
    let WorkloadLabels {
        workload: name,
        namespace,
        cluster_id,
        app,
        app_version,
        canonical_service: _,
        canonical_revision,
    } = workload;
    values.set(side.workload, or(name, UNKNOWN));
    values.set(side.namespace, or(namespace, UNKNOWN));
    values.set(side.cluster_id, or(cluster_id, UNKNOWN));
    values.set(side.app, or(app, UNKNOWN));
    values.set(side.app_version, or(app_version, UNKNOWN));
    values.set(side.canonical_service, workload.canonical_service_or_workload());
    values.set(side.canonical_revision, or(canonical_revision, missing_revision));
}

// === impl OutcomeTexts ===

impl OutcomeTexts {
    /// Prints what is a number.
    pub fn new(outcome: &Outcome) -> Self {
        Self {
            response_flags: response_flags::label(outcome.response_flags),
            response_code: outcome.response_code.to_string(),
            grpc_response_status: outcome.grpc_status.map(|status| status.to_string()).unwrap_or_default(),
        }
    }

    /// Completes the values of a request.
    pub fn fill<'a>(&'a self, values: &mut Values<'a>, protocol: Protocol) {
        let Self { response_flags, response_code, grpc_response_status } = self;
        values.set(Dimension::RequestProtocol, protocol.as_str());
        values.set(Dimension::ResponseFlags, response_flags);
        values.set(Dimension::ResponseCode, response_code);
        values.set(Dimension::GrpcResponseStatus, grpc_response_status);
    }
}

/// What a finished request adds to the HTTP metrics. Without a duration (the
/// request never completed) that histogram gets nothing.
pub fn request_samples(outcome: &Outcome) -> [Option<Sample>; 4] {
    [
        Some(Sample::new(Metric::Requests, 1)),
        outcome.duration_ms.map(|duration_ms| Sample::new(Metric::RequestDuration, duration_ms)),
        Some(Sample::new(Metric::RequestBytes, outcome.request_bytes)),
        Some(Sample::new(Metric::ResponseBytes, outcome.response_bytes)),
    ]
}

/// What a gRPC stream adds to the message metrics.
pub fn message_samples(messages: Messages) -> [Option<Sample>; 2] {
    [
        Some(Sample::new(Metric::RequestMessages, messages.requests)),
        Some(Sample::new(Metric::ResponseMessages, messages.responses)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::plan::Catalogue;

    #[test]
    fn what_a_reporter_always_says_of_itself_is_local() {
        let local = |reporter| {
            let local = Dimension::ALL.into_iter().filter(move |dimension| is_local(reporter, *dimension));
            local.map(Dimension::name).collect::<Vec<_>>()
        };
        let of = |side: &str| {
            let facts = ["workload", "workload_namespace", "app", "version"];
            let more = ["canonical_service", "canonical_revision", "cluster"];
            let names = facts.into_iter().chain(more).map(|fact| format!("{side}_{fact}"));
            ["reporter".to_owned()].into_iter().chain(names).collect::<Vec<_>>()
        };
        assert_eq!(local(Reporter::Source), of("source"));
        assert_eq!(local(Reporter::Destination), of("destination"));
        assert_eq!(local(Reporter::Waypoint), ["reporter"]);
    }

    #[test]
    fn a_peer_is_asked_for_only_if_a_label_shows_it() {
        let shown = |label: &str| {
            let catalogue =
                Catalogue::new(String::new(), Vec::new(), Vec::new(), Some(vec![label.to_owned()]));
            let needs = Needs::of(&catalogue, false);
            [Side::Downstream, Side::Upstream].map(|side| shows_peer(&needs, side))
        };
        assert_eq!(shown("response_code"), [false, false]);
        assert_eq!(shown("source_cluster"), [true, false]);
        assert_eq!(shown("destination_app"), [false, true]);
        assert_eq!(shown("destination_service_namespace"), [false, true]);
    }
}
