//! The local workload, from the node's metadata.

use super::fact::{Fact, Own};
use super::{cut, Workload};
use crate::host::excerpt::quoted_bytes;
use crate::host::Host;
use crate::wire::structs::{flag_text, number_text};
use crate::wire::text::printable;

/// Reads the local workload, and a warning for each key whose value is neither text,
/// number nor boolean: it counts as absent.
///
/// Keys are read one at a time, since one null anywhere makes a read of the
/// whole map fail. For configure time; costs a dozen hostcalls.
pub fn read(host: &dyn Host) -> (Workload, Vec<String>) {
    let mut metadata = NodeMetadata { host, warnings: Vec::new() };
    let mut workload = Workload::default();
    for row in Fact::ALL.map(Fact::row).into_iter().filter(|row| row.own.is_none()) {
        for key in row.node.keys() {
            let (told, text) = if row.node.is_label() {
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

/// The same with what only a peer's expressions ask for: where it is, and these
/// Kubernetes labels.
pub fn read_further(host: &dyn Host, labels: &[String]) -> (Workload, Vec<String>) {
    let (workload, warnings) = read(host);
    let mut metadata = NodeMetadata { host, warnings };
    let mut workload = workload.asking(labels);
    for name in labels.iter().filter(|name| Fact::of_label(name).is_none()) {
        let text = metadata.text(&["LABELS", name]);
        if let Some(told) = workload.label(name.as_bytes()) {
            *told = text;
        }
    }
    for fact in Fact::ALL {
        if let Some(Own::Locality(name)) = fact.row().own {
            let text = host.property(&["xds", "node", "locality", name]).ok().flatten();
            let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
            workload = workload.with(fact, &text.unwrap_or_default());
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
    /// The text at this key, or what a person would have written for the number or
    /// boolean that YAML or JSON made of it: `CLUSTER_ID: 1`, `app: true`.
    ///
    /// The wire tells no types: a boolean is one byte, a number eight, a map binary.
    /// No name is a byte of 0 or 1, but many have eight letters. What is invalid
    /// UTF-8 or holds a control character is in no name either.
    fn text(&mut self, key: &[&str]) -> Option<String> {
        let (path, bytes) = self.bytes(key)?;
        match *bytes.as_slice() {
            [flag @ (0 | 1)] => return cut(flag_text(flag == 1)),
            [a, b, c, d, e, f, g, h] => {
                let double = f64::from_le_bytes([a, b, c, d, e, f, g, h]);
                let is_printable = printable(&bytes).is_some();
                // A number that can be read as a text, 10.2 say, ends so. To ask is dear: the
                // host keeps 40 kB for each context that ever had an expression.
                let is_text = is_printable && !matches!(h, b'?' | b'@');
                let is_number = || is_number(self.host, &path).unwrap_or(!is_printable);
                if let Some(text) = number_text(double).filter(|_| !is_text && is_number()) {
                    return cut(&text);
                }
            }
            _ => {}
        }
        let Some(text) = printable(&bytes) else {
            let excerpt = quoted_bytes(&bytes);
            self.warn(key, &format!("expected a text, found {} bytes, {excerpt}", bytes.len()));
            return None;
        };
        cut(text)
    }

    /// Below `xds` since Envoy 1.33, at the top level before; with the whole path.
    fn bytes<'k>(&mut self, key: &[&'k str]) -> Option<(Vec<&'k str>, Vec<u8>)> {
        for prefix in [&["xds", "node", "metadata"] as &[&str], &["node", "metadata"]] {
            let path = [prefix, key].concat();
            match self.host.property(&path) {
                Ok(Some(bytes)) => return Some((path, bytes)),
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

/// Whether the host has a number there, which only its expressions tell; `None`: it
/// has none. (Numbers of a `Struct` are doubles.)
fn is_number(host: &dyn Host, path: &[&str]) -> Option<bool> {
    let (root, keys) = path.split_first()?;
    let keys: String = keys.iter().map(|key| format!("['{key}']")).collect();
    let token = host.create_expression(&format!("type({root}{keys}) == double")).ok()?;
    let answer = host.evaluate_expression(token);
    host.delete_expression(token);
    Some(answer.ok()? == [1])
}
