//! What hosts of different age call the same attribute.

use crate::host::Host;

/// How the host names the attributes of its configuration (node, route,
/// upstream cluster).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Era {
    /// Below `xds`, as Envoy 1.33 and later do.
    #[default]
    Xds,
    /// At the top level.
    Legacy,
}

// === impl Era ===

impl Era {
    /// Finds out at configure time: every node has an id, under one of the names.
    pub fn detect(host: &dyn Host) -> Self {
        let has = |path: &[&str]| matches!(host.property(path), Ok(Some(_)));
        if !has(&["xds", "node", "id"]) && has(&["node", "id"]) {
            Self::Legacy
        } else {
            Self::Xds
        }
    }

    /// The name of today's attribute in an expression for this host.
    pub fn name_of(self, attribute: &str) -> &str {
        match self {
            Self::Xds => attribute,
            Self::Legacy => attribute.strip_prefix("xds.").unwrap_or(attribute),
        }
    }
}
