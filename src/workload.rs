//! A deployment-like unit and what is known of it: the local one from the
//! node's metadata, a peer's from the metadata it sent.

pub mod labels;

use crate::config::local::LocalOverrides;
use crate::host::excerpt::quoted_bytes;
use crate::host::Host;

/// Raw facts of a workload; nothing stands in for what is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Name of the pod or instance (`NAME`).
    pub name: Option<String>,
    /// Its Kubernetes namespace (`NAMESPACE`).
    pub namespace: Option<String>,
    /// Name of the deployment or the like (`WORKLOAD_NAME`).
    pub workload_name: Option<String>,
    /// Kubernetes cluster it runs in (`CLUSTER_ID`).
    pub cluster_id: Option<String>,
    /// Mesh it is part of (`MESH_ID`).
    pub mesh_id: Option<String>,
    /// URL of the controlling Kubernetes object (`OWNER`).
    pub owner: Option<String>,
    /// Application: label `app.kubernetes.io/name`, else `app`.
    pub app: Option<String>,
    /// Its version: label `app.kubernetes.io/version`, else `version`.
    pub app_version: Option<String>,
    /// Label `service.istio.io/canonical-name`.
    pub canonical_service: Option<String>,
    /// Label `service.istio.io/canonical-revision`.
    pub canonical_revision: Option<String>,
    /// The Kubernetes labels that the fields above come from, as they were
    /// found, for whoever tells a peer; in the order of [`LABEL_KEYS`].
    pub labels: [Option<String>; LABEL_KEYS.len()],
}

/// The Kubernetes labels that become dimensions.
pub const LABEL_KEYS: [&str; 6] = [
    "app",
    "app.kubernetes.io/name",
    "app.kubernetes.io/version",
    "service.istio.io/canonical-name",
    "service.istio.io/canonical-revision",
    "version",
];

/// Longest fact in bytes; a label's value is no longer either.
pub const MAX_FACT_BYTES: usize = 256;

// === impl Workload ===

impl Workload {
    /// The local workload, from the node's metadata, and a warning for each key
    /// whose value is no text: it counts as absent.
    ///
    /// Keys are read one at a time, since one null anywhere makes a read of the
    /// whole map fail. For configure time; costs a dozen hostcalls.
    pub fn from_node_metadata(host: &dyn Host) -> (Self, Vec<String>) {
        let mut node = NodeMetadata { host, warnings: Vec::new() };
        let labels = LABEL_KEYS.map(|label| node.text(&["LABELS", label]));
        let workload = Self {
            name: node.text(&["NAME"]),
            namespace: node.text(&["NAMESPACE"]),
            workload_name: node.text(&["WORKLOAD_NAME"]),
            cluster_id: node.text(&["CLUSTER_ID"]),
            mesh_id: node.text(&["MESH_ID"]),
            owner: node.text(&["OWNER"]),
            ..Self::default()
        };
        (workload.with_labels(labels), node.warnings)
    }

    /// The workload with these Kubernetes labels (in the order of
    /// [`LABEL_KEYS`]) and all that follows from them.
    #[must_use]
    pub fn with_labels(self, labels: [Option<String>; LABEL_KEYS.len()]) -> Self {
        let [app, recommended_app, recommended_version, canonical_service, canonical_revision, version] =
            &labels;
        Self {
            app: recommended_app.as_ref().or(app.as_ref()).cloned(),
            app_version: recommended_version.as_ref().or(version.as_ref()).cloned(),
            canonical_service: canonical_service.clone(),
            canonical_revision: canonical_revision.clone(),
            labels,
            ..self
        }
    }

    /// The workload with what the configuration says in place of what the node
    /// says. An empty text takes the fact away.
    #[must_use]
    pub fn overridden(mut self, overrides: &LocalOverrides) -> Self {
        let LocalOverrides {
            workload_name,
            namespace,
            cluster_id,
            app,
            app_version,
            canonical_service,
            canonical_revision,
        } = overrides;
        for (fact, given) in [
            (&mut self.workload_name, workload_name),
            (&mut self.namespace, namespace),
            (&mut self.cluster_id, cluster_id),
        ] {
            replace(fact, given);
        }
        let mut labels = core::mem::take(&mut self.labels);
        let [plain_app, recommended_app, recommended_version, service, revision, plain_version] = &mut labels;
        for (label, given) in [
            (plain_app, app),
            (plain_version, app_version),
            (service, canonical_service),
            (revision, canonical_revision),
        ] {
            replace(label, given);
        }
        // These would win over the labels that were given.
        for (label, given) in [(recommended_app, app), (recommended_version, app_version)] {
            if given.is_some() {
                *label = None;
            }
        }
        self.with_labels(labels)
    }
}

/// The version of Istio that the node's metadata names (`ISTIO_VERSION`).
pub fn istio_version(host: &dyn Host) -> Option<String> {
    let mut node = NodeMetadata { host, warnings: Vec::new() };
    node.text(&["ISTIO_VERSION"])
}

fn replace(fact: &mut Option<String>, given: &Option<String>) {
    if let Some(given) = given {
        *fact = cut(given);
    }
}

/// At most [`MAX_FACT_BYTES`] of a text, whole characters only; `None` if it is
/// empty.
pub(crate) fn cut(text: &str) -> Option<String> {
    let ends = text.char_indices().map(|(start, c)| start.saturating_add(c.len_utf8()));
    let end = ends.take_while(|end| *end <= MAX_FACT_BYTES).last()?;
    text.get(..end).map(str::to_owned)
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
