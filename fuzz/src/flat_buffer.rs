//! FlatBuffers tables: what is read is what another reader finds, and what the
//! format's own library wrote.

use istio_stats::wire::flatbuffer::Table;

use super::flat_node;
use super::input::Input;

/// More fields than any table here has.
const FIELDS: usize = 12;
/// Tables of one vector that are looked at.
const TABLES: usize = 64;

pub fn run(data: &[u8]) {
    check(data);
    let mut input = Input(data);
    let texts: Vec<_> = (0..input.below(24)).map(|_| core::str::from_utf8(input.bytes()).ok()).collect();
    check_written(&texts);
}

/// All texts, and the texts of all tables below, against the reference.
fn check(data: &[u8]) {
    let node = Table::root(data).ok();
    let place = reference::table(data, 0);
    assert_eq!(node.is_some(), place.is_some());
    let (Some(node), Some(place)) = (node, place) else {
        return;
    };
    for field in 0..FIELDS {
        assert_eq!(node.text(field).ok(), reference::text(data, place, field));
        for index in 0..TABLES {
            let table = node.table(field, index).ok();
            let found = reference::element(data, place, field, index);
            assert_eq!(table.map(|table| table.is_some()), found.map(|found| found.is_some()));
            let (Some(Some(table)), Some(Some(found))) = (table, found) else {
                break;
            };
            for field in 0..2 {
                assert_eq!(table.text(field).ok(), reference::text(data, found, field));
            }
        }
    }
}

/// Texts as facts, and the rest of them as labels, written by the library.
fn check_written(texts: &[Option<&str>]) {
    const PLACES: [u16; 7] = [0, 1, 3, 4, 6, 7, 9];
    const LABELS: usize = 2;
    let facts: Vec<_> =
        PLACES.into_iter().zip(texts).filter_map(|(place, text)| Some((place, (*text)?))).collect();
    let rest = texts.get(PLACES.len()..).unwrap_or_default();
    let labels: Vec<_> = rest.chunks_exact(2).filter_map(|pair| Some((pair[0]?, pair[1]?))).collect();
    let bytes = flat_node::encode(&facts, &labels);
    check(&bytes);
    let node = Table::root(&bytes).expect("it was written just now");
    for place in PLACES {
        let written = facts.iter().find(|(known, _)| *known == place).map(|(_, text)| *text);
        assert_eq!(node.text(place.into()), Ok(written));
    }
    for (index, (key, value)) in labels.iter().enumerate() {
        let label =
            node.table(LABELS, index).expect("it was written just now").expect("as many as were written");
        assert_eq!((label.text(0), label.text(1)), (Ok(Some(*key)), Ok(Some(*value))));
    }
    assert!(matches!(node.table(LABELS, labels.len()), Ok(None)));
}

/// A reader written from the format alone, in numbers that cannot overflow.
mod reference {
    /// Table and vtable.
    pub(super) type Place = (i64, i64);

    pub(super) fn table(data: &[u8], at: i64) -> Option<Place> {
        let table = at + number(data, at)?;
        let back = number(data, table)?;
        let vtable = table - if back > i64::from(i32::MAX) { back - (1 << 32) } else { back };
        let length = short(data, vtable)?;
        (length >= 4 && bytes(data, vtable, length).is_some()).then_some((table, vtable))
    }

    pub(super) fn text(data: &[u8], place: Place, field: usize) -> Option<Option<&str>> {
        let Some(at) = leads_to(data, place, field)? else {
            return Some(None);
        };
        core::str::from_utf8(bytes(data, at + 4, number(data, at)?)?).ok().map(Some)
    }

    pub(super) fn element(data: &[u8], place: Place, field: usize, index: usize) -> Option<Option<Place>> {
        let index = i64::try_from(index).ok()?;
        let Some(at) = leads_to(data, place, field)? else {
            return Some(None);
        };
        if index >= number(data, at)? {
            return Some(None);
        }
        table(data, at + 4 + 4 * index).map(Some)
    }

    /// `None`: outside; `Some(None)`: absent.
    fn leads_to(data: &[u8], (table, vtable): Place, field: usize) -> Option<Option<i64>> {
        let slot = 4 + 2 * i64::try_from(field).ok()?;
        if slot + 2 > short(data, vtable)? {
            return Some(None);
        }
        match short(data, vtable + slot)? {
            0 => Some(None),
            offset => {
                let at = table + offset + number(data, table + offset)?;
                number(data, at).map(|_| Some(at))
            }
        }
    }

    fn number(data: &[u8], at: i64) -> Option<i64> {
        bytes(data, at, 4)
            .map(|bytes| bytes.iter().rev().fold(0, |number, byte| number << 8 | i64::from(*byte)))
    }

    fn short(data: &[u8], at: i64) -> Option<i64> {
        bytes(data, at, 2).map(|bytes| i64::from(bytes[0]) | i64::from(bytes[1]) << 8)
    }

    fn bytes(data: &[u8], at: i64, length: i64) -> Option<&[u8]> {
        let start = usize::try_from(at).ok()?;
        data.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    }
}
