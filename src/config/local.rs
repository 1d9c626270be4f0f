//! Local facts given in the configuration, for proxies whose node metadata
//! cannot be set. Shared by both plugins, which must agree on who they are.

use super::reader::Object;

/// Overrides of the node metadata; `None` keeps what the node says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalOverrides {
    /// Replaces `WORKLOAD_NAME`.
    pub workload_name: Option<String>,
    /// Replaces `NAMESPACE`.
    pub namespace: Option<String>,
    /// Replaces `CLUSTER_ID`.
    pub cluster_id: Option<String>,
    /// Replaces the label `app`.
    pub app: Option<String>,
    /// Replaces the label `version`.
    pub app_version: Option<String>,
    /// Replaces the label `service.istio.io/canonical-name`.
    pub canonical_service: Option<String>,
    /// Replaces the label `service.istio.io/canonical-revision`.
    pub canonical_revision: Option<String>,
}

// === impl LocalOverrides ===

impl LocalOverrides {
    /// Reads the object `local` of a plugin configuration.
    pub fn read(config: &mut Object<'_>) -> Self {
        let read = |local: &mut Object<'_>| {
            let mut text = |key| local.string(key).map(str::to_owned);
            Self {
                workload_name: text("workload_name"),
                namespace: text("namespace"),
                cluster_id: text("cluster_id"),
                app: text("app"),
                app_version: text("version"),
                canonical_service: text("canonical_service"),
                canonical_revision: text("canonical_revision"),
            }
        };
        config.object("local", read).unwrap_or_default()
    }
}
