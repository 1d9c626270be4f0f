//! What several Telemetry resources come to for one proxy, as Istio's control plane
//! merges them: the mesh's first, then the namespace's, then the proxy's own.

use std::collections::BTreeMap;

use istio_stats::attachment::Attachment;
use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::metric::Metric;
use serde_json::{json, Value};

use super::intent::Config;
use super::mesh::Mesh;
use super::telemetry::{Metrics, Override, Tag};
use crate::istio_metrics::{self, attachment_of};

/// What clients and servers record.
#[derive(Clone, Debug, Default)]
pub(super) struct Merged {
    clients: Side,
    servers: Side,
    interval: Option<String>,
    /// Of those that are asked to count, the ones that are not Prometheus.
    pub(super) other_providers: Vec<String>,
}

/// The metrics of one side that differ from the standard, by the plugin's name.
#[derive(Clone, Debug, Default)]
struct Side {
    is_off: bool,
    metrics: BTreeMap<String, State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    is_off: bool,
    tags: BTreeMap<String, Tag>,
}

/// Merges them in this order.
pub(super) fn merge<'a>(all: impl Iterator<Item = &'a Metrics> + Clone, mesh: &Mesh) -> Merged {
    // The last ones that are named replace those before.
    let named = all.clone().map(|metrics| &metrics.providers).filter(|names| !names.is_empty()).last();
    let in_scope = named.unwrap_or(&mesh.default_providers);
    let (prometheus, others): (Vec<_>, Vec<_>) = in_scope.iter().partition(|name| mesh.is_prometheus(name));
    let mut merged = Merged { other_providers: others.into_iter().cloned().collect(), ..Merged::default() };
    let Some(provider) = prometheus.first() else {
        (merged.clients.is_off, merged.servers.is_off) = (true, true);
        return merged;
    };
    let mut parent = &mesh.default_providers;
    for metrics in all {
        if !metrics.providers.is_empty() {
            parent = &metrics.providers;
        }
        if parent.contains(provider) {
            merged.interval = metrics.interval.clone().or(merged.interval);
            for change in &metrics.overrides {
                let sides =
                    [(change.for_clients, &mut merged.clients), (change.for_servers, &mut merged.servers)];
                sides.into_iter().filter(|(wanted, _)| *wanted).for_each(|(_, side)| side.apply(change));
            }
        }
    }
    merged
}

// === impl Merged ===

impl Merged {
    /// The plugin's configuration for one side; `None`: nothing is recorded.
    pub(super) fn config(&self, is_server: bool, attachment: Attachment) -> Option<Config> {
        let side = if is_server { &self.servers } else { &self.clients };
        let metrics = side.entries(attachment)?;
        let interval = self.interval.iter().map(|interval| ("tcp_reporting_duration", json!(interval)));
        let metrics = Some(("metrics", json!(metrics))).filter(|_| !metrics.is_empty());
        Some(interval.chain(metrics).map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

// === impl Side ===

impl Side {
    fn apply(&mut self, change: &Override) {
        if change.metric.is_none() && change.disabled == Some(true) {
            self.is_off = true;
            return;
        }
        self.is_off = false;
        let names = match &change.metric {
            Some(name) => vec![name.clone()],
            // That of ours which Istio does not have goes with them.
            None => Metric::ALL.map(|metric| metric.name().to_owned()).to_vec(),
        };
        for name in names {
            let state = self.metrics.entry(name).or_default();
            state.is_off = change.disabled.unwrap_or(state.is_off);
            for (label, tag) in &change.tags {
                let is_own = Dimension::ALL.into_iter().all(|standard| standard.name() != label);
                let takes_back = is_own && *tag == Tag::Remove;
                // What was added before is as if it had never been.
                if !(takes_back && state.tags.remove(label).is_some()) {
                    state.tags.insert(label.clone(), tag.clone());
                }
            }
        }
    }

    /// The elements of `metrics`; `None`: all are off.
    fn entries(&self, attachment: Attachment) -> Option<Vec<Value>> {
        let none = State::default();
        let state = |metric: Metric| self.metrics.get(metric.name()).unwrap_or(&none);
        let here: Vec<_> =
            Metric::ALL.into_iter().filter(|metric| attachment_of(*metric) == attachment).collect();
        let is_on = |metric: &&Metric| !state(**metric).is_off;
        if self.is_off || !here.iter().filter(is_on).any(|metric| istio_metrics::is_istios(*metric)) {
            return None;
        }
        let on: Vec<_> = here.iter().filter(is_on).map(|metric| state(*metric)).collect();
        let first = on.first()?;
        let is_everywhere =
            |(label, tag): &(&String, &Tag)| on.iter().all(|state| state.tags.get(*label) == Some(*tag));
        let common: BTreeMap<_, _> = first.tags.iter().filter(is_everywhere).collect();
        let standard = here.iter().map(|metric| (metric.name(), state(*metric)));
        let is_custom = |name: &str| Metric::ALL.into_iter().all(|metric| metric.name() != name);
        let custom = self.metrics.iter().filter(|(name, _)| is_custom(name));
        let custom = custom.map(|(name, state)| (name.as_str(), state));
        let own = standard.chain(custom).filter_map(|(name, state)| {
            if state.is_off {
                return Some(json!({"name": name, "drop": true}));
            }
            let mut entry = entry(state.tags.iter().filter(|(label, _)| !common.contains_key(label)))?;
            entry.insert("name".to_owned(), json!(name));
            Some(Value::Object(entry))
        });
        let own: Vec<_> = own.collect();
        Some(entry(common.into_iter()).map(Value::Object).into_iter().chain(own).collect())
    }
}

/// An element of `metrics` that does this to labels; `None`: it does nothing.
fn entry<'a>(tags: impl Iterator<Item = (&'a String, &'a Tag)>) -> Option<Config> {
    let (mut dimensions, mut removed) = (Config::new(), Vec::new());
    for (label, tag) in tags {
        match tag {
            Tag::Remove => removed.push(json!(label)),
            Tag::Upsert(value) => {
                dimensions.insert(label.clone(), json!(value));
            }
        }
    }
    let dimensions =
        Some(("dimensions", Value::Object(dimensions.clone()))).filter(|_| !dimensions.is_empty());
    let removed = Some(("tags_to_remove", Value::Array(removed.clone()))).filter(|_| !removed.is_empty());
    let entry: Config =
        dimensions.into_iter().chain(removed).map(|(key, value)| (key.to_owned(), value)).collect();
    Some(entry).filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests;
