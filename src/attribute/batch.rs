//! What one list brings of a stream.

use std::cell::Cell;

use super::element::{Element, Elements, TESTABLE, VALUES, VOLATILE};
use super::era::Era;
use crate::wire::pairs;

/// What a list is made of: values, then tests, each in their order; at the end the
/// values that are volatile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Attributes.
    pub values: Elements,
    /// Tests whether an attribute is there.
    pub tests: Elements,
}

/// What a list brought of a stream, on the wire.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The list.
    pub content: Content,
    /// Empty if it failed.
    pub bytes: Vec<u8>,
}

/// The same by element, and what the stream had and lacked in the end.
#[derive(Debug)]
pub struct Batch<'a> {
    tried: Content,
    /// The same, unless it failed.
    content: Content,
    /// In the order of the list.
    items: [&'a [u8]; Element::ALL.len()],
    found: Cell<Elements>,
    lacked: Cell<Elements>,
    /// Whether something was read that it did not bring.
    insufficient: Cell<bool>,
}

/// The bytes of a volatile value.
const NUMBER_BYTES: usize = 8;
/// The same with the terminators of key and value.
const VOLATILE_BYTES: usize = NUMBER_BYTES + 2;

// === impl Content ===

impl Content {
    /// The same without tests.
    #[must_use]
    pub fn without_tests(self) -> Self {
        Self { tests: Elements::EMPTY, ..self }
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { values: self.values.and(other.values), tests: self.tests.and(other.tests) }
    }

    fn len(self) -> usize {
        self.values.len().saturating_add(self.tests.len())
    }

    /// The values that are not volatile.
    fn stable(self) -> Elements {
        self.values.minus(VOLATILE)
    }

    /// The values that are.
    fn volatile(self) -> Elements {
        self.values.and(VOLATILE)
    }

    /// The place in the list of an element that is in it as a value.
    fn place_of_value(self, element: Element) -> usize {
        let place = self.values.before(element);
        if VOLATILE.contains(element) {
            place.saturating_add(self.tests.len())
        } else {
            place
        }
    }

    /// The same of a test.
    fn place_of_test(self, element: Element) -> usize {
        self.stable().len().saturating_add(self.tests.before(element))
    }

    /// The expression.
    pub fn text(self, era: Era) -> String {
        let value = |element: Element| era.name_of(&element.text()).to_owned();
        let tests = each(self.tests).map(Element::test);
        let values = each(self.stable()).map(value).chain(tests).chain(each(self.volatile()).map(value));
        let mut text = String::new();
        for item in values {
            text.push(if text.is_empty() { '[' } else { ',' });
            text.push_str(&item);
        }
        text.push(']');
        text
    }
}

// === impl Fetched ===

impl Fetched {
    /// All but the volatile values, where these are what they should be. Of two lists
    /// with the same content and stable bytes nothing else differs: the lengths of all
    /// values are in them.
    pub fn stable(&self) -> Option<&[u8]> {
        let volatile = self.content.volatile().len();
        let length = self.bytes.len().checked_sub(volatile.checked_mul(VOLATILE_BYTES)?)?;
        let (count, mut lengths) = pairs::last_lengths(&self.bytes, volatile)?;
        let are_numbers = lengths.all(|lengths| lengths == (NUMBER_BYTES, 0));
        (count == self.content.len() && are_numbers).then(|| self.bytes.get(..length))?
    }

    /// A volatile value, of a list that has [`Self::stable`] bytes; below zero it counts
    /// as zero.
    pub fn number(&self, element: Element) -> Option<u64> {
        let volatile = self.content.volatile();
        if !volatile.contains(element) {
            return None;
        }
        let after = volatile.len().saturating_sub(volatile.before(element)).saturating_mul(VOLATILE_BYTES);
        let rest = self.bytes.get(self.bytes.len().checked_sub(after)?..)?;
        rest.first_chunk().map(|bytes| u64::try_from(i64::from_le_bytes(*bytes)).unwrap_or(0))
    }
}

// === impl Batch ===

impl<'a> Batch<'a> {
    /// Finds the items of a list. It has them as keys.
    pub fn of(fetched: &'a Fetched) -> Self {
        let tried = fetched.content;
        let mut batch = Self {
            tried,
            content: Content::default(),
            items: Default::default(),
            found: Cell::default(),
            lacked: Cell::default(),
            insufficient: Cell::default(),
        };
        let Some((count, mut entries)) =
            pairs::walk(&fetched.bytes).filter(|(count, _)| *count == tried.len())
        else {
            return batch;
        };
        for slot in batch.items.iter_mut().take(count) {
            let Some((item, _)) = entries.next() else {
                return batch;
            };
            *slot = item;
        }
        batch.content = tried;
        batch
    }

    /// What the list was made of.
    pub fn tried(&self) -> Content {
        self.tried
    }

    /// Whether the list brought nothing.
    pub fn failed(&self) -> bool {
        self.content != self.tried
    }

    /// What the stream had and lacked that a list may bring.
    pub fn seen(&self) -> Content {
        Content { values: self.found.get().and(VALUES), tests: self.lacked.get().and(TESTABLE) }
    }

    /// Whether it brought all that was asked for.
    pub fn sufficed(&self) -> bool {
        !self.failed() && !self.insufficient.get()
    }

    /// Something was read that is not in it.
    pub fn note_read(&self) {
        self.insufficient.set(true);
    }

    /// The bytes of an element; none if the stream lacks it. `None`: the list does
    /// not tell.
    pub fn get(&self, element: Element) -> Option<&'a [u8]> {
        let content = self.content;
        let item = if content.values.contains(element) {
            self.items.get(content.place_of_value(element)).copied()
        } else if content.tests.contains(element) {
            let test = self.items.get(content.place_of_test(element));
            test.filter(|test| **test == [0]).map(|_| &[][..])
        } else {
            None
        };
        if let Some(bytes) = item {
            self.note(element, !bytes.is_empty());
        }
        item
    }

    /// The stream was asked for this element, and has it or not. What counts with some
    /// values only is tested the next time, whether this stream has it or not.
    pub fn note(&self, element: Element, found: bool) {
        if found && element.meant().is_empty() {
            self.found.set(self.found.get().with(element));
        } else {
            self.lacked.set(self.lacked.get().with(element));
        }
    }
}

fn each(elements: Elements) -> impl Iterator<Item = Element> {
    Element::ALL.into_iter().filter(move |element| elements.contains(*element))
}
