//! Istio's own metrics, off where the plugin counts: else everything counts twice.

use serde_json::{json, Value};

use crate::migrate::emit;
use crate::migrate::intent::Plan;
use crate::migrate::sheet::Sheet;
use crate::migrate::task::Task;
use crate::yaml;

const SAMPLE: &str = include_str!("../../../../envoy-config/istio/instead/telemetry-off/telemetry.yaml");

/// A Telemetry for each scope; where there was one, that one with its metrics off.
pub(super) fn documents(task: &Task<'_>) -> Vec<String> {
    task.plans.iter().filter_map(|plan| document(task, plan)).collect()
}

fn document(task: &Task<'_>, plan: &Plan) -> Option<String> {
    let known = task.sources.telemetries.iter().find(|telemetry| telemetry.scope == plan.scope);
    let mut sample = Sheet::documents(SAMPLE).into_iter().next()?;
    let Some(telemetry) = known else {
        // What is off for more is off for fewer, as long as no Telemetry says otherwise.
        let is_within = |other: &Plan| other.scope != plan.scope && plan.scope.is_within(&other.scope);
        if plan.scope.chosen_by.is_some() || task.plans.iter().any(is_within) {
            return None;
        }
        sample.replace("namespace: istio-system", &format!("namespace: {}", task.namespace(plan)));
        return Some(format!("# Istio's own metrics, off.\n{}", sample.text()));
    };
    let off = yaml::parse(&sample.text()).ok()?.into_iter().next()?.at(&["spec", "metrics"])?.to_json();
    let mut resource = telemetry.resource.clone();
    let metrics = resource.pointer_mut("/spec/metrics")?;
    // What is for another provider stays.
    let stays = |entry: &Value| {
        let providers =
            entry.get("providers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut names = providers.iter().filter_map(|provider| provider.get("name")?.as_str());
        !providers.is_empty() && names.all(|name| !task.sources.mesh.is_prometheus(name))
    };
    let others = metrics.as_array().into_iter().flatten().filter(|entry| stays(entry)).cloned();
    *metrics = off.as_array().into_iter().flatten().cloned().chain(others).collect();
    if let Some(Value::Object(metadata)) = resource.get_mut("metadata") {
        metadata.entry("namespace").or_insert(json!("default"));
    }
    let lines = emit::lines(&resource, 0).join("\n");
    Some(format!("# Istio's own metrics, off: this replaces the Telemetry of that name.\n{lines}\n"))
}
