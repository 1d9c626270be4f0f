//! What our exchange leaves of an HTTP peer: what that told, and how many bytes of the
//! message to it are the exchange's own, so that nobody has to look once more.
//!
//! A NUL stands between: no header can hold one, so no peer can write the number.

/// More digits are no number of ours.
const MAX_DIGITS: usize = 6;

/// What a peer told, with the size of what it is told.
///
/// ```
/// use istio_stats::peer::told::{join, split};
/// assert_eq!(split(&join(b"CgA=", 705)), (&b"CgA="[..], 705));
/// assert_eq!(split(b"CgA="), (&b"CgA="[..], 0));
/// ```
pub fn join(told: &[u8], added_bytes: usize) -> Vec<u8> {
    let mut joined = told.to_vec();
    if added_bytes > 0 {
        joined.push(0);
        joined.extend(added_bytes.to_string().bytes());
    }
    joined
}

/// The two apart. Istio's own forms, which hold NULs, stay whole.
pub fn split(joined: &[u8]) -> (&[u8], u64) {
    let mut parts = joined.split(|byte| *byte == 0);
    let (Some(told), Some(digits), None) = (parts.next(), parts.next(), parts.next()) else {
        return (joined, 0);
    };
    let number = core::str::from_utf8(digits).ok().filter(|digits| digits.len() <= MAX_DIGITS);
    match number.and_then(|number| number.parse().ok()) {
        Some(added_bytes) => (told, added_bytes),
        None => (joined, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_of_ours_stays() {
        for whole in
            [&b""[..], b"a", b"a\0", b"a\0b", b"a\0-1", b"a\x001234567", b"\x01\0\0\0a\x007", b"a\0\xff"]
        {
            assert_eq!(split(whole), (whole, 0), "{whole:?}");
        }
        assert_eq!(join(b"a", 0), b"a");
    }
}
