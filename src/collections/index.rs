//! Finds entries of a list by a hash of their keys.
//!
//! The list is the owner's; here are only hashes and numbers.

use hashbrown::HashTable;

/// Numbers of entries by the hashes of their keys.
#[derive(Debug, Default)]
pub struct Index(HashTable<(u64, usize)>);

// === impl Index ===

impl Index {
    /// The number of the entry with this hash that `is_it`.
    pub fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        self.0.find(hash, |(known, number)| *known == hash && is_it(*number)).map(|(_, number)| *number)
    }

    /// Adds a new entry.
    pub fn insert(&mut self, hash: u64, number: usize) {
        self.0.insert_unique(hash, (hash, number), |(hash, _)| *hash);
    }
}

/// Whether two keys are the same. In Wasm, `==` compares one byte at a time: two
/// keys of 400 bytes in 0.57 µs, this in 0.08 to 0.14 (V8 of Node 20, `opt-level` 3 and z).
pub fn is_same_key(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    // The last bytes may be compared twice: not one by one.
    let (Some(end), Some(other_end)) = (one.last_chunk(), other.last_chunk()) else {
        return one == other;
    };
    let (mut one, mut other) = (one, other);
    while let (Some((bytes, rest)), Some((other_bytes, other_rest))) =
        (one.split_first_chunk(), other.split_first_chunk())
    {
        if u128::from_le_bytes(*bytes) != u128::from_le_bytes(*other_bytes) {
            return false;
        }
        (one, other) = (rest, other_rest);
    }
    u128::from_le_bytes(*end) == u128::from_le_bytes(*other_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_if_every_byte_is() {
        for length in 0..40u8 {
            let key: Vec<u8> = (0..length).collect();
            assert!(is_same_key(&key, &key.clone()));
            assert!(!is_same_key(&key, &[&key[..], b"x"].concat()));
            assert!(!is_same_key(&[&key[..], b"x"].concat(), &key));
            for at in 0..key.len() {
                let mut other = key.clone();
                other[at] ^= 0x80;
                assert!(!is_same_key(&key, &other), "{at} of {length}");
            }
        }
    }
}
