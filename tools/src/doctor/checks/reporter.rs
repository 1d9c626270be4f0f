//! Whether the plugin can know which side it reports from.

use istio_stats::attribute::direction::Direction;

use crate::artefact::Artefact;
use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&REPORTER_UNKNOWN];

const REPORTER_UNKNOWN: Symptom = Symptom {
    code: "reporter-unknown",
    severity: Severity::Problem,
    title: "Nothing says which side this listener is on",
    why: "The plugin then reports as `source`: on a server's proxy the labels `source_*` describe the \
         server, and the peer is looked for upstream.",
    remedy: "Give the listener a direction, or the plugin the root id `stats_inbound` or `stats_outbound`.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let Some(dump) = seen.dump() else {
        return Vec::new();
    };
    let undecided = dump.plugins(Artefact::IstioStats).filter(|(chain, plugin)| {
        let waypoint = plugin.stats_config().is_some_and(|config| config.waypoint);
        let has_direction = matches!(chain.direction.as_str(), "INBOUND" | "OUTBOUND");
        !has_direction && !waypoint && Direction::of_root_id(plugin.root_id.as_bytes()).is_none()
    });
    let facts: Vec<_> = undecided
        .map(|(chain, plugin)| {
            format!(
                "{}: no traffic_direction; {} has root_id {:?}",
                chain.describe(),
                plugin.filter,
                plugin.root_id
            )
        })
        .collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(&REPORTER_UNKNOWN, facts)
        .paste("the listener (or OUTBOUND, for the client's side)", "traffic_direction: INBOUND")]
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;
    use crate::doctor::fixture::{listener, of_listeners, plugin_with};

    fn seen(direction: &str, plugin: Value) -> Seen {
        let listener = listener(direction, &[plugin_with(plugin)], &[]);
        of_listeners(&json!({"static_listeners": [{"listener": listener}]}), &[], "")
    }

    #[test]
    fn the_reporter_comes_from_the_direction_the_root_id_or_the_configuration() {
        assert_eq!(find(&seen("", json!({}))).len(), 1);
        for known in [
            seen("OUTBOUND", json!({})),
            seen("", json!({"root_id": "stats_inbound"})),
            seen("", json!({"configuration": {"value": r#"{"reporter": "SERVER_GATEWAY"}"#}})),
        ] {
            assert_eq!(find(&known), []);
        }
    }
}
