//! A plugin in an Envoy's configuration.

use istio_stats::config::issue::Issue;
use istio_stats::workload::local::LocalOverrides;
use istio_stats::{config, exchange};
use serde_json::Value;

use super::json::text;
use crate::artefact::Artefact;
use crate::find::without_node;

/// A plugin in a chain of filters, or an access logger of one.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    /// Name of the filter or access logger, for messages.
    pub(crate) filter: String,
    /// `name` of the plugin; part of the names of its VM's stats.
    pub(crate) name: String,
    pub(crate) root_id: String,
    pub(crate) runtime: String,
    /// As configured; empty means `FAIL_CLOSED`.
    pub(crate) failure_policy: String,
    /// Whether it is an access logger.
    pub(crate) is_logger: bool,
    /// Whether the native module runs it.
    pub(crate) is_native: bool,
    /// The module that it runs; `None`: somebody else's.
    pub(crate) artefact: Option<Artefact>,
    configuration: Vec<u8>,
}

// === impl Attached ===

impl Attached {
    /// From a filter's name and a `PluginConfig`.
    pub(crate) fn parse(filter: &str, plugin: &Value) -> Self {
        let failure_policy = match plugin.get("fail_open") {
            Some(Value::Bool(true)) => "FAIL_OPEN",
            _ => text(plugin, "/failure_policy"),
        };
        Self {
            filter: filter.to_owned(),
            name: text(plugin, "/name").to_owned(),
            root_id: text(plugin, "/root_id").to_owned(),
            runtime: text(plugin, "/vm_config/runtime").to_owned(),
            failure_policy: failure_policy.to_owned(),
            is_logger: false,
            is_native: false,
            artefact: artefact_of(filter, plugin),
            configuration: configuration(plugin, "configuration"),
        }
    }

    /// From a filter's name and its configuration, if it is one of the native module.
    pub(crate) fn native(filter: &str, config: &Value) -> Option<Self> {
        let config = of_native(config, &["DynamicModuleFilter", "DynamicModuleNetworkFilter"])?;
        let name = text(config, "/filter_name");
        let is_exchange = name == "metadata_exchange";
        let bytes = configuration(config, "filter_config");
        Some(Self {
            filter: filter.to_owned(),
            name: name.to_owned(),
            root_id: name.to_owned(),
            runtime: String::new(),
            // What fails does nothing from there on.
            failure_policy: "FAIL_OPEN".to_owned(),
            is_logger: false,
            is_native: true,
            artefact: Some(if is_exchange { Artefact::MetadataExchange } else { Artefact::IstioStats }),
            configuration: without_node(&bytes).unwrap_or(bytes),
        })
    }

    /// The configuration of a stats plugin; `None` if it is unusable.
    pub(crate) fn stats_config(&self) -> Option<config::Config> {
        config::Config::compile(&self.configuration).0
    }

    /// The configuration of a metadata exchange; `None` if it is unusable.
    pub(crate) fn exchange_config(&self) -> Option<exchange::config::Config> {
        exchange::config::Config::compile(&self.configuration).0
    }

    /// What its configuration says of the local workload; `None` if it is unusable, or
    /// somebody else's.
    pub(crate) fn local(&self) -> Option<LocalOverrides> {
        match self.artefact? {
            Artefact::IstioStats => self.stats_config().map(|config| config.local),
            Artefact::MetadataExchange => self.exchange_config().map(|config| config.local),
        }
    }

    /// What precedes the names of its metrics, if it is a stats plugin that counts.
    pub(crate) fn metric_prefix(&self) -> Option<String> {
        self.stats_config()
            .filter(|_| self.artefact == Some(Artefact::IstioStats))
            .map(|config| config.metric_prefix)
    }

    /// What is wrong with its configuration, as the plugin itself finds it.
    pub(crate) fn mistakes(&self) -> Vec<Issue> {
        let issues = match self.artefact {
            Some(Artefact::IstioStats) => config::Config::compile(&self.configuration).1,
            Some(Artefact::MetadataExchange) => exchange::config::Config::compile(&self.configuration).1,
            None => Vec::new(),
        };
        issues.into_iter().filter(|issue| issue.level <= log::Level::Warn).collect()
    }
}

/// What the native module's upstream cluster has handles for, by the configuration of its type; `None` if it is
/// another's, or unusable.
pub(crate) fn handles(cluster_type: &Value) -> Option<config::Config> {
    let bytes = configuration(of_native(cluster_type, &["ClusterConfig"])?, "cluster_config");
    config::Config::compile(&without_node(&bytes).unwrap_or(bytes)).0
}

/// An extension of Envoy of one of these types, if the native module runs it.
fn of_native<'a>(config: &'a Value, types: &[&str]) -> Option<&'a Value> {
    let is_typed = text(config, "/@type").ends_with(".TypedStruct");
    let (kind, config) = if is_typed {
        (text(config, "/type_url"), config.get("value")?)
    } else {
        (text(config, "/@type"), config)
    };
    let file = text(config, "/dynamic_module_config/module/local/filename");
    let named = text(config, "/dynamic_module_config/name");
    let is_ours = [file, named].iter().any(|module| module.replace('-', "_").contains("istio_stats"));
    let is_it = types.iter().any(|one| kind.rsplit('.').next() == Some(*one));
    (is_it && is_ours).then_some(config)
}

/// By the file of its code, else by what it is called: names are free, and Istio
/// stores code under its checksum.
fn artefact_of(filter: &str, plugin: &Value) -> Option<Artefact> {
    let code = ["/vm_config/code/local/filename", "/vm_config/code/remote/http_uri/uri"];
    let file =
        code.iter().find_map(|path| text(plugin, path).rsplit('/').next().filter(|name| !name.is_empty()));
    let names = [file.unwrap_or_default(), text(plugin, "/name"), filter, text(plugin, "/vm_config/vm_id")];
    let by_name = names.iter().find_map(|name| {
        let name = name.to_ascii_lowercase().replace('-', "_");
        match name {
            _ if name.contains("metadata_exchange") => Some(Artefact::MetadataExchange),
            _ if name.contains("istio_stats") => Some(Artefact::IstioStats),
            _ => None,
        }
    });
    by_name.or_else(|| match text(plugin, "/root_id") {
        "stats_inbound" | "stats_outbound" => Some(Artefact::IstioStats),
        _ => None,
    })
}

/// The bytes that Envoy hands to the plugin, as JSON.
fn configuration(plugin: &Value, field: &str) -> Vec<u8> {
    let Some(any) = plugin.get(field) else {
        return Vec::new();
    };
    match any.get("value") {
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(value) => value.to_string().into_bytes(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn artefact(file: &str, name: &str, root_id: &str) -> Option<Artefact> {
        let plugin = json!({
            "name": name, "root_id": root_id,
            "vm_config": {"code": {"local": {"filename": file}}},
        });
        Attached::parse("filter", &plugin).artefact
    }

    #[test]
    fn a_filter_of_the_native_module() {
        let config = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {"module": {"local": {"filename": "/x/libistio_stats.so"}}},
            "filter_name": "stats_inbound",
            "filter_config": {"value": "{\"node\": {}, \"metric_prefix\": \"mesh_\"}"},
        });
        let attached = Attached::native("stats", &config).unwrap();
        assert_eq!((attached.artefact, attached.is_native), (Some(Artefact::IstioStats), true));
        assert_eq!(attached.metric_prefix().as_deref(), Some("mesh_"));
        assert!(attached.mistakes().is_empty());
        let mut network = config.clone();
        network["@type"] =
            "x/envoy.extensions.filters.network.dynamic_modules.v3.DynamicModuleNetworkFilter".into();
        assert!(Attached::native("stats", &network).is_some());
        let mut other = config;
        other["dynamic_module_config"]["module"]["local"]["filename"] = "/x/libwaf.so".into();
        assert!(Attached::native("stats", &other).is_none());
    }

    #[test]
    fn plugins_are_known_by_file_then_name_then_root_id() {
        assert_eq!(
            artefact("/istio-stats/metadata_exchange.wasm", "istio_stats", "stats_inbound"),
            Some(Artefact::MetadataExchange)
        );
        assert_eq!(artefact("dist/istio_stats.wasm", "x", ""), Some(Artefact::IstioStats));
        assert_eq!(
            artefact("/var/lib/istio/data/0ab1.wasm", "istio-system.istio-stats", ""),
            Some(Artefact::IstioStats)
        );
        assert_eq!(
            artefact("/var/lib/istio/data/0ab1.wasm", "x", "stats_outbound"),
            Some(Artefact::IstioStats)
        );
        assert_eq!(artefact("coraza.wasm", "waf", ""), None);
    }

    #[test]
    fn configurations_are_texts_or_structs() {
        let text =
            json!({"configuration": {"@type": "StringValue", "value": "{\"reporter\": \"SERVER_GATEWAY\"}"}});
        let object = json!({"configuration": {"@type": "Struct", "value": {"reporter": "SERVER_GATEWAY"}}});
        for plugin in [text, object] {
            assert!(Attached::parse("istio_stats", &plugin).stats_config().unwrap().waypoint, "{plugin}");
        }
        let none = Attached::parse("istio_stats", &json!({}));
        assert!(none.stats_config().is_some() && none.mistakes().is_empty());
    }

    #[test]
    fn mistakes_are_those_the_plugin_finds() {
        let plugin = json!({"configuration": {"value": "{\"max_series\": \"many\", \"colour\": 1}"}});
        let paths: Vec<_> =
            Attached::parse("istio_stats", &plugin).mistakes().into_iter().map(|one| one.path).collect();
        assert_eq!(paths, ["max_series", "colour"]);
    }

    #[test]
    fn the_old_field_for_failing_open_counts() {
        assert_eq!(Attached::parse("f", &json!({"fail_open": true})).failure_policy, "FAIL_OPEN");
        assert_eq!(Attached::parse("f", &json!({})).failure_policy, "");
    }
}
