//! The words of Envoy's CEL.

/// The functions: how many arguments each takes as a method of its first one,
/// and how many as a function.
const FUNCTIONS: [(&str, &[usize], &[usize]); 25] = [
    ("bool", &[], &[1]),
    ("bytes", &[], &[1]),
    ("contains", &[1], &[2]),
    ("double", &[], &[1]),
    ("duration", &[], &[1]),
    ("dyn", &[], &[1]),
    ("endsWith", &[1], &[2]),
    ("getDate", &[0, 1], &[]),
    ("getDayOfMonth", &[0, 1], &[]),
    ("getDayOfWeek", &[0, 1], &[]),
    ("getDayOfYear", &[0, 1], &[]),
    ("getFullYear", &[0, 1], &[]),
    ("getHours", &[0, 1], &[]),
    ("getMilliseconds", &[0, 1], &[]),
    ("getMinutes", &[0, 1], &[]),
    ("getMonth", &[0, 1], &[]),
    ("getSeconds", &[0, 1], &[]),
    ("int", &[], &[1]),
    ("matches", &[1], &[2]),
    ("size", &[0], &[1]),
    ("startsWith", &[1], &[2]),
    ("string", &[], &[1]),
    ("timestamp", &[], &[1]),
    ("type", &[], &[1]),
    ("uint", &[], &[1]),
];

/// The macros: the parser replaces them, so one that is left was written wrongly.
pub(super) const MACROS: [&str; 6] = ["all", "exists", "exists_one", "filter", "has", "map"];

/// What an expression can begin with: Envoy's attributes, and names of types.
pub(super) const NAMES: [&str; 24] = [
    "bool",
    "bytes",
    "connection",
    "destination",
    "double",
    "filter_state",
    "google",
    "int",
    "list",
    "map",
    "metadata",
    "null_type",
    "plugin_name",
    "plugin_root_id",
    "plugin_vm_id",
    "request",
    "response",
    "source",
    "string",
    "type",
    "uint",
    "upstream",
    "upstream_filter_state",
    "xds",
];

/// How many arguments a function takes as a method, and how many as a function.
pub(super) fn arguments_of(name: &str) -> Option<(&'static [usize], &'static [usize])> {
    let (_, method, function) = FUNCTIONS.iter().find(|(known, ..)| *known == name)?;
    Some((method, function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_in_order() {
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
