//! The protobuf wire format, as far as nested messages and strings need it.
//!
//! A reader that holds no tree and does not recurse: nesting, however deep, is
//! bytes until someone reads the next level. It takes 2 kB of a module, where
//! prost with its types took 58 kB of one.

/// Bytes that are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The length-delimited fields of a message, one after the other: strings,
/// bytes and nested messages. Numbers are passed over.
///
/// ```
/// use istio_stats::wire::proto::{Malformed, Message};
/// let mut message = Message::new(b"\x0a\x02hi\x10\x96\x01");
/// assert_eq!(message.next_field(), Ok(Some((1, &b"hi"[..]))));
/// assert_eq!(message.next_field(), Ok(None));
/// assert_eq!(Message::new(b"\x0a\x03hi").next_field(), Err(Malformed));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    rest: &'a [u8],
}

/// The value of a field, by its form on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// A number or flag.
    Varint(u64),
    /// A number of 64 bits, or a double.
    Fixed64(u64),
    /// A number of 32 bits; nothing here reads one.
    Fixed32,
    /// A string, bytes or a nested message.
    Content(&'a [u8]),
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

/// A 64-bit number takes no more bytes, seven bits in each.
const MAX_VARINT_BYTES: usize = 10;

// === impl Message ===

impl<'a> Message<'a> {
    /// Reads from these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next length-delimited field's number and content; `None` at the end.
    ///
    /// # Errors
    /// As [`Self::next_value`].
    pub fn next_field(&mut self) -> Result<Option<(u32, &'a [u8])>, Malformed> {
        while let Some((number, value)) = self.next_value()? {
            if let FieldValue::Content(content) = value {
                return Ok(Some((number, content)));
            }
        }
        Ok(None)
    }

    /// The next field's number and value; `None` at the end.
    ///
    /// # Errors
    /// The bytes end too early, or hold a group or an unknown kind of field.
    pub fn next_value(&mut self) -> Result<Option<(u32, FieldValue<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        if number == 0 {
            return Err(Malformed);
        }
        let value = match tag & 7 {
            VARINT => FieldValue::Varint(self.varint()?),
            FIXED_64 => {
                let bytes = self.take(8)?.try_into().map_err(|_| Malformed)?;
                FieldValue::Fixed64(u64::from_le_bytes(bytes))
            }
            FIXED_32 => {
                self.take(4)?;
                FieldValue::Fixed32
            }
            LENGTH_DELIMITED => {
                let length = self.varint()?;
                FieldValue::Content(self.take(length)?)
            }
            _ => return Err(Malformed),
        };
        Ok(Some((number, value)))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for (byte, shift) in self.take_varint()?.iter().zip((0u32..).step_by(7)) {
            let bits = u64::from(byte & 0x7f);
            let shifted = bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits);
            number |= shifted.ok_or(Malformed)?;
        }
        Ok(number)
    }

    /// The bytes up to the first whose top bit is clear.
    fn take_varint(&mut self) -> Result<&'a [u8], Malformed> {
        let mut candidates = self.rest.iter().take(MAX_VARINT_BYTES);
        let last = candidates.position(|byte| byte & 0x80 == 0).ok_or(Malformed)?;
        let (taken, rest) = self.rest.split_at_checked(last.saturating_add(1)).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Appends a length-delimited field.
pub fn put_field(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    put_varint(out, u64::from(number) << 3 | LENGTH_DELIMITED);
    put_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
