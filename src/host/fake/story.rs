//! The story that a test tells: what Envoy is asked to do, and what comes from outside.

use std::time::Duration;

use crate::host::{Data, Flow, HeaderMap};

use super::hostcall::Hostcall;
use super::phase::Phase;
use super::value::Value;
use super::vm::FakeHost;

// === impl FakeHost: contexts ===

impl FakeHost {
    /// Creates a stream context and enters [`Phase::StreamCreated`]; what is
    /// set from now on belongs to this stream.
    pub fn open_stream(&self) -> u32 {
        self.contexts.borrow_mut().open()
    }

    /// Ends the callback and begins the next one: of the root context, or of
    /// the stream last entered.
    pub fn enter(&self, phase: Phase) {
        self.contexts.borrow_mut().enter(phase);
    }

    /// The same for another stream.
    pub fn enter_stream(&self, context_id: u32, phase: Phase) {
        self.contexts.borrow_mut().enter_stream(context_id, phase);
    }

    /// Deletes a stream context and all that belongs to it.
    pub fn close_stream(&self, context_id: u32) {
        self.contexts.borrow_mut().close(context_id);
    }
}

// === impl FakeHost: what there is to read ===

impl FakeHost {
    /// Sets the plugin's configuration.
    pub fn set_plugin_configuration(&self, configuration: impl AsRef<[u8]>) {
        self.configuration.replace(configuration.as_ref().to_vec());
    }

    /// Sets an attribute of the current stream. Before any stream is open, and
    /// for the node's at any time: of all streams. It is readable in the phases
    /// in which Envoy has it.
    pub fn set_attribute(&self, path: &[&str], value: impl Into<Value>) {
        self.contexts.borrow_mut().attributes_with(path).put(path, value.into());
    }

    /// Forgets an attribute.
    pub fn remove_attribute(&self, path: &[&str]) {
        self.contexts.borrow_mut().attributes_with(path).remove(path);
    }

    /// Sets one key of the node's metadata.
    pub fn set_node_metadata(&self, key: &str, value: impl Into<Value>) {
        self.set_attribute(&["xds", "node", "metadata", key], value);
    }

    /// Sets one Kubernetes label in the node's metadata.
    pub fn set_node_label(&self, label: &str, value: impl Into<Value>) {
        self.set_attribute(&["xds", "node", "metadata", "LABELS", label], value);
    }

    /// Makes an expression evaluate to this, in callbacks of streams; without it
    /// evaluation fails. The text is the one that the host is given.
    pub fn set_expression(&self, text: &str, value: impl Into<Value>) {
        self.expressions.borrow_mut().set(text, value.into());
    }

    /// Sets a header of the current stream from outside, as the peer or
    /// another filter does: in any phase, not counted as a hostcall.
    pub fn set_header_to(&self, map: HeaderMap, name: &str, value: impl AsRef<[u8]>) {
        if let Some(stream) = self.contexts.borrow_mut().current_mut() {
            stream.headers_mut(map).set(name, value.as_ref());
        }
    }

    /// Adds one more value of a header of the current stream, from outside.
    pub fn add_header(&self, map: HeaderMap, name: &str, value: impl AsRef<[u8]>) {
        if let Some(stream) = self.contexts.borrow_mut().current_mut() {
            stream.headers_mut(map).add(name, value.as_ref());
        }
    }

    /// Data of the current connection arrives: enters [`Phase::Data`]. Returns
    /// the size that the callback is told: with what was held back before.
    pub fn arrive(&self, direction: Data, bytes: &[u8]) -> usize {
        let mut contexts = self.contexts.borrow_mut();
        contexts.enter(Phase::Data(direction));
        contexts.current_mut().map_or(0, |stream| stream.pipe(direction).arrive(bytes))
    }

    /// The data callback ends and says what becomes of the data.
    pub fn end_data(&self, direction: Data, flow: Flow) {
        if let (Flow::Continue, Some(stream)) = (flow, self.contexts.borrow_mut().current_mut()) {
            stream.pipe(direction).pass();
        }
    }
}

// === impl FakeHost: how it behaves ===

impl FakeHost {
    /// Gives the process shared queues, as Envoy has them. Without, a plugin does
    /// everything where it is noticed, which is what most tests are about.
    pub fn with_queues(self) -> Self {
        self.process.borrow_mut().add_queues();
        self
    }

    /// Makes every such hostcall fail with this status from now on.
    pub fn fail(&self, call: Hostcall, status: u32) {
        self.calls.borrow_mut().fail(call, status);
    }

    /// Makes such hostcalls work again.
    pub fn recover(&self, call: Hostcall) {
        self.calls.borrow_mut().recover(call);
    }

    /// Makes time pass in every such hostcall from now on.
    pub fn slow_down(&self, call: Hostcall, by: Duration) {
        self.calls.borrow_mut().slow_down(call, by);
    }

    /// Lets it take time to define a metric that is new to the module.
    pub fn set_time_to_define(&self, time: Duration) {
        self.process.borrow_mut().time_to_define = time;
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.process.borrow_mut().advance(by);
    }

    /// Sets the clock back, which a monotonic one should never be.
    pub fn go_back(&self, by: Duration) {
        self.process.borrow_mut().go_back(by);
    }
}
