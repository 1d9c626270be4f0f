//! The local workload, from the node's metadata.

use super::fact::Fact;
use super::{cut, Workload};
use crate::host::excerpt::quoted_bytes;
use crate::host::Host;

/// Reads the local workload, and a warning for each key whose value is no text: it
/// counts as absent.
///
/// Keys are read one at a time, since one null anywhere makes a read of the
/// whole map fail. For configure time; costs a dozen hostcalls.
pub fn read(host: &dyn Host) -> (Workload, Vec<String>) {
    let mut metadata = NodeMetadata { host, warnings: Vec::new() };
    let mut workload = Workload::default();
    for node in Fact::ALL.map(|fact| fact.row().node) {
        for key in node.keys() {
            let (told, text) = if node.is_label() {
                (workload.label(key.as_bytes()), metadata.text(&["LABELS", key]))
            } else {
                (workload.entry(key.as_bytes()), metadata.text(&[key]))
            };
            if let Some(told) = told {
                *told = text;
            }
        }
    }
    (workload, metadata.warnings)
}

/// The version of Istio that the node's metadata names (`ISTIO_VERSION`).
pub fn istio_version(host: &dyn Host) -> Option<String> {
    let mut node = NodeMetadata { host, warnings: Vec::new() };
    node.text(&["ISTIO_VERSION"])
}

struct NodeMetadata<'a> {
    host: &'a dyn Host,
    warnings: Vec<String>,
}

// === impl NodeMetadata ===

impl NodeMetadata<'_> {
    /// The text at this key. The wire tells no types: a number is eight bytes,
    /// a boolean one, a map binary. What is invalid UTF-8 or holds a control
    /// character is taken for one of those, and is in no name either.
    fn text(&mut self, key: &[&str]) -> Option<String> {
        let bytes = self.bytes(key)?;
        let text = core::str::from_utf8(&bytes).ok();
        let Some(text) = text.filter(|text| !text.chars().any(char::is_control)) else {
            let excerpt = quoted_bytes(&bytes);
            self.warn(key, &format!("expected a text, found {} bytes, {excerpt}", bytes.len()));
            return None;
        };
        cut(text)
    }

    /// Below `xds` since Envoy 1.33, at the top level before.
    fn bytes(&mut self, key: &[&str]) -> Option<Vec<u8>> {
        for prefix in [&["xds", "node", "metadata"] as &[&str], &["node", "metadata"]] {
            match self.host.property(&[prefix, key].concat()) {
                Ok(Some(bytes)) => return Some(bytes),
                Ok(None) => {}
                Err(error) => {
                    self.warn(key, &format!("expected a text, found nothing readable ({error})"));
                    return None;
                }
            }
        }
        None
    }

    fn warn(&mut self, key: &[&str], what: &str) {
        self.warnings.push(format!("node metadata {}: {what}; ignored", key.join(".")));
    }
}
