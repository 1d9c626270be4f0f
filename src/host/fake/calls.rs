//! The hostcalls that a VM made, and what a test makes of those to come.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::host::HostError;

use super::hostcall::Hostcall;

/// Hostcalls of one VM.
#[derive(Debug, Default)]
pub(super) struct Calls {
    made: BTreeMap<Hostcall, usize>,
    returned_bytes: usize,
    /// Statuses of those that fail.
    failing: BTreeMap<Hostcall, u32>,
    /// What time those take that take any.
    lasting: BTreeMap<Hostcall, Duration>,
}

// === impl Calls ===

impl Calls {
    /// Counts a call.
    ///
    /// # Errors
    /// It is one that fails.
    pub(super) fn make(&mut self, call: Hostcall) -> Result<(), HostError> {
        let made = self.made.entry(call).or_default();
        *made = made.saturating_add(1);
        self.failing.get(&call).map_or(Ok(()), |status| Err(call.error(*status)))
    }

    /// Counts that a call returned bytes.
    pub(super) fn return_bytes(&mut self) {
        self.returned_bytes = self.returned_bytes.saturating_add(1);
    }

    /// Counts from zero again.
    pub(super) fn reset(&mut self) {
        self.made.clear();
        self.returned_bytes = 0;
    }

    pub(super) fn fail(&mut self, call: Hostcall, status: u32) {
        self.failing.insert(call, status);
    }

    pub(super) fn recover(&mut self, call: Hostcall) {
        self.failing.remove(&call);
    }

    pub(super) fn slow_down(&mut self, call: Hostcall, by: Duration) {
        self.lasting.insert(call, by);
    }

    /// How long such a call takes.
    pub(super) fn duration(&self, call: Hostcall) -> Duration {
        self.lasting.get(&call).copied().unwrap_or_default()
    }

    pub(super) fn made(&self, call: Hostcall) -> usize {
        self.made.get(&call).copied().unwrap_or(0)
    }

    pub(super) fn all_made(&self) -> usize {
        self.made.values().sum()
    }

    pub(super) fn returned_bytes(&self) -> usize {
        self.returned_bytes
    }
}
