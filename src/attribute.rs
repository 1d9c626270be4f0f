//! Typed reads of the proxy's attributes.

pub mod batch;
pub mod bulk;
pub mod direction;
pub mod element;
pub mod era;
pub mod keys;

use std::borrow::Cow;

use crate::catalogue::label_value::LabelValue;
use crate::host::{Host, HostError};
use batch::Batch;
use element::Element;
use era::Era;

/// The attributes of the current stream, or of the effective one.
#[derive(Clone, Copy)]
pub struct Attributes<'a> {
    host: &'a dyn Host,
    era: Era,
    batch: Option<&'a Batch<'a>>,
}

/// An attribute is null, or has a null in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Null;

/// Which attribute is meant.
#[derive(Clone, Copy, Debug)]
pub enum Path<'a> {
    /// One that a list may bring.
    Listed(Element),
    /// Any other, by its names.
    Named(&'a [&'a str]),
}

// === impl Attributes ===

impl<'a> Attributes<'a> {
    /// Reads from this host.
    pub fn new(host: &'a dyn Host, era: Era) -> Self {
        Self { host, era, batch: None }
    }

    /// The same where some attributes were read before.
    pub fn with_batch(self, batch: &'a Batch<'a>) -> Self {
        Self { batch: Some(batch), ..self }
    }

    /// The attribute's bytes; `None` if it is absent, empty or null.
    pub fn bytes<'p>(&self, path: impl Into<Path<'p>>) -> Option<Cow<'a, [u8]>> {
        let path = path.into();
        match self.fetched(path) {
            Some(bytes) => Some(bytes.into()).filter(|_| !bytes.is_empty()),
            None => self.read(path).map(Cow::Owned),
        }
    }

    fn fetched(&self, path: Path<'_>) -> Option<&'a [u8]> {
        match path {
            Path::Listed(element) => self.batch?.get(element),
            Path::Named(_) => None,
        }
    }

    /// The same of one that no list brings, where a null matters: of an attribute that is
    /// one, or a map or list that holds one, the host cannot tell anything else.
    ///
    /// # Errors
    /// There is a null.
    pub fn unless_null(&self, names: &[&str]) -> Result<Option<Vec<u8>>, Null> {
        match self.ask(names) {
            Ok(bytes) => Ok(bytes.filter(|bytes| !bytes.is_empty())),
            Err(HostError { status: HostError::SERIALIZATION_FAILURE, .. }) => Err(Null),
            Err(_) => Ok(None),
        }
    }

    /// The same where an empty one counts, too.
    pub fn maybe_empty(&self, names: &[&str]) -> Option<Vec<u8>> {
        self.ask(names).ok().flatten()
    }

    fn read(&self, path: Path<'_>) -> Option<Vec<u8>> {
        // What is empty is there: a list can bring it.
        let found = self.maybe_empty(path.names());
        if let (Path::Listed(element), Some(batch)) = (path, self.batch) {
            batch.note(element, found.is_some());
        }
        found.filter(|bytes| !bytes.is_empty())
    }

    /// Asks the host, by the names that it has for an attribute.
    fn ask(&self, names: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
        if let Some(batch) = self.batch {
            batch.note_read();
        }
        self.host.property(match (self.era, names) {
            (Era::Legacy, ["xds", legacy @ ..]) => legacy,
            (_, names) => names,
        })
    }

    /// A text, made safe for a label.
    pub fn label<'p>(&self, path: impl Into<Path<'p>>) -> Option<LabelValue> {
        self.bytes(path).and_then(|bytes| LabelValue::clean(bytes.into_owned()))
    }

    /// A number; times and durations are in nanoseconds.
    pub fn int<'p>(&self, path: impl Into<Path<'p>>) -> Option<i64> {
        let path = path.into();
        let bytes = match self.fetched(path) {
            Some(bytes) => bytes.try_into(),
            None => self.read(path)?.as_slice().try_into(),
        };
        bytes.ok().map(i64::from_le_bytes)
    }

    /// A number that cannot be below zero; below it counts as zero.
    pub fn count<'p>(&self, path: impl Into<Path<'p>>) -> Option<u64> {
        self.int(path).map(|n| u64::try_from(n).unwrap_or(0))
    }

    /// A flag, one byte on the wire.
    pub fn flag<'p>(&self, path: impl Into<Path<'p>>) -> Option<bool> {
        match *self.bytes(path)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
}

// === impl Path ===

impl<'a> Path<'a> {
    /// The names that lead to it, from the top.
    pub fn names(self) -> &'a [&'a str] {
        match self {
            Self::Listed(element) => element.path(),
            Self::Named(names) => names,
        }
    }
}

impl From<Element> for Path<'_> {
    fn from(element: Element) -> Self {
        Self::Listed(element)
    }
}

impl<'a> From<&'a [&'a str]> for Path<'a> {
    fn from(names: &'a [&'a str]) -> Self {
        Self::Named(names)
    }
}

impl<'a, const N: usize> From<&'a [&'a str; N]> for Path<'a> {
    fn from(names: &'a [&'a str; N]) -> Self {
        Self::Named(names)
    }
}
