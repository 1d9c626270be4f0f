//! A bounded cache in two generations: when the young one is full it becomes the
//! old one, and what is left of that is forgotten. What is in use moves back to the
//! young one, so a flood of new entries costs making them, never memory.

use core::mem;

use super::index::Index;

/// What can be cached.
pub trait Cached {
    /// Most bytes that one generation holds; an entry beyond that has one for itself.
    const MAX_BYTES: usize;
    /// Most entries that one generation holds.
    const MAX_ENTRIES: usize;

    /// What it takes, roughly.
    fn bytes(&self) -> usize;
}

/// Entries by the hashes of their keys, which are in them.
#[derive(Debug)]
pub struct Generations<E> {
    young: Generation<E>,
    old: Generation<E>,
    /// The number of the young one that was found or added last.
    last: usize,
}

#[derive(Debug)]
struct Generation<E> {
    /// One that moved has left its place empty.
    entries: Vec<Option<E>>,
    index: Index,
    bytes: usize,
}

// === impl Generations ===

impl<E: Cached> Generations<E> {
    /// The entry with this hash that `is_it`. For what may have to go so that it stays
    /// see [`Self::insert`].
    pub fn find(&mut self, hash: u64, is_it: impl Fn(&E) -> bool, forget: impl FnMut(E)) -> Option<&E> {
        match self.young.find(hash, &is_it) {
            Some(number) => self.last = number,
            None => {
                let number = self.old.find(hash, &is_it)?;
                let entry = self.old.entries.get_mut(number)?.take()?;
                self.insert(hash, entry, forget);
            }
        }
        self.last()
    }

    /// The entry that was found or added last.
    pub fn last(&self) -> Option<&E> {
        self.young.entries.get(self.last)?.as_ref()
    }

    /// Adds a new entry. What has to go for it is handed to `forget`: `drop`, if nobody
    /// else knows of it.
    pub fn insert(&mut self, hash: u64, entry: E, forget: impl FnMut(E)) {
        let bytes = self.young.bytes.saturating_add(entry.bytes());
        if self.young.entries.len() >= E::MAX_ENTRIES || bytes > E::MAX_BYTES {
            let forgotten = mem::replace(&mut self.old, mem::take(&mut self.young));
            forgotten.entries.into_iter().flatten().for_each(forget);
        }
        self.young.bytes = self.young.bytes.saturating_add(entry.bytes());
        self.last = self.young.entries.len();
        self.young.index.insert(hash, self.last);
        self.young.entries.push(Some(entry));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl<E> Default for Generations<E> {
    fn default() -> Self {
        Self { young: Generation::default(), old: Generation::default(), last: 0 }
    }
}

// === impl Generation ===

impl<E> Generation<E> {
    /// The number of the entry with this hash that `is_it`.
    fn find(&self, hash: u64, is_it: impl Fn(&E) -> bool) -> Option<usize> {
        let is_there = |number| self.entries.get(number).and_then(Option::as_ref).is_some_and(&is_it);
        self.index.find(hash, is_there)
    }
}

impl<E> Default for Generation<E> {
    fn default() -> Self {
        Self { entries: Vec::new(), index: Index::default(), bytes: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Text(String);

    impl Cached for Text {
        const MAX_BYTES: usize = 1000;
        const MAX_ENTRIES: usize = 50;

        fn bytes(&self) -> usize {
            self.0.len()
        }
    }

    /// All have the same hash.
    fn find(cache: &mut Generations<Text>, text: &str) -> bool {
        cache.find(7, |known| known.0 == text, drop).is_some()
    }

    fn assert_bounded(cache: &Generations<Text>) {
        for generation in [&cache.young, &cache.old] {
            assert!(generation.entries.len() <= Text::MAX_ENTRIES && generation.bytes <= Text::MAX_BYTES);
            let bytes: usize = generation.entries.iter().flatten().map(Text::bytes).sum();
            assert!(bytes <= generation.bytes);
        }
    }

    #[test]
    fn a_flood_is_bounded_and_keeps_what_is_in_use() {
        for length in [5, 30, 70] {
            let mut cache = Generations::default();
            cache.insert(7, Text("steady".into()), drop);
            for number in 0..2000 {
                let text = format!("{number:0length$}");
                assert!(!find(&mut cache, &text));
                cache.insert(7, Text(text.clone()), drop);
                assert!(find(&mut cache, &text));
                assert!(number % 10 > 0 || find(&mut cache, "steady"), "{number}");
                assert_bounded(&cache);
            }
            assert!(!find(&mut cache, &format!("{:0length$}", 0)));
        }
    }

    #[test]
    fn each_entry_is_kept_or_handed_out_once() {
        let mut cache = Generations::default();
        let mut forgotten = Vec::new();
        for number in 0..1000 {
            cache.insert(7, Text(number.to_string()), |entry| forgotten.push(entry.0));
            let older = (number / 2).to_string();
            cache.find(7, |known| known.0 == older, |entry| forgotten.push(entry.0));
        }
        let kept = [cache.young, cache.old].into_iter().flat_map(|generation| generation.entries).flatten();
        let mut all: Vec<usize> =
            kept.map(|entry| entry.0).chain(forgotten).map(|text| text.parse().unwrap()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..1000));
    }

    #[test]
    fn the_last_one_is_known_wherever_it_was() {
        let mut cache = Generations::default();
        let last = |cache: &Generations<Text>| cache.last().map(|entry| entry.0.clone());
        assert_eq!(last(&cache), None);
        for number in 0..200 {
            let text = number.to_string();
            cache.insert(7, Text(text.clone()), drop);
            assert_eq!(last(&cache), Some(text));
            let older = (number / 2).to_string();
            if find(&mut cache, &older) {
                assert_eq!(last(&cache), Some(older));
            }
        }
        cache.clear();
        assert_eq!(last(&cache), None);
    }

    #[test]
    fn nothing_is_left_of_what_is_cleared() {
        let mut cache = Generations::default();
        for number in 0..60 {
            cache.insert(7, Text(number.to_string()), drop);
        }
        cache.clear();
        assert!((0..60).all(|number| !find(&mut cache, &number.to_string())));
        assert_eq!(cache.young.bytes + cache.old.bytes, 0);
    }
}
