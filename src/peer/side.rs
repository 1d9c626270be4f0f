//! Which of a proxy's two peers is meant.

use crate::attribute::element::Element;
use crate::attribute::keys::TUNNEL_PRINCIPAL;
use crate::attribute::Attributes;
use crate::collections::set::{Numbered, Set};

/// Which peer is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that this proxy accepted the stream from.
    Downstream,
    /// The one that this proxy sent the stream on to.
    Upstream,
}

/// Some of the peers.
pub type Sides = Set<Side>;

// === impl Side ===

impl Numbered for Side {
    fn number(self) -> usize {
        self as usize
    }
}

impl Side {
    /// Whether this peer showed a certificate, be it to where a tunnel ended that its
    /// connection left. Any has a subject or a SAN; Istio's have only the SAN.
    pub fn showed_certificate(self, attributes: &Attributes<'_>) -> bool {
        match self {
            Self::Downstream => {
                attributes.flag(&["connection", "mtls"]) == Some(true)
                    || attributes.bytes(&TUNNEL_PRINCIPAL).is_some()
            }
            Self::Upstream => {
                attributes.bytes(Element::UpstreamPeerSan).is_some()
                    || attributes.bytes(&["upstream", "subject_peer_certificate"]).is_some()
            }
        }
    }
}
