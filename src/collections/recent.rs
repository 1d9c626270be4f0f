//! A small cache of a fixed size. Each key has one entry in it, by its number;
//! of two keys with the same entry the later one has it.

/// Values by keys, at most 512 of them.
#[derive(Debug)]
pub struct Recent<K, V> {
    entries: Vec<Option<(K, V)>>,
}

/// A worker has some hundred connections and upstream clusters in use. A power of two.
const CAPACITY: usize = 512;

// === impl Recent ===

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<K: PartialEq, V> Recent<K, V> {
    /// The value of the key with this number.
    pub fn get(&self, number: u64, is_it: impl Fn(&K) -> bool) -> Option<&V> {
        let (key, value) = self.entries.get(index(number))?.as_ref()?;
        is_it(key).then_some(value)
    }

    /// Remembers a value.
    pub fn put(&mut self, number: u64, key: K, value: V) {
        if self.entries.is_empty() {
            self.entries.resize_with(CAPACITY, || None);
        }
        if let Some(entry) = self.entries.get_mut(index(number)) {
            *entry = Some((key, value));
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

fn index(number: u64) -> usize {
    const MASK: u64 = CAPACITY as u64 - 1;
    usize::try_from(number & MASK).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_until_another_takes_its_entry() {
        let mut recent = Recent::default();
        for id in 0..3 * CAPACITY as u64 {
            recent.put(id, id, id.to_string());
        }
        let found = |id: u64| recent.get(id, |known| *known == id).cloned();
        assert_eq!(found(2 * CAPACITY as u64), Some((2 * CAPACITY).to_string()));
        assert_eq!(found(0), None);
        assert_eq!(recent.entries.len(), CAPACITY);
    }
}
