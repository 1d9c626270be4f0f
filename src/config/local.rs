//! Local facts given in the configuration. Shared by both plugins, which must
//! agree on who they are.

use super::object::Object;
use crate::workload::local::LocalOverrides;

/// Reads the object `local` of a plugin configuration.
pub fn read(config: &mut Object<'_>) -> LocalOverrides {
    let read = |local: &mut Object<'_>| {
        let mut overrides = LocalOverrides::default();
        for (name, fact) in LocalOverrides::fields() {
            overrides.set(fact, local.string(name));
        }
        overrides
    };
    config.object("local", read).unwrap_or_default()
}
