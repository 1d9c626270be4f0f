//! What an expression comes to, in the bytes that Envoy's Wasm plugins are given.

use cel::Value;

use crate::judge::Purpose;

/// The bytes of a value for a purpose; `None` if it has none.
pub(crate) fn bytes_of(value: Value, purpose: Purpose) -> Option<Vec<u8>> {
    match purpose {
        Purpose::Label => text(value),
        Purpose::Value => number(&value).map(|number| number.to_le_bytes().to_vec()),
        Purpose::Condition => match value {
            Value::Bool(flag) => Some(vec![u8::from(flag)]),
            _ => None,
        },
    }
}

/// As CEL's `string()` prints it.
fn text(value: Value) -> Option<Vec<u8>> {
    let text = match value {
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => return String::from_utf8(bytes.to_vec()).ok().map(String::into_bytes),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => double(number),
        _ => return None,
    };
    Some(text.into_bytes())
}

/// As CEL's `int()` has it.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::UInt(number) => i64::try_from(*number).ok(),
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Float(number) => whole(*number),
        _ => None,
    }
}

/// Without what is behind the point, if it is in range.
#[allow(clippy::cast_possible_truncation)]
fn whole(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (number > -LIMIT && number < LIMIT).then_some(number as i64)
}

/// As short as tells it from all others; large and small ones with an exponent.
fn double(number: f64) -> String {
    if !number.is_finite() {
        return if number.is_nan() {
            "nan"
        } else if number < 0.0 {
            "-inf"
        } else {
            "inf"
        }
        .to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printed_as_envoy_prints_them() {
        for (number, text) in [
            (1.5, "1.5"),
            (2.0, "2"),
            (-0.25, "-0.25"),
            (1.0 / 3.0, "0.3333333333333333"),
            (123_456_789.0, "1.23456789e+08"),
            (1e21, "1e+21"),
            (0.00001, "1e-05"),
            (100_000.0, "100000"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(double(number), text);
        }
    }

    #[test]
    fn numbers_are_cut_and_never_wrong() {
        for (value, expected) in [
            (Value::Float(7.9), Some(7)),
            (Value::Float(-7.9), Some(-7)),
            (Value::Float(1e19), None),
            (Value::Float(f64::NAN), None),
            (Value::UInt(u64::MAX), None),
            (Value::Bool(true), Some(1)),
            (Value::String(String::from(" 7").into()), Some(7)),
            (Value::String(String::from("much").into()), None),
            (Value::Null, None),
        ] {
            assert_eq!(number(&value), expected);
        }
    }
}
