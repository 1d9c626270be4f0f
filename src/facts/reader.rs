//! Reads who called whom, and remembers what several streams share.

use std::cell::RefCell;
use std::time::Instant;

use super::call::Call;
use super::connections::{Connection, ConnectionKind, Connections};
use super::identity::Identity;
use super::needs::Needs;
use super::service::{of_special_route, Service, UpstreamClusters};
use crate::attachment::Attachment;
use crate::attribute::batch::Measured;
use crate::attribute::direction::Direction;
use crate::attribute::element::Element;
use crate::attribute::Attributes;
use crate::catalogue::label_value::LabelValue;
use crate::catalogue::reporter::Reporter;
use crate::config::{Config, Trust};
use crate::peer::side::Side;
use crate::peer::{Peer, Peers, Wanted};
use crate::workload::fact::Fact;
use crate::workload::further::Further;
use crate::workload::labels::WorkloadLabels;

/// Reads the calls of one plugin's streams.
#[derive(Debug)]
pub struct CallReader {
    /// What is to be known of a stream.
    pub needs: Needs,
    /// `None`: each stream's listener tells it.
    reporter: Option<Reporter>,
    trust: Trust,
    host_header_fallback: Option<bool>,
    local_service: Option<LabelValue>,
    peers: RefCell<Peers>,
    upstream_clusters: RefCell<UpstreamClusters>,
    connections: RefCell<Connections>,
}

// === impl CallReader ===

impl CallReader {
    /// A reader that knows no stream yet. The configuration decides which side it
    /// reports from, then the root id; else each stream's listener does.
    pub fn new(
        config: &Config,
        needs: Needs,
        further: Further,
        root: &Attributes<'_>,
        local: &WorkloadLabels,
    ) -> Self {
        let of_root = || Direction::of_root(root).map(Direction::reporter);
        Self {
            needs,
            reporter: if config.waypoint { Some(Reporter::Waypoint) } else { of_root() },
            trust: config.trust,
            host_header_fallback: config.host_header_fallback,
            local_service: local.get(Fact::CanonicalService).cloned(),
            peers: RefCell::new(Peers::asking(further)),
            upstream_clusters: RefCell::default(),
            connections: RefCell::default(),
        }
    }

    /// Some time passed: what may have changed since is read again.
    pub fn on_tick(&self, now: Instant) {
        self.upstream_clusters.borrow_mut().forget();
        self.peers.borrow_mut().on_tick(now);
    }

    /// The side this stream is reported from.
    pub fn reporter(&self, attributes: &Attributes<'_>) -> Reporter {
        self.reporter.unwrap_or_else(|| Direction::read(attributes).reporter())
    }

    /// The same for an HTTP stream, and what is known of its connection.
    pub fn connection(&self, attributes: &Attributes<'_>) -> Connection {
        // Of a source it is the other connection that has the identities.
        if self.reporter == Some(Reporter::Source) {
            return Connection { reporter: Reporter::Source, identity: None };
        }
        let read = || {
            let reporter = self.reporter(attributes);
            let read = || Identity::read(attributes, reporter, &self.needs);
            Connection { reporter, identity: (reporter != Reporter::Source).then(read) }
        };
        self.connections.borrow_mut().find(attributes, read)
    }

    /// Which kind of connection an HTTP stream has, by what was measured of it, if that
    /// is known.
    pub fn connection_kind(&self, measured: &Measured<'_>) -> Option<ConnectionKind> {
        if self.reporter == Some(Reporter::Source) {
            return Some(ConnectionKind::ANY);
        }
        self.connections.borrow().kind(measured.number(Element::ConnectionId)?)
    }

    /// Reads who called whom, as far as metrics show it. `identity` is what was
    /// known of that already. `host_header` is asked for the request's host only
    /// where it may name the service.
    pub fn read(
        &self,
        attributes: &Attributes<'_>,
        attachment: Attachment,
        reporter: Reporter,
        identity: Option<Identity>,
        host_header: impl Fn() -> Option<LabelValue>,
    ) -> Call {
        let identity = identity.unwrap_or_else(|| Identity::read(attributes, reporter, &self.needs));
        let peer = |side| self.peer(attributes, attachment, side, reporter);
        // The workload's own side, which no label speaks of.
        let own = |side| if self.needs.peers.contains(side) { peer(side) } else { Peer::unasked() };
        let (downstream, upstream) = match reporter {
            Reporter::Source => (own(Side::Downstream), peer(Side::Upstream)),
            Reporter::Destination => (peer(Side::Downstream), own(Side::Upstream)),
            Reporter::Waypoint => (peer(Side::Downstream), peer(Side::Upstream)),
        };
        let service = self.service(attributes, attachment, reporter, host_header);
        Call { reporter, downstream, upstream, identity, service }
    }

    /// Whether the peer of a TCP connection told something that was still pending:
    /// cheap to ask.
    pub fn has_peer_told(&self, attributes: &Attributes<'_>, reporter: Reporter) -> bool {
        let told = |side| !self.peer(attributes, Attachment::Tcp, side, reporter).is_pending();
        match reporter {
            Reporter::Source => told(Side::Upstream),
            Reporter::Destination => told(Side::Downstream),
            Reporter::Waypoint => told(Side::Downstream) || told(Side::Upstream),
        }
    }

    fn service(
        &self,
        attributes: &Attributes<'_>,
        attachment: Attachment,
        reporter: Reporter,
        host_header: impl Fn() -> Option<LabelValue>,
    ) -> Service {
        if !self.needs.service() {
            return Service::default();
        }
        let trusted = Service::trusts_host_header(reporter, self.host_header_fallback);
        let base = || {
            let local_service = || match reporter {
                Reporter::Destination => self.local_service.clone(),
                Reporter::Source | Reporter::Waypoint => None,
            };
            trusted.then(&host_header).flatten().or_else(local_service)
        };
        // TCP has no routes.
        let route = (attachment == Attachment::Http).then(|| of_special_route(attributes)).flatten();
        Service::read(attributes, &mut self.upstream_clusters.borrow_mut(), route, base)
    }

    fn peer(
        &self,
        attributes: &Attributes<'_>,
        attachment: Attachment,
        side: Side,
        reporter: Reporter,
    ) -> Peer {
        if !self.needs.peer(side) {
            return Peer::unasked();
        }
        let is_believed = self.trust == Trust::Always || side.showed_certificate(attributes);
        let by_endpoint = reporter == Reporter::Source;
        self.peers.borrow_mut().find(attributes, Wanted { attachment, side, is_believed, by_endpoint })
    }
}
