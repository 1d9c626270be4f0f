//! The contexts of a VM: the root and the streams, and which of them a callback
//! and its hostcalls are about.

use std::collections::BTreeMap;

use crate::host::HostError;

use super::phase::Phase;
use super::stream::Stream;
use super::value::Value;

/// Id of the root context; streams have higher ones.
pub const ROOT_CONTEXT_ID: u32 = 1;

/// Contexts of one VM, and the callback that it is in.
#[derive(Debug)]
pub(super) struct Contexts {
    /// Attributes of the node, and of every stream that does not say otherwise.
    pub(super) attributes: Value,
    streams: BTreeMap<u32, Stream>,
    phase: Phase,
    /// The stream last entered.
    current: Option<u32>,
    /// Set by the plugin, until the callback ends.
    effective: Option<u32>,
    /// The id last given to a context.
    last_id: u32,
}

// === impl Contexts ===

impl Contexts {
    /// The root context, being configured.
    pub(super) fn new(attributes: Value) -> Self {
        Self {
            attributes,
            streams: BTreeMap::new(),
            phase: Phase::Configure,
            current: None,
            effective: None,
            last_id: ROOT_CONTEXT_ID,
        }
    }

    /// Creates a stream and enters it; returns its id.
    pub(super) fn open(&mut self) -> u32 {
        self.last_id = self.last_id.saturating_add(1);
        self.streams.insert(self.last_id, Stream::default());
        self.enter_stream(self.last_id, Phase::StreamCreated);
        self.last_id
    }

    /// Begins a callback of the root context or of the stream last entered.
    pub(super) fn enter(&mut self, phase: Phase) {
        assert!(phase.is_root() || self.current.is_some(), "{phase:?} needs an open stream");
        self.effective = None;
        self.phase = phase;
    }

    /// Begins a callback of this stream.
    pub(super) fn enter_stream(&mut self, id: u32, phase: Phase) {
        let known = self.streams.contains_key(&id);
        assert!(known && !phase.is_root(), "{phase:?} of stream {id}");
        self.current = Some(id);
        self.enter(phase);
    }

    /// Deletes a stream.
    pub(super) fn close(&mut self, id: u32) {
        self.streams.remove(&id);
        self.current = self.current.filter(|current| *current != id);
        self.effective = None;
        self.phase = Phase::Tick;
    }

    /// Directs hostcalls to this context until the callback ends.
    ///
    /// # Errors
    /// The status if there is none.
    pub(super) fn make_effective(&mut self, id: u32) -> Result<(), u32> {
        if id != ROOT_CONTEXT_ID && !self.streams.contains_key(&id) {
            return Err(HostError::BAD_ARGUMENT);
        }
        self.effective = Some(id);
        Ok(())
    }

    /// The callback that the VM is in.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// What a stream made effective from elsewhere shows is as much as on tick.
    pub(super) fn seen_phase(&self) -> Phase {
        match self.effective {
            Some(_) => Phase::Tick,
            None => self.phase,
        }
    }

    /// A stream by its id.
    pub(super) fn stream(&self, id: u32) -> Option<&Stream> {
        self.streams.get(&id)
    }

    /// The stream last entered, which data is of, and what a test sets.
    pub(super) fn current(&self) -> Option<&Stream> {
        self.streams.get(&self.current?)
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Stream> {
        self.streams.get_mut(&self.current?)
    }

    /// Where an attribute is set: at the stream last entered, or at the node.
    pub(super) fn attributes_with(&mut self, path: &[&str]) -> &mut Value {
        let id = self.current.filter(|_| !Phase::has_root_attribute(path));
        match id.and_then(|id| self.streams.get_mut(&id)) {
            Some(stream) => &mut stream.attributes,
            None => &mut self.attributes,
        }
    }

    /// The stream that hostcalls act on.
    pub(super) fn acted_on(&self) -> Option<&Stream> {
        self.streams.get(&self.acted_on_id()?)
    }

    pub(super) fn acted_on_mut(&mut self) -> Option<&mut Stream> {
        let id = self.acted_on_id()?;
        self.streams.get_mut(&id)
    }

    fn acted_on_id(&self) -> Option<u32> {
        let own = self.current.filter(|_| !self.phase.is_root());
        self.effective.or(own)
    }
}
