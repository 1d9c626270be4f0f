//! What one list brings of a stream.

use std::cell::Cell;

use super::element::{Element, Elements, NUMBERS, VOLATILE};
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

/// What of a list is measured, and differs from request to request of the same kind.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// Counts of gRPC messages, as text; `None`: not in the list.
    pub messages: Option<&'a [u8]>,
    /// Which numbers there are.
    elements: Elements,
    /// They, with the terminators of key and value.
    numbers: &'a [u8],
}

/// The bytes of a number.
const NUMBER_BYTES: usize = 8;
/// The terminators of key and value.
const TERMINATORS: usize = 2;
const TERMINATED_NUMBER_BYTES: usize = NUMBER_BYTES + TERMINATORS;

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

    /// The paths of the values, in their order.
    pub fn paths(self) -> Vec<&'static [&'static str]> {
        each(self.stable()).chain(each(self.volatile())).map(Element::path).collect()
    }

    /// The expression.
    pub fn text(self, era: Era) -> String {
        let value = |element: Element| element.text(era);
        let tests = each(self.tests).map(|element| element.test(era));
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
    /// All but what is measured, and that, if it is what it should be. Of two lists with
    /// the same content and stable bytes nothing else differs: the lengths of all values
    /// are in them.
    pub fn split(&self) -> Option<(&[u8], Measured<'_>)> {
        let volatile = self.content.volatile();
        let elements = volatile.and(NUMBERS);
        let (count, mut lengths) = pairs::last_lengths(&self.bytes, volatile.len())?;
        let has_messages = volatile.contains(Element::Messages);
        let text = if has_messages { lengths.next().filter(|(_, value)| *value == 0)?.0 } else { 0 };
        if count != self.content.len() || !lengths.all(|lengths| lengths == (NUMBER_BYTES, 0)) {
            return None;
        }
        let numbers = elements.len().checked_mul(TERMINATED_NUMBER_BYTES)?;
        let (rest, numbers) = self.bytes.split_at_checked(self.bytes.len().checked_sub(numbers)?)?;
        if !has_messages {
            return Some((rest, Measured { messages: None, elements, numbers }));
        }
        let text_begins = rest.len().checked_sub(text.checked_add(TERMINATORS)?)?;
        let (stable, messages) = rest.split_at_checked(text_begins)?;
        Some((stable, Measured { messages: messages.get(..text), elements, numbers }))
    }
}

// === impl Measured ===

impl Measured<'_> {
    /// A number; below zero it counts as zero.
    pub fn number(&self, element: Element) -> Option<u64> {
        if !self.elements.contains(element) {
            return None;
        }
        let begin = self.elements.before(element).checked_mul(TERMINATED_NUMBER_BYTES)?;
        let bytes = self.numbers.get(begin..)?.first_chunk()?;
        Some(u64::try_from(i64::from_le_bytes(*bytes)).unwrap_or(0))
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

    /// What the stream was asked for.
    pub fn asked(&self) -> Elements {
        self.found.get().or(self.lacked.get())
    }

    /// What the stream had and lacked that a list may bring.
    pub fn seen(&self) -> Content {
        Content { values: self.found.get(), tests: self.lacked.get() }
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
        let is_value = content.values.contains(element);
        let item = if is_value {
            self.items.get(content.place_of_value(element)).copied()
        } else if content.tests.contains(element) {
            let test = self.items.get(content.place_of_test(element));
            test.filter(|test| **test == [0]).map(|_| &[][..])
        } else {
            None
        };
        if item.is_some() {
            self.note(element, is_value);
        }
        item
    }

    /// The stream was asked for this element, and has it, be it empty, or not.
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
