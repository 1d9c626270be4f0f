//! Finds entries of a list by a hash of their keys.
//!
//! The list is the owner's; here are only hashes and numbers. So one piece of
//! code serves every list, whatever is in it.

use hashbrown::HashTable;

/// Numbers of entries by the hashes of their keys.
#[derive(Debug, Default)]
pub struct Index(HashTable<(u64, usize)>);

// === impl Index ===

impl Index {
    /// The number of the entry with this hash that `is_it`.
    pub fn find(&self, hash: u64, is_it: &dyn Fn(usize) -> bool) -> Option<usize> {
        self.0.find(hash, |(known, number)| *known == hash && is_it(*number)).map(|(_, number)| *number)
    }

    /// Adds a new entry.
    pub fn insert(&mut self, hash: u64, number: usize) {
        self.0.insert_unique(hash, (hash, number), |(hash, _)| *hash);
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
