//! A small cache of a fixed size. Each key has one place in it, by its number;
//! of two keys with the same place the later one has it.

/// Values by keys, at most 512 of them.
#[derive(Debug)]
pub struct Slots<K, V> {
    slots: Vec<Option<(K, V)>>,
}

/// A worker has some hundred connections and upstream clusters in use. A power of two.
const SLOTS: usize = 512;

// === impl Slots ===

impl<K, V> Default for Slots<K, V> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<K: PartialEq, V> Slots<K, V> {
    /// The value of the key with this number.
    pub fn get(&self, number: u64, is_it: impl Fn(&K) -> bool) -> Option<&V> {
        let (key, value) = self.slots.get(place(number))?.as_ref()?;
        is_it(key).then_some(value)
    }

    /// Remembers a value.
    pub fn put(&mut self, number: u64, key: K, value: V) {
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        if let Some(slot) = self.slots.get_mut(place(number)) {
            *slot = Some((key, value));
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.slots.clear();
    }
}

fn place(number: u64) -> usize {
    const MASK: u64 = SLOTS as u64 - 1;
    usize::try_from(number & MASK).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_until_another_takes_its_place() {
        let mut slots = Slots::default();
        for id in 0..3 * SLOTS as u64 {
            slots.put(id, id, id.to_string());
        }
        let found = |id: u64| slots.get(id, |known| *known == id).cloned();
        assert_eq!(found(2 * SLOTS as u64), Some((2 * SLOTS).to_string()));
        assert_eq!(found(0), None);
        assert_eq!(slots.slots.len(), SLOTS);
    }
}
