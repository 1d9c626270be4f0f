//! What TLS says of a stream's ends.

use super::needs::Needs;
use crate::attribute::element::Element;
use crate::attribute::keys::TUNNEL_PRINCIPAL;
use crate::attribute::Attributes;
use crate::catalogue::dimension::Dimension as D;
use crate::catalogue::label_value::{LabelValue, UNKNOWN};
use crate::catalogue::reporter::Reporter;
use crate::workload::labels::spiffe_namespace;

/// Facts that hold from the first byte to the last: who talks to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// First URI SAN of the certificate that the source showed.
    pub source_principal: Option<LabelValue>,
    /// First URI SAN of the certificate that the destination showed. (Where there is none
    /// Istio's filters may know who it is: [`crate::peer::Peer::identified`].)
    pub destination_principal: Option<LabelValue>,
    /// The peer's Kubernetes namespace by its principal, which mutual TLS
    /// vouches for, unlike what its metadata claims.
    pub peer_namespace: Option<LabelValue>,
    /// Whether the downstream connection is mutual TLS, or left a tunnel that is.
    /// Not asked at the source, which sees only its own workload there.
    pub mutual_tls: Option<bool>,
}

// === impl Identity ===

impl Identity {
    /// Reads principals and policy as this reporter can know them, as far as
    /// labels show them.
    pub fn read(attributes: &Attributes<'_>, reporter: Reporter, needs: &Needs) -> Self {
        match reporter {
            Reporter::Source => Self::of_upstream(attributes, needs),
            Reporter::Destination | Reporter::Waypoint => Self::of_downstream(attributes, reporter, needs),
        }
    }

    /// Of the connection to the destination, which is the peer.
    fn of_upstream(attributes: &Attributes<'_>, needs: &Needs) -> Self {
        let read =
            |labels: &[D], element| needs.any_label(labels).then(|| attributes.label(element)).flatten();
        let own_labels = [D::SourcePrincipal];
        let peer_labels =
            [D::DestinationPrincipal, D::DestinationWorkloadNamespace, D::DestinationServiceNamespace];
        let shows_any = needs.any_label(&own_labels) || needs.any_label(&peer_labels);
        // Without TLS one look tells that both are absent.
        if !shows_any || attributes.bytes(Element::UpstreamTls).is_none() {
            return Self::default();
        }
        let peer = read(&peer_labels, Element::UpstreamPeerSan);
        Self {
            source_principal: read(&own_labels, Element::UpstreamLocalSan),
            peer_namespace: peer.as_ref().and_then(spiffe_namespace),
            destination_principal: peer,
            mutual_tls: None,
        }
    }

    /// Of the connection from the source, which is the peer. What left a tunnel
    /// (HBONE) shows no certificate: Istio keeps in the filter state whose it was, and
    /// that goes before the connection's own.
    fn of_downstream(attributes: &Attributes<'_>, reporter: Reporter, needs: &Needs) -> Self {
        let peer_labels = [D::SourcePrincipal, D::SourceWorkloadNamespace, D::ConnectionSecurityPolicy];
        let shows_peer = needs.any_label(&peer_labels);
        // A waypoint shows its own certificate, which is not the destination's.
        let shows_own = reporter == Reporter::Destination && needs.any_label(&[D::DestinationPrincipal]);
        let read = |shown: bool, path: &[&str]| shown.then(|| attributes.label(path)).flatten();
        let of_tunnel = read(shows_peer || shows_own, &TUNNEL_PRINCIPAL);
        let (peer, own) = if of_tunnel.is_some() {
            (of_tunnel.clone(), read(shows_own, &["filter_state", "io.istio.local_principal"]))
        } else {
            let peer = read(shows_peer, &["connection", "uri_san_peer_certificate"]);
            (peer, read(shows_own, &["connection", "uri_san_local_certificate"]))
        };
        let mutual_tls = match of_tunnel {
            _ if !needs.any_label(&[D::ConnectionSecurityPolicy]) => None,
            Some(_) => Some(true),
            None => attributes.flag(&["connection", "mtls"]),
        };
        Self {
            peer_namespace: peer.as_ref().and_then(spiffe_namespace),
            source_principal: peer,
            destination_principal: own,
            mutual_tls,
        }
    }

    /// The label `connection_security_policy`.
    pub fn security_policy(&self) -> &'static str {
        match self.mutual_tls {
            Some(true) => "mutual_tls",
            Some(false) => "none",
            None => UNKNOWN,
        }
    }
}
