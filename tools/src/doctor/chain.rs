//! Where plugins may sit.

use istio_stats::attachment::Attachment;
use istio_stats::peer::side::Side;

use super::attached::Attached;
use super::stock_exchange::StockExchange;
use crate::artefact::Artefact;

/// The filters of an HTTP connection manager, or network filters without one.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) listener: String,
    /// Part of the names of the listener's stats.
    pub(crate) listener_scope: String,
    /// `INBOUND`, `OUTBOUND` or empty.
    pub(crate) direction: String,
    /// From the bootstrap, so there since the start.
    pub(crate) is_static: bool,
    /// Whether it speaks HTTP/3.
    pub(crate) is_quic: bool,
    /// What flows through it.
    pub(crate) attachment: Attachment,
    /// `stat_prefix` of the connection manager; empty for TCP.
    pub(crate) stat_prefix: String,
    /// Some of what comes here takes another chain of filters (`upgrade_configs`).
    pub(crate) is_bypassed: bool,
    pub(crate) plugins: Vec<Attached>,
    /// Names and types of the other filters.
    pub(crate) filters: Vec<Filter>,
    pub(crate) stock_exchange: StockExchange,
}

/// A filter that is no Wasm plugin.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) name: String,
    pub(super) type_url: String,
    pub(super) emits_filter_state: bool,
}

// === impl Chain ===

impl Chain {
    /// An empty one, somewhere.
    pub(crate) fn new(attachment: Attachment) -> Self {
        Self {
            listener: String::new(),
            listener_scope: String::new(),
            direction: String::new(),
            is_static: false,
            is_quic: false,
            attachment,
            stat_prefix: String::new(),
            is_bypassed: false,
            plugins: Vec::new(),
            filters: Vec::new(),
            stock_exchange: StockExchange::default(),
        }
    }

    /// Its plugins that run this module.
    pub(crate) fn plugins(&self, artefact: Artefact) -> impl Iterator<Item = &Attached> {
        self.plugins.iter().filter(move |plugin| plugin.artefact == Some(artefact))
    }

    pub(crate) fn has(&self, artefact: Artefact) -> bool {
        self.plugins(artefact).next().is_some()
    }

    /// Whether metadata is exchanged with this peer, by our plugin, by Istio's filter
    /// or by filters of Envoy's own.
    pub(crate) fn exchanges(&self, peer: Side) -> bool {
        self.has(Artefact::MetadataExchange)
            || self.filters.iter().any(Filter::is_native_exchange)
            || self.stock_exchange.reaches(peer)
    }

    /// As it is called in messages.
    pub(crate) fn describe(&self) -> String {
        let what = match self.attachment {
            Attachment::Http => "HTTP",
            Attachment::Tcp => "TCP",
        };
        format!("listener {} ({what})", self.listener)
    }
}

// === impl Filter ===

impl Filter {
    /// Istio's own metrics filter.
    pub(crate) fn is_native_stats(&self) -> bool {
        self.name == "istio.stats" || self.type_url.ends_with("stats.PluginConfig")
    }

    /// Istio's own metadata exchange, over HTTP or TCP.
    fn is_native_exchange(&self) -> bool {
        ["peer_metadata", "metadata_exchange"]
            .iter()
            .any(|part| self.name.contains(part) || self.type_url.contains(part))
    }

    /// Envoy's counter of gRPC messages, with what the plugin reads of it.
    pub(crate) fn counts_grpc_messages(&self) -> bool {
        self.type_url.contains(".grpc_stats.") && self.emits_filter_state
    }
}
