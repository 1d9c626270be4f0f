//! What is known of a workload: one table of facts, each with its names wherever
//! it is told, and the labels that show it.
//!
//! A new label of a workload is two rows in [`crate::catalogue::dimension`] and one
//! here: who reads the node, decodes peers, applies the configuration's `local`,
//! rewrites expressions and fills labels goes by this table.

use crate::catalogue::dimension::{Dimension, Dimensions};
use crate::catalogue::reporter::Reporter;
use crate::collections::set::{Numbered, Set};

/// What the table says of a fact.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Where the node's metadata has it.
    pub node: Node,
    /// Its name in the objects that Istio's exchange leaves, since 1.24.
    pub object: Option<&'static str>,
    /// Its field in the FlatBuffers table FlatNode, which Istio left before that.
    /// (Kubernetes labels are in a vector of their own.)
    pub flat_node: Option<usize>,
    /// Its position in the metadata of an endpoint.
    pub endpoint: Option<usize>,
    /// Its name in the configuration's `local`; expressions may name it so, too,
    /// as FlatNode did.
    pub local: Option<&'static str>,
    /// Further names that expressions may have for it: FlatNode's.
    pub spelled: Option<&'static [&'static str]>,
    /// Where a node has it of itself, if that is not its metadata.
    pub own: Option<Own>,
    /// The labels that show it: of the source, and of the destination.
    pub labels: Option<[Dimension; 2]>,
    /// What they show where it is missing.
    pub missing: Missing,
}

/// Where the node's metadata has a fact.
#[derive(Clone, Copy, Debug)]
pub enum Node {
    /// Under this key.
    Key(&'static [&'static str; 1]),
    /// Under the first of these Kubernetes labels that is there.
    Labels(&'static [&'static str]),
    /// Nowhere.
    Nowhere,
}

/// Where a node has a fact of itself that its metadata does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// In its locality, under this name.
    Locality(&'static str),
    /// It does not say it, and is not asked: only other proxies tell it of peers.
    Untold,
}

/// What stands for a fact that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// `unknown`.
    Unknown,
    /// `latest`, where the side's revision is known at all.
    Latest,
    /// The name of the workload, as a service of its own.
    Workload,
}

macro_rules! facts {
    ($($(#[doc = $doc:literal])+ $variant:ident $row:tt)*) => {
        /// A fact of a workload.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Fact {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Fact {
            /// Every fact.
            pub const ALL: [Self; [$(stringify!($variant)),*].len()] = [$(Self::$variant),*];

            /// What the table says of it.
            pub const fn row(self) -> Row {
                match self {
                    $(Self::$variant => facts!(@row $row),)*
                }
            }
        }
    };
    (@row { node: $node:expr, missing: $missing:ident, $($column:ident: $value:expr,)* }) => {
        {
            let mut row = UNTOLD;
            row.node = $node;
            row.missing = Missing::$missing;
            $(row.$column = Some($value);)*
            row
        }
    };
}

/// The columns that a row leaves out.
const UNTOLD: Row = Row {
    node: Node::Nowhere,
    object: None,
    flat_node: None,
    endpoint: None,
    local: None,
    spelled: None,
    own: None,
    labels: None,
    missing: Missing::Unknown,
};

facts! {
    /// The application it is part of.
    App {
        node: Node::Labels(&["app.kubernetes.io/name", "app"]),
        missing: Unknown,
        object: "app",
        local: "app",
        labels: [Dimension::SourceApp, Dimension::DestinationApp],
    }
    /// The version of that application.
    AppVersion {
        node: Node::Labels(&["app.kubernetes.io/version", "version"]),
        missing: Unknown,
        object: "version",
        local: "version",
        labels: [Dimension::SourceVersion, Dimension::DestinationVersion],
    }
    /// The canonical service that its Kubernetes label names.
    CanonicalService {
        node: Node::Labels(&["service.istio.io/canonical-name"]),
        missing: Workload,
        object: "service",
        endpoint: 2,
        local: "canonical_service",
        labels: [Dimension::SourceCanonicalService, Dimension::DestinationCanonicalService],
    }
    /// The canonical revision that its Kubernetes label names.
    CanonicalRevision {
        node: Node::Labels(&["service.istio.io/canonical-revision"]),
        missing: Latest,
        object: "revision",
        endpoint: 3,
        local: "canonical_revision",
        labels: [Dimension::SourceCanonicalRevision, Dimension::DestinationCanonicalRevision],
    }
    /// Name of the pod or instance.
    Name {
        node: Node::Key(&["NAME"]),
        missing: Unknown,
        object: "name",
        flat_node: 0,
    }
    /// Its Kubernetes namespace.
    Namespace {
        node: Node::Key(&["NAMESPACE"]),
        missing: Unknown,
        object: "namespace",
        flat_node: 1,
        endpoint: 1,
        local: "namespace",
        labels: [Dimension::SourceWorkloadNamespace, Dimension::DestinationWorkloadNamespace],
    }
    /// Name of the workload: a deployment or the like.
    Workload {
        node: Node::Key(&["WORKLOAD_NAME"]),
        missing: Unknown,
        object: "workload",
        flat_node: 4,
        endpoint: 0,
        local: "workload_name",
        labels: [Dimension::SourceWorkload, Dimension::DestinationWorkload],
    }
    /// Kubernetes cluster it runs in, byte for byte as its proxy says it.
    ClusterId {
        node: Node::Key(&["CLUSTER_ID"]),
        missing: Unknown,
        object: "cluster",
        flat_node: 9,
        endpoint: 4,
        local: "cluster_id",
        labels: [Dimension::SourceClusterId, Dimension::DestinationClusterId],
    }
    /// Mesh it is part of.
    MeshId {
        node: Node::Key(&["MESH_ID"]),
        missing: Unknown,
        flat_node: 7,
        spelled: &["mesh_id", "mesh"],
    }
    /// URL of the controlling Kubernetes object.
    Owner {
        node: Node::Key(&["OWNER"]),
        missing: Unknown,
        flat_node: 3,
        spelled: &["owner"],
    }
    /// SPIFFE identity, as workload discovery or baggage tell it.
    Identity {
        node: Node::Key(&["IDENTITY"]),
        missing: Unknown,
        object: "identity",
        own: Own::Untold,
    }
    /// Region of its cloud.
    Region {
        node: Node::Key(&["REGION"]),
        missing: Unknown,
        object: "region",
        own: Own::Locality("region"),
    }
    /// Zone of that region.
    Zone {
        node: Node::Key(&["AVAILABILITY_ZONE"]),
        missing: Unknown,
        object: "availability_zone",
        spelled: &["zone"],
        own: Own::Locality("zone"),
    }
    /// Version of Istio that its proxy belongs to.
    IstioVersion {
        node: Node::Key(&["ISTIO_VERSION"]),
        missing: Unknown,
        flat_node: 6,
        spelled: &["istio_version"],
        own: Own::Untold,
    }
}

/// Some of the facts.
pub type Facts = Set<Fact>;

/// Labels that facts of the source's workload fill.
pub const SOURCE_LABELS: Dimensions = labels_of_side(0);
/// Labels that facts of the destination's workload fill.
pub const DESTINATION_LABELS: Dimensions = labels_of_side(1);

const fn labels_of_side(side: usize) -> Dimensions {
    let mut bits = 0;
    let mut rest: &[Fact] = &Fact::ALL;
    while let Some((fact, others)) = rest.split_first() {
        if let Some([source, destination]) = fact.row().labels {
            bits |= 1 << if side == 0 { source } else { destination } as usize;
        }
        rest = others;
    }
    Dimensions::of_bits(bits)
}

/// Whether the label says the same for every stream of this reporter.
pub fn is_local(reporter: Reporter, dimension: Dimension) -> bool {
    dimension == Dimension::Reporter
        || match reporter {
            Reporter::Source => SOURCE_LABELS.contains(dimension),
            Reporter::Destination => DESTINATION_LABELS.contains(dimension),
            Reporter::Waypoint => false,
        }
}

// === impl Fact ===

impl Fact {
    /// The facts that labels show.
    pub fn shown() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|fact| fact.row().labels.is_some())
    }

    /// What an expression calls it today.
    pub fn name(self) -> Option<&'static str> {
        let Row { object, spelled, .. } = self.row();
        object.or_else(|| spelled?.first().copied())
    }

    /// The fact that an expression calls so.
    pub fn called(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fact| {
            let Row { object, local, spelled, .. } = fact.row();
            object == Some(name) || local == Some(name) || spelled.is_some_and(|names| names.contains(&name))
        })
    }

    /// The fact that a Kubernetes label tells.
    pub fn of_label(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fact| {
            let node = fact.row().node;
            node.is_label() && node.keys().contains(&name)
        })
    }
}

impl Numbered for Fact {
    fn number(self) -> usize {
        self as usize
    }
}

// === impl Node ===

impl Node {
    /// The keys it may have, the one that wins first. The last one is the plain
    /// one, which tells the fact where it is told by its value alone.
    pub const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Key(key) => key,
            Self::Labels(keys) => keys,
            Self::Nowhere => &[],
        }
    }

    /// Whether the keys are those of Kubernetes labels.
    pub const fn is_label(self) -> bool {
        matches!(self, Self::Labels(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reporter_always_says_of_itself_is_local() {
        let local = |reporter| {
            let local = Dimension::ALL.into_iter().filter(move |dimension| is_local(reporter, *dimension));
            local.map(Dimension::name).collect::<Vec<_>>()
        };
        let of = |side: &str| {
            let facts = ["workload", "workload_namespace", "app", "version"];
            let more = ["canonical_service", "canonical_revision", "cluster"];
            let names = facts.into_iter().chain(more).map(|fact| format!("{side}_{fact}"));
            ["reporter".to_owned()].into_iter().chain(names).collect::<Vec<_>>()
        };
        assert_eq!(local(Reporter::Source), of("source"));
        assert_eq!(local(Reporter::Destination), of("destination"));
        assert_eq!(local(Reporter::Waypoint), ["reporter"]);
    }

    #[test]
    fn no_name_stands_for_two_facts() {
        let rows = Fact::ALL.map(Fact::row);
        let assert_distinct = |names: Vec<String>| {
            for (n, name) in names.iter().enumerate() {
                assert!(!names[..n].contains(name), "{name}");
            }
        };
        assert_distinct(rows.iter().filter_map(|row| row.endpoint).map(|n| n.to_string()).collect());
        assert_distinct(rows.iter().filter_map(|row| row.flat_node).map(|n| n.to_string()).collect());
        assert_distinct(
            rows.iter()
                .flat_map(|row| row.labels.into_iter().flatten())
                .map(|l| l.name().to_owned())
                .collect(),
        );
        // A key of the node and a name in an object may stand in the same place; so
        // may a name in an object and the same fact's in `local`.
        let names = |row: &Row| {
            let key = row.node.keys().iter().filter(|_| !row.node.is_label());
            let mut names: Vec<_> = key
                .copied()
                .chain(row.object)
                .chain(row.local)
                .chain(row.spelled.into_iter().flatten().copied())
                .map(str::to_owned)
                .collect();
            names.sort();
            names.dedup();
            names
        };
        assert_distinct(rows.iter().flat_map(names).collect());
        assert_distinct(rows.iter().flat_map(|row| row.node.keys().to_vec()).map(str::to_owned).collect());
    }

    #[test]
    fn an_endpoint_tells_its_facts_without_a_gap() {
        let mut positions: Vec<_> = Fact::ALL.into_iter().filter_map(|fact| fact.row().endpoint).collect();
        positions.sort_unstable();
        assert!(positions.into_iter().eq(0..5));
    }
}
