//! Requests like those that were seen before.
//!
//! Nearly all requests of a proxy repeat: same peer, same service, same code. What
//! the host's list says of them is the same, byte for byte, but for the numbers that
//! are measured. So of a request whose labels depend on nothing but the list, what the
//! host said of the configuration's expressions, and the kind of its connection, it is
//! remembered where its samples went: the next one needs no label, no key and no look-up.
//!
//! Whatever else labels may depend on either makes a request unfit to be remembered
//! (see [`super::http`]), or is read again from time to time: then all is forgotten.

use core::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use crate::attribute::batch::{Content, Fetched, Measured};
use crate::collections::generations::{Cached, Generations};
use crate::collections::index::is_same_key;
use crate::facts::connections::ConnectionKind;
use crate::facts::messages;
use crate::facts::outcome::{AddedBytes, MEASURED};
use crate::rules::said::Said;
use crate::series::host_metric::HostMetric;

/// What is remembered of all requests.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    hasher: DefaultHashBuilder,
    known: Generations<Entry>,
}

/// What is remembered of a request.
#[derive(Debug)]
pub(crate) struct Known {
    /// What it had and lacked.
    pub(crate) seen: Content,
    /// What of its sizes is our exchange's.
    pub(crate) added: AddedBytes,
    /// Where its samples go, in the order of what is measured.
    pub(crate) metrics: [Option<HostMetric>; MEASURED],
    /// The same of its messages.
    pub(crate) messages: [Option<HostMetric>; messages::MEASURED],
}

#[derive(Debug)]
struct Entry {
    content: Content,
    length: usize,
    stable: Box<[u8]>,
    said: Said,
    connection: ConnectionKind,
    known: Known,
}

/// A request as it is found, and remembered, by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Likeness<'a> {
    /// What its list was made of.
    pub(crate) content: Content,
    /// How long that is.
    pub(crate) length: usize,
    /// What that brought, but for what is measured.
    pub(crate) stable: &'a [u8],
    pub(crate) said: &'a Said,
    pub(crate) connection: ConnectionKind,
}

/// Requests of different kinds that one generation holds: more than a worker serves at
/// a time, but clients choose how many there are.
pub const MAX_ENTRIES: usize = 512;
/// Bytes of them.
pub const MAX_BYTES: usize = 256 * 1024;

// === impl Memo ===

impl Memo {
    /// What is remembered of requests like the last one, and what differs, if this is such
    /// a request: most are, and for that nothing is hashed. `kind_of` tells the kind of its
    /// connection by what was measured.
    pub(crate) fn last<'a>(
        &self,
        fetched: &'a Fetched,
        said: &Said,
        kind_of: impl Fn(&Measured<'a>) -> Option<ConnectionKind>,
    ) -> Option<(&Known, Measured<'a>)> {
        let entry = self.known.last()?;
        let measured = fetched.split_like(entry.content, entry.length, &entry.stable)?;
        let is_like = entry.said == *said && kind_of(&measured) == Some(entry.connection);
        is_like.then_some((&entry.known, measured))
    }

    /// What is remembered of requests like this one.
    pub(crate) fn find(&mut self, request: Likeness<'_>) -> Option<&Known> {
        let hash = self.hash(request);
        self.known.find(hash, |entry| entry.is_of(request), drop).map(|entry| &entry.known)
    }

    /// Remembers a request.
    pub(crate) fn put(&mut self, request: Likeness<'_>, known: Known) {
        let Likeness { content, length, stable, said, connection } = request;
        let hash = self.hash(request);
        let entry = Entry { content, length, stable: stable.into(), said: said.clone(), connection, known };
        self.known.insert(hash, entry, drop);
    }

    /// Forgets all: what labels depend on may have changed.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }

    fn hash(&self, request: Likeness<'_>) -> u64 {
        self.hasher.hash_one((request.connection, request.said, request.stable))
    }
}

// === impl Entry ===

impl Entry {
    fn is_of(&self, request: Likeness<'_>) -> bool {
        self.content == request.content
            && self.connection == request.connection
            && self.said == *request.said
            && is_same_key(&self.stable, request.stable)
    }
}

impl Cached for Entry {
    const MAX_BYTES: usize = MAX_BYTES;
    const MAX_ENTRIES: usize = MAX_ENTRIES;

    fn bytes(&self) -> usize {
        self.stable.len().saturating_add(self.said.bytes())
    }
}
