//! Which files of a crate use which others, by their `use` items and paths.
//!
//! `mod` items and re-exports are no arrows, and neither is what only tests use:
//! a name that a file re-exports is an arrow to the file it comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree, Visibility};

/// One file uses another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    pub from: PathBuf,
    pub to: PathBuf,
}

/// All arrows of a crate.
pub struct Arrows(BTreeSet<Arrow>);

/// Names from the top of the crate.
type Names = Vec<String>;

#[derive(Default)]
struct File {
    path: PathBuf,
    /// What it uses, as absolute names.
    used: BTreeSet<Names>,
    /// What it re-exports: a name, and the absolute names of what it stands for.
    exported: BTreeMap<String, Names>,
}

/// Collects the paths of one file.
struct Reader<'a> {
    module: &'a [String],
    modules: &'a BTreeSet<Names>,
    file: File,
}

// === impl Arrow ===

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} uses {}", self.from.display(), self.to.display())
    }
}

// === impl Arrows ===

impl Arrows {
    /// Reads the files of a crate, by their paths below its `src/`.
    pub fn of(sources: &BTreeMap<PathBuf, String>) -> Self {
        let code = sources.iter().filter(|(path, _)| !is_only_for_tests(path));
        let code: BTreeMap<Names, (&PathBuf, &String)> =
            code.map(|(path, text)| (module_of(path), (path, text))).collect();
        let modules: BTreeSet<Names> = code.keys().cloned().collect();
        let files: BTreeMap<Names, File> = code
            .iter()
            .map(|(module, (path, text))| (module.clone(), File::read(path, text, module, &modules)))
            .collect();
        let mut arrows = BTreeSet::new();
        for file in files.values() {
            for used in &file.used {
                if let Some(to) = resolve(used, &files, 0) {
                    arrows.insert(Arrow { from: file.path.clone(), to: to.path.clone() });
                }
            }
        }
        arrows.retain(|arrow| arrow.from != arrow.to);
        Self(arrows)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arrow> {
        self.0.iter()
    }

    /// A circle of arrows, if there is one.
    pub fn circle(&self) -> Option<Vec<Arrow>> {
        let mut done = BTreeSet::new();
        self.0.iter().find_map(|arrow| self.circle_from(&arrow.from, &mut Vec::new(), &mut done))
    }

    fn circle_from<'a>(
        &'a self,
        file: &'a Path,
        way: &mut Vec<&'a Arrow>,
        done: &mut BTreeSet<&'a Path>,
    ) -> Option<Vec<Arrow>> {
        if let Some(begin) = way.iter().position(|arrow| arrow.from == file) {
            return Some(way[begin..].iter().copied().cloned().collect());
        }
        if done.contains(file) {
            return None;
        }
        for arrow in self.0.iter().filter(|arrow| arrow.from == file) {
            way.push(arrow);
            if let Some(circle) = self.circle_from(&arrow.to, way, done) {
                return Some(circle);
            }
            way.pop();
        }
        done.insert(file);
        None
    }
}

/// The file that these names lead to: that of the longest module among them, or
/// the one it has the name from.
fn resolve<'a>(names: &[String], files: &'a BTreeMap<Names, File>, depth: usize) -> Option<&'a File> {
    let length = (0..=names.len()).rev().find(|length| files.contains_key(&names[..*length]))?;
    let file = &files[&names[..length]];
    let exported = names.get(length).and_then(|name| file.exported.get(name));
    match exported.filter(|_| depth < 8) {
        Some(origin) => resolve(origin, files, depth + 1),
        None => Some(file),
    }
}

fn is_only_for_tests(path: &Path) -> bool {
    path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
}

fn module_of(path: &Path) -> Names {
    let names = path.with_extension("");
    let names: Names = names.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["lib" | "main"] => Vec::new(),
        _ => names,
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.parse_args::<syn::Path>();
        attribute.path().is_ident("cfg") && condition.is_ok_and(|path| path.is_ident("test"))
    })
}

// === impl File ===

impl File {
    fn read(path: &Path, text: &str, module: &[String], modules: &BTreeSet<Names>) -> Self {
        let file = Self { path: path.to_owned(), ..Self::default() };
        let mut reader = Reader { module, modules, file };
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        reader.visit_file(&parsed);
        reader.file
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// Absolute names of what a path in this file leads to; `None`: another crate.
    fn absolute(&self, names: &[String]) -> Option<Names> {
        let mut base = self.module.to_vec();
        let (first, rest) = names.split_first()?;
        match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" => return Some([base, rest.to_vec()].concat()),
            "super" => {
                base.pop();
                let ups = rest.iter().take_while(|name| *name == "super").count();
                base.truncate(base.len().saturating_sub(ups));
                return Some([base, rest[ups..].to_vec()].concat());
            }
            _ => {}
        }
        let child = [base, vec![first.clone()]].concat();
        self.modules.contains(&child).then(|| [child, rest.to_vec()].concat())
    }

    fn leaves(tree: &UseTree, prefix: &mut Names, leaves: &mut Vec<(Names, String)>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                Self::leaves(&path.tree, prefix, leaves);
                prefix.pop();
            }
            UseTree::Name(name) if name.ident == "self" => leaves.push((prefix.clone(), String::new())),
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                leaves.push(([prefix.clone(), vec![name.clone()]].concat(), name));
            }
            UseTree::Rename(name) => {
                let names = [prefix.clone(), vec![name.ident.to_string()]].concat();
                leaves.push((names, name.rename.to_string()));
            }
            UseTree::Glob(_) => leaves.push((prefix.clone(), String::new())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| Self::leaves(tree, prefix, leaves)),
        }
    }
}

impl Visit<'_> for Reader<'_> {
    fn visit_item(&mut self, item: &Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &ItemMod) {
        // A module within a file is a part of the file; its `super` is that.
        for item in module.content.iter().flat_map(|(_, items)| items) {
            self.visit_item(item);
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        let mut leaves = Vec::new();
        Self::leaves(&item.tree, &mut Vec::new(), &mut leaves);
        for (names, name) in leaves {
            let Some(absolute) = self.absolute(&names) else {
                continue;
            };
            if matches!(item.vis, Visibility::Inherited) {
                self.file.used.insert(absolute);
            } else {
                self.file.exported.insert(name, absolute);
            }
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.file.used.extend(self.absolute(&names));
        }
        visit::visit_path(self, path);
    }
}
