//! The plugin's resources, made of the project's samples.

mod envoy_filter;
mod extension;
mod off;
mod standalone;

use istio_stats::config::Config as Compiled;
use serde_json::Value;

use super::intent::Plan;
use super::notes::Notes;
use super::task::Task;
use super::way::Way;
use crate::stat_names::{self, LabelPosition};
use crate::tags;

/// Everything, for a way in.
pub(super) fn print(task: &Task<'_>, way: Way, notes: &mut Notes) -> String {
    let positions = positions(task);
    let mut documents = match way {
        Way::EnvoyFilter => envoy_filter::documents(task, notes),
        Way::WasmPlugin => extension::documents(task, &extension::WASM_PLUGIN, notes),
        Way::TrafficExtension => extension::documents(task, &extension::TRAFFIC_EXTENSION, notes),
        Way::Standalone => standalone::documents(task, &positions),
    };
    let mut head = String::new();
    if way != Way::Standalone {
        if !task.is_beside {
            documents.extend(off::documents(task));
        }
        head += &labels(task, &positions);
    }
    for (one, other) in stat_names::suffixes(&positions) {
        notes.add("labels", tags::suffix_trap(one, other));
    }
    head + &documents.join("---\n")
}

/// The labels of everything that is recorded.
fn positions(task: &Task<'_>) -> Vec<LabelPosition> {
    let configs = task.plans.iter().flat_map(Plan::configs);
    let compiled = configs
        .filter_map(|config| Compiled::compile(Value::Object(config.clone()).to_string().as_bytes()).0);
    let mut names: Vec<_> = compiled.flat_map(|config| stat_names::of_config(&config)).collect();
    names.extend(stat_names::of_plugin());
    stat_names::positions(&names)
}

/// What Istio's bootstrap has to extract.
fn labels(task: &Task<'_>, positions: &[LabelPosition]) -> String {
    let mut names: Vec<_> = positions.iter().map(|label| label.label.as_str()).collect();
    let known = task.sources.mesh.extra_stat_tags.iter().map(String::as_str);
    names.extend(known.filter(|known| !positions.iter().any(|label| label.label == *known)));
    format!(
        "# The labels: as a list in meshConfig.defaultConfig.extraStatTags (envoy-config/istio/mesh/values.yaml has\n\
         # what else the mesh needs), or as an annotation of the pods. Either counts when a pod starts.\n#\n\
         #   sidecar.istio.io/extraStatTags: {}\n",
        names.join(",")
    )
}
