//! Durations, as Go and Abseil write them.

use core::time::Duration;

/// Go's and Abseil's duration syntax: decimal numbers, each with its unit, in
/// whole nanoseconds. `"0"` alone needs no unit. Longer than a day is refused:
/// it is a mistake, and the host's timer counts 32 bits of milliseconds.
pub(super) fn parse(text: &str) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(86_400);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = text;
    let mut nanos = 0u64;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at_checked(rest.find(|c| !is_number(c))?)?;
        let (unit, tail) = tail.split_at_checked(tail.find(is_number).unwrap_or(tail.len()))?;
        let unit_nanos = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" => 1000,
            "ns" => 1,
            _ => return None,
        };
        nanos = nanos.checked_add(decimal_times(number, unit_nanos)?)?;
        rest = tail;
    }
    let duration = Duration::from_nanos(nanos);
    (!text.is_empty() && duration <= DAY).then_some(duration)
}

/// `"1.5"` times a whole number, rounded down.
fn decimal_times(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_decimal = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.len().checked_add(fraction.len())? == 0 || !is_decimal(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut product = whole.checked_mul(factor)?;
    let mut place = factor;
    for digit in fraction.bytes() {
        place /= 10;
        product = product.checked_add(place.checked_mul(u64::from(digit.checked_sub(b'0')?))?)?;
    }
    Some(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_go_syntax() {
        for (text, millis) in [
            ("5s", 5000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("0.5s", 500),
            ("0", 0),
            ("0s", 0),
            (".25s", 250),
            ("1.s", 1000),
            ("24h", 86_400_000),
            ("1500us", 1),
        ] {
            let parsed = parse(text).map(|duration| duration.as_millis());
            assert_eq!(parsed, Some(millis), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "5 s",
            "5x",
            "1e3s",
            "..s",
            ".s",
            "1.2.3s",
            "999999h",
            "24h1ns",
            "99999999999999999999s",
            "5s3",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
