//! Envoy's filter of a TCP connection.

use core::{mem, ptr};
use std::sync::OnceLock;

use istio_stats::host::Data;

use super::{copied, dlsym, Buffer, Raw, Scheduler};

/// Envoy's filter of one TCP connection. It is there as long as this module's part of it: `connection` keeps
/// none longer, and none is used on another thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection(Raw);

callbacks! {
    network_filter_get_attribute_string(Raw, u32, *mut Buffer) -> bool;
    network_filter_get_attribute_int(Raw, u32, *mut u64) -> bool;
    network_filter_get_attribute_bool(Raw, u32, *mut bool) -> bool;
    network_get_dynamic_metadata_string(Raw, Buffer, Buffer, *mut Buffer) -> bool;
    network_set_filter_state_bytes(Raw, Buffer, Buffer) -> bool;
    network_get_filter_state_bytes(Raw, Buffer, *mut Buffer) -> bool;
    network_get_filter_state_typed(Raw, Buffer, *mut Buffer) -> bool;
    network_filter_get_read_buffer_chunks_size(Raw) -> usize;
    network_filter_get_read_buffer_chunks(Raw, *mut Buffer) -> bool;
    network_filter_drain_read_buffer(Raw, usize) -> bool;
    network_filter_prepend_read_buffer(Raw, Buffer) -> bool;
    network_filter_get_write_buffer_chunks_size(Raw) -> usize;
    network_filter_get_write_buffer_chunks(Raw, *mut Buffer) -> bool;
    network_filter_drain_write_buffer(Raw, usize) -> bool;
    network_filter_prepend_write_buffer(Raw, Buffer) -> bool;
    network_filter_scheduler_new(Raw) -> Raw;
    network_filter_scheduler_commit(Raw, u64);
    network_filter_scheduler_delete(Raw);
}

// === impl Connection ===

// SAFETY, for every call below: the filter is there (see its description) and the hook is one of its own
// thread; names are there until the call returns, and so is what Envoy writes to. What it points to is
// copied before anything else is asked of it.
impl Connection {
    /// Of a hook that Envoy calls with it.
    pub(crate) fn of(raw: Raw) -> Self {
        Self(raw)
    }

    /// An attribute that is a text.
    pub(crate) fn text(self, attribute: u32) -> Option<Vec<u8>> {
        let call = CALLBACKS.get()?.network_filter_get_attribute_string;
        copied(|found| unsafe { call(self.0, attribute, found) })
    }

    /// An attribute that is a number.
    pub(crate) fn number(self, attribute: u32) -> Option<u64> {
        let mut number = 0;
        let call = CALLBACKS.get()?.network_filter_get_attribute_int;
        unsafe { call(self.0, attribute, &mut number) }.then_some(number)
    }

    /// An attribute that is a truth.
    pub(crate) fn flag(self, attribute: u32) -> Option<bool> {
        let mut flag = false;
        let call = CALLBACKS.get()?.network_filter_get_attribute_bool;
        unsafe { call(self.0, attribute, &mut flag) }.then_some(flag)
    }

    /// A text in the dynamic metadata.
    pub(crate) fn metadata_text(self, namespace: &str, key: &str) -> Option<Vec<u8>> {
        let call = CALLBACKS.get()?.network_get_dynamic_metadata_string;
        let (namespace, key) = (Buffer::of(namespace.as_bytes()), Buffer::of(key.as_bytes()));
        copied(|found| unsafe { call(self.0, namespace, key, found) })
    }

    /// What is in the filter state, as bytes: kept so by a module, or an object's own form.
    pub(crate) fn filter_state(self, key: &str) -> Option<Vec<u8>> {
        let envoy = CALLBACKS.get()?;
        let key = Buffer::of(key.as_bytes());
        copied(|found| unsafe { (envoy.network_get_filter_state_bytes)(self.0, key, found) })
            .or_else(|| copied(|found| unsafe { (envoy.network_get_filter_state_typed)(self.0, key, found) }))
    }

    /// Keeps bytes in the filter state; false if that is not possible.
    pub(crate) fn set_filter_state(self, key: &str, value: &[u8]) -> bool {
        let (key, value) = (Buffer::of(key.as_bytes()), Buffer::of(value));
        let set = |envoy: &Callbacks| unsafe { (envoy.network_set_filter_state_bytes)(self.0, key, value) };
        CALLBACKS.get().is_some_and(set)
    }

    /// The first bytes of the data that is passing; none outside of the hook that it passes.
    pub(crate) fn data(self, direction: Data, max_bytes: usize) -> Option<Vec<u8>> {
        let envoy = CALLBACKS.get()?;
        let (count, fill) = match direction {
            Data::Downstream => (
                envoy.network_filter_get_read_buffer_chunks_size,
                envoy.network_filter_get_read_buffer_chunks,
            ),
            Data::Upstream => (
                envoy.network_filter_get_write_buffer_chunks_size,
                envoy.network_filter_get_write_buffer_chunks,
            ),
        };
        let mut chunks = vec![Buffer::NONE; unsafe { count(self.0) }];
        if !unsafe { fill(self.0, chunks.as_mut_ptr()) } {
            return None;
        }
        let length = chunks.iter().fold(0, |sum: usize, chunk| sum.saturating_add(chunk.length));
        let mut data = Vec::with_capacity(length.min(max_bytes));
        for chunk in chunks {
            let bytes = unsafe { chunk.bytes() };
            let room = max_bytes.saturating_sub(data.len());
            data.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
        Some(data)
    }

    /// Puts bytes in the place of the first `length` ones; false if no data is passing.
    pub(crate) fn replace_data(self, direction: Data, length: usize, bytes: &[u8]) -> bool {
        let Some(envoy) = CALLBACKS.get() else {
            return false;
        };
        let (drain, prepend) = match direction {
            Data::Downstream => {
                (envoy.network_filter_drain_read_buffer, envoy.network_filter_prepend_read_buffer)
            }
            Data::Upstream => {
                (envoy.network_filter_drain_write_buffer, envoy.network_filter_prepend_write_buffer)
            }
        };
        // Both refuse to do nothing.
        (length == 0 || unsafe { drain(self.0, length) })
            && (bytes.is_empty() || unsafe { prepend(self.0, Buffer::of(bytes)) })
    }

    /// A means to have a hook of this filter called.
    pub(crate) fn scheduler(self) -> Option<Scheduler> {
        let envoy = CALLBACKS.get()?;
        let raw = unsafe { (envoy.network_filter_scheduler_new)(self.0) };
        let (commit, delete) = (envoy.network_filter_scheduler_commit, envoy.network_filter_scheduler_delete);
        (!raw.is_null()).then(|| Scheduler { raw, commit, delete })
    }
}
