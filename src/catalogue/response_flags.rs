//! Envoy's response flags: from the bitmask to their short names.

use std::borrow::Cow;
use std::fmt::Write;

/// Short names in bit order, as of Envoy 1.40 (`CoreResponseFlag`). Custom
/// flags that other filters register are not in the attribute's bitmask.
pub const NAMES: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", // 0–9
    "FI", "RL", "UAEX", "RLSE", "DC", "URX", "SI", "IH", "DPE", "UMSDR", // 10–19
    "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR", "UDO", // 20–29
];

/// The label `response_flags`: names joined by commas in bit order, `-` if
/// there are none. Bits without a name follow as one decimal number.
///
/// ```
/// # use istio_stats::catalogue::response_flags::label;
/// assert_eq!(label(0), "-");
/// assert_eq!(label(1 << 5 | 1 << 15), "UF,URX");
/// assert_eq!(label(1 << 5 | 1 << 40), "UF,1099511627776");
/// ```
pub fn label(bits: u64) -> Cow<'static, str> {
    if bits == 0 {
        return Cow::Borrowed("-");
    }
    let mut label = String::new();
    let mut unnamed = bits;
    for (bit, name) in NAMES.iter().enumerate() {
        let mask = 1 << bit;
        if bits & mask != 0 {
            unnamed &= !mask;
            separate(&mut label);
            label.push_str(name);
        }
    }
    if unnamed != 0 {
        separate(&mut label);
        // Writing to a String cannot fail.
        let _ = write!(label, "{unnamed}");
    }
    Cow::Owned(label)
}

fn separate(label: &mut String) {
    if !label.is_empty() {
        label.push(',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_has_its_name_in_order() {
        let all = (1u64 << NAMES.len()) - 1;
        assert_eq!(label(all), NAMES.join(","));
        assert_eq!(label(1 << 14), "DC");
        assert_eq!(label(1 << 28), "DR");
        assert_eq!(label(u64::MAX).rsplit(',').next(), Some("18446744072635809792"));
    }
}
