//! Finds this project's plugin configurations in what is given to a proxy: an
//! Envoy bootstrap (or listeners, or a configuration dump), and the Kubernetes
//! resources that end up as Envoy's Wasm filters.

mod envoy;
mod kubernetes;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use istio_stats::attachment::Attachment;
use istio_stats::config::parse;

use crate::yaml::{self, Node, Position};

/// One file with what was found in it.
#[derive(Debug)]
pub(crate) struct File {
    /// Its name, as messages show it.
    pub(crate) name: String,
    pub(crate) documents: Vec<Document>,
}

/// One document of a YAML file, or a plugin configuration by itself.
#[derive(Debug)]
pub(crate) struct Document {
    /// The document; `None` if it is a plugin configuration by itself.
    pub(crate) root: Option<Node>,
    pub(crate) found: Vec<Found>,
    /// Wasm plugins that are none of this project's.
    pub(crate) others: Vec<Other>,
}

/// A Wasm plugin that is none of this project's.
#[derive(Debug)]
pub(crate) struct Other {
    pub(crate) place: Vec<String>,
    pub(crate) position: Position,
}

/// A plugin configuration.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) plugin: Plugin,
    /// Where it is, from the outside in: `listener "inbound"`, …
    pub(crate) place: Vec<String>,
    /// Where the filter, or the resource, begins.
    pub(crate) position: Position,
    pub(crate) configuration: Configuration,
    /// What kind of chain the plugin is attached to; `None`: unknown or another.
    pub(crate) attachment: Option<Attachment>,
    /// What becomes of traffic when the plugin fails; `None`: not said here.
    pub(crate) failure: Option<Failure>,
}

/// The bytes that the plugin gets, or why it does not.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) bytes: Result<Vec<u8>, String>,
    /// The same as a tree, for the places of problems.
    pub(crate) tree: Option<Node>,
    /// Where it begins.
    pub(crate) position: Position,
}

/// What a resource says about failures of the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) is_open: bool,
    /// What to write for it to be open.
    pub(crate) open: &'static str,
    pub(crate) position: Position,
}

/// A plugin of this project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Plugin {
    /// `istio_stats.wasm`
    #[value(name = "istio-stats")]
    Stats,
    /// `metadata_exchange.wasm`
    #[value(name = "metadata-exchange")]
    Exchange,
}

// === impl File ===

impl File {
    /// All that was found.
    pub(crate) fn found(&self) -> impl Iterator<Item = &Found> {
        self.documents.iter().flat_map(|document| &document.found)
    }
}

/// Reads a file, or standard input for `-`, and finds what is in it. `bare` is
/// the plugin that a configuration by itself is for.
///
/// # Errors
/// It cannot be read or is no YAML (then a [`yaml::Malformed`]).
pub(crate) fn read(path: &Path, bare: Plugin) -> Result<File> {
    let documents = find(&read_text(path)?, bare)?;
    Ok(File { name: name_of(path), documents })
}

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// It cannot be read or is no UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        return std::io::read_to_string(std::io::stdin()).context("cannot read standard input");
    }
    fs::read_to_string(path).context("cannot read this file")
}

/// A file's name in messages.
pub(crate) fn name_of(path: &Path) -> String {
    if path == Path::new("-") {
        return "<stdin>".to_owned();
    }
    path.display().to_string()
}

/// What the plugins in a document say of the local workload: the first that
/// says anything, the metadata exchange before the stats plugin.
pub(crate) fn local_of(root: &Node) -> Option<serde_json::Value> {
    let mut found = Document::new(root.clone()).found;
    found.sort_by_key(|found| found.plugin == Plugin::Stats);
    let local = |found: &Found| parse::root(found.configuration.bytes.as_ref().ok()?).ok()?.remove("local");
    found.iter().find_map(local)
}

fn find(text: &str, bare: Plugin) -> Result<Vec<Document>, yaml::Malformed> {
    let looks_bare = text.trim_start().starts_with('{') || text.trim().is_empty();
    let roots = match yaml::parse(text) {
        // The plugin's own words are better for a configuration by itself.
        Err(_) if looks_bare => return Ok(vec![Document::bare(text, None, bare)]),
        Err(error) => return Err(error),
        Ok(roots) => roots,
    };
    let is_resource = roots.iter().any(|root| envoy::is_resource(root) || kubernetes::is_resource(root));
    if looks_bare && !is_resource {
        return Ok(vec![Document::bare(text, roots.into_iter().next(), bare)]);
    }
    Ok(roots.into_iter().map(Document::new).collect())
}

// === impl Configuration ===

impl Configuration {
    /// Where the field at a JSON path begins, as near as can be said.
    pub(crate) fn position_of(&self, path: &str) -> Position {
        self.tree.as_ref().map_or(self.position, |tree| tree.position_of(path))
    }
}

// === impl Document ===

impl Document {
    fn new(root: Node) -> Self {
        let mut finder = Finder::default();
        finder.walk(&root, None);
        Self { root: Some(root), found: finder.found, others: finder.others }
    }

    fn bare(text: &str, tree: Option<Node>, plugin: Plugin) -> Self {
        let position = Position::START;
        let configuration = Configuration { bytes: Ok(text.as_bytes().to_vec()), tree, position };
        let found =
            Found { plugin, place: Vec::new(), position, configuration, attachment: None, failure: None };
        Self { root: None, found: vec![found], others: Vec::new() }
    }
}

/// Walks through a document.
#[derive(Debug, Default)]
struct Finder {
    place: Vec<String>,
    found: Vec<Found>,
    others: Vec<Other>,
}

/// Lists whose elements are named in a problem's place.
const NAMED_LISTS: [(&str, &str); 6] = [
    ("listeners", "listener"),
    ("static_listeners", "listener"),
    ("dynamic_listeners", "listener"),
    ("filter_chains", "filter chain"),
    ("clusters", "upstream cluster"),
    ("config_patches", "patch"),
];

// === impl Finder ===

impl Finder {
    /// `name` is that of the nearest map around the node.
    fn walk(&mut self, node: &Node, name: Option<&str>) {
        let depth = self.place.len();
        if let Some(resource) = kubernetes::name_of(node) {
            self.place.push(resource);
        }
        if !kubernetes::visit(node, self) && !envoy::visit(node, name, self) {
            let name = node.text_at(&["name"]).or(name);
            for entry in node.entries() {
                self.walk_entry(&entry.key, &entry.value, name);
            }
            for element in node.elements() {
                self.walk(element, name);
            }
        }
        self.place.truncate(depth);
    }

    fn walk_entry(&mut self, key: &str, value: &Node, name: Option<&str>) {
        let list = NAMED_LISTS.iter().find(|(list, _)| yaml::is_same_field(list, key));
        let Some((_, word)) = list else {
            return self.walk(value, name);
        };
        let elements = value.elements();
        for (index, element) in elements.iter().enumerate() {
            let depth = self.place.len();
            let number = index.saturating_add(1);
            match (element.text_at(&["name"]), element.text_at(&["apply_to"])) {
                (Some(name), _) => self.place.push(format!("{word} {name:?}")),
                (None, Some(kind)) => self.place.push(format!("{word} {number} ({kind})")),
                // One without a name says nothing where it is the only one.
                (None, None) if elements.len() > 1 => self.place.push(format!("{word} {number}")),
                (None, None) => {}
            }
            self.walk(element, None);
            self.place.truncate(depth);
        }
    }

    /// Keeps a plugin configuration if its names, the most telling first, are
    /// those of a plugin of this project.
    fn add(
        &mut self,
        names: &[Option<&str>],
        what: Option<String>,
        position: Position,
        found: impl FnOnce(Plugin, Vec<String>) -> Found,
    ) {
        let place: Vec<_> = self.place.iter().cloned().chain(what).collect();
        match names.iter().flatten().find_map(|name| Plugin::named(name)) {
            Some(plugin) => self.found.push(found(plugin, place)),
            None => self.others.push(Other { place, position }),
        }
    }
}

// === impl Plugin ===

impl Plugin {
    /// The plugin that a file, an image or a filter's name is for. Istio's own
    /// Wasm plugins, which had the same configuration, count too.
    fn named(name: &str) -> Option<Self> {
        let last = name.rsplit('/').next().unwrap_or(name);
        let words = last.to_ascii_lowercase().replace(['-', '.'], "_");
        let has = |part: &str| words.contains(part);
        if has("metadata_exchange") {
            Some(Self::Exchange)
        } else if has("istio_stats") || has("stats_filter") || has("stats_inbound") || has("stats_outbound") {
            Some(Self::Stats)
        } else {
            (words == "envoy_wasm_stats").then_some(Self::Stats)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_told_apart_by_their_names() {
        for (name, plugin) in [
            ("dist/istio_stats.wasm", Some(Plugin::Stats)),
            ("/etc/istio-stats/metadata_exchange.wasm", Some(Plugin::Exchange)),
            ("oci://registry.example/istio-stats:0.1.0", Some(Plugin::Stats)),
            ("oci://registry.example/istio-stats/metadata-exchange@sha256:00", Some(Plugin::Exchange)),
            ("oci://registry.example/istio-stats-metadata-exchange:1", Some(Plugin::Exchange)),
            ("envoy.wasm.stats", Some(Plugin::Stats)),
            ("/etc/istio/extensions/stats-filter.compiled.wasm", Some(Plugin::Stats)),
            ("stats_outbound", Some(Plugin::Stats)),
            ("coraza.wasm", None),
            ("grpc_stats", None),
        ] {
            assert_eq!(Plugin::named(name), plugin, "{name}");
        }
    }

    #[test]
    fn what_holds_no_configuration_is_told_from_one_by_itself() {
        let found = |text| {
            let documents = find(text, Plugin::Stats).unwrap();
            documents.iter().map(|document| document.found.len()).sum::<usize>()
        };
        assert_eq!(found("{\"max_series\": 1}"), 1);
        assert_eq!(found("max_series: 1\n"), 0);
        assert_eq!(found("{\"static_resources\": {}}"), 0);
        assert_eq!(found("{\"kind\": \"Pod\"}"), 0);
        assert!(find("a: [", Plugin::Stats).is_err());
    }

    #[test]
    fn other_wasm_plugins_are_named() {
        let text = "kind: WasmPlugin\nmetadata: {name: waf}\nspec: {url: 'oci://x/coraza'}\n";
        let [other] = &find(text, Plugin::Stats).unwrap()[0].others[..] else { panic!("one other") };
        assert_eq!(other.place, ["WasmPlugin waf"]);
    }

    #[test]
    fn a_configuration_by_itself_reaches_the_plugin_byte_for_byte() {
        for text in ["", "{}", " {\"labels\": []}\n", "{oops", "{\"a\": \t1}"] {
            let documents = find(text, Plugin::Exchange).unwrap();
            let [found] = &documents[0].found[..] else { panic!("{documents:?}") };
            assert_eq!(found.plugin, Plugin::Exchange);
            assert_eq!(found.configuration.bytes.as_deref(), Ok(text.as_bytes()));
        }
    }
}
