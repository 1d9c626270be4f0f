//! What is to be recorded where, whatever said so.

use istio_stats::attachment::Attachment;
use serde_json::{Map, Value};

/// A configuration of the stats plugin.
pub(super) type Config = Map<String, Value>;

/// Whose traffic a filter sees, in Istio's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    Outbound,
    Inbound,
    Gateway,
    Waypoint,
}

/// Which proxies something is for: the wider comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    /// `None`: the whole mesh.
    pub(super) namespace: Option<String>,
    /// The name of what chooses some of the namespace's proxies; none: all of them.
    pub(super) chosen_by: Option<String>,
    /// The labels that they have.
    pub(super) labels: Vec<(String, String)>,
    /// The gateways or services that are targeted.
    pub(super) targets: Vec<Target>,
}

/// An element of `targetRefs`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) name: String,
}

/// What the proxies of a scope record.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) scope: Scope,
    configs: Vec<(Context, Attachment, Config)>,
}

// === impl Context ===

impl Context {
    /// What `match.context` of an EnvoyFilter says, if it is about one.
    pub(super) fn of_patch(name: &str) -> Option<Self> {
        Some(match name {
            "SIDECAR_OUTBOUND" => Self::Outbound,
            "SIDECAR_INBOUND" => Self::Inbound,
            "GATEWAY" => Self::Gateway,
            "WAYPOINT" => Self::Waypoint,
            _ => return None,
        })
    }

    /// Whether it takes what is for servers, not for clients, in a Telemetry.
    pub(super) fn is_server(self) -> bool {
        matches!(self, Self::Inbound | Self::Waypoint)
    }
}

// === impl Scope ===

impl Scope {
    /// All proxies of a namespace; of the mesh if it is the root namespace.
    pub(super) fn of_namespace(namespace: &str, root: &str) -> Self {
        Self { namespace: (namespace != root).then(|| namespace.to_owned()), ..Self::default() }
    }

    /// Whether its proxies are among those of the other.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let narrows = other.namespace.is_none() || self.namespace == other.namespace;
        narrows && (other.chosen_by.is_none() || self == other)
    }

    /// The contexts that its proxies have.
    pub(super) fn contexts(&self) -> &'static [Context] {
        match &self.targets[..] {
            [] => &[Context::Outbound, Context::Inbound, Context::Gateway],
            targets if targets.iter().any(Target::is_waypoint) => &[Context::Waypoint],
            _ => &[Context::Gateway],
        }
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        match (&self.namespace, &self.chosen_by) {
            (None, None) => "the whole mesh".to_owned(),
            (Some(namespace), None) => format!("namespace {namespace}"),
            (None, Some(name)) => format!("what {name} chooses in the root namespace"),
            (Some(namespace), Some(name)) => format!("what {name} chooses in namespace {namespace}"),
        }
    }

    /// Tells the names of its resources from those of others.
    pub(super) fn suffix(&self) -> String {
        let parts = self.namespace.iter().chain(&self.chosen_by);
        parts.map(|part| format!("-{part}")).collect()
    }
}

// === impl Target ===

impl Target {
    /// Services have waypoints; a Gateway may be one, which only its name tells.
    pub(super) fn is_waypoint(&self) -> bool {
        match self.kind.as_str() {
            "Gateway" | "GatewayClass" => self.name.contains("waypoint"),
            _ => true,
        }
    }
}

// === impl Plan ===

impl Plan {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, configs: Vec::new() }
    }

    pub(super) fn set(&mut self, context: Context, attachment: Attachment, config: Config) {
        self.configs.push((context, attachment, config));
    }

    /// The configuration there; `None`: nothing is recorded.
    pub(super) fn get(&self, context: Context, attachment: Attachment) -> Option<&Config> {
        let here = |known: &&(Context, Attachment, Config)| known.0 == context && known.1 == attachment;
        self.configs.iter().find(here).map(|(.., config)| config)
    }

    pub(super) fn configs(&self) -> impl Iterator<Item = &Config> {
        self.configs.iter().map(|(.., config)| config)
    }

    pub(super) fn configs_mut(&mut self) -> impl Iterator<Item = (Attachment, &mut Config)> {
        self.configs.iter_mut().map(|(_, attachment, config)| (*attachment, config))
    }
}

/// Puts one configuration on top of another, as protobuf merges: lists one behind the
/// other, everything else replaced.
pub(super) fn overlay(config: &mut Config, more: &Config) {
    for (key, value) in more {
        match (config.get_mut(key), value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more.iter().cloned()),
            _ => {
                config.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(namespace: Option<&str>, chosen_by: Option<&str>) -> Scope {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Scope { namespace: owned(namespace), chosen_by: owned(chosen_by), ..Scope::default() }
    }

    #[test]
    fn scopes_lie_within_each_other() {
        let mesh = Scope::of_namespace("root", "root");
        let (shop, bank) = (scope(Some("shop"), None), scope(Some("bank"), None));
        let (ledger, gateway) = (scope(Some("shop"), Some("ledger")), scope(None, Some("gateway")));
        assert!(shop.is_within(&mesh) && ledger.is_within(&shop) && ledger.is_within(&mesh));
        assert!(gateway.is_within(&mesh) && mesh.is_within(&mesh));
        assert!(!mesh.is_within(&shop) && !shop.is_within(&bank) && !ledger.is_within(&bank));
        assert!(!ledger.is_within(&gateway) && !shop.is_within(&ledger) && !shop.is_within(&gateway));
        let mut all = [&ledger, &shop, &mesh];
        all.sort();
        assert_eq!(all, [&mesh, &shop, &ledger], "the wider comes first");
    }
}
