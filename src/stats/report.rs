//! From one stream's facts to label values. Makes no hostcall.

use std::borrow::Cow;

use crate::catalogue::dimension::{Dimension, Values};
use crate::catalogue::label_value::{OVERFLOW, UNKNOWN};
use crate::catalogue::reporter::Reporter;
use crate::catalogue::response_flags;
use crate::facts::call::Call;
use crate::facts::identity::Identity;
use crate::facts::outcome::Outcome;
use crate::facts::protocol::Protocol;
use crate::facts::service::Service;
use crate::workload::fact::Fact;
use crate::workload::labels::{or, WorkloadLabels};

/// The texts of the labels that only the end of a request knows.
#[derive(Clone, Debug)]
pub struct OutcomeTexts {
    response_flags: Cow<'static, str>,
    response_code: String,
    grpc_response_status: String,
}

/// The values of the labels that say who called whom; those that only the
/// end of a request knows are `unknown` until [`OutcomeTexts::fill`].
pub fn values<'a>(call: &'a Call, local: &'a WorkloadLabels) -> Values<'a> {
    let Call { reporter, downstream, upstream, identity, service } = call;
    // Istio's filters may know who the destination is where no certificate tells.
    let identified = upstream.identified().filter(|_| identity.destination_principal.is_none());
    let downstream = downstream.labels().unwrap_or(WorkloadLabels::NOBODY);
    let upstream = upstream.labels().unwrap_or(WorkloadLabels::NOBODY);
    let mut values = Values::UNKNOWN;
    values.set(Dimension::Reporter, reporter.as_str());
    let (source, destination) = match reporter {
        Reporter::Source => (local, upstream),
        Reporter::Destination => (downstream, local),
        Reporter::Waypoint => (downstream, upstream),
    };
    fill(&mut values, [Some(source), Some(destination)]);
    if *reporter == Reporter::Waypoint && destination.get(Fact::CanonicalRevision).is_none() {
        // Istio leaves the revision of a waypoint's destination open.
        values.set(Dimension::DestinationCanonicalRevision, UNKNOWN);
    }

    let Identity { source_principal, destination_principal, peer_namespace, mutual_tls: _ } = identity;
    values.set(Dimension::SourcePrincipal, or(source_principal.as_ref(), UNKNOWN));
    let identity_of_upstream = identified.and_then(|upstream| upstream.get(Fact::Identity));
    let destination_principal = destination_principal.as_ref().or(identity_of_upstream);
    values.set(Dimension::DestinationPrincipal, or(destination_principal, UNKNOWN));
    values.set(Dimension::ConnectionSecurityPolicy, identity.security_policy());
    let (peers_label, peer) = match reporter {
        Reporter::Source => (Dimension::DestinationWorkloadNamespace, upstream),
        Reporter::Destination | Reporter::Waypoint => (Dimension::SourceWorkloadNamespace, downstream),
    };
    let upstream_namespace = identified.and_then(WorkloadLabels::identity_namespace);
    let proved = match reporter {
        Reporter::Source => peer_namespace.as_ref().or(upstream_namespace),
        Reporter::Destination | Reporter::Waypoint => peer_namespace.as_ref(),
    };
    let peer_namespace = or(proved, peer.shown(Fact::Namespace));
    values.set(peers_label, peer_namespace);
    if let (Reporter::Waypoint, Some(namespace)) = (reporter, upstream_namespace) {
        values.set(Dimension::DestinationWorkloadNamespace, namespace.as_str());
    }

    let Service { host, name, namespace } = service;
    values.set(Dimension::DestinationService, or(host.as_ref(), UNKNOWN));
    values.set(Dimension::DestinationServiceName, or(name.as_ref(), UNKNOWN));
    let service_namespace = match reporter {
        Reporter::Source => or(namespace.as_ref(), peer_namespace),
        Reporter::Destination => local.shown(Fact::Namespace),
        Reporter::Waypoint => or(namespace.as_ref(), UNKNOWN),
    };
    values.set(Dimension::DestinationServiceNamespace, service_namespace);
    values
}

/// The values beyond the bound on series: the local side as it is, and
/// `overflow` for all that peers and clients can choose.
pub fn overflow_values(reporter: Reporter, local: &WorkloadLabels) -> Values<'_> {
    let mut values = Values::all(OVERFLOW);
    values.set(Dimension::Reporter, reporter.as_str());
    let sides = match reporter {
        Reporter::Source => [Some(local), None],
        Reporter::Destination => [None, Some(local)],
        Reporter::Waypoint => [None, None],
    };
    fill(&mut values, sides);
    values
}

/// Fills the labels of source and destination that facts of a workload fill.
fn fill<'a>(values: &mut Values<'a>, sides: [Option<&'a WorkloadLabels>; 2]) {
    for fact in Fact::shown() {
        for (label, side) in fact.row().labels.into_iter().flatten().zip(sides) {
            if let Some(workload) = side {
                values.set(label, workload.shown(fact));
            }
        }
    }
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
