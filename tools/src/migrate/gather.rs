//! Reads the files into one picture of what is configured.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::filters::{self, Layer};
use super::generation::{self, Generated};
use super::intent::Scope;
use super::mesh::{Mesh, ATTACHMENTS};
use super::notes::Notes;
use super::source::{self, Kind};
use super::telemetry::{self, Telemetry};
use crate::find;
use crate::yaml::{self, Node};

/// All that is configured.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) mesh: Mesh,
    pub(super) telemetries: Vec<Telemetry>,
    pub(super) layers: Vec<Layer>,
    pub(super) generated: Vec<Generated>,
}

/// Reads them all.
///
/// # Errors
/// A file cannot be read or is no YAML.
pub(super) fn gather(files: &[PathBuf], root_namespace: &str, notes: &mut Notes) -> Result<Sources> {
    let mut sources = Sources::default();
    for path in files {
        let file = find::name_of(path);
        let roots = find::read_text(path).and_then(|text| Ok(yaml::parse(&text)?));
        for root in roots.with_context(|| file.clone())? {
            for resource in source::resources(&root) {
                sources.read(resource, &file, root_namespace, notes);
            }
        }
    }
    // Of two for the same proxies Istio follows the older.
    sources.telemetries.sort_by(|a, b| (&a.scope, &a.created).cmp(&(&b.scope, &b.created)));
    sources.telemetries.dedup_by(|later, first| {
        let is_second = later.scope == first.scope;
        if is_second {
            notes.add(&later.place, format_args!("Istio follows {} alone", first.place));
        }
        is_second
    });
    Ok(sources)
}

// === impl Sources ===

impl Sources {
    fn read(&mut self, node: &Node, file: &str, root_namespace: &str, notes: &mut Notes) {
        let Some(kind) = source::kind(node) else {
            return;
        };
        let scope = || telemetry::scope(node, root_namespace);
        let (layers, generated) = (self.layers.len(), self.generated.len());
        match kind {
            Kind::Telemetry => self.telemetries.push(telemetry::read(node, file, root_namespace, notes)),
            Kind::Mesh => {
                for (context, config) in self.mesh.read(node, file, notes) {
                    self.layers.extend(ATTACHMENTS.map(|attachment| Layer {
                        scope: Scope::default(),
                        contexts: vec![context],
                        attachment: Some(attachment),
                        config: Some(config.clone()),
                    }));
                }
            }
            Kind::EnvoyFilter => self.layers.extend(filters::envoy_filter(node, &scope(), file, notes)),
            Kind::Plugin => self.layers.extend(filters::plugin(node, &scope(), file, notes)),
        }
        if kind != Kind::Telemetry {
            generation::read(node, &mut self.generated);
        }
        let place = format!("{file}:{}", node.position.line);
        if self.layers.len() > layers {
            notes.add(&place, "take this out; what is printed replaces it");
        }
        if self.generated.len() > generated {
            notes.add(
                &place,
                "generates attributes: in what is printed the labels have the conditions themselves",
            );
        }
    }
}
