//! Where a definition stands in a configuration.

use istio_stats::config::parse;

use crate::find::found::Found;

/// The plugin leaves out definitions that it cannot follow, so the place in the
/// list is looked up.
pub(super) fn path_of_definition(found: &Found, name: &str) -> String {
    let root = found.configuration.bytes.as_ref().ok().and_then(|bytes| parse::root(bytes).ok());
    let index = root.as_ref().and_then(|root| {
        let definitions = root.get("definitions")?.as_array()?;
        definitions.iter().position(|entry| entry.get("name").is_some_and(|known| known == name))
    });
    format!("definitions[{}].value", index.unwrap_or_default())
}
