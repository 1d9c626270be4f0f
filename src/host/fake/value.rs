//! Attribute values and their bytes on the wire, as Envoy serialises them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::host::HostError;

/// A typed attribute. The type decides the bytes; the wire does not tell it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// A string or bytes: raw, no terminator.
    Bytes(Vec<u8>),
    /// Any integer or enum: 8 bytes, little endian.
    Int(i64),
    /// Any number inside a protobuf Struct: 8 bytes, little endian.
    Double(f64),
    /// One byte.
    Bool(bool),
    /// A map or Struct: proxy-wasm pairs.
    Map(BTreeMap<String, Value>),
    /// An object of the filter state with fields: they are read one by one; the
    /// whole is a map without entries.
    Fields(BTreeMap<String, Value>),
    /// A list: pairs with the elements as keys and no values.
    List(Vec<Value>),
    /// A null: it has no byte form, nor has any map or list that holds one.
    #[default]
    Null,
}

// === impl Value ===

impl Value {
    /// A map of these entries.
    pub fn map<K: Into<String>, V: Into<Value>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value.into()));
        Self::Map(entries.collect())
    }

    /// An object of these fields.
    pub fn object<K: Into<String>, V: Into<Value>>(fields: impl IntoIterator<Item = (K, V)>) -> Self {
        let fields = fields.into_iter().map(|(key, value)| (key.into(), value.into()));
        Self::Fields(fields.collect())
    }

    /// The bytes that Envoy returns for this value.
    ///
    /// # Errors
    /// The status for a value with no byte form.
    pub fn to_wire(&self) -> Result<Vec<u8>, u32> {
        Ok(match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Int(number) => number.to_le_bytes().to_vec(),
            Self::Double(number) => number.to_le_bytes().to_vec(),
            Self::Bool(flag) => vec![u8::from(*flag)],
            Self::Map(entries) => {
                let pair = |(key, value): (&String, &Value)| Ok((key.clone().into_bytes(), value.to_wire()?));
                pairs(&entries.iter().map(pair).collect::<Result<Vec<_>, u32>>()?)
            }
            Self::Fields(_) => pairs(&[]),
            Self::List(elements) => {
                let pair = |element: &Value| Ok((element.to_wire()?, Vec::new()));
                pairs(&elements.iter().map(pair).collect::<Result<Vec<_>, u32>>()?)
            }
            Self::Null => return Err(HostError::SERIALIZATION_FAILURE),
        })
    }

    /// The value at `path` below this one; list elements by decimal index.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Value> {
        let Some((key, rest)) = path.split_first() else {
            return Some(self);
        };
        let next = match self {
            Self::Map(entries) | Self::Fields(entries) => entries.get(*key),
            Self::List(elements) => elements.get(key.parse::<usize>().ok()?),
            _ => None,
        };
        next?.at(rest)
    }

    /// Puts a value at `path`, making the maps on the way.
    pub(super) fn put(&mut self, path: &[&str], value: Value) {
        let Some((key, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        if !matches!(self, Self::Map(_)) {
            *self = Self::Map(BTreeMap::new());
        }
        if let Self::Map(entries) = self {
            entries.entry((*key).to_owned()).or_insert(Self::Null).put(rest, value);
        }
    }

    /// Forgets the value at `path`.
    pub(super) fn remove(&mut self, path: &[&str]) {
        match (self, path) {
            (Self::Map(entries), [key]) => {
                entries.remove(*key);
            }
            (Self::Map(entries), [key, rest @ ..]) => {
                if let Some(next) = entries.get_mut(*key) {
                    next.remove(rest);
                }
            }
            _ => {}
        }
    }
}

/// The proxy-wasm serialisation of a map: a count, the lengths of all keys and
/// values, then each of them with a terminating NUL.
pub fn pairs(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut wire = length(entries.len()).to_vec();
    for (key, value) in entries {
        wire.extend(length(key.len()));
        wire.extend(length(value.len()));
    }
    for part in entries.iter().flat_map(|(key, value)| [key, value]) {
        wire.extend(part);
        wire.push(0);
    }
    wire
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Bytes(text.into_bytes())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

/// As Envoy has durations: nanoseconds.
impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self::Int(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_lists_serialise_to_pairs() {
        let map = Value::map([("a", Value::from(true)), ("bc", Value::from("x"))]);
        assert_eq!(
            map.to_wire().unwrap(),
            b"\x02\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0a\0\x01\0bc\0x\0"
        );
        let list = Value::List(vec!["http".into()]);
        assert_eq!(list.to_wire().unwrap(), b"\x01\0\0\0\x04\0\0\0\0\0\0\0http\0\0");
        assert_eq!(Value::List(vec![]).to_wire().unwrap(), [0; 4]);
    }

    #[test]
    fn one_null_spoils_every_map_around_it_but_not_its_siblings() {
        let map = Value::map([("in", Value::map([("null", Value::Null), ("text", "x".into())]))]);
        assert_eq!(map.to_wire(), Err(HostError::SERIALIZATION_FAILURE));
        assert_eq!(map.at(&["in", "text"]), Some(&"x".into()));
        assert_eq!(map.at(&["in", "null", "deeper"]), None);
    }
}
