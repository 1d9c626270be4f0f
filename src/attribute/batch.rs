//! What one list brings of a stream.

use std::cell::Cell;

use super::element::{Element, Elements, NUMBERS, VOLATILE};
use super::era::Era;
use crate::collections::index::is_same_key;
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
        let (count, mut lengths) = pairs::last_lengths(&self.bytes, volatile.len())?;
        let mut bytes = volatile.and(NUMBERS).len().checked_mul(TERMINATED_NUMBER_BYTES)?;
        if volatile.contains(Element::Messages) {
            let (text, _) = lengths.next().filter(|(_, value)| *value == 0)?;
            bytes = bytes.checked_add(text)?.checked_add(TERMINATORS)?;
        }
        if count != self.content.len() || !lengths.all(|lengths| lengths == (NUMBER_BYTES, 0)) {
            return None;
        }
        let (stable, rest) = self.bytes.split_at_checked(self.bytes.len().checked_sub(bytes)?)?;
        Some((stable, Measured::of(volatile, rest)?))
    }

    /// What is measured, of a list like one that was split: with the same content, as
    /// long, and with the same stable bytes, which is all that is looked at.
    pub fn split_like(&self, content: Content, length: usize, stable: &[u8]) -> Option<Measured<'_>> {
        if self.content != content || self.bytes.len() != length {
            return None;
        }
        let (own, rest) = self.bytes.split_at_checked(stable.len())?;
        if is_same_key(own, stable) {
            Measured::of(content.volatile(), rest)
        } else {
            None
        }
    }
}

// === impl Measured ===

impl<'a> Measured<'a> {
    /// Of the end of a list, which has nothing but these values.
    fn of(volatile: Elements, bytes: &'a [u8]) -> Option<Self> {
        let elements = volatile.and(NUMBERS);
        let numbers = elements.len().checked_mul(TERMINATED_NUMBER_BYTES)?;
        let (messages, numbers) = bytes.split_at_checked(bytes.len().checked_sub(numbers)?)?;
        let text = messages.len().checked_sub(TERMINATORS);
        Some(Self { messages: text.and_then(|text| messages.get(..text)), elements, numbers })
    }

    /// A number; below zero it counts as zero. Three are asked for in a row: by one code.
    #[inline(never)]
    pub fn number(&self, element: Element) -> Option<u64> {
        if !self.elements.contains(element) {
            return None;
        }
        // There are four at most.
        let begin = self.elements.before(element).wrapping_mul(TERMINATED_NUMBER_BYTES);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of a code, counts of messages and a duration.
    fn fetched(code: &[u8], messages: &[u8], duration: u64) -> Fetched {
        let values = [Element::ResponseCode, Element::Messages, Element::Duration];
        let content = Content { values: values.into_iter().collect(), ..Content::default() };
        let duration = duration.to_le_bytes();
        let append = |bytes: &[u8], to: &mut Vec<u8>| to.extend_from_slice(bytes);
        Fetched { content, bytes: pairs::list(3, [code, messages, &duration].into_iter(), append) }
    }

    #[test]
    fn of_two_lists_that_are_alike_the_same_is_measured_whichever_way_they_are_split() {
        let known = fetched(b"200", b"1,2", 7);
        let (stable, _) = known.split().unwrap();
        let like = |list: &Fetched| {
            let measured = list.split_like(known.content, known.bytes.len(), stable)?;
            let (_, expected) = list.split().unwrap();
            assert_eq!(format!("{measured:?}"), format!("{expected:?}"));
            Some((measured.messages?.to_vec(), measured.number(Element::Duration)?))
        };
        assert_eq!(like(&fetched(b"200", b"3,4", 9)), Some((b"3,4".to_vec(), 9)));
        assert_eq!(like(&fetched(b"503", b"1,2", 7)), None, "another code");
        assert_eq!(like(&fetched(b"200", b"10,2", 7)), None, "another length");
        let mut longer = fetched(b"200", b"1,2", 7);
        longer.bytes.push(0);
        assert_eq!(like(&longer), None, "something behind it");
        let other = Content { values: known.content.values.minus(NUMBERS), ..known.content };
        assert!(known.split_like(other, known.bytes.len(), stable).is_none(), "another content");
    }
}
