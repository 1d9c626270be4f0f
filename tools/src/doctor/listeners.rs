//! The listeners of `/config_dump`: their chains of filters.

use istio_stats::attachment::Attachment;
use serde_json::Value;

use super::attached::Attached;
use super::chain::{Chain, Filter};
use super::json::{as_text, is_true, list, number, text};

/// A listener that Envoy did not accept.
#[derive(Clone, Debug)]
pub(crate) struct Rejected {
    pub(crate) listener: String,
    pub(crate) reason: String,
    pub(crate) plugins: Vec<Attached>,
}

/// Reads listeners; knows the filters that were delivered apart.
pub(super) struct Reader<'a> {
    pub(super) extensions: &'a [Value],
    /// Those that were delivered apart from the listeners, too.
    pub(super) routes: &'a Value,
}

// === impl Reader ===

impl Reader<'_> {
    /// Its chains.
    pub(super) fn chains(&self, listener: Option<&Value>, is_static: bool) -> Vec<Chain> {
        let Some(listener) = listener else {
            return Vec::new();
        };
        let chains = list(listener, "/filter_chains").iter().chain(listener.get("default_filter_chain"));
        let base = |attachment| Chain {
            listener: text(listener, "/name").to_owned(),
            listener_scope: listener_scope(listener),
            direction: text(listener, "/traffic_direction").to_owned(),
            is_static,
            is_quic: listener.pointer("/udp_listener_config/quic_options").is_some(),
            ..Chain::new(attachment)
        };
        chains.map(|chain| self.chain(base, list(chain, "/filters"))).collect()
    }

    fn chain(&self, base: impl Fn(Attachment) -> Chain, network_filters: &[Value]) -> Chain {
        let config = |filter| typed_config(self.resolve(filter)).unwrap_or(&Value::Null);
        let of_type = |name: &str| {
            network_filters.iter().map(config).find(|config| text(config, "/@type").ends_with(name))
        };
        match of_type(".HttpConnectionManager") {
            Some(manager) => {
                let mut chain = Chain {
                    stat_prefix: text(manager, "/stat_prefix").to_owned(),
                    is_bypassed: list(manager, "/upgrade_configs")
                        .iter()
                        .any(|one| !list(one, "/filters").is_empty()),
                    ..base(Attachment::Http)
                };
                self.fill(&mut chain, list(manager, "/http_filters"), list(manager, "/access_log"));
                chain.stock_exchange.add(manager);
                chain.stock_exchange.add(self.routes);
                chain
            }
            None => {
                let mut chain = base(Attachment::Tcp);
                let proxy = of_type(".TcpProxy").unwrap_or(&Value::Null);
                self.fill(&mut chain, network_filters, list(proxy, "/access_log"));
                chain
            }
        }
    }

    fn fill(&self, chain: &mut Chain, filters: &[Value], loggers: &[Value]) {
        let loggers = loggers.iter().map(|logger| (logger, true));
        for (filter, is_logger) in filters.iter().map(|filter| (filter, false)).chain(loggers) {
            let name = text(filter, "/name");
            let Some(config) = typed_config(self.resolve(filter)) else {
                continue;
            };
            chain.stock_exchange.add(config);
            if let Some(attached) = Attached::native(name, config) {
                chain.plugins.push(attached);
                continue;
            }
            match config.get("config").filter(|config| config.get("vm_config").is_some()) {
                Some(plugin) => {
                    let mut attached = Attached::parse(name, plugin);
                    attached.is_logger = is_logger;
                    chain.plugins.push(attached);
                }
                None => chain.filters.push(Filter {
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

    /// What Envoy refused of an entry, if it did.
    pub(super) fn rejected(&self, entry: &Value) -> Option<Rejected> {
        let error = entry.get("error_state")?;
        // Envoy lists what it refused twice, the second time without its name.
        let listener = text(entry, "/name");
        (!listener.is_empty()).then(|| Rejected {
            listener: listener.to_owned(),
            reason: text(error, "/details").to_owned(),
            plugins: self
                .chains(error.get("failed_configuration"), false)
                .into_iter()
                .flat_map(|chain| chain.plugins)
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
