//! Goes through a document in search of plugins.

use super::found::{Candidate, Document, Found, Other};
use super::{envoy, kubernetes, native};
use crate::yaml::{self, Node};

/// A document with what is found in it.
pub(super) fn document(root: Node) -> Document {
    let mut finder = Finder::default();
    finder.walk(&root, None);
    Document { root: Some(root), found: finder.found, others: finder.others }
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
        let candidates = kubernetes::plugins(node)
            .or_else(|| Some(vec![envoy::plugin(node, name).or_else(|| native::plugin(node, name))?]));
        match candidates {
            Some(candidates) => candidates.into_iter().for_each(|candidate| self.add(candidate)),
            None => self.walk_into(node, node.text_at(&["name"]).or(name)),
        }
        self.place.truncate(depth);
    }

    fn walk_into(&mut self, node: &Node, name: Option<&str>) {
        for entry in node.entries() {
            self.walk_entry(&entry.key, &entry.value, name);
        }
        for element in node.elements() {
            self.walk(element, name);
        }
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

    fn add(&mut self, candidate: Candidate) {
        let Candidate { artefact, title, position, configuration, form, failure } = candidate;
        let place: Vec<_> = self.place.iter().cloned().chain(title).collect();
        match artefact {
            Some(artefact) => {
                self.found.push(Found { artefact, place, position, configuration, form, failure });
            }
            None => self.others.push(Other { place, position }),
        }
    }
}
