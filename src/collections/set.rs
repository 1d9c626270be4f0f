//! A set of a few things that are numbered: the variants of an enum, the rows of
//! a table.

use core::marker::PhantomData;

/// What can be in a [`Set`].
pub trait Numbered: Copy {
    /// Its number, below [`Set::CAPACITY`].
    fn number(self) -> usize;
}

/// Some of the things of one kind.
#[derive(Debug)]
pub struct Set<T> {
    bits: u32,
    of: PhantomData<T>,
}

// === impl Set ===

impl<T> Set<T> {
    /// Numbers from here on are in no set.
    pub const CAPACITY: usize = u32::BITS as usize;
    /// Nothing.
    pub const EMPTY: Self = Self::of_bits(0);

    /// What the bits say: the lowest of number zero.
    pub const fn of_bits(bits: u32) -> Self {
        Self { bits, of: PhantomData }
    }

    /// The things with these numbers.
    pub const fn of_numbers(numbers: &[usize]) -> Self {
        let mut bits = 0;
        let mut rest = numbers;
        while let Some((first, others)) = rest.split_first() {
            bits |= bit(*first);
            rest = others;
        }
        Self::of_bits(bits)
    }

    /// The same as bits: equal for equal sets, and for no others.
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self::of_bits(self.bits & other.bits)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self::of_bits(self.bits | other.bits)
    }

    /// What is in this one only.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self::of_bits(self.bits & !other.bits)
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.bits.count_ones() as usize
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }
}

impl<T: Numbered> Set<T> {
    /// The set with this one, too.
    #[must_use]
    pub fn with(self, member: T) -> Self {
        Self::of_bits(self.bits | bit(member.number()))
    }

    /// Adds one.
    pub fn insert(&mut self, member: T) {
        *self = self.with(member);
    }

    /// Whether this one is in it.
    pub fn contains(self, member: T) -> bool {
        self.bits & bit(member.number()) != 0
    }

    /// How many in it have lower numbers.
    pub fn before(self, member: T) -> usize {
        (self.bits & bit(member.number()).wrapping_sub(1)).count_ones() as usize
    }
}

impl<T> Clone for Set<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Set<T> {}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T> PartialEq for Set<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits
    }
}

impl<T> Eq for Set<T> {}

impl<T: Numbered> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        members.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// For the rows of a table, by their indices.
impl Numbered for usize {
    fn number(self) -> usize {
        self
    }
}

/// None for a number that is too high.
const fn bit(number: usize) -> u32 {
    if number < u32::BITS as usize {
        1 << number
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        for number in 0..Set::<usize>::CAPACITY {
            let one = Set::EMPTY.with(number);
            assert!(one.contains(number) && one.len() == 1 && !one.is_empty());
            assert_eq!(one, Set::of_numbers(&[number]));
            assert_eq!(one.with(number), one);
            assert_eq!(one.minus(one), Set::EMPTY);
            let all = Set::of_bits(u32::MAX);
            assert_eq!(all.before(number), number);
            let others = all.minus(one);
            assert!(!others.contains(number) && others.len() == 31 && others.and(one).is_empty());
            assert_eq!(others.with(number), all);
        }
    }

    #[test]
    fn numbers_that_are_too_high_are_in_no_set() {
        let set: Set<usize> = [31, 32, 33, usize::MAX].into_iter().collect();
        assert_eq!(set, Set::of_numbers(&[31]));
        assert!(!set.contains(32));
    }
}
