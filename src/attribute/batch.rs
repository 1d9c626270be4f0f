//! What one list brings of a stream.

use std::cell::Cell;

use super::element::{Element, Elements};
use super::era::Era;
use crate::wire::pairs;

/// What a list is made of: values first, then tests, each in their order.
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
}

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

    /// The expression.
    pub fn text(self, era: Era) -> String {
        let values = each(self.values).map(|element| era.name_of(&element.text()).to_owned());
        let tests = each(self.tests).map(Element::test);
        let mut text = String::new();
        for item in values.chain(tests) {
            text.push(if text.is_empty() { '[' } else { ',' });
            text.push_str(&item);
        }
        text.push(']');
        text
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

    /// What the stream had, of all that it was asked for.
    pub fn found(&self) -> Elements {
        self.found.get()
    }

    /// What it lacked of that.
    pub fn lacked(&self) -> Elements {
        self.lacked.get()
    }

    /// Whether the list brought nothing.
    pub fn failed(&self) -> bool {
        self.content != self.tried
    }

    /// The bytes of an element; none if the stream lacks it. `None`: the list does
    /// not tell.
    pub fn get(&self, element: Element) -> Option<&'a [u8]> {
        let Content { values, tests } = self.content;
        let item = if values.contains(element) {
            self.items.get(values.before(element)).copied()
        } else if tests.contains(element) {
            let test = self.items.get(values.len().saturating_add(tests.before(element)));
            test.filter(|test| **test == [0]).map(|_| &[][..])
        } else {
            None
        };
        if let Some(bytes) = item {
            self.note(element, !bytes.is_empty());
        }
        item
    }

    /// The stream was asked for this element, and has it or not.
    pub fn note(&self, element: Element, found: bool) {
        if found {
            self.found.set(self.found.get().with(element));
        } else {
            self.lacked.set(self.lacked.get().with(element));
        }
    }
}

fn each(elements: Elements) -> impl Iterator<Item = Element> {
    Element::ALL.into_iter().filter(move |element| elements.contains(*element))
}
