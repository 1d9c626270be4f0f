//! What every page is made of.

use std::sync::Arc;

use super::mesh::Mesh;
use super::source::{Picture, Source};
use super::view::View;

/// Where to look, and what is there.
pub(crate) struct Context<'a> {
    pub(crate) path: &'static str,
    pub(crate) view: View,
    pub(crate) source: &'a Source,
    pub(crate) picture: Arc<Picture>,
}

// === impl Context ===

impl Context<'_> {
    pub(crate) fn mesh(&self) -> &Mesh {
        &self.picture.mesh
    }
}
