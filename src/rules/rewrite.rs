//! Expressions as they are written for other hosts and for Istio's filter, taken apart
//! for today's.
//!
//! Envoy 1.33 moved the attributes of its configuration below `xds`, and peers
//! are known to this plugin rather than to the host. Published Istio
//! configurations still say `node.id`, `upstream_peer.cluster_id` or
//! `filter_state.upstream_peer.cluster`.

use crate::peer::side::Side;
use crate::wire::cel::{first_word, is_of_stream, Path, Word};
use crate::workload::fact::Fact;

/// An expression in its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The parts, in order.
    pub parts: Vec<Part>,
    /// What was replaced, by what.
    pub changes: Vec<(String, String)>,
}

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What stays as it is.
    Text(String),
    /// What only this plugin knows.
    Peer(PeerFact),
    /// An attribute of the stream: its path, and how the host is asked for it.
    Attribute(Vec<String>, String),
}

/// Something of a peer that an expression asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFact {
    /// Which peer.
    pub side: Side,
    /// What of it.
    pub what: What,
}

/// What there is of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Whether anything is known of it.
    Presence,
    /// A fact.
    Fact(Fact),
    /// A Kubernetes label that tells none of the facts.
    Label(String),
}

/// What stands for something of a peer as long as there is none.
const SOMETHING: &str = "{'v':''}.v";

/// Top-level attributes that Envoy 1.33 moved below `xds`.
const MOVED: [&str; 10] = [
    "node",
    "cluster_name",
    "cluster_metadata",
    "route_name",
    "route_metadata",
    "listener_direction",
    "listener_metadata",
    "upstream_host_metadata",
    "filter_chain_name",
    "virtual_host_name",
];

/// Takes an expression apart. Names count where they stand bare: not within text, not
/// as a field of something else, not called.
///
/// ```
/// # use istio_stats::rules::rewrite::rewrite;
/// let text = |expression| rewrite(expression).text();
/// assert_eq!(text("node.id + '-node-'"), "xds.node.id + '-node-'");
/// assert_eq!(text("xds.node.id"), "xds.node.id");
/// assert_eq!(text("has(upstream_peer.labels['app'].value)"), "has({'v':''}.v)");
/// ```
pub fn rewrite(expression: &str) -> Rewritten {
    let mut rewritten = Rewritten::default();
    let mut rest = expression;
    let mut after_dot = false;
    while let Some((word, length)) = first_word(rest, after_dot) {
        let (text, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = match &word {
            Word::Path(path) => rewritten.put_path(path, rest),
            Word::Text(_) => rewritten.put_test(text, tail).unwrap_or_else(|| rewritten.put(text, tail)),
            Word::Other(_) => rewritten.put(text, tail),
        };
        if !text.trim().is_empty() {
            after_dot = text == ".";
        }
    }
    rewritten
}

// === impl Rewritten ===

impl Rewritten {
    /// The whole as the host is asked whether it understands it.
    pub fn text(&self) -> String {
        self.parts.iter().map(Part::native).collect()
    }

    /// The same for a host that [is told](crate::host::Host::is_told) of peers: below this name,
    /// as `v0`, `v1`, …, in their order.
    pub fn text_told(&self, below: &str) -> String {
        let mut number = 0_u32..;
        let told = |part: &Part| match part {
            Part::Peer(_) => number.next().map(|number| format!("{below}.v{number}")),
            part => Some(part.native().to_owned()),
        };
        self.parts.iter().filter_map(told).collect()
    }

    /// What it asks of peers.
    pub fn peer_facts(&self) -> impl Iterator<Item = &PeerFact> {
        self.parts.iter().filter_map(|part| match part {
            Part::Peer(fact) => Some(fact),
            _ => None,
        })
    }

    /// Its only part, if it has no other.
    pub fn only(&self) -> Option<&Part> {
        let is_space = |part: &&Part| matches!(part, Part::Text(text) if text.trim().is_empty());
        let mut parts = self.parts.iter().filter(|part| !is_space(part));
        parts.next().filter(|_| parts.next().is_none())
    }

    /// Keeps a text; what is left of the expression is `tail`.
    fn put<'a>(&mut self, text: &str, tail: &'a str) -> &'a str {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
        tail
    }

    /// The path at the beginning of `rest`.
    fn put_path<'a>(&mut self, path: &Path, rest: &'a str) -> &'a str {
        let names = path.names();
        let take = |count| rest.split_at_checked(path.length(count)).unwrap_or((rest, ""));
        if let Some((fact, count)) = PeerFact::of(&names) {
            let (_, tail) = take(count);
            if fact.what != What::Presence || self.is_tested(tail) {
                self.parts.push(Part::Peer(fact));
                return tail;
            }
        }
        let (text, tail) = take(names.len());
        let moved = names.first().filter(|first| MOVED.contains(first));
        let above = moved.map(|_| "xds");
        let names: Vec<_> = above.into_iter().chain(names.iter().copied()).collect();
        let text = above.map(|above| format!("{above}.{text}")).unwrap_or_else(|| text.to_owned());
        if let Some(first) = moved {
            let change = ((*first).to_owned(), format!("xds.{first}"));
            if !self.changes.contains(&change) {
                self.changes.push(change);
            }
        }
        if !is_of_stream(&names) {
            return self.put(&text, tail);
        }
        self.parts.push(Part::Attribute(names.into_iter().map(str::to_owned).collect(), text));
        tail
    }

    /// Whether what comes next is all that `has()` asks for.
    fn is_tested(&self, tail: &str) -> bool {
        let before = matches!(self.parts.last(), Some(Part::Text(text)) if text.trim_end().ends_with("has("));
        before && tail.trim_start().starts_with(')')
    }

    /// `'app' in upstream_peer.labels` asks what `has()` does. `None`: it is no such
    /// test.
    fn put_test<'a>(&mut self, text: &str, tail: &'a str) -> Option<&'a str> {
        let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let key = text.strip_prefix(quote)?.strip_suffix(quote).filter(|key| !key.contains('\\'))?;
        let of = tail.trim_start().strip_prefix("in").filter(|of| of.starts_with(char::is_whitespace))?;
        let of = of.trim_start();
        let (Word::Path(path), length) = first_word(of, false)? else {
            return None;
        };
        let names = [path.names(), vec![key]].concat();
        let (fact, _) = PeerFact::of(&names).filter(|(_, count)| *count == names.len())?;
        self.put("has(", "");
        self.parts.push(Part::Peer(fact));
        Some(self.put(")", of.get(length..)?))
    }
}

// === impl Part ===

impl Part {
    fn native(&self) -> &str {
        match self {
            Self::Text(text) | Self::Attribute(_, text) => text,
            Self::Peer(_) => SOMETHING,
        }
    }
}

// === impl PeerFact ===

impl PeerFact {
    /// What names ask of a peer, by the first of them; and how many these are. A peer
    /// is called as FlatNode's property was until Istio 1.23, and as the filter state's
    /// object is since.
    fn of(names: &[&str]) -> Option<(Self, usize)> {
        let (key, fields) = match names {
            ["filter_state", key, fields @ ..] => (key.strip_prefix("wasm.").unwrap_or(key), fields),
            ["upstream_filter_state", key @ "upstream_peer", fields @ ..] => (*key, fields),
            [key, fields @ ..] => (*key, fields),
            [] => return None,
        };
        let side = match key.strip_suffix("_obj").unwrap_or(key) {
            "upstream_peer" => Side::Upstream,
            "downstream_peer" => Side::Downstream,
            _ => return None,
        };
        let (what, count) = What::of(fields)?;
        let before = names.len().saturating_sub(fields.len());
        Some((Self { side, what }, before.saturating_add(count)))
    }
}

// === impl What ===

impl What {
    fn of(fields: &[&str]) -> Option<(Self, usize)> {
        Some(match fields {
            [] => (Self::Presence, 0),
            ["labels"] => (Self::Presence, 1),
            // A FlatBuffer's entry has its text in a field of its own.
            ["labels", label, "value", ..] => (Self::label(label), 3),
            ["labels", label, ..] => (Self::label(label), 2),
            ["locality", field @ ("region" | "zone"), ..] => (Self::Fact(Fact::called(field)?), 2),
            [field, ..] => (Self::Fact(Fact::called(field)?), 1),
        })
    }

    fn label(name: &str) -> Self {
        Fact::of_label(name).map_or_else(|| Self::Label(name.to_owned()), Self::Fact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_are_rewritten_and_nothing_else() {
        for (from, to) in [
            ("node.metadata['CLUSTER_ID']", "xds.node.metadata['CLUSTER_ID']"),
            ("cluster_name == 'node'", "xds.cluster_name == 'node'"),
            ("request.node", "request.node"),
            ("request . node", "request . node"),
            ("xds.cluster_name", "xds.cluster_name"),
            ("node_name + nodes", "node_name + nodes"),
            ("node(1)", "node(1)"),
            ("has(route_metadata.x) ? route_name : ''", "has(xds.route_metadata.x) ? xds.route_name : ''"),
            (r#"r'\' + node.id"#, r#"r'\' + xds.node.id"#),
            (r#"'it\'s node' + "node""#, r#"'it\'s node' + "node""#),
            ("'''node ' node''' + node.id", "'''node ' node''' + xds.node.id"),
            ("'node", "'node"),
            ("upstream_peer", "upstream_peer"),
            ("upstream_peer.nothing", "upstream_peer.nothing"),
            ("filter_state.upstream_peer.type", "filter_state.upstream_peer.type"),
            ("upstream_filter_state.downstream_peer.app", "upstream_filter_state.downstream_peer.app"),
            ("'a' in request.headers", "'a' in request.headers"),
            ("'a' inside", "'a' inside"),
            ("", ""),
            ("zürich + node", "zürich + xds.node"),
        ] {
            assert_eq!(rewrite(from).text(), to);
        }
    }

    #[test]
    fn a_peer_is_known_by_every_name_it_had() {
        let fact = |fact| What::Fact(fact);
        let role = || What::Label("role".to_owned());
        for (text, what, rest) in [
            ("upstream_peer.cluster_id", fact(Fact::ClusterId), ""),
            ("upstream_peer . workload", fact(Fact::Workload), ""),
            ("filter_state.upstream_peer.cluster", fact(Fact::ClusterId), ""),
            ("filter_state['wasm.upstream_peer'].mesh_id", fact(Fact::MeshId), ""),
            ("filter_state.upstream_peer_obj.mesh", fact(Fact::MeshId), ""),
            ("upstream_filter_state.upstream_peer.region", fact(Fact::Region), ""),
            ("upstream_peer.locality.zone", fact(Fact::Zone), ""),
            ("upstream_peer.istio_version", fact(Fact::IstioVersion), ""),
            ("upstream_peer.labels[\"version\"].value", fact(Fact::AppVersion), ""),
            ("upstream_peer.labels['role'].value", role(), ""),
            ("filter_state.upstream_peer.labels['role']", role(), ""),
            ("upstream_peer.labels.role", role(), ""),
            ("upstream_peer.labels['role'].value.size()", role(), ".size()"),
            ("'role' in upstream_peer.labels", role(), ")"),
            ("'workload' in filter_state.upstream_peer", fact(Fact::Workload), ")"),
            ("'upstream_peer' in filter_state", What::Presence, ")"),
            ("has(filter_state.upstream_peer)", What::Presence, ")"),
            ("has(upstream_peer.labels )", What::Presence, " )"),
            ("has(upstream_peer.labels.role)", role(), ")"),
        ] {
            let rewritten = rewrite(text);
            let facts: Vec<_> = rewritten.peer_facts().cloned().collect();
            assert_eq!(facts, [PeerFact { side: Side::Upstream, what }], "{text}");
            let before = if rest.ends_with(')') && text.contains(['(', ' ']) && !text.contains("size") {
                "has("
            } else {
                ""
            };
            assert_eq!(rewritten.text(), format!("{before}{SOMETHING}{rest}"), "{text}");
        }
        let downstream = rewrite("downstream_peer.app");
        assert_eq!(downstream.peer_facts().next().map(|fact| fact.side), Some(Side::Downstream));
    }

    #[test]
    fn what_is_a_part_by_itself_is_told() {
        let attribute = |text: &str| match rewrite(text).only() {
            Some(Part::Attribute(names, text)) => Some(format!("{} {text}", names.join("|"))),
            _ => None,
        };
        assert_eq!(attribute(" cluster_name ").as_deref(), Some("xds|cluster_name xds.cluster_name"));
        assert_eq!(
            attribute("request.headers['a.b']").as_deref(),
            Some("request|headers|a.b request.headers['a.b']")
        );
        for text in
            ["xds.node.id", "upstream.port + 1", "string(upstream.port)", "mine", "upstream_peer.app", ""]
        {
            assert_eq!(attribute(text), None, "{text}");
        }
    }

    #[test]
    fn changes_are_told_once() {
        let changes = rewrite("node.id + node.id + upstream_peer.app").changes;
        assert_eq!(changes, [("node".to_owned(), "xds.node".to_owned())]);
    }

    #[test]
    fn any_text_comes_through() {
        for text in [
            "\\",
            "'\\",
            "r",
            "rb'",
            "'''",
            "\"\"\"a",
            "upstream_peer.labels['",
            "upstream_peer.",
            "é'é",
            "'a' in upstream_peer.labels[",
        ] {
            let _ = rewrite(text);
            for end in 0..text.len() {
                let _ = text.get(..end).map(rewrite);
            }
        }
    }
}
