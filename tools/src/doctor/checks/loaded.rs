//! Whether a stats plugin is there and has started.

use super::rejected::refused_extensions;
use super::{handles, stats_matcher};
use crate::artefact::Artefact;
use crate::doctor::finding::Finding;
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::symptom::{Severity, Symptom};
use crate::names::Names;

pub(crate) const SYMPTOMS: &[&Symptom] = &[&NOT_LOADED];

const NOT_LOADED: Symptom = Symptom {
    code: "plugin-not-loaded",
    severity: Severity::Problem,
    title: "The stats plugin is not running",
    why: "Envoy has no metric that a running plugin defines, not even `istio_stats_build`, which comes with \
         its start.",
    remedy: "Put the plugin into the filter chain, before the router or the TCP proxy, as the samples in \
         `envoy-config/` do. If it is there, Envoy's log says why it did not start: look for `wasm`.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let runs = match &seen.admin {
        Some(admin) => !admin.stats.plugin.is_empty(),
        None => seen.page.samples.iter().any(|sample| seen.names.split(&sample.name).is_some()),
    };
    if runs {
        return Vec::new();
    }
    let fact = match &seen.admin {
        None => seen
            .other_names()
            .unwrap_or_else(|| format!("the page has no metric that begins with {}", seen.names.describe())),
        Some(admin) => match absence(admin, &seen.names) {
            Some(fact) => fact,
            None => return Vec::new(),
        },
    };
    vec![Finding::new(&NOT_LOADED, [fact])]
}

/// Why no plugin runs; `None` if another check tells.
fn absence(admin: &Admin, names: &Names) -> Option<String> {
    let refused = admin.dump.rejected.iter().flat_map(|rejected| &rejected.plugins);
    if refused.into_iter().any(|plugin| plugin.artefact == Some(Artefact::IstioStats))
        || !refused_extensions(admin).is_empty()
        || stats_matcher::excludes_all(admin, names)
        || handles::lacking(admin).next().is_some()
    {
        return None;
    }
    if let Some((chain, plugin)) = admin.dump.plugins(Artefact::IstioStats).next() {
        return Some(format!(
            "{} is configured in {}, but defined no metric",
            plugin.filter,
            chain.describe()
        ));
    }
    let strangers = admin.dump.all_plugins().filter(|(_, plugin)| plugin.artefact.is_none());
    let others = strangers.chain(admin.dump.plugins(Artefact::MetadataExchange));
    let others: Vec<_> =
        others.map(|(chain, plugin)| format!("{} in {}", plugin.filter, chain.describe())).collect();
    Some(match others.as_slice() {
        [] => "no Wasm plugin is in the configuration".to_owned(),
        others => {
            format!("no Wasm plugin in the configuration is istio_stats.wasm; there is {}", others.join(", "))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture::{facts, page_only, plugin, running};

    #[test]
    fn no_plugin_or_another_one() {
        assert_eq!(facts(&find(&running(&[], ""))), ["no Wasm plugin is in the configuration"]);
        assert_eq!(
            facts(&find(&running(&[plugin("waf", "{}")], ""))),
            ["no Wasm plugin in the configuration is istio_stats.wasm; there is waf in listener in (HTTP)"]
        );
        assert_eq!(
            facts(&find(&running(&[plugin("istio_stats", "{}")], ""))),
            ["istio_stats is configured in listener in (HTTP), but defined no metric"]
        );
        assert_eq!(facts(&find(&Seen::default())), ["the page has no metric that begins with istio_"]);
        let counting = page_only("istio_stats_series{} 0\n");
        assert_eq!(find(&counting), []);
    }
}
