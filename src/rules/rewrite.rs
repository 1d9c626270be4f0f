//! Expressions written for other hosts, rewritten for today's.
//!
//! Envoy 1.33 moved the attributes of its configuration below `xds`, and peers
//! are known to this plugin rather than to the host. Published Istio
//! configurations still say `node.id` or `upstream_peer.cluster_id`.

use crate::peer::side::Side;
use crate::workload::fact::{Fact, Node, Row};

/// An expression as the host shall see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The text.
    pub text: String,
    /// What was replaced, by what.
    pub changes: Vec<(String, String)>,
    /// Facts of peers that the text names, by [`PeerFact::property`].
    pub peer_facts: Vec<PeerFact>,
}

/// A fact of a peer that an expression asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerFact {
    /// Which peer.
    pub side: Side,
    /// Which of its facts.
    pub fact: Fact,
}

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

// === impl PeerFact ===

impl PeerFact {
    /// The property under which the plugin shows the fact to an expression.
    pub fn property(self) -> String {
        let side = match self.side {
            Side::Downstream => "downstream",
            Side::Upstream => "upstream",
        };
        format!("istio_stats_{side}_peer_{}", self.fact.row().object.unwrap_or_default())
    }

    /// How an expression names it: a property is bytes to the host.
    pub fn expression(self) -> String {
        format!("string({})", self.property())
    }
}

/// Rewrites the identifiers that stand bare in an expression: not within text,
/// not as a field of something else, not called.
///
/// ```
/// # use istio_stats::rules::rewrite::rewrite;
/// let text = |expression| rewrite(expression).text;
/// assert_eq!(text("node.id + '-node-'"), "xds.node.id + '-node-'");
/// assert_eq!(text("xds.node.id"), "xds.node.id");
/// assert_eq!(text("upstream_peer.labels['app'].value"), "string(istio_stats_upstream_peer_app)");
/// ```
pub fn rewrite(expression: &str) -> Rewritten {
    let mut rewritten = Rewritten { text: String::new(), changes: Vec::new(), peer_facts: Vec::new() };
    let mut rest = expression;
    let mut after_dot = false;
    while let Some(first) = rest.chars().next() {
        if let Some(literal) = string_literal(rest) {
            rest = rewritten.keep(rest, literal);
            after_dot = false;
        } else if is_identifier_start(first) {
            let length = rest.find(|c| !is_identifier_part(c)).unwrap_or(rest.len());
            let (name, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
            let called = tail.trim_start().starts_with('(');
            rest = if after_dot || called {
                rewritten.keep(rest, length)
            } else {
                rewritten.identifier(name, rest, tail)
            };
            after_dot = false;
        } else {
            if !first.is_whitespace() {
                after_dot = first == '.';
            }
            rest = rewritten.keep(rest, first.len_utf8());
        }
    }
    rewritten
}

// === impl Rewritten ===

impl Rewritten {
    fn keep<'a>(&mut self, rest: &'a str, length: usize) -> &'a str {
        let (kept, rest) = rest.split_at_checked(length).unwrap_or((rest, ""));
        self.text.push_str(kept);
        rest
    }

    fn identifier<'a>(&mut self, name: &str, rest: &'a str, tail: &'a str) -> &'a str {
        let side = match name {
            "upstream_peer" => Some(Side::Upstream),
            "downstream_peer" => Some(Side::Downstream),
            _ => None,
        };
        if let Some((fact, after)) = side.and_then(|_| peer_fact(tail)) {
            let side = side.unwrap_or(Side::Upstream);
            let fact = PeerFact { side, fact };
            let from_length = rest.len().saturating_sub(after.len());
            self.replace(rest.get(..from_length).unwrap_or(name), &fact.expression());
            if !self.peer_facts.contains(&fact) {
                self.peer_facts.push(fact);
            }
            return after;
        }
        if MOVED.contains(&name) {
            self.replace(name, &format!("xds.{name}"));
        } else {
            self.text.push_str(name);
        }
        tail
    }

    fn replace(&mut self, from: &str, to: &str) {
        self.text.push_str(to);
        let change = (from.to_owned(), to.to_owned());
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }
}

/// The fact of a peer named by what follows its name, and what follows that. Names
/// are those of the object since Istio 1.24, and of the FlatBuffer before it.
fn peer_fact(tail: &str) -> Option<(Fact, &str)> {
    let tail = tail.trim_start().strip_prefix('.')?.trim_start();
    let length = tail.find(|c| !is_identifier_part(c)).unwrap_or(tail.len());
    let (name, after) = tail.split_at_checked(length)?;
    if name != "labels" {
        let is_it = |row: Row| row.object == Some(name) || row.local == Some(name);
        return Some((Fact::shown().find(|fact| is_it(fact.row()))?, after));
    }
    let index = after.trim_start().strip_prefix('[')?.trim_start();
    let literal = string_literal(index)?;
    let (quoted, after) = index.split_at_checked(literal)?;
    let label = quoted.get(1..literal.checked_sub(1)?)?;
    let after = after.trim_start().strip_prefix(']')?;
    // A FlatBuffer's entry has its text in a field of its own.
    let after = after.strip_prefix(".value").unwrap_or(after);
    let is_it = |node: Node| node.is_label() && node.keys().contains(&label);
    Some((Fact::shown().find(|fact| is_it(fact.row().node))?, after))
}

fn is_identifier_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_identifier_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Length of the string literal at the beginning of `text`, if there is one. An
/// unterminated one goes to the end: the host will refuse it anyway.
fn string_literal(text: &str) -> Option<usize> {
    let prefix = text.find(|c| !matches!(c, 'r' | 'R' | 'b' | 'B'))?;
    let raw = text.get(..prefix)?.contains(['r', 'R']);
    let body = text.get(prefix..).filter(|_| prefix <= 2)?;
    let delimiter = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| body.starts_with(quote))?;
    let mut length = prefix.checked_add(delimiter.len())?;
    loop {
        let rest = text.get(length..)?;
        if rest.starts_with(delimiter) {
            return length.checked_add(delimiter.len());
        }
        let mut chars = rest.chars();
        let Some(c) = chars.next() else {
            return Some(text.len());
        };
        length = length.checked_add(c.len_utf8())?;
        if c == '\\' && !raw {
            length = length.checked_add(chars.next().map_or(0, char::len_utf8))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_identifiers_are_rewritten_and_nothing_else() {
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
            ("upstream_peer.cluster_id", "string(istio_stats_upstream_peer_cluster)"),
            ("downstream_peer.labels[\"version\"].value", "string(istio_stats_downstream_peer_version)"),
            ("downstream_peer.labels['role']", "downstream_peer.labels['role']"),
            ("filter_state.upstream_peer.cluster", "filter_state.upstream_peer.cluster"),
            ("upstream_peer", "upstream_peer"),
            ("", ""),
            ("zürich + node", "zürich + xds.node"),
        ] {
            assert_eq!(rewrite(from).text, to);
        }
    }

    #[test]
    fn changes_and_peer_facts_are_told_once() {
        let rewritten = rewrite("node.id + node.id + upstream_peer.app + upstream_peer.app");
        let peer_app = PeerFact { side: Side::Upstream, fact: Fact::App };
        assert_eq!(rewritten.peer_facts, [peer_app]);
        let changes: Vec<_> =
            rewritten.changes.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        assert_eq!(
            changes,
            [("node", "xds.node"), ("upstream_peer.app", "string(istio_stats_upstream_peer_app)")]
        );
    }

    #[test]
    fn any_text_comes_through() {
        for text in
            ["\\", "'\\", "r", "rb'", "'''", "\"\"\"a", "upstream_peer.labels['", "upstream_peer.", "é'é"]
        {
            let _ = rewrite(text);
            for end in 0..text.len() {
                let _ = text.get(..end).map(rewrite);
            }
        }
    }
}
