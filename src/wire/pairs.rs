//! The proxy-wasm serialisation of maps and lists.
//!
//! A count of entries; for each the lengths of key and value; then each key and
//! value followed by a NUL. Numbers are 32 bits, little endian. A list has its
//! elements as keys and no values. Types are not told.

/// Most entries that are accepted: far above any node's labels or any request's
/// headers, and a bound on what a decoder's user may be made to loop over.
pub const MAX_ENTRIES: usize = 4096;

/// Length of a number.
const NUMBER: usize = 4;

/// What the elements of a list take, mostly.
const TYPICAL_BYTES: usize = 512;

/// A serialised map whose lengths all fit, so that its entries can be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs<'a> {
    lengths: &'a [u8],
    contents: &'a [u8],
}

// === impl Pairs ===

impl<'a> Pairs<'a> {
    /// Checks the lengths; `None` if the bytes are no map. Bytes after the last
    /// entry are allowed.
    ///
    /// ```
    /// use istio_stats::wire::pairs::Pairs;
    /// let bytes = b"\x01\0\0\0\x03\0\0\0\x04\0\0\0app\0shop\0";
    /// let pairs = Pairs::parse(bytes).unwrap();
    /// assert_eq!(pairs.get(b"app"), Some(&b"shop"[..]));
    /// assert!(Pairs::parse(&bytes[..19]).is_none());
    /// ```
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (count, entries) = walk(bytes)?;
        (entries.clone().count() == count).then_some(entries.rest)
    }

    /// The entries in the order of the wire.
    pub fn iter(&self) -> Iter<'a> {
        Iter { rest: *self }
    }

    /// The value of the first entry with this key.
    pub fn get(&self, key: &[u8]) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == key).map(|(_, value)| value)
    }
}

impl<'a> IntoIterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The number of entries, and these as far as their lengths fit: for one look at each,
/// where a check of all beforehand would double it.
pub fn walk(bytes: &[u8]) -> Option<(usize, Iter<'_>)> {
    let (count, rest) = split_number(bytes)?;
    if count > MAX_ENTRIES {
        return None;
    }
    let (lengths, contents) = rest.split_at_checked(count.checked_mul(2 * NUMBER)?)?;
    Some((count, Iter { rest: Pairs { lengths, contents } }))
}

/// The number of entries, and the lengths of key and value of the last `few`.
pub fn last_lengths(bytes: &[u8], few: usize) -> Option<(usize, impl Iterator<Item = (usize, usize)> + '_)> {
    let (count, Iter { rest: Pairs { lengths, .. } }) = walk(bytes)?;
    let last = lengths.get(count.checked_sub(few)?.checked_mul(2 * NUMBER)?..)?;
    let both = |pair| {
        let (key, rest) = split_number(pair)?;
        Some((key, split_number(rest)?.0))
    };
    Some((count, last.chunks_exact(2 * NUMBER).filter_map(both)))
}

/// A list of so many elements, whose bytes `append` appends.
///
/// ```
/// use istio_stats::wire::pairs;
/// let list = pairs::list(2, ["app", "shop"].iter(), |text, bytes| bytes.extend_from_slice(text.as_bytes()));
/// assert_eq!(list, b"\x02\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0app\0\0shop\0\0");
/// ```
pub fn list<T>(
    count: usize,
    elements: impl Iterator<Item = T>,
    mut append: impl FnMut(T, &mut Vec<u8>),
) -> Vec<u8> {
    let lengths = count.saturating_mul(2 * NUMBER);
    let mut bytes = Vec::with_capacity(lengths.saturating_add(NUMBER + TYPICAL_BYTES));
    bytes.resize(lengths.saturating_add(NUMBER), 0);
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(first) = bytes.first_chunk_mut() {
        *first = number(count);
    }
    for (place, element) in (NUMBER..).step_by(2 * NUMBER).zip(elements.take(count)) {
        let begin = bytes.len();
        append(element, &mut bytes);
        let length = number(bytes.len().saturating_sub(begin));
        if let Some(own) = bytes.get_mut(place..).and_then(<[u8]>::first_chunk_mut) {
            *own = length;
        }
        bytes.extend_from_slice(&[0; 2]);
    }
    bytes
}

/// Walks the entries of [`Pairs`]: key and value.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: Pairs<'a>,
}

// === impl Iter ===

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (key_length, lengths) = split_number(self.rest.lengths)?;
        let (value_length, lengths) = split_number(lengths)?;
        let (key, contents) = split_terminated(self.rest.contents, key_length)?;
        let (value, contents) = split_terminated(contents, value_length)?;
        self.rest = Pairs { lengths, contents };
        Some((key, value))
    }
}

fn split_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<NUMBER>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn split_terminated(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (content, rest) = bytes.split_at_checked(length)?;
    let (terminator, rest) = rest.split_first()?;
    (*terminator == 0).then_some((content, rest))
}
