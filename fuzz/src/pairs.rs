//! The host's serialisation of maps: what is read is what another reader finds,
//! and what was written.

use istio_stats::host::fake;
use istio_stats::wire::pairs::{Pairs, MAX_ENTRIES};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

pub fn run(data: &[u8]) {
    let read = Pairs::parse(data).map(entries);
    assert_eq!(read, reference(data));
    if let Some(entries) = read {
        let wire = fake::pairs(&entries);
        assert!(data.starts_with(&wire), "only what follows may differ");
        check_keys(&entries, &wire);
    }

    // Any entries at all are read back.
    let mut parts = data.split(|byte| *byte == 0xff).map(<[u8]>::to_vec);
    let mut written = Entries::new();
    while let Some(key) = parts.next() {
        written.push((key, parts.next().unwrap_or_default()));
    }
    let wire = fake::pairs(&written);
    let read = Pairs::parse(&wire).map(entries);
    assert_eq!(read, Some(written.clone()).filter(|written| written.len() <= MAX_ENTRIES));
    if read.is_some() {
        check_keys(&written, &wire);
        assert_eq!(Pairs::parse(&wire[..wire.len() - 1]), None, "the last NUL is missing");
    }
}

fn entries(pairs: Pairs<'_>) -> Entries {
    pairs.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// Of a key that comes twice, the first entry counts.
fn check_keys(entries: &Entries, wire: &[u8]) {
    let pairs = Pairs::parse(wire).expect("it was written just now");
    // Each look-up walks the entries.
    for (key, _) in entries.iter().take(16) {
        let first = entries.iter().find(|(known, _)| known == key).map(|(_, value)| &value[..]);
        assert_eq!(pairs.get(key), first);
    }
}

/// A reader written from the format alone.
fn reference(data: &[u8]) -> Option<Entries> {
    let number = |at: usize| {
        let bytes = data.get(at..at + 4)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    let count = number(0).filter(|count| *count <= MAX_ENTRIES)?;
    let mut at = 4 + 8 * count;
    let mut take = |length: usize| {
        let taken = data.get(at..at + length)?.to_vec();
        at += length + 1;
        (data.get(at - 1) == Some(&0)).then_some(taken)
    };
    (0..count).map(|n| Some((take(number(4 + 8 * n)?)?, take(number(8 + 8 * n)?)?))).collect()
}
