//! Whether the plugin runs, as it was configured, and Envoy keeps its stats.

use super::{matcher, other_names};
use crate::doctor::finding::Finding;
use crate::doctor::plugin::{Plugin, Role};
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::symptom::Symptom;
use crate::names::Names;

/// Whether this Envoy has the runtime that plugins ask for.
pub(crate) fn runtime(seen: &Seen) -> Vec<Finding> {
    let Some(admin) = &seen.admin else {
        return Vec::new();
    };
    let config = &admin.config;
    let accepted = config.places.iter().flat_map(|place| &place.plugins);
    let refused = config.rejected.iter().flat_map(|rejected| &rejected.plugins);
    let mut missing: Vec<_> = accepted
        .chain(refused)
        .map(|plugin| plugin.runtime.as_str())
        .filter(|runtime| !runtime.is_empty() && !admin.runtimes.iter().any(|have| have == runtime))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    let have =
        if admin.runtimes.is_empty() { "no Wasm runtime".to_owned() } else { admin.runtimes.join(", ") };
    let facts = match missing.as_slice() {
        [] if admin.runtimes.is_empty() => vec![format!("Envoy {} has {have}", admin.version)],
        [] => return Vec::new(),
        missing => {
            vec![format!("a plugin asks for {}; Envoy {} has {have}", missing.join(", "), admin.version)]
        }
    };
    vec![Finding::new(Symptom::NoRuntime, facts)]
}

/// What Envoy refused.
pub(crate) fn rejected(seen: &Seen) -> Vec<Finding> {
    let Some(admin) = &seen.admin else {
        return Vec::new();
    };
    let listeners = admin
        .config
        .rejected
        .iter()
        .map(|rejected| format!("listener {}: {}", rejected.listener, rejected.reason));
    let facts: Vec<_> = listeners.chain(refused_extensions(admin)).collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(Symptom::Rejected, facts)]
}

/// Filters of extension discovery whose last configuration is not in effect.
fn refused_extensions(admin: &Admin) -> Vec<String> {
    let stats = &admin.stats;
    let count = |name: &str, what: &str| {
        stats.get(&format!("extension_config_discovery.{name}.{what}")).unwrap_or_default()
    };
    let refused =
        stats.between("extension_config_discovery.", ".update_rejected").filter(|(name, rejected)| {
            // One that was accepted since is in effect.
            *rejected > 0 && count(name, "update_success") == 0
        });
    refused
        .map(|(name, times)| {
            format!(
                "{name}: {times} configurations refused, none accepted; the reason is in Envoy's log only"
            )
        })
        .collect()
}

/// Whether a stats plugin is there and has started.
pub(crate) fn loaded(seen: &Seen) -> Vec<Finding> {
    let runs = match &seen.admin {
        Some(admin) => !admin.stats.plugin.is_empty(),
        None => seen.page.samples.iter().any(|sample| seen.names.split(&sample.name).is_some()),
    };
    if runs {
        return Vec::new();
    }
    let fact = match &seen.admin {
        None => other_names(seen)
            .unwrap_or_else(|| format!("the page has no metric that begins with {}", seen.names.describe())),
        Some(admin) => match absence(admin, &seen.names) {
            Some(fact) => fact,
            None => return Vec::new(),
        },
    };
    vec![Finding::new(Symptom::NotLoaded, [fact])]
}

/// Why no plugin runs; `None` if another check tells.
fn absence(admin: &Admin, names: &Names) -> Option<String> {
    let refused = admin.config.rejected.iter().flat_map(|rejected| &rejected.plugins);
    if refused.into_iter().any(is_stats)
        || !refused_extensions(admin).is_empty()
        || matcher::excludes_all(admin, names)
    {
        return None;
    }
    if let Some((place, plugin)) = admin.config.plugins(Role::Stats).next() {
        return Some(format!(
            "{} is configured in {}, but defined no metric",
            plugin.filter,
            place.describe()
        ));
    }
    let others = admin.config.plugins(Role::Other).chain(admin.config.plugins(Role::Exchange));
    let others: Vec<_> =
        others.map(|(place, plugin)| format!("{} in {}", plugin.filter, place.describe())).collect();
    Some(match others.as_slice() {
        [] => "no Wasm plugin is in the configuration".to_owned(),
        others => {
            format!("no Wasm plugin in the configuration is istio_stats.wasm; there is {}", others.join(", "))
        }
    })
}

fn is_stats(plugin: &Plugin) -> bool {
    plugin.role == Role::Stats
}

/// Mistakes in the plugins' configurations.
pub(crate) fn configuration(seen: &Seen) -> Vec<Finding> {
    let counted = seen.total("istio_stats_config_errors").unwrap_or_default();
    let mut facts = Vec::new();
    if let Some(config) = seen.config() {
        for place in &config.places {
            for plugin in &place.plugins {
                let mistakes = plugin.mistakes();
                facts.extend(
                    mistakes
                        .iter()
                        .map(|issue| format!("{} of {}: {issue}", plugin.filter, place.describe())),
                );
            }
        }
    }
    if facts.is_empty() && counted > 0.0 {
        facts.push(format!("istio_stats_config_errors is {counted}"));
    }
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(Symptom::ConfigErrors, facts)]
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;
    use crate::doctor::config::Config;
    use crate::doctor::stats::Stats;
    use crate::exposition::Page;

    fn wasm(name: &str, configuration: &str) -> Value {
        let config = json!({
            "name": name, "vm_config": {"runtime": "envoy.wasm.runtime.v8"}, "configuration": {"value": configuration},
        });
        json!({"name": name, "typed_config": {"@type": "x.Wasm", "config": config}})
    }

    fn listener(filters: &[Value]) -> Value {
        let manager = json!({"@type": "x.HttpConnectionManager", "http_filters": filters});
        json!({"name": "in", "filter_chains": [{"filters": [{"typed_config": manager}]}]})
    }

    /// An Envoy as its admin interface shows it.
    fn seen(listeners: &Value, more: &[Value], stats: &str) -> Seen {
        let info = json!({
            "version": "0ebf/1.40.0/Clean/RELEASE/BoringSSL",
            "node": {"extensions": [
                {"name": "envoy.wasm.runtime.null", "category": "envoy.wasm.runtime"},
                {"name": "envoy.wasm.runtime.v8", "category": "envoy.wasm.runtime"},
            ]},
        });
        let mut section = listeners.clone();
        section["@type"] = json!("x.ListenersConfigDump");
        let sections = [&[section], more].concat();
        let dump = json!({"configs": sections});
        let admin = Admin::new(&info, Config::parse(&dump), Stats::parse(stats, &Names::default()));
        Seen { admin: Some(admin), ..Seen::default() }
    }

    fn running(filters: &[Value], stats: &str) -> Seen {
        seen(&json!({"static_listeners": [{"listener": listener(filters)}]}), &[], stats)
    }

    fn facts(findings: &[Finding]) -> Vec<String> {
        findings.iter().flat_map(|finding| finding.seen.clone()).collect()
    }

    const BUILD: &str = "wasmcustom.component.proxy.tag.1.25.0;.istio_build: 1\n";

    #[test]
    fn nothing_is_wrong_with_a_running_plugin() {
        let seen = running(&[wasm("istio_stats", "{}")], BUILD);
        for check in [runtime, rejected, loaded, configuration] {
            assert_eq!(check(&seen), []);
        }
    }

    #[test]
    fn a_runtime_is_missing() {
        let mut without = running(&[wasm("istio_stats", "{}")], "");
        let admin = without.admin.as_mut().unwrap();
        admin.runtimes.clear();
        assert_eq!(
            facts(&runtime(&without)),
            ["a plugin asks for envoy.wasm.runtime.v8; Envoy 1.40.0 has no Wasm runtime"]
        );
        admin_without_plugins(&mut without);
        assert_eq!(facts(&runtime(&without)), ["Envoy 1.40.0 has no Wasm runtime"]);
    }

    fn admin_without_plugins(seen: &mut Seen) {
        seen.admin.as_mut().unwrap().config.places.clear();
    }

    #[test]
    fn a_listener_was_refused() {
        let error = json!({"details": "Invalid path: /x", "failed_configuration": listener(&[wasm("istio_stats", "{}")])});
        // Envoy lists it a second time without its name.
        let seen = seen(
            &json!({"dynamic_listeners": [{"name": "in", "error_state": error}, {"error_state": error}]}),
            &[],
            "",
        );
        assert_eq!(facts(&rejected(&seen)), ["listener in: Invalid path: /x"]);
        assert_eq!(loaded(&seen), []);
    }

    const EXTENSION: &str = "extension_config_discovery.http_filter.istio_stats";

    #[test]
    fn an_extension_was_refused_unless_a_later_one_was_accepted() {
        let refused = format!("{EXTENSION}.update_rejected: 1\n{EXTENSION}.update_success: 0\n");
        let found = facts(&rejected(&running(&[], &refused)));
        assert!(found[0].starts_with("http_filter.istio_stats: 1 configurations refused"), "{found:?}");
        let accepted = format!("{EXTENSION}.update_rejected: 1\n{EXTENSION}.update_success: 1\n");
        assert_eq!(rejected(&running(&[], &accepted)), []);
    }

    #[test]
    fn a_filter_of_extension_discovery_is_found_where_it_was_delivered() {
        let placeholder = json!({"name": "istio_stats", "config_discovery": {}});
        let delivered = json!({"@type": "x.EcdsConfigDump", "ecds_filters": [{"ecds_filter": wasm("istio_stats", "[]")}]});
        let seen =
            seen(&json!({"static_listeners": [{"listener": listener(&[placeholder])}]}), &[delivered], BUILD);
        assert_eq!(facts(&configuration(&seen)).len(), 1);
    }

    #[test]
    fn no_plugin_or_another_one() {
        assert_eq!(facts(&loaded(&running(&[], ""))), ["no Wasm plugin is in the configuration"]);
        assert_eq!(
            facts(&loaded(&running(&[wasm("waf", "{}")], ""))),
            ["no Wasm plugin in the configuration is istio_stats.wasm; there is waf in listener in (HTTP)"]
        );
        assert_eq!(
            facts(&loaded(&running(&[wasm("istio_stats", "{}")], ""))),
            ["istio_stats is configured in listener in (HTTP), but defined no metric"]
        );
        assert_eq!(facts(&loaded(&Seen::default())), ["the page has no metric that begins with istio_"]);
        let page = Page::parse("istio_stats_series{} 0\n", |_| true).unwrap();
        assert_eq!(loaded(&Seen { page, ..Seen::default() }), []);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let seen = running(&[wasm("istio_stats", r#"{"reporter": "SIDEWAYS"}"#)], BUILD);
        let found = facts(&configuration(&seen));
        assert!(found[0].starts_with("istio_stats of listener in (HTTP): reporter: "), "{found:?}");
    }

    #[test]
    fn mistakes_that_only_envoy_finds_are_counted() {
        let page = Page::parse("istio_stats_config_errors{} 2\n", |_| true).unwrap();
        let seen = Seen { page, ..Seen::default() };
        assert_eq!(facts(&configuration(&seen)), ["istio_stats_config_errors is 2"]);
    }
}
