//! From what is configured to what is to be recorded where.

use std::collections::BTreeSet;

use istio_stats::attachment::Attachment;

use super::clean;
use super::gather::Sources;
use super::generation;
use super::intent::{overlay, Config, Context, Plan, Scope};
use super::merge::{merge, Merged};
use super::mesh::ATTACHMENTS;
use super::notes::Notes;

/// A plan for every scope that something is configured for, the widest first.
pub(super) fn plans(sources: &Sources, notes: &mut Notes) -> Vec<Plan> {
    let telemetries = sources.telemetries.iter().map(|telemetry| &telemetry.scope);
    let scopes: BTreeSet<_> = telemetries.chain(sources.layers.iter().map(|layer| &layer.scope)).collect();
    let mut used = BTreeSet::new();
    let mut plans: Vec<_> = scopes.into_iter().map(|scope| plan(scope, sources, notes)).collect();
    for plan in &mut plans {
        let place = plan.scope.describe();
        for (attachment, config) in plan.configs_mut() {
            used.extend(generation::inline(config, &sources.generated));
            clean::clean(config, attachment, &place, notes);
        }
    }
    for generated in sources.generated.iter().filter(|generated| !used.contains(generated.name.as_str())) {
        notes.add(format_args!("attribute {}", generated.name), "no label is made of it");
    }
    plans
}

fn plan(scope: &Scope, sources: &Sources, notes: &mut Notes) -> Plan {
    let wider = sources.telemetries.iter().filter(|telemetry| scope.is_within(&telemetry.scope));
    let merged = merge(wider.clone().flat_map(|telemetry| &telemetry.metrics), &sources.mesh);
    for provider in &merged.other_providers {
        let what = format!("provider {provider} is no Prometheus; it stays with Istio");
        notes.add(scope.describe(), what);
    }
    let mut plan = Plan::new(scope.clone());
    for context in scope.contexts() {
        for attachment in ATTACHMENTS {
            if let Some(config) = config(*context, attachment, scope, sources, &merged) {
                plan.set(*context, attachment, config);
            }
        }
    }
    plan
}

fn config(
    context: Context,
    attachment: Attachment,
    scope: &Scope,
    sources: &Sources,
    merged: &Merged,
) -> Option<Config> {
    let mut config = merged.config(context.is_server(), attachment);
    for layer in &sources.layers {
        let is_here = scope.is_within(&layer.scope)
            && (layer.contexts.is_empty() || layer.contexts.contains(&context))
            && layer.attachment.is_none_or(|only| only == attachment);
        match &layer.config {
            Some(more) if is_here => overlay(config.get_or_insert_default(), more),
            None if is_here => config = None,
            _ => {}
        }
    }
    config
}
