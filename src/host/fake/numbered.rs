//! What the host hands out numbers for.

use super::hostcall::INTERNAL_FAILURE;

/// Things by the numbers that a VM was given for them, from one.
#[derive(Debug)]
pub(super) struct Numbered<T>(Vec<T>);

// === impl Numbered ===

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Numbered<T> {
    /// Gives one more thing its number.
    ///
    /// # Errors
    /// The status when there are no more.
    pub(super) fn add(&mut self, thing: T) -> Result<u32, u32> {
        self.0.push(thing);
        u32::try_from(self.0.len()).map_err(|_| INTERNAL_FAILURE)
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.0.get(index(number)?)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.0.get_mut(index(number)?)
    }
}

fn index(number: u32) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(1)
}
