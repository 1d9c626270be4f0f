//! What was read once of a connection: the side it is reported from, and who is
//! at its ends. All its HTTP streams share it.

use super::identity::Identity;
use crate::attribute::element::Element;
use crate::attribute::Attributes;
use crate::catalogue::reporter::Reporter;
use crate::collections::recent::Recent;

/// Facts of downstream connections by their ids, which a process gives only once.
#[derive(Debug, Default)]
pub struct Connections {
    known: Recent<u64, (Reporter, Option<Identity>)>,
}

// === impl Connections ===

impl Connections {
    /// The facts of this stream's connection; of a new one, what `read` says.
    pub fn find(
        &mut self,
        attributes: &Attributes<'_>,
        read: impl FnOnce() -> (Reporter, Option<Identity>),
    ) -> (Reporter, Option<Identity>) {
        let Some(id) = attributes.count(Element::ConnectionId) else {
            return read();
        };
        if let Some(known) = self.known.get(id, |known| *known == id) {
            return known.clone();
        }
        let facts = read();
        self.known.put(id, id, facts.clone());
        facts
    }
}
