//! Envoy's page `/config_dump`.

use std::collections::BTreeSet;

use istio_stats::config::Config;
use serde_json::Value;

use super::attached::{self, Attached};
use super::chain::Chain;
use super::json::{is_true, list, text, written};
use super::listeners::{Reader, Rejected};
use crate::artefact::Artefact;
use crate::names::Names;

/// The configuration that an Envoy runs with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dump {
    pub(crate) node_id: String,
    /// `CLUSTER_ID` of the node's metadata.
    pub(crate) cluster_id: Option<String>,
    /// What is there instead of a text: `a list`.
    pub(crate) unreadable_cluster_id: Option<&'static str>,
    /// Whether Istio made the bootstrap.
    pub(crate) is_istio: bool,
    pub(crate) tags: Vec<Tag>,
    /// `stats_config.stats_matcher`, `null` if there is none.
    pub(crate) stats_matcher: Value,
    pub(crate) chains: Vec<Chain>,
    pub(crate) rejected: Vec<Rejected>,
    /// Whether an upstream cluster expects the exchange over TCP.
    pub(crate) tcp_exchange: bool,
    /// Configurations of the native module's upstream clusters.
    pub(crate) handles: Vec<Config>,
}

/// An entry of `stats_config.stats_tags`.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) name: String,
    /// Does not come from the stat's name: every stat gets the same value.
    pub(crate) fixed: bool,
}

const CLUSTER_ID: &str = "/node/metadata/CLUSTER_ID";

// === impl Dump ===

impl Dump {
    /// Reads the page; what is not there counts as absent.
    pub(crate) fn parse(page: &Value) -> Self {
        let section = |name: &str| {
            let is_it = |part: &&Value| text(part, "/@type").ends_with(name);
            list(page, "/configs").iter().find(is_it).unwrap_or(&Value::Null)
        };
        let bootstrap = section(".BootstrapConfigDump").pointer("/bootstrap").unwrap_or(&Value::Null);
        let listeners = section(".ListenersConfigDump");
        let clusters = section(".ClustersConfigDump");
        let reader = Reader {
            extensions: list(section(".EcdsConfigDump"), "/ecds_filters"),
            routes: section(".RoutesConfigDump"),
        };

        let upstream_clusters: Vec<_> = ["/static_clusters", "/dynamic_active_clusters"]
            .iter()
            .flat_map(|path| list(clusters, path))
            .filter_map(|one| one.get("cluster"))
            .collect();
        let types = upstream_clusters.iter().filter_map(|one| one.pointer("/cluster_type/typed_config"));

        let mut dump = Self {
            node_id: text(bootstrap, "/node/id").to_owned(),
            cluster_id: Some(written(bootstrap, CLUSTER_ID)).filter(|id| !id.is_empty()),
            unreadable_cluster_id: bootstrap.pointer(CLUSTER_ID).and_then(not_written),
            is_istio: bootstrap.pointer("/node/metadata/PROXY_CONFIG").is_some(),
            tags: list(bootstrap, "/stats_config/stats_tags").iter().map(Tag::parse).collect(),
            stats_matcher: bootstrap.pointer("/stats_config/stats_matcher").cloned().unwrap_or_default(),
            tcp_exchange: upstream_clusters
                .iter()
                .any(|one| is_true(one, "/metadata/filter_metadata/istio-stats/tcp_exchange")),
            handles: types.filter_map(attached::handles).collect(),
            ..Self::default()
        };
        for entry in list(listeners, "/static_listeners") {
            dump.chains.extend(reader.chains(entry.pointer("/listener"), true));
        }
        for entry in list(listeners, "/dynamic_listeners") {
            dump.chains.extend(reader.chains(entry.pointer("/active_state/listener"), false));
            dump.rejected.extend(reader.rejected(entry));
        }
        dump
    }

    /// Every plugin, with its chain.
    pub(crate) fn all_plugins(&self) -> impl Iterator<Item = (&Chain, &Attached)> {
        self.chains.iter().flat_map(|chain| chain.plugins.iter().map(move |plugin| (chain, plugin)))
    }

    /// Those that run this module.
    pub(crate) fn plugins(&self, artefact: Artefact) -> impl Iterator<Item = (&Chain, &Attached)> {
        self.all_plugins().filter(move |(_, plugin)| plugin.artefact == Some(artefact))
    }

    /// Those of this project.
    pub(crate) fn our_plugins(&self) -> impl Iterator<Item = (&Chain, &Attached)> {
        self.plugins(Artefact::IstioStats).chain(self.plugins(Artefact::MetadataExchange))
    }

    /// Whether the native module has a plugin here.
    pub(crate) fn has_native(&self) -> bool {
        self.all_plugins().any(|(_, plugin)| plugin.is_native)
    }

    /// How the plugins' metrics are called.
    pub(crate) fn names(&self) -> Names {
        let prefixes = self.all_plugins().filter_map(|(_, plugin)| plugin.metric_prefix());
        Names::with_prefixes(prefixes.collect::<BTreeSet<_>>())
    }

    /// Whether the bootstrap has a line for a label.
    pub(crate) fn has_tag(&self, label: &str) -> bool {
        self.tags.iter().any(|tag| tag.name == label)
    }
}

/// What a value is of which no text can be made.
fn not_written(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => Some("null"),
        Value::Array(_) => Some("a list"),
        Value::Object(_) => Some("a map"),
        _ => None,
    }
}

// === impl Tag ===

impl Tag {
    fn parse(entry: &Value) -> Self {
        Self { name: text(entry, "/tag_name").to_owned(), fixed: entry.get("fixed_value").is_some() }
    }
}
