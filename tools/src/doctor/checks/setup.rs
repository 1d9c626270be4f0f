//! Whether the plugin is configured so that it does no harm and sees everything.

use istio_stats::attribute::direction::Direction;
use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::metric::Metric;
use istio_stats::config::Config as StatsConfig;

use crate::doctor::finding::Finding;
use crate::doctor::plugin::{Kind, Role};
use crate::doctor::seen::Seen;
use crate::doctor::symptom::Symptom;
use crate::names::{full, under};

const GRPC_STATS: &str = "\
- name: envoy.filters.http.grpc_stats
  typed_config:
    \"@type\": type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig
    emit_filter_state: true
    stats_for_all_methods: false";

/// What happens should a plugin fail.
pub(crate) fn failure_policy(seen: &Seen) -> Vec<Finding> {
    let Some(config) = seen.config() else {
        return Vec::new();
    };
    let ours = config.plugins(Role::Stats).chain(config.plugins(Role::Exchange));
    let facts: Vec<_> = ours
        .filter(|(_, plugin)| plugin.failure_policy != "FAIL_OPEN")
        .map(|(place, plugin)| {
            let policy = match plugin.failure_policy.as_str() {
                "" | "UNSPECIFIED" => "none, which means FAIL_CLOSED",
                policy => policy,
            };
            format!("{} of {}: {policy}", plugin.filter, place.describe())
        })
        .collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(Symptom::FailurePolicy, facts)
        .paste("`config` of each of these plugins", "failure_policy: FAIL_OPEN")]
}

/// Whether the plugin can know which side it reports from.
pub(crate) fn reporter(seen: &Seen) -> Vec<Finding> {
    let Some(config) = seen.config() else {
        return Vec::new();
    };
    let undecided = config.plugins(Role::Stats).filter(|(place, plugin)| {
        let waypoint = plugin.stats_config().is_some_and(|config| config.waypoint);
        let has_direction = matches!(place.direction.as_str(), "INBOUND" | "OUTBOUND");
        !has_direction && !waypoint && Direction::of_root_id(plugin.root_id.as_bytes()).is_none()
    });
    let facts: Vec<_> = undecided
        .map(|(place, plugin)| {
            format!(
                "{}: no traffic_direction; {} has root_id {:?}",
                place.describe(),
                plugin.filter,
                plugin.root_id
            )
        })
        .collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(Symptom::ReporterUnknown, facts)
        .paste("the listener (or OUTBOUND, for the client's side)", "traffic_direction: INBOUND")]
}

/// Whether messages of gRPC streams are counted.
pub(crate) fn grpc_messages(seen: &Seen) -> Vec<Finding> {
    let is_grpc =
        |labels: &crate::exposition::Labels| labels.get(Dimension::RequestProtocol.name()) == Some("grpc");
    let without_messages = |prefix: &str| {
        let requests = full(prefix, Metric::Requests);
        let requests: f64 = seen.page.named(&requests).filter(|s| is_grpc(&s.labels)).map(|s| s.value).sum();
        let messages = seen.total(&full(prefix, Metric::RequestMessages));
        (requests > 0.0 && messages.is_none()).then(|| format!("{requests} gRPC requests{}", under(prefix)))
    };
    let (Some(requests), Some(config)) = (seen.names.prefixes().find_map(without_messages), seen.config())
    else {
        return Vec::new();
    };
    let deaf = config.places.iter().filter(|place| {
        let counts = place.filters.iter().any(|filter| filter.counts_grpc_messages());
        place.kind == Kind::Http && place.has(Role::Stats) && !counts
    });
    let mut facts: Vec<_> =
        deaf.map(|place| format!("{} has no grpc_stats with emit_filter_state", place.describe())).collect();
    if facts.is_empty() {
        return Vec::new();
    }
    facts.insert(0, format!("{requests} were counted, and no message"));
    vec![Finding::new(Symptom::NoGrpcStats, facts).paste("`http_filters`, before the router", GRPC_STATS)]
}

/// Whether there is room for further label sets.
pub(crate) fn room(seen: &Seen) -> Vec<Finding> {
    let overflow = seen.total("istio_stats_series_overflow_total").unwrap_or_default();
    let series = seen.total("istio_stats_series").unwrap_or_default();
    let configured = seen.config().and_then(|config| {
        let bounds = config.plugins(Role::Stats).filter_map(|(_, plugin)| plugin.stats_config());
        bounds.map(|config| config.max_series).min()
    });
    let bound = configured.unwrap_or(StatsConfig::default().max_series);
    if overflow > 0.0 {
        let fact = format!("istio_stats_series_overflow_total is {overflow}; max_series is {bound}");
        return vec![Finding::new(Symptom::Overflow, [fact])];
    }
    // The gauge sums up the workers' label sets; the bound is each worker's.
    let workers = seen.admin.as_ref().map_or(0, |admin| admin.workers);
    if workers > 0 && series >= 0.9 * f64::from(bound) * workers as f64 {
        let fact =
            format!("istio_stats_series is {series}; max_series is {bound} for each of {workers} workers");
        return vec![Finding::new(Symptom::NearlyFull, [fact])];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;
    use crate::doctor::config::Config;
    use crate::doctor::seen::Admin;
    use crate::doctor::stats::Stats;
    use crate::exposition::Page;

    fn seen(page: &str, direction: &str, plugin: Value, more: &[Value]) -> Seen {
        let mut config = json!({"vm_config": {}});
        config.as_object_mut().unwrap().extend(plugin.as_object().unwrap().clone());
        let stats = json!({"name": "istio_stats", "typed_config": {"@type": "x.Wasm", "config": config}});
        let filters = [more, &[stats]].concat();
        let manager = json!({"@type": "x.HttpConnectionManager", "http_filters": filters});
        let listener = json!({
            "name": "in", "traffic_direction": direction, "filter_chains": [{"filters": [{"typed_config": manager}]}],
        });
        let dump = json!({"configs": [
            {"@type": "x.ListenersConfigDump", "static_listeners": [{"listener": listener}]},
        ]});
        let info = json!({"command_line_options": {"concurrency": 2}});
        let config = Config::parse(&dump);
        let names = config.names();
        let admin = Admin::new(&info, config, Stats::default());
        Seen { admin: Some(admin), page: Page::parse(page, |_| true).unwrap(), names }
    }

    fn configuration(text: &str) -> Value {
        json!({"failure_policy": "FAIL_OPEN", "configuration": {"value": text}})
    }

    #[test]
    fn nothing_is_wrong_with_the_samples() {
        let good = seen("istio_stats_series{} 12\n", "INBOUND", configuration("{}"), &[]);
        for check in [failure_policy, reporter, grpc_messages, room] {
            assert_eq!(check(&good), []);
        }
    }

    #[test]
    fn other_failure_policies_are_named() {
        for (plugin, policy) in [
            (json!({}), "none, which means FAIL_CLOSED"),
            (json!({"failure_policy": "FAIL_RELOAD"}), "FAIL_RELOAD"),
        ] {
            let [finding] = failure_policy(&seen("", "INBOUND", plugin, &[])).try_into().unwrap();
            assert_eq!(finding.seen, [format!("istio_stats of listener in (HTTP): {policy}")]);
        }
    }

    #[test]
    fn the_reporter_comes_from_the_direction_the_root_id_or_the_configuration() {
        assert_eq!(reporter(&seen("", "", json!({}), &[])).len(), 1);
        for known in [
            seen("", "OUTBOUND", json!({}), &[]),
            seen("", "", json!({"root_id": "stats_inbound"}), &[]),
            seen("", "", configuration(r#"{"reporter": "SERVER_GATEWAY"}"#), &[]),
        ] {
            assert_eq!(reporter(&known), []);
        }
    }

    #[test]
    fn grpc_without_its_filter() {
        let calls = "istio_requests_total{request_protocol=\"grpc\"} 3\n";
        let filter = |emits: bool| {
            json!({"name": "x", "typed_config": {
                "@type": "x/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", "emit_filter_state": emits,
            }})
        };
        assert_eq!(grpc_messages(&seen(calls, "", json!({}), &[])).len(), 1);
        assert_eq!(grpc_messages(&seen(calls, "", json!({}), &[filter(false)])).len(), 1);
        assert_eq!(grpc_messages(&seen(calls, "", json!({}), &[filter(true)])), []);
        let http = "istio_requests_total{request_protocol=\"http\"} 3\n";
        assert_eq!(grpc_messages(&seen(http, "", json!({}), &[])), []);
        let counted = format!("{calls}istio_request_messages_total{{}} 3\n");
        assert_eq!(grpc_messages(&seen(&counted, "", json!({}), &[])), []);
        // Istio's own messages are none of the plugin's.
        let mesh = format!("{}istio_request_messages_total{{}} 3\n", calls.replace("istio_", "mesh_"));
        let found = grpc_messages(&seen(&mesh, "", configuration(r#"{"metric_prefix": "mesh_"}"#), &[]));
        assert_eq!(found[0].seen[0], "3 gRPC requests as mesh_… were counted, and no message");
    }

    #[test]
    fn room_for_label_sets() {
        let of = |page: &str| {
            let findings = room(&seen(page, "", configuration(r#"{"max_series": 20}"#), &[]));
            findings.first().map(|finding| (finding.symptom, finding.seen[0].clone()))
        };
        assert_eq!(of("istio_stats_series{} 35\n"), None);
        let full = "istio_stats_series is 36; max_series is 20 for each of 2 workers".to_owned();
        assert_eq!(of("istio_stats_series{} 36\n"), Some((Symptom::NearlyFull, full)));
        let over = "istio_stats_series_overflow_total is 4; max_series is 20".to_owned();
        assert_eq!(of("istio_stats_series_overflow_total{} 4\n"), Some((Symptom::Overflow, over)));
    }
}
