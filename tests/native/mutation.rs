//! Bytes that went wrong, systematically.

/// Values that lengths, offsets and tags are made of.
const TELLING: [u8; 6] = [0, 1, 4, 0x7f, 0x80, 0xff];

/// Calls with the bytes cut at every length, and with every bit flipped and every
/// byte replaced by a telling one, each alone.
pub fn each_mutation(bytes: &[u8], mut check: impl FnMut(&[u8])) {
    for end in 0..=bytes.len() {
        check(&bytes[..end]);
    }
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        for byte in (0..8).map(|bit| bytes[at] ^ 1 << bit).chain(TELLING) {
            changed[at] = byte;
            check(&changed);
        }
        changed[at] = bytes[at];
    }
}
