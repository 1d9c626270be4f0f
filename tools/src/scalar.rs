//! What readers of YAML make of a value that stands there without quotes.

use istio_stats::wire::structs::{flag_text, number_text};
use serde_json::Value;

/// What Envoy's own reader makes of it, which is the older YAML: `yes` is true and
/// `010` is 8. A number with a fraction stays as it is written, and so does an integer
/// of more than 32 bits.
pub(crate) fn in_envoy(written: &str) -> Value {
    match (flag(written), integer(written)) {
        (Some(flag), _) => Value::Bool(flag),
        (_, Some(number)) => match i32::try_from(number) {
            Ok(number) => Value::from(number),
            Err(_) => Value::String(number.to_string()),
        },
        (None, None) => Value::String(written.to_owned()),
    }
}

/// What somebody reads for it who does not read what is written: Envoy itself, or
/// what makes JSON of the YAML before (Helm, kubectl, an API server).
pub(crate) fn misread(written: &str) -> Option<String> {
    let by_envoy = match in_envoy(written) {
        Value::Bool(flag) => flag_text(flag).to_owned(),
        Value::String(text) => text,
        number => number.to_string(),
    };
    let is_number = written.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    let by_others = written.parse().ok().filter(|_| is_number).and_then(number_text);
    [Some(by_envoy), by_others].into_iter().flatten().find(|text| text != written)
}

fn flag(written: &str) -> Option<bool> {
    let word = written.to_ascii_lowercase();
    let is_capitalised = |rest: &str| rest == word.get(1..).unwrap_or_default();
    let is_word = written == word
        || written == word.to_ascii_uppercase()
        || written.get(1..).is_some_and(is_capitalised);
    match word.as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
    .filter(|_| is_word)
}

/// As C reads it: hexadecimal after `0x`, octal after `0`.
fn integer(written: &str) -> Option<i64> {
    let (sign, digits) = match written.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", written.strip_prefix('+').unwrap_or(written)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    let is_digits = digits.chars().all(|c| c.is_digit(radix));
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok().filter(|_| is_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_misreads_what_is_told() {
        for (written, read) in [
            ("1.10", "1.1"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("010", "8"),
            ("08", "8"),
            ("0x1F", "31"),
            ("+5", "5"),
            ("12345678901234567", "12345678901234568"),
            ("yes", "true"),
            ("No", "false"),
            ("TRUE", "true"),
            ("n", "false"),
        ] {
            assert_eq!(misread(written).as_deref(), Some(read), "{written}");
        }
        for written in ["1", "-7", "1.1", "20261129", "true", "east", "1.2.3", "yEs", "nobody", "", "é"] {
            assert_eq!(misread(written), None, "{written}");
        }
    }

    #[test]
    fn envoy_keeps_fractions_and_long_integers() {
        for (written, read) in [
            ("1.10", "\"1.10\""),
            ("4294967296", "\"4294967296\""),
            ("7", "7"),
            ("on", "true"),
            ("08", "\"08\""),
        ] {
            assert_eq!(in_envoy(written).to_string(), read, "{written}");
        }
    }
}
