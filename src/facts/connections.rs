//! What was read once of a connection: the side it is reported from, and who is
//! at its ends. All its HTTP streams share it.

use hashbrown::{DefaultHashBuilder, HashMap};

use super::identity::Identity;
use crate::attribute::element::Element;
use crate::attribute::Attributes;
use crate::catalogue::reporter::Reporter;
use crate::collections::recent::Recent;

/// What is known of a downstream connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// The side its streams are reported from.
    pub reporter: Reporter,
    /// Who is at its ends. `None`: that of the upstream connection counts.
    pub identity: Option<Identity>,
}

/// A number that connections of which the same is known share, and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionKind(u64);

/// Facts of downstream connections by their ids, which a process gives only once.
#[derive(Debug, Default)]
pub struct Connections {
    known: Recent<u64, (Connection, ConnectionKind)>,
    kinds: HashMap<Connection, ConnectionKind, DefaultHashBuilder>,
    next_kind: u64,
}

/// Kinds that are kept: clients choose how many there are.
pub const MAX_KINDS: usize = 512;

// === impl ConnectionKind ===

impl ConnectionKind {
    /// Of all connections, where their streams tell nothing of them.
    pub const ANY: Self = Self(0);
}

// === impl Connections ===

impl Connections {
    /// The facts of this stream's connection; of a new one, what `read` says.
    pub fn find(&mut self, attributes: &Attributes<'_>, read: impl FnOnce() -> Connection) -> Connection {
        let Some(id) = attributes.count(Element::ConnectionId) else {
            return read();
        };
        if let Some((known, _)) = self.known.get(id, |known| *known == id) {
            return known.clone();
        }
        let facts = read();
        let kind = self.kind_of(&facts);
        self.known.put(id, id, (facts.clone(), kind));
        facts
    }

    /// The kind of the connection with this id, if it was read.
    pub fn kind(&self, id: u64) -> Option<ConnectionKind> {
        self.known.get(id, |known| *known == id).map(|(_, kind)| *kind)
    }

    fn kind_of(&mut self, facts: &Connection) -> ConnectionKind {
        if let Some(kind) = self.kinds.get(facts) {
            return *kind;
        }
        if self.kinds.len() >= MAX_KINDS {
            self.kinds.clear();
        }
        // Numbers are never given again.
        self.next_kind = self.next_kind.saturating_add(1);
        let kind = ConnectionKind(self.next_kind);
        self.kinds.insert(facts.clone(), kind);
        kind
    }
}
