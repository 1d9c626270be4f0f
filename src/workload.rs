//! A deployment-like unit and what is known of it: the local one from the
//! node's metadata, a peer's from the metadata it sent.

pub mod fact;
pub mod further;
pub mod labels;
pub mod local;
pub mod node;

use fact::{Fact, Node, Row};
use local::LocalOverrides;

/// Raw facts of a workload; nothing stands in for what is missing.
///
/// Where several keys may tell a fact, each is kept as it was found, for whoever
/// tells a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// By fact, and by key in the order of [`Node::keys`].
    told: [[Option<String>; MAX_KEYS]; Fact::ALL.len()],
    /// Kubernetes labels that are asked for and tell no fact, by name.
    further: Vec<(String, Option<String>)>,
}

/// How many keys of the node's metadata tell the same fact, at most.
const MAX_KEYS: usize = 2;

/// Longest fact in bytes; a label's value is no longer either.
pub const MAX_FACT_BYTES: usize = 256;

// === impl Workload ===

impl Workload {
    /// The workload, of which these Kubernetes labels are asked, too.
    #[must_use]
    pub fn asking(mut self, labels: &[String]) -> Self {
        let further = labels.iter().filter(|name| Fact::of_label(name).is_none());
        self.further = further.map(|name| (name.clone(), None)).collect();
        self
    }

    /// Takes away the last of the Kubernetes labels that are asked for; `false`: there is none.
    pub fn drop_further(&mut self) -> bool {
        self.further.pop().is_some()
    }

    /// Whether nothing is known of it.
    pub fn is_unknown(&self) -> bool {
        self.told.iter().flatten().all(Option::is_none) && self.further.iter().all(|(_, text)| text.is_none())
    }

    /// The Kubernetes labels that were told beside the facts.
    pub fn further(&self) -> impl Iterator<Item = (&str, &str)> {
        self.further.iter().filter_map(|(name, text)| Some((name.as_str(), text.as_deref()?)))
    }

    /// The fact, from the key that wins.
    ///
    /// ```
    /// use istio_stats::workload::{fact::Fact, Workload};
    /// let workload = Workload::default().with(Fact::ClusterId, "east");
    /// assert_eq!(workload.get(Fact::ClusterId), Some("east"));
    /// assert_eq!(workload.get(Fact::App), None);
    /// ```
    pub fn get(&self, fact: Fact) -> Option<&str> {
        self.told.get(fact as usize)?.iter().flatten().next().map(String::as_str)
    }

    /// The workload with this fact in place of whatever told it before; an empty
    /// text takes it away.
    #[must_use]
    pub fn with(mut self, fact: Fact, text: &str) -> Self {
        if let Some(told) = self.told.get_mut(fact as usize) {
            *told = Default::default();
        }
        if let Some(told) = self.at(fact, plain(fact.row().node)) {
            *told = cut(text);
        }
        self
    }

    /// The workload with what the configuration says in place of what the node
    /// says.
    #[must_use]
    pub fn overridden(self, overrides: &LocalOverrides) -> Self {
        Fact::ALL.into_iter().fold(self, |workload, fact| match overrides.get(fact) {
            Some(text) => workload.with(fact, text),
            None => workload,
        })
    }

    /// All that was told, each by its key in the node's metadata or its Kubernetes
    /// label, and whether it is one.
    pub fn entries(&self) -> impl Iterator<Item = (bool, &str, &str)> {
        let facts = Fact::ALL.into_iter().zip(&self.told).flat_map(|(fact, told)| {
            let node = fact.row().node;
            let told = node.keys().iter().zip(told);
            told.filter_map(move |(key, text)| Some((node.is_label(), *key, text.as_deref()?)))
        });
        facts.chain(self.further().map(|(name, text)| (true, name, text)))
    }

    /// Where to keep what a key of the node's metadata tells, or a name in Istio's
    /// object; `None`: not asked for.
    pub fn entry(&mut self, name: &[u8]) -> Option<&mut Option<String>> {
        let is_it = |known: &&str| known.as_bytes() == name;
        let (fact, n) = Fact::ALL.into_iter().find_map(|fact| {
            let Row { node, object, .. } = fact.row();
            let by_key = node.keys().iter().position(is_it).filter(|_| !node.is_label());
            let by_name = || object.filter(is_it).map(|_| plain(node));
            Some((fact, by_key.or_else(by_name)?))
        })?;
        self.at(fact, n)
    }

    /// The same for a Kubernetes label.
    pub fn label(&mut self, key: &[u8]) -> Option<&mut Option<String>> {
        let of_fact = Fact::ALL.into_iter().find_map(|fact| {
            let node = fact.row().node;
            let keys = if node.is_label() { node.keys() } else { &[] };
            Some((fact, keys.iter().position(|known| known.as_bytes() == key)?))
        });
        match of_fact {
            Some((fact, n)) => self.at(fact, n),
            None => self.further.iter_mut().find(|(name, _)| name.as_bytes() == key).map(|(_, text)| text),
        }
    }

    fn at(&mut self, fact: Fact, n: usize) -> Option<&mut Option<String>> {
        self.told.get_mut(fact as usize)?.get_mut(n)
    }
}

/// The index of the key that tells a fact by its value alone.
fn plain(node: Node) -> usize {
    node.keys().len().saturating_sub(1)
}

/// At most [`MAX_FACT_BYTES`] of a text, whole characters only; `None` if it is
/// empty.
pub(crate) fn cut(text: &str) -> Option<String> {
    let ends = text.char_indices().map(|(start, c)| start.saturating_add(c.len_utf8()));
    let end = ends.take_while(|end| *end <= MAX_FACT_BYTES).last()?;
    text.get(..end).map(str::to_owned)
}
