//! Reads most attributes of a request in one hostcall: as one CEL list.
//!
//! A list costs Envoy a little more than one attribute does, and each of its
//! elements a third of a read of its own. But it fails as a whole where one of
//! them is absent, and guards against that cost more than they save. So the list
//! follows the traffic: what each of the last streams had is in it as a value, what
//! each of them lacked as a test, which is cheap and never fails. What is not in
//! it, and everything where it fails, is read singly.
//!
//! A host that is near makes a list of single reads, in which what is absent is empty.
//! It has all that any stream was ever asked for, so that it tells requests apart as well.

use std::cell::{Cell, RefCell};

use super::batch::{Batch, Content, Fetched};
use super::era::Era;
use crate::host::{ExpressionToken, Host, ListToken};

/// The lists that one plugin reads, and what its streams had of late.
#[derive(Debug, Default)]
pub struct Bulk {
    era: Era,
    /// Whether the host is near.
    is_near: bool,
    /// What the next stream is read by.
    chosen: Cell<Content>,
    /// What each of the last `streams` was asked for, and had or lacked.
    common: Cell<Content>,
    streams: Cell<u32>,
    lists: RefCell<Vec<List>>,
    /// Of a host that is near: the one that was read last.
    near: Cell<Option<(Content, ListToken)>>,
}

#[derive(Debug)]
struct List {
    content: Content,
    /// `None`: the host has no expressions, or cannot evaluate this one.
    token: Option<ExpressionToken>,
}

/// Fewer are cheaper read singly.
const LEAST_VALUES: usize = 5;
/// Streams in a row that must agree before the list follows them: one that fails
/// costs as much as half a dozen reads.
const WINDOW: u32 = 8;
/// For each the host keeps some 25 kB. A plugin whose traffic is of one kind has one.
const MAX_LISTS: usize = 4;

// === impl Bulk ===

impl Bulk {
    /// No list yet: they come with the traffic.
    pub fn new(era: Era, host: &dyn Host) -> Self {
        Self { era, is_near: host.is_near(), ..Self::default() }
    }

    /// Reads what the stream is likely to have and to be asked for.
    pub fn fetch(&self, host: &dyn Host) -> Fetched {
        let chosen = self.chosen.get();
        if chosen.values.len() < LEAST_VALUES {
            return Fetched::default();
        }
        if self.is_near() {
            return self.read(host, chosen);
        }
        let list = self.known(chosen).flatten().map(|token| (chosen, token));
        let Some((content, token)) = list.or_else(|| self.make(host, chosen)) else {
            return Fetched::default();
        };
        Fetched { content, bytes: host.evaluate_expression(token).unwrap_or_default() }
    }

    /// Never so in Wasm, whose module is without all that.
    fn is_near(&self) -> bool {
        cfg!(not(target_family = "wasm")) && self.is_near
    }

    fn read(&self, host: &dyn Host, content: Content) -> Fetched {
        if self.near.get().is_none_or(|(known, _)| known != content) {
            self.near.set(host.create_list(&content.paths()).ok().map(|list| (content, list)));
        }
        let read = |(content, list)| Fetched { content, bytes: host.read_list(list) };
        self.near.get().map(read).unwrap_or_default()
    }

    /// The list with this content, if it was made.
    fn known(&self, content: Content) -> Option<Option<ExpressionToken>> {
        self.lists.borrow().iter().find(|list| list.content == content).map(|list| list.token)
    }

    /// A list with this content, at least with its values.
    #[cold]
    fn make(&self, host: &dyn Host, content: Content) -> Option<(Content, ExpressionToken)> {
        [content, content.without_tests()].into_iter().find_map(|content| {
            let known = self.known(content);
            Some((content, known.unwrap_or_else(|| self.create(host, content))?))
        })
    }

    fn create(&self, host: &dyn Host, content: Content) -> Option<ExpressionToken> {
        let mut lists = self.lists.borrow_mut();
        if lists.len() >= MAX_LISTS {
            if let Some(token) = lists.remove(0).token {
                host.delete_expression(token);
            }
        }
        let token = host.create_expression(&content.text(self.era)).ok();
        lists.push(List { content, token });
        token
    }

    /// Learns from a stream that was read, for the next ones.
    pub fn learn(&self, host: &dyn Host, batch: &Batch<'_>) {
        if self.is_near() {
            let values = self.chosen.get().values.or(batch.asked());
            return self.chosen.set(Content { values, ..Content::default() });
        }
        let seen = batch.seen();
        if batch.failed() && batch.tried().values.minus(seen.values).is_empty() {
            // Nothing was missing, so it would go on failing.
            self.give_up(host, batch.tried());
        }
        self.follow(seen);
    }

    /// The next streams are read by what the last ones had and lacked.
    pub fn follow(&self, stream: Content) {
        if self.is_near() {
            return;
        }
        let streams = self.streams.get().saturating_add(1);
        let common = if streams == 1 { stream } else { self.common.get().and(stream) };
        self.common.set(common);
        if streams < WINDOW {
            self.streams.set(streams);
            // What was missing once fails the list, so it goes at once.
            let chosen = self.chosen.get();
            self.chosen.set(Content { values: chosen.values.and(stream.values), ..chosen });
        } else {
            self.streams.set(0);
            self.chosen.set(common);
        }
    }

    fn give_up(&self, host: &dyn Host, content: Content) {
        let mut lists = self.lists.borrow_mut();
        let list = lists.iter_mut().find(|list| list.content == content);
        if let Some(token) = list.and_then(|list| list.token.take()) {
            host.delete_expression(token);
        }
    }
}
