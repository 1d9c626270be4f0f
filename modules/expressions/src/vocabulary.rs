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
pub(crate) const MACROS: [&str; 6] = ["all", "exists", "exists_one", "filter", "has", "map"];

/// Envoy's attributes.
const ATTRIBUTES: [&str; 13] = [
    "connection",
    "destination",
    "filter_state",
    "metadata",
    "plugin_name",
    "plugin_root_id",
    "plugin_vm_id",
    "request",
    "response",
    "source",
    "upstream",
    "upstream_filter_state",
    "xds",
];

/// Names of types, and what such begin with.
const TYPES: [&str; 11] =
    ["bool", "bytes", "double", "google", "int", "list", "map", "null_type", "string", "type", "uint"];

/// What an expression can begin with.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ATTRIBUTES.into_iter().chain(TYPES)
}

/// Whether a name is that of an attribute of Envoy's.
pub(crate) fn is_attribute(name: &str) -> bool {
    ATTRIBUTES.contains(&name)
}

/// Whether a name is that of a type, or begins one.
pub(crate) fn is_of_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// How many arguments a function takes as a method, and how many as a function.
pub(crate) fn arguments_of(name: &str) -> Option<(&'static [usize], &'static [usize])> {
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
