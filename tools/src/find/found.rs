//! What is found of this project's plugins.

use istio_stats::attachment::Attachment;

use crate::artefact::Artefact;
use crate::yaml::{Node, Position};

/// One file with what was found in it.
#[derive(Debug)]
pub(crate) struct File {
    /// Its name, as messages show it.
    pub(crate) name: String,
    pub(crate) documents: Vec<Document>,
}

/// One document of a YAML file, or a plugin configuration by itself.
#[derive(Debug)]
pub(crate) struct Document {
    /// The document; `None` if it is a plugin configuration by itself.
    pub(crate) root: Option<Node>,
    pub(crate) found: Vec<Found>,
    /// Plugins that are none of this project's.
    pub(crate) others: Vec<Other>,
}

/// A plugin that is none of this project's.
#[derive(Debug)]
pub(crate) struct Other {
    pub(crate) place: Vec<String>,
    pub(crate) position: Position,
}

/// A plugin configuration.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) artefact: Artefact,
    /// Where it is, from the outside in: `listener "inbound"`, …
    pub(crate) place: Vec<String>,
    /// Where the filter, or the resource, begins.
    pub(crate) position: Position,
    pub(crate) configuration: Configuration,
    /// What the plugin extends; `None`: not said here.
    pub(crate) form: Option<Form>,
    /// What becomes of traffic when the plugin fails; `None`: not said here.
    pub(crate) failure: Option<Failure>,
}

/// What a plugin extends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    HttpFilter,
    NetworkFilter,
    AccessLogger,
    /// The native module as an HTTP filter.
    NativeHttpFilter,
    /// The same as a network filter.
    NativeNetworkFilter,
    /// The same as an upstream cluster, by whose handles filters record.
    NativeUpstreamCluster,
    /// A bootstrap extension.
    Service,
}

/// The bytes that the plugin gets, or why it does not.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) bytes: Result<Vec<u8>, String>,
    /// The same as a tree, for the places of problems.
    pub(crate) tree: Option<Node>,
    /// Where it begins.
    pub(crate) position: Position,
}

/// What a resource says about failures of the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) is_open: bool,
    /// What to write for it to be open.
    pub(crate) open: &'static str,
    pub(crate) position: Position,
}

/// A plugin, whoever's it is.
#[derive(Debug)]
pub(super) struct Candidate {
    /// `None`: it is none of this project's.
    pub(super) artefact: Option<Artefact>,
    /// What messages call it; `None`: as the resource around it.
    pub(super) title: Option<String>,
    pub(super) position: Position,
    pub(super) configuration: Configuration,
    pub(super) form: Option<Form>,
    pub(super) failure: Option<Failure>,
}

// === impl Form ===

impl Form {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::HttpFilter => "HTTP filter",
            Self::NetworkFilter => "network filter",
            Self::AccessLogger => "access logger",
            Self::NativeHttpFilter => "native HTTP filter",
            Self::NativeNetworkFilter => "native network filter",
            Self::NativeUpstreamCluster => "native upstream cluster",
            Self::Service => "bootstrap extension",
        }
    }

    /// The filter for streams of a kind.
    pub(crate) fn filter(attachment: Attachment) -> Self {
        match attachment {
            Attachment::Http => Self::HttpFilter,
            Attachment::Tcp => Self::NetworkFilter,
        }
    }

    /// What kind of streams it has; `None`: either, or none.
    pub(crate) fn attachment(self) -> Option<Attachment> {
        match self {
            Self::HttpFilter | Self::NativeHttpFilter => Some(Attachment::Http),
            Self::NetworkFilter | Self::NativeNetworkFilter => Some(Attachment::Tcp),
            Self::AccessLogger | Self::Service | Self::NativeUpstreamCluster => None,
        }
    }

    /// Whether the native module runs it.
    pub(crate) fn is_native(self) -> bool {
        matches!(self, Self::NativeHttpFilter | Self::NativeNetworkFilter | Self::NativeUpstreamCluster)
    }
}

// === impl File ===

impl File {
    /// What says of itself nothing of a form is for the native module.
    pub(crate) fn make_native(&mut self) {
        for found in self.documents.iter_mut().flat_map(|document| &mut document.found) {
            // Where nothing around it tells for which streams it is.
            found.form = found.form.or(Some(Form::NativeUpstreamCluster));
        }
    }

    /// All that was found.
    pub(crate) fn found(&self) -> impl Iterator<Item = &Found> {
        self.documents.iter().flat_map(|document| &document.found)
    }
}

// === impl Found ===

impl Found {
    /// Whether it is for the native module.
    pub(crate) fn is_native(&self) -> bool {
        self.form.is_some_and(Form::is_native)
    }

    /// A configuration with nothing around it.
    pub(crate) fn by_itself(artefact: Artefact, bytes: Vec<u8>, form: Option<Form>) -> Self {
        let position = Position::START;
        let configuration = Configuration { bytes: Ok(bytes), tree: None, position };
        Self { artefact, place: Vec::new(), position, configuration, form, failure: None }
    }
}

// === impl Configuration ===

impl Configuration {
    /// Where the field at a JSON path begins, as near as can be said.
    pub(crate) fn position_of(&self, path: &str) -> Position {
        self.tree.as_ref().map_or(self.position, |tree| tree.position_of(path))
    }
}
