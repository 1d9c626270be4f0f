//! What a bootstrap has to hold beside the plugins: the expressions for their
//! labels, and the Kubernetes cluster of the node.

use istio_stats::config::Config;
use istio_stats::workload::fact::Fact;

use super::problem::{Level, Problem, Problems};
use super::{native, node};
use crate::artefact::Artefact;
use crate::extraction::StatsTags;
use crate::find::found::{Document, Found};
use crate::stat_names::{self, StatName};
use crate::tags;
use crate::yaml::{Node, Position};

/// Checks a document, if it is or holds a bootstrap; else what can be said
/// without one.
pub(super) fn check(document: &Document, file: &str, problems: &mut Problems) {
    let configs: Vec<_> = document.found.iter().filter_map(|found| Some((found, config(found)?))).collect();
    if configs.is_empty() {
        return;
    }
    match document.root.as_ref().and_then(bootstrap) {
        Some(bootstrap) => {
            let by_tags: Vec<_> = configs.iter().filter(|(found, _)| !found.is_native()).collect();
            if !by_tags.is_empty() {
                check_stats_tags(bootstrap, &by_tags, file, problems);
            }
            native::check_bootstrap(&document.found, &configs, bootstrap, problems);
            check_cluster_id(bootstrap, &configs, problems);
            node::check(bootstrap, problems);
        }
        None => configs
            .iter()
            .filter(|(found, _)| !found.is_native())
            .for_each(|(found, config)| check_suffixes(found, config, problems)),
    }
}

fn config(found: &Found) -> Option<Config> {
    let bytes = found.configuration.bytes.as_ref().ok()?;
    (found.artefact == Artefact::IstioStats).then(|| Config::compile(bytes).0).flatten()
}

/// The bootstrap that a document is, or that a configuration dump holds.
fn bootstrap(root: &Node) -> Option<&Node> {
    const FIELDS: [&str; 5] = ["node", "static_resources", "dynamic_resources", "stats_config", "admin"];
    let mut dumped = root.get("configs").map(Node::elements).unwrap_or_default().iter();
    let is_bootstrap = FIELDS.iter().any(|field| root.get(field).is_some());
    if is_bootstrap {
        Some(root)
    } else {
        dumped.find_map(|config| config.get("bootstrap"))
    }
}

fn check_stats_tags(bootstrap: &Node, configs: &[&(&Found, Config)], file: &str, problems: &mut Problems) {
    let mut names: Vec<StatName> = Vec::new();
    for name in configs.iter().flat_map(|(_, config)| stat_names::of_config(config)) {
        if !names.iter().any(|known| known.labels == name.labels) {
            names.push(name);
        }
    }
    let list = bootstrap.at(&["stats_config", "stats_tags"]);
    let position = bootstrap.position_of("stats_config.stats_tags");
    let mut warn = |message: String| {
        let suggestion = format!("put in what this prints: istio-stats tags {file}");
        problems.push(Problem::new(Level::Warning, position, &[], message).suggest(suggestion));
    };
    let Some(list) = list else {
        return warn("no stats_tags: every label stays inside the metric's name".to_owned());
    };
    let Findings { absent, unmatched, wrong } = Findings::new(&StatsTags::read(list), &names);
    if !absent.is_empty() {
        warn(format!("stats_tags lack {}: they stay inside the metric's name", absent.join(", ")));
    }
    if !unmatched.is_empty() {
        let labels = unmatched.join(", ");
        warn(format!("stats_tags do not find {labels} where this configuration puts them"));
    }
    if !wrong.is_empty() {
        warn(format!("stats_tags take another label's value for {}", wrong.join(", ")));
    }
}

/// Labels that come out wrong.
#[derive(Debug, Default)]
struct Findings {
    /// Without an entry.
    absent: Vec<String>,
    /// The entry does not find them.
    unmatched: Vec<String>,
    /// The entry finds something else.
    wrong: Vec<String>,
}

// === impl Findings ===

impl Findings {
    fn new(tags: &StatsTags, names: &[StatName]) -> Self {
        let mut findings = Self::default();
        for name in names {
            findings.add(tags, name);
        }
        findings
    }

    fn add(&mut self, tags: &StatsTags, name: &StatName) {
        let is_empty =
            |n: usize| name.labels.get(n).is_some_and(|label| label.name == "grpc_response_status");
        // The one label that may be empty, which some expressions do not take.
        let value = |n: usize| if is_empty(n) { String::new() } else { format!("value{n}") };
        let extracted = tags.extract(&tags::full_name(name, value));
        for (n, label) in name.labels.iter().enumerate() {
            let label = &label.name;
            let found = extracted.labels.iter().find(|(known, _)| known == label);
            let list = match found {
                Some((_, found)) if *found == value(n) => continue,
                Some(_) => &mut self.wrong,
                None if tags.has(label) => &mut self.unmatched,
                None => &mut self.absent,
            };
            if !list.contains(label) {
                list.push(label.clone());
            }
        }
    }
}

fn check_cluster_id(bootstrap: &Node, configs: &[(&Found, Config)], problems: &mut Problems) {
    let id = bootstrap.at(&["node", "metadata", "CLUSTER_ID"]);
    // One that is no text is not missing.
    let is_told = id.is_some_and(|id| id.text() != Some(""));
    if is_told || configs.iter().all(|(_, config)| config.local.get(Fact::ClusterId).is_some()) {
        return;
    }
    let message =
        "node.metadata has no CLUSTER_ID: the Kubernetes cluster of this side is \"unknown\"".to_owned();
    let position: Position = bootstrap.position_of("node.metadata");
    let suggestion = "say it there, or as local.cluster_id in both plugins".to_owned();
    problems.push(Problem::new(Level::Warning, position, &[], message).suggest(suggestion));
}

fn check_suffixes(found: &Found, config: &Config, problems: &mut Problems) {
    let positions = stat_names::positions(&stat_names::of_config(config));
    for (one, other) in stat_names::suffixes(&positions) {
        let message = tags::suffix_trap(one, other);
        problems.push(Problem::of_field(Level::Warning, found, "metrics", message));
    }
}
