//! Whole bootstraps of stock Envoys, one for each side.

use istio_stats::attachment::Attachment;
use istio_stats::config::parse;
use serde_json::{json, Value};

use crate::migrate::intent::{Config, Context, Plan};
use crate::migrate::sheet::Sheet;
use crate::migrate::task::{configured, Task};
use crate::stat_names::LabelPosition;
use crate::tags;

const SAMPLES: [(Context, &str, &str); 2] = [
    (Context::Outbound, "client", include_str!("../../../../envoy-config/standalone/east.yaml")),
    (Context::Inbound, "server", include_str!("../../../../envoy-config/standalone/west.yaml")),
];

/// The two samples with the configuration of each plan.
pub(super) fn documents(task: &Task<'_>, positions: &[LabelPosition]) -> Vec<String> {
    let plans = task.plans.iter().flat_map(|plan| SAMPLES.map(|sample| (plan, sample)));
    let documents = plans.filter_map(|(plan, (context, side, text))| {
        let context = match plan.scope.contexts() {
            [only] => *only,
            _ => context,
        };
        let mut sheet = Sheet::documents(text).into_iter().next()?;
        set_tags(&mut sheet, positions);
        configure(&mut sheet, plan, context, task.is_beside);
        let scope = plan.scope.describe();
        Some(format!(
            "# The {side}'s side: {scope}. Of the numbered pieces (2) and (3) are for any Envoy.\n{}",
            sheet.text()
        ))
    });
    documents.collect()
}

fn is_tag(line: &str) -> bool {
    line.trim_start().starts_with("- { tag_name: ")
}

fn set_tags(sheet: &mut Sheet, positions: &[LabelPosition]) {
    let Some(first) = sheet.lines.iter().position(|line| is_tag(line)) else {
        return;
    };
    let count = sheet.lines.iter().skip(first).take_while(|line| is_tag(line)).count();
    let line = sheet.lines.get(first).map(String::as_str).unwrap_or_default();
    let pad = line.len().saturating_sub(line.trim_start().len());
    let entries = tags::entries(positions).map(|entry| format!("{}{entry}", " ".repeat(pad)));
    let entries: Vec<_> = entries.collect();
    sheet.lines.splice(first..first.saturating_add(count), entries);
}

/// Replaces the configuration of each stats plugin.
fn configure(sheet: &mut Sheet, plan: &Plan, context: Context, is_beside: bool) {
    let mut module = String::new();
    let mut lines: Vec<String> = Vec::new();
    for line in &sheet.lines {
        let trimmed = line.trim_start();
        if let Some(name) = trimmed.strip_prefix("name: ") {
            name.clone_into(&mut module);
        }
        let sample = trimmed.strip_prefix("value: '").and_then(|text| text.strip_suffix('\''));
        match sample.and_then(|text| parse::root(text.as_bytes()).ok()).filter(|_| module == "istio_stats") {
            Some(sample) => {
                // A comment on the sample's value.
                while lines.last().is_some_and(|line| line.trim_start().starts_with('#')) {
                    lines.pop();
                }
                let pad = line.len().saturating_sub(trimmed.len());
                lines.extend(value(&recorded(sample, plan, context, is_beside), pad));
            }
            None => lines.push(line.clone()),
        }
    }
    sheet.lines = lines;
}

fn recorded(sample: Config, plan: &Plan, context: Context, is_beside: bool) -> Config {
    let is_tcp = sample.get("attachment").is_some_and(|attachment| attachment == "tcp");
    let attachment = if is_tcp { Attachment::Tcp } else { Attachment::Http };
    let nothing = || Config::from_iter([("metrics".to_owned(), json!([{"drop": true}]))]);
    let mut config =
        configured(sample, &plan.get(context, attachment).cloned().unwrap_or_else(nothing), is_beside);
    if is_beside {
        config.insert("metric_prefix".to_owned(), json!("mesh_"));
    }
    if context == Context::Waypoint {
        config.insert("reporter".to_owned(), json!("SERVER_GATEWAY"));
    }
    config
}

fn value(config: &Config, pad: usize) -> Vec<String> {
    let pad = " ".repeat(pad);
    let json = format!("{:#}", Value::Object(config.clone()));
    let lines = json.lines().map(|line| format!("{pad}  {line}"));
    std::iter::once(format!("{pad}value: |-")).chain(lines).collect()
}
