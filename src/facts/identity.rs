//! What TLS says of a stream's ends.

use super::needs::Needs;
use crate::attribute::element::Element;
use crate::attribute::{Attributes, Path};
use crate::catalogue::dimension::Dimension;
use crate::catalogue::label_value::{LabelValue, UNKNOWN};
use crate::catalogue::reporter::Reporter;

/// Facts that hold from the first byte to the last: who talks to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// First URI SAN of the certificate that the source showed.
    pub source_principal: Option<LabelValue>,
    /// First URI SAN of the certificate that the destination showed.
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
        use Dimension as D;
        let read =
            |labels: &[D], path: Path<'_>| needs.any_label(labels).then(|| attributes.label(path)).flatten();
        // The principal of the peer tells its namespace, too.
        let (own_label, peer_labels, own_path, peer_path) = match reporter {
            Reporter::Source => (
                D::SourcePrincipal,
                [D::DestinationPrincipal, D::DestinationWorkloadNamespace, D::DestinationServiceNamespace],
                Path::Listed(Element::UpstreamLocalSan),
                Path::Listed(Element::UpstreamPeerSan),
            ),
            Reporter::Destination | Reporter::Waypoint => (
                D::DestinationPrincipal,
                [D::SourcePrincipal, D::SourceWorkloadNamespace, D::ConnectionSecurityPolicy],
                Path::Named(&["connection", "uri_san_local_certificate"]),
                Path::Named(&["connection", "uri_san_peer_certificate"]),
            ),
        };
        let shows_any = needs.any_label(&[own_label]) || needs.any_label(&peer_labels);
        // Without TLS to the upstream one look tells that both are absent.
        if !shows_any || reporter == Reporter::Source && attributes.bytes(Element::UpstreamTls).is_none() {
            return Self::default();
        }
        let is_waypoint = reporter == Reporter::Waypoint;
        // What left a tunnel shows no certificate; Istio's waypoint keeps whose it was.
        let of_tunnel = || read(&peer_labels, Path::Named(&["filter_state", "io.istio.peer_principal"]));
        let tunnel = is_waypoint.then(of_tunnel).flatten();
        let mutual_tls = match reporter {
            Reporter::Source => None,
            _ if !needs.any_label(&[D::ConnectionSecurityPolicy]) => None,
            _ if tunnel.is_some() => Some(true),
            _ => attributes.flag(&["connection", "mtls"]),
        };
        let peer = tunnel.or_else(|| read(&peer_labels, peer_path));
        // A waypoint shows its own certificate, which is not the destination's.
        let of_own = || read(&[own_label], own_path);
        let own = (!is_waypoint).then(of_own).flatten();
        let peer_namespace = peer.as_ref().and_then(spiffe_namespace);
        let (source_principal, destination_principal) =
            if reporter == Reporter::Source { (own, peer) } else { (peer, own) };
        Self { source_principal, destination_principal, peer_namespace, mutual_tls }
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

/// The namespace in a SPIFFE id: what follows the first `/ns/`, up to the next
/// slash, as Istio's own filter reads it.
fn spiffe_namespace(principal: &LabelValue) -> Option<LabelValue> {
    const MARK: &[u8] = b"/ns/";
    let id = principal.as_str();
    let at = id.as_bytes().windows(MARK.len()).position(|window| window == MARK)?;
    let namespace = id.get(at.checked_add(MARK.len())?..)?.split('/').next()?;
    LabelValue::clean_str(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_read_from_a_spiffe_id() {
        let namespace = |id: &str| {
            let namespace = spiffe_namespace(&LabelValue::clean_str(id).unwrap());
            namespace.map(|value| value.as_str().to_owned())
        };
        assert_eq!(namespace("spiffe://east.local/ns/shop/sa/web").as_deref(), Some("shop"));
        assert_eq!(namespace("spiffe://east.local/ns/shop").as_deref(), Some("shop"));
        assert_eq!(namespace("spiffe://td/ns/a/ns/b/sa/x").as_deref(), Some("a"));
        assert_eq!(namespace("spiffe://td/ns//sa/x"), None);
        assert_eq!(namespace("spiffe://td/vm/web"), None);
    }
}
