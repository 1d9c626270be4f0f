//! Envoy's page `/config_dump`: where plugins sit, and what is around them.

use std::collections::BTreeSet;

use istio_stats::peer::side::Side;
use serde_json::Value;

use super::plugin::{Kind, Plugin, Role};
use super::stock_exchange::StockExchange;
use crate::names::Names;

/// The configuration that an Envoy runs with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    pub(crate) node_id: String,
    /// `CLUSTER_ID` of the node's metadata.
    pub(crate) cluster_id: Option<String>,
    /// Whether Istio made the bootstrap.
    pub(crate) is_istio: bool,
    pub(crate) tags: Vec<Tag>,
    /// `stats_config.stats_matcher`, `null` if there is none.
    pub(crate) stats_matcher: Value,
    pub(crate) places: Vec<Place>,
    pub(crate) rejected: Vec<Rejected>,
    /// Whether an upstream cluster expects the exchange over TCP.
    pub(crate) tcp_exchange: bool,
}

/// An entry of `stats_config.stats_tags`.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) name: String,
    /// Does not come from the stat's name: every stat gets the same value.
    pub(crate) fixed: bool,
}

/// Where plugins may sit: an HTTP connection manager, or a chain of network
/// filters without one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) listener: String,
    /// Part of the names of the listener's stats.
    pub(crate) listener_scope: String,
    /// `INBOUND`, `OUTBOUND` or empty.
    pub(crate) direction: String,
    /// From the bootstrap, so there since the start.
    pub(crate) is_static: bool,
    pub(crate) kind: Kind,
    /// `stat_prefix` of the connection manager; empty for TCP.
    pub(crate) stat_prefix: String,
    /// Some of what comes here takes another chain of filters (`upgrade_configs`).
    pub(crate) is_bypassed: bool,
    pub(crate) plugins: Vec<Plugin>,
    /// Names and types of the other filters.
    pub(crate) filters: Vec<Filter>,
    pub(crate) stock_exchange: StockExchange,
}

/// A filter that is no Wasm plugin.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) name: String,
    type_url: String,
    emits_filter_state: bool,
}

/// A listener that Envoy did not accept.
#[derive(Clone, Debug)]
pub(crate) struct Rejected {
    pub(crate) listener: String,
    pub(crate) reason: String,
    pub(crate) plugins: Vec<Plugin>,
}

// === impl Config ===

impl Config {
    /// Reads the page; what is not there counts as absent.
    pub(crate) fn parse(dump: &Value) -> Self {
        let section = |name: &str| {
            let is_it = |part: &&Value| text(part, "/@type").ends_with(name);
            list(dump, "/configs").iter().find(is_it).unwrap_or(&Value::Null)
        };
        let bootstrap = section(".BootstrapConfigDump").pointer("/bootstrap").unwrap_or(&Value::Null);
        let listeners = section(".ListenersConfigDump");
        let clusters = section(".ClustersConfigDump");
        let reader = Reader {
            extensions: list(section(".EcdsConfigDump"), "/ecds_filters"),
            routes: section(".RoutesConfigDump"),
        };

        let mut config = Self {
            node_id: text(bootstrap, "/node/id").to_owned(),
            cluster_id: Some(text(bootstrap, "/node/metadata/CLUSTER_ID").to_owned())
                .filter(|id| !id.is_empty()),
            is_istio: bootstrap.pointer("/node/metadata/PROXY_CONFIG").is_some(),
            tags: list(bootstrap, "/stats_config/stats_tags").iter().map(Tag::parse).collect(),
            stats_matcher: bootstrap.pointer("/stats_config/stats_matcher").cloned().unwrap_or_default(),
            tcp_exchange: ["/static_clusters", "/dynamic_active_clusters"]
                .iter()
                .flat_map(|path| list(clusters, path))
                .any(|one| is_true(one, "/cluster/metadata/filter_metadata/istio-stats/tcp_exchange")),
            ..Self::default()
        };
        for entry in list(listeners, "/static_listeners") {
            config.places.extend(reader.places(entry.pointer("/listener"), true));
        }
        for entry in list(listeners, "/dynamic_listeners") {
            config.places.extend(reader.places(entry.pointer("/active_state/listener"), false));
            config.rejected.extend(reader.rejected(entry));
        }
        config
    }

    /// Every plugin of this role with its place.
    pub(crate) fn plugins(&self, role: Role) -> impl Iterator<Item = (&Place, &Plugin)> {
        let of = move |place| -> Vec<(&Place, &Plugin)> {
            Place::plugins(place, role).map(|one| (place, one)).collect()
        };
        self.places.iter().flat_map(of)
    }

    /// How the plugins' metrics are called.
    pub(crate) fn names(&self) -> Names {
        let plugins = self.places.iter().flat_map(|place| &place.plugins);
        Names::with_prefixes(plugins.filter_map(Plugin::metric_prefix).collect::<BTreeSet<_>>())
    }

    /// Whether the bootstrap has a line for a label.
    pub(crate) fn has_tag(&self, label: &str) -> bool {
        self.tags.iter().any(|tag| tag.name == label)
    }
}

// === impl Tag ===

impl Tag {
    fn parse(entry: &Value) -> Self {
        Self { name: text(entry, "/tag_name").to_owned(), fixed: entry.get("fixed_value").is_some() }
    }
}

// === impl Place ===

impl Place {
    /// Its plugins of this role.
    pub(crate) fn plugins(&self, role: Role) -> impl Iterator<Item = &Plugin> {
        self.plugins.iter().filter(move |plugin| plugin.role == role)
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.plugins(role).next().is_some()
    }

    /// Whether metadata is exchanged with this peer, by our plugin, by Istio's filter
    /// or by filters of Envoy's own.
    pub(crate) fn exchanges(&self, peer: Side) -> bool {
        self.has(Role::Exchange)
            || self.filters.iter().any(Filter::is_native_exchange)
            || self.stock_exchange.reaches(peer)
    }

    /// As it is called in messages.
    pub(crate) fn describe(&self) -> String {
        let kind = match self.kind {
            Kind::Http => "HTTP",
            Kind::Tcp => "TCP",
        };
        format!("listener {} ({kind})", self.listener)
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

/// Reads listeners; knows the filters that were delivered apart.
struct Reader<'a> {
    extensions: &'a [Value],
    /// Those that were delivered apart from the listeners, too.
    routes: &'a Value,
}

// === impl Reader ===

impl Reader<'_> {
    fn places(&self, listener: Option<&Value>, is_static: bool) -> Vec<Place> {
        let Some(listener) = listener else {
            return Vec::new();
        };
        let chains = list(listener, "/filter_chains").iter().chain(listener.get("default_filter_chain"));
        let base = Place {
            listener: text(listener, "/name").to_owned(),
            listener_scope: listener_scope(listener),
            direction: text(listener, "/traffic_direction").to_owned(),
            is_static,
            ..Place::default()
        };
        chains.map(|chain| self.place(&base, list(chain, "/filters"))).collect()
    }

    fn place(&self, base: &Place, network_filters: &[Value]) -> Place {
        let config = |filter| typed_config(self.resolve(filter)).unwrap_or(&Value::Null);
        let of_type = |name: &str| {
            network_filters.iter().map(config).find(|config| text(config, "/@type").ends_with(name))
        };
        match of_type(".HttpConnectionManager") {
            Some(manager) => {
                let mut place = Place {
                    kind: Kind::Http,
                    stat_prefix: text(manager, "/stat_prefix").to_owned(),
                    is_bypassed: list(manager, "/upgrade_configs")
                        .iter()
                        .any(|one| !list(one, "/filters").is_empty()),
                    ..base.clone()
                };
                self.fill(&mut place, list(manager, "/http_filters"), list(manager, "/access_log"));
                place.stock_exchange.add(manager);
                place.stock_exchange.add(self.routes);
                place
            }
            None => {
                let mut place = Place { kind: Kind::Tcp, ..base.clone() };
                let proxy = of_type(".TcpProxy").unwrap_or(&Value::Null);
                self.fill(&mut place, network_filters, list(proxy, "/access_log"));
                place
            }
        }
    }

    fn fill(&self, place: &mut Place, filters: &[Value], loggers: &[Value]) {
        for filter in filters.iter().chain(loggers) {
            let name = text(filter, "/name");
            let Some(config) = typed_config(self.resolve(filter)) else {
                continue;
            };
            place.stock_exchange.add(config);
            match config.get("config").filter(|config| config.get("vm_config").is_some()) {
                Some(plugin) => place.plugins.push(Plugin::parse(name, plugin)),
                None => place.filters.push(Filter {
                    name: name.to_owned(),
                    // A TypedStruct names the type it stands for.
                    type_url: config.get("type_url").or(config.get("@type")).map_or("", as_text).to_owned(),
                    emits_filter_state: is_true(config, "/emit_filter_state"),
                }),
            }
        }
    }

    /// The filter itself, or what extension discovery delivered under its name.
    fn resolve<'a>(&'a self, filter: &'a Value) -> &'a Value {
        if filter.get("config_discovery").is_none() {
            return filter;
        }
        let name = text(filter, "/name");
        let delivered = self.extensions.iter().filter_map(|one| one.get("ecds_filter"));
        delivered.into_iter().find(|one| text(one, "/name") == name).unwrap_or(filter)
    }

    fn rejected(&self, entry: &Value) -> Option<Rejected> {
        let error = entry.get("error_state")?;
        // Envoy lists what it refused twice, the second time without its name.
        let listener = text(entry, "/name");
        (!listener.is_empty()).then(|| Rejected {
            listener: listener.to_owned(),
            reason: text(error, "/details").to_owned(),
            plugins: self
                .places(error.get("failed_configuration"), false)
                .into_iter()
                .flat_map(|place| place.plugins)
                .collect(),
        })
    }
}

fn typed_config(filter: &Value) -> Option<&Value> {
    filter.get("typed_config")
}

/// As Envoy names the scope of a listener's stats.
fn listener_scope(listener: &Value) -> String {
    let prefix = text(listener, "/stat_prefix");
    if !prefix.is_empty() {
        return prefix.to_owned();
    }
    let address = text(listener, "/address/socket_address/address");
    let port = number(listener, "/address/socket_address/port_value");
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    format!("{host}:{port}").replace(':', "_")
}

/// The text at a path; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).map_or("", as_text)
}

fn as_text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The list at a path; empty if there is none.
pub(crate) fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The number at a path; zero if there is none.
pub(crate) fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

fn is_true(value: &Value, path: &str) -> bool {
    value.pointer(path).and_then(Value::as_bool).unwrap_or_default()
}
