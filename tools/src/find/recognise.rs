//! Which of this project's modules a Wasm plugin runs.

use crate::artefact::Artefact;

/// The module that the first telling one of a plugin's names is for.
pub(crate) fn artefact(names: &[Option<&str>]) -> Option<Artefact> {
    names.iter().flatten().find_map(|name| named(name))
}

/// The module that a file, an image or a filter's name is for. Istio's own
/// Wasm plugins, which had the same configuration, count too.
fn named(name: &str) -> Option<Artefact> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let words = last.to_ascii_lowercase().replace(['-', '.'], "_");
    let has = |part: &str| words.contains(part);
    if has("metadata_exchange") {
        Some(Artefact::MetadataExchange)
    } else if has("istio_stats") || has("stats_filter") || has("stats_inbound") || has("stats_outbound") {
        Some(Artefact::IstioStats)
    } else {
        (words == "envoy_wasm_stats").then_some(Artefact::IstioStats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_told_apart_by_their_names() {
        for (name, plugin) in [
            ("dist/istio_stats.wasm", Some(Artefact::IstioStats)),
            ("/etc/istio-stats/metadata_exchange.wasm", Some(Artefact::MetadataExchange)),
            ("oci://registry.example/istio-stats:0.1.0", Some(Artefact::IstioStats)),
            (
                "oci://registry.example/istio-stats/metadata-exchange@sha256:00",
                Some(Artefact::MetadataExchange),
            ),
            ("oci://registry.example/istio-stats-metadata-exchange:1", Some(Artefact::MetadataExchange)),
            ("envoy.wasm.stats", Some(Artefact::IstioStats)),
            ("/etc/istio/extensions/stats-filter.compiled.wasm", Some(Artefact::IstioStats)),
            ("stats_outbound", Some(Artefact::IstioStats)),
            ("coraza.wasm", None),
            ("grpc_stats", None),
        ] {
            assert_eq!(named(name), plugin, "{name}");
        }
    }
}
