//! Finds this project's plugin configurations in what is given to a proxy: an
//! Envoy bootstrap (or listeners, or a configuration dump), and the Kubernetes
//! resources that end up as Envoy's Wasm filters, and filters of the native module.

mod envoy;
pub(crate) mod found;
mod kubernetes;
mod native;
pub(crate) mod recognise;
mod walk;

use std::fs::File as FsFile;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{ensure, Context as _, Result};
use istio_stats::config::parse;

use crate::artefact::Artefact;
use crate::yaml::{self, Node};
use found::{Document, File, Found};
pub(crate) use native::{native_module, without_node};

/// Reads a file, or standard input for `-`, and finds what is in it. `bare` is
/// the module that a configuration by itself is for.
///
/// # Errors
/// It cannot be read or is no YAML (then a [`yaml::Malformed`]).
pub(crate) fn read(path: &Path, bare: Artefact) -> Result<File> {
    let documents = find(&read_text(path)?, bare)?;
    Ok(File { name: name_of(path), documents })
}

/// Longest file that is read: far more than a dump of the largest proxy.
const MAX_BYTES: u64 = 1 << 28;

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// It cannot be read, is no UTF-8 or too long.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let (file, what): (Box<dyn Read>, _) = if path == Path::new("-") {
        (Box::new(io::stdin()), "cannot read standard input")
    } else {
        (Box::new(FsFile::open(path).context("cannot read this file")?), "cannot read this file")
    };
    let mut text = String::new();
    let read = file.take(MAX_BYTES).read_to_string(&mut text).context(what)?;
    ensure!(u64::try_from(read)? < MAX_BYTES, "larger than {MAX_BYTES} bytes");
    Ok(text)
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
    let mut found = walk::document(root.clone()).found;
    found.sort_by_key(|found| found.artefact == Artefact::IstioStats);
    let local = |found: &Found| parse::root(found.configuration.bytes.as_ref().ok()?).ok()?.remove("local");
    found.iter().find_map(local)
}

/// The plugins somewhere in a part of a document.
pub(crate) fn in_node(node: &Node) -> Vec<Found> {
    walk::document(node.clone()).found
}

fn find(text: &str, bare: Artefact) -> Result<Vec<Document>, yaml::Malformed> {
    let trimmed = yaml::without_mark(text).trim_start();
    let looks_bare = trimmed.starts_with('{') || trimmed.is_empty();
    let roots = match yaml::parse(text) {
        // The plugin's own words are better for a configuration by itself.
        Err(_) if looks_bare => return Ok(vec![bare_document(text, None, bare)]),
        Err(error) => return Err(error),
        Ok(roots) => roots,
    };
    let is_resource = roots.iter().any(|root| envoy::is_resource(root) || kubernetes::is_resource(root));
    if looks_bare && !is_resource {
        return Ok(vec![bare_document(text, roots.into_iter().next(), bare)]);
    }
    Ok(roots.into_iter().map(walk::document).collect())
}

fn bare_document(text: &str, tree: Option<Node>, artefact: Artefact) -> Document {
    let mut found = Found::by_itself(artefact, text.as_bytes().to_vec(), None);
    found.configuration.tree = tree;
    Document { root: None, found: vec![found], others: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_configuration_is_told_from_one_by_itself() {
        let found = |text| {
            let documents = find(text, Artefact::IstioStats).unwrap();
            documents.iter().map(|document| document.found.len()).sum::<usize>()
        };
        assert_eq!(found("{\"max_series\": 1}"), 1);
        assert_eq!(found("max_series: 1\n"), 0);
        assert_eq!(found("{\"static_resources\": {}}"), 0);
        assert_eq!(found("{\"kind\": \"Pod\"}"), 0);
        assert!(find("a: [", Artefact::IstioStats).is_err());
    }

    #[test]
    fn other_wasm_plugins_are_named() {
        let text = "kind: WasmPlugin\nmetadata: {name: waf}\nspec: {url: 'oci://x/coraza'}\n";
        let [other] = &find(text, Artefact::IstioStats).unwrap()[0].others[..] else { panic!("one other") };
        assert_eq!(other.place, ["WasmPlugin waf"]);
    }

    #[test]
    fn a_configuration_by_itself_reaches_the_plugin_byte_for_byte() {
        for text in
            ["", "{}", " {\"labels\": []}\n", "{oops", "{\"a\": \t1}", "\u{feff}", "\u{feff}{\"a\": 1}"]
        {
            let documents = find(text, Artefact::MetadataExchange).unwrap();
            let [found] = &documents[0].found[..] else { panic!("{documents:?}") };
            assert_eq!(found.artefact, Artefact::MetadataExchange);
            assert_eq!(found.configuration.bytes.as_deref(), Ok(text.as_bytes()));
        }
    }
}
