//! The mesh's own settings: an IstioOperator, or the control plane's Helm values.

use istio_stats::attachment::Attachment;

use super::intent::{Config, Context};
use super::notes::Notes;
use crate::yaml::Node;

/// What the mesh says of metrics.
#[derive(Debug)]
pub(super) struct Mesh {
    pub(super) default_providers: Vec<String>,
    /// The names of those that are Prometheus.
    prometheus: Vec<String>,
    /// Labels that the bootstrap extracts already.
    pub(super) extra_stat_tags: Vec<String>,
}

// === impl Mesh ===

impl Default for Mesh {
    fn default() -> Self {
        let prometheus = vec!["prometheus".to_owned()];
        Self { default_providers: prometheus.clone(), prometheus, extra_stat_tags: Vec::new() }
    }
}

impl Mesh {
    pub(super) fn is_prometheus(&self, provider: &str) -> bool {
        self.prometheus.iter().any(|known| known.eq_ignore_ascii_case(provider))
    }

    /// Reads `meshConfig`, and what of `values` is about stats: a configuration for
    /// each context that has one.
    pub(super) fn read(&mut self, values: &Node, file: &str, notes: &mut Notes) -> Vec<(Context, Config)> {
        let spec = values.get("spec").unwrap_or(values);
        let values = spec.get("values").unwrap_or(spec);
        for node in [spec, values] {
            if let Some(mesh) = node.get("mesh_config") {
                self.read_mesh(mesh, file, notes);
            }
            if std::ptr::eq(spec, values) {
                break;
            }
        }
        let buckets = "sidecar.istio.io/statsHistogramBuckets";
        let annotations = ["sidecar_injector_webhook", "injected_annotations", buckets];
        if let Some(node) = values.at(&annotations).filter(|node| !contains(node, "wasmcustom")) {
            let place = format!("{file}:{}: {buckets}", node.position.line);
            notes.add(place, "its prefix has to be wasmcustom, for durations and sizes alike");
        }
        let Some(overrides) = values.at(&["telemetry", "v2", "prometheus", "config_override"]) else {
            return Vec::new();
        };
        let contexts = [
            ("outbound_sidecar", Context::Outbound),
            ("inbound_sidecar", Context::Inbound),
            ("gateway", Context::Gateway),
        ];
        let configured = contexts.into_iter().filter_map(|(field, context)| {
            let config = overrides.get(field)?.to_json().as_object()?.clone();
            Some((context, config)).filter(|(_, config)| !config.is_empty())
        });
        configured.collect()
    }

    fn read_mesh(&mut self, mesh: &Node, file: &str, notes: &mut Notes) {
        let texts = |node: &Node| node.elements().iter().filter_map(Node::text).map(str::to_owned).collect();
        if let Some(names) = mesh.at(&["default_providers", "metrics"]) {
            self.default_providers = texts(names);
        }
        let providers = mesh.get("extension_providers").map(Node::elements).unwrap_or_default();
        let prometheus = providers.iter().filter(|node| node.get("prometheus").is_some());
        self.prometheus.extend(prometheus.filter_map(|node| node.text_at(&["name"])).map(str::to_owned));
        let Some(config) = mesh.get("default_config") else {
            return;
        };
        self.extra_stat_tags.extend(config.get("extra_stat_tags").map(texts).unwrap_or_default());
        let prefixes = config.at(&["proxy_stats_matcher", "inclusion_prefixes"]);
        if let Some(node) = prefixes.filter(|node| !contains(node, "wasm")) {
            let place = format!("{file}:{}: proxyStatsMatcher", node.position.line);
            notes.add(place, "the plugin's stats begin with wasmcustom: add it");
        }
    }
}

fn contains(node: &Node, part: &str) -> bool {
    node.to_json().to_string().contains(part)
}

/// Where the chart put a context's configuration.
pub(super) const ATTACHMENTS: [Attachment; 2] = [Attachment::Http, Attachment::Tcp];
