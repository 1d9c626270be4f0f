//! What a call of the core is about: a request, or a TCP connection with what passed on it.

use core::cell::Cell;
use std::rc::Rc;

use crate::abi::network::Connection;
use crate::abi::{Filter, Scheduler};

/// A stream that is open.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Http(Filter),
    Tcp(Connection, Rc<Passed>),
}

/// Bytes of the client's that passed this filter on a connection. Envoy tells modules what it sent, but not
/// what it received.
#[derive(Debug, Default)]
pub(crate) struct Passed(Cell<u64>);

// === impl Subject ===

impl Subject {
    /// A means to have a hook of this stream called.
    pub(crate) fn scheduler(&self) -> Option<Scheduler> {
        match self {
            Self::Http(filter) => filter.scheduler(),
            Self::Tcp(connection, _) => connection.scheduler(),
        }
    }
}

// === impl Passed ===

impl Passed {
    /// So many more.
    pub(crate) fn add(&self, bytes: usize) {
        self.0.set(self.get().saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)));
    }

    /// All so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}
