//! FlatBuffers, as far as tables of texts and of tables need them.
//!
//! Everything is an offset to somewhere else. Each is followed once for each
//! question, and only to where bytes are, so that an answer costs the same
//! whatever they are. Alignment is not relied on. Numbers are little endian.

/// Bytes that are no FlatBuffers table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A table: fields by index, each there or absent.
///
/// ```
/// use istio_stats::wire::flatbuffer::{Malformed, Table};
/// let bytes = b"\x0a\0\0\0\x06\0\x08\0\x04\0\x06\0\0\0\x04\0\0\0\x02\0\0\0hi\0";
/// let table = Table::root(bytes).unwrap();
/// assert_eq!((table.text(0), table.text(1)), (Ok(Some("hi")), Ok(None)));
/// assert_eq!(Table::root(&bytes[..23]).unwrap().text(0), Err(Malformed));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    bytes: &'a [u8],
    /// Where the table begins.
    at: usize,
    /// Where in the table its fields are, two bytes each; zero: absent.
    fields: &'a [u8],
}

/// Length of an offset, a count or a text's length.
const NUMBER: usize = 4;
/// Length of what precedes the fields in a table's vtable: its own length and
/// the table's.
const VTABLE_HEADER: usize = 4;

// === impl Table ===

impl<'a> Table<'a> {
    /// The table that the bytes begin with an offset to.
    ///
    /// # Errors
    /// There is no table.
    pub fn root(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::at(bytes, 0)
    }

    /// The text of a field; `None` if it is absent.
    ///
    /// # Errors
    /// The field leads to nowhere, or to what is not UTF-8.
    pub fn text(&self, field: usize) -> Result<Option<&'a str>, Malformed> {
        let Some((length, start)) = self.counted(field)? else {
            return Ok(None);
        };
        let text = self.bytes.get(start..).and_then(|rest| rest.get(..length)).ok_or(Malformed)?;
        core::str::from_utf8(text).map(Some).map_err(|_| Malformed)
    }

    /// The table at `index` of a field's vector; `None` after the last one, or
    /// if the field is absent. Whatever the vector says of its length, there
    /// are fewer than a quarter of the bytes' number.
    ///
    /// # Errors
    /// Field or vector lead to nowhere.
    pub fn table(&self, field: usize, index: usize) -> Result<Option<Self>, Malformed> {
        match self.counted(field)? {
            Some((count, start)) if index < count => {
                let at = index.checked_mul(NUMBER).and_then(|offset| start.checked_add(offset));
                Self::at(self.bytes, at.ok_or(Malformed)?).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The table that the offset at `at` leads to.
    fn at(bytes: &'a [u8], at: usize) -> Result<Self, Malformed> {
        let at = follow(bytes, at)?;
        // A signed number, subtracted; out of range it leads to nowhere.
        let back = u32::from_le_bytes(array(bytes, at)?);
        let vtable = u32::try_from(at).map_err(|_| Malformed)?.wrapping_sub(back);
        let vtable = usize::try_from(vtable).ok().and_then(|at| bytes.get(at..)).ok_or(Malformed)?;
        let length = u16::from_le_bytes(array(vtable, 0)?);
        let fields = vtable.get(VTABLE_HEADER..length.into()).ok_or(Malformed)?;
        Ok(Self { bytes, at, fields })
    }

    /// The number that a field leads to, and where what it counts begins.
    fn counted(&self, field: usize) -> Result<Option<(usize, usize)>, Malformed> {
        // Tables end with the last field that is there.
        let offset = field.checked_mul(2).and_then(|at| array(self.fields, at).ok()).map(u16::from_le_bytes);
        let Some(offset) = offset.filter(|offset| *offset != 0) else {
            return Ok(None);
        };
        let at = self.at.checked_add(offset.into()).ok_or(Malformed)?;
        let at = follow(self.bytes, at)?;
        Ok(Some((number(self.bytes, at)?, at.checked_add(NUMBER).ok_or(Malformed)?)))
    }
}

/// Where the offset at `at` leads to; it counts from itself.
fn follow(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    at.checked_add(number(bytes, at)?).ok_or(Malformed)
}

fn number(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    usize::try_from(u32::from_le_bytes(array(bytes, at)?)).map_err(|_| Malformed)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().ok_or(Malformed)
}
