//! Where everything in the picture is: a frame for each Kubernetes cluster, one below the
//! other, boxes in columns, and the strands between them.

mod geometry;
mod labels;
mod lanes;
mod shelves;
mod strands;

use std::collections::BTreeMap;

pub(crate) use geometry::{Curve, Point, Rectangle};
use shelves::Shelves;
pub(crate) use strands::Strand;

use super::mesh::{Graph, Place};

/// All in units of the picture.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// By the Kubernetes cluster's name, from the top down.
    pub(crate) frames: Vec<(&'a str, Rectangle)>,
    pub(crate) boxes: BTreeMap<&'a Place, Rectangle>,
    pub(crate) strands: Vec<Strand<'a>>,
}

// === impl Layout ===

impl<'a> Layout<'a> {
    pub(crate) fn of(graph: &'a Graph) -> Self {
        let shelves = Shelves::of(graph);
        let mut strands = strands::strands(graph, &shelves);
        labels::place(&mut strands, shelves.boxes.values().copied());
        let (width, height) = (shelves.width(), shelves.height());
        Self { width, height, frames: shelves.frames, boxes: shelves.boxes, strands }
    }

    /// What stands for a box where a name is too long.
    pub(crate) fn number(&self, place: &Place) -> usize {
        self.boxes.range::<Place, _>(..place).count()
    }
}

#[cfg(test)]
mod tests;
