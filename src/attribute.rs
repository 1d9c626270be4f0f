//! Typed reads of the proxy's attributes.

use crate::host::Host;
use crate::label::LabelValue;

/// The attributes of the current stream, or of the effective one.
#[derive(Clone, Copy)]
pub struct Attributes<'a> {
    host: &'a dyn Host,
    era: Era,
}

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
}

// === impl Attributes ===

impl<'a> Attributes<'a> {
    /// Reads from this host.
    pub fn new(host: &'a dyn Host, era: Era) -> Self {
        Self { host, era }
    }

    /// The attribute's bytes; `None` if it is absent, empty or null.
    pub fn bytes(&self, path: &[&str]) -> Option<Vec<u8>> {
        let path = match (self.era, path) {
            (Era::Legacy, ["xds", legacy @ ..]) => legacy,
            _ => path,
        };
        self.host.property(path).ok().flatten()
    }

    /// A text, made safe for a label.
    pub fn label(&self, path: &[&str]) -> Option<LabelValue> {
        self.bytes(path).and_then(LabelValue::clean)
    }

    /// A number; times and durations are in nanoseconds.
    pub fn int(&self, path: &[&str]) -> Option<i64> {
        let bytes = self.bytes(path)?.try_into().ok()?;
        Some(i64::from_le_bytes(bytes))
    }

    /// A number that cannot be below zero; below it counts as zero.
    pub fn count(&self, path: &[&str]) -> Option<u64> {
        self.int(path).map(|n| u64::try_from(n).unwrap_or(0))
    }

    /// A flag, one byte on the wire.
    pub fn flag(&self, path: &[&str]) -> Option<bool> {
        match self.bytes(path)?.as_slice() {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
}
