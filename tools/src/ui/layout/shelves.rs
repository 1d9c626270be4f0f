//! Which boxes stand above each other, and how much room is left between them for strands
//! that only pass.

use std::collections::{BTreeMap, BTreeSet};

use super::geometry::Rectangle;
use crate::ui::layers::{cells, to_f64};
use crate::ui::mesh::{Graph, Place};

pub(crate) const BOX: (f64, f64) = (176.0, 56.0);
/// Between two ends at a box, so that texts beside each other do not touch.
pub(crate) const PORT: f64 = 23.0;
/// Between two strands that pass a box.
pub(crate) const LANE: f64 = 6.0;
/// Between a box and what passes it.
pub(crate) const CLEARANCE: f64 = 5.0;
const ROW_GAP: f64 = 22.0;
const MOST_ROW_GAP: f64 = 64.0;
const COLUMN_GAP: f64 = 176.0;
/// Between the shelves that a long column is broken into.
const PART_GAP: f64 = 56.0;
/// What each strand that turns between two shelves adds, up to some.
const TURN: f64 = 1.2;
const MOST_TURNS: f64 = 56.0;
const FRAME: (f64, f64) = (28.0, 24.0);
const FRAME_TITLE: f64 = 40.0;
const FRAME_GAP: f64 = 26.0;
/// More in a column are broken into several shelves.
const ROWS: usize = 14;
/// A small mesh is not blown up.
const LEAST_WIDTH: f64 = 1180.0;

/// Where all boxes are.
#[derive(Debug, Default)]
pub(crate) struct Shelves<'a> {
    /// By the Kubernetes cluster's name, from the top down.
    pub(crate) frames: Vec<(&'a str, Rectangle)>,
    pub(crate) boxes: BTreeMap<&'a Place, Rectangle>,
    /// On which shelf each stands, counted from the left.
    pub(crate) shelf_of: BTreeMap<&'a Place, usize>,
    /// Where each shelf begins.
    pub(crate) lefts: Vec<f64>,
}

/// A Kubernetes cluster, those that are known first.
type Frame<'a> = (bool, &'a str);

/// A column of boxes, or a part of one, through all Kubernetes clusters.
#[derive(Debug, Default)]
struct Shelf<'a> {
    /// In each Kubernetes cluster, from the top down.
    stacks: BTreeMap<Frame<'a>, Vec<&'a Place>>,
    /// Of a column of its own, and no further part of the one before.
    is_column: bool,
    /// How many strands pass it, and how many lead on from here to the right.
    passing: usize,
    leaving: usize,
}

// === impl Shelves ===

impl<'a> Shelves<'a> {
    pub(crate) fn of(graph: &'a Graph) -> Self {
        let mut shelves = shelves(graph);
        let mut all = Self::default();
        for (number, shelf) in shelves.iter().enumerate() {
            all.shelf_of.extend(shelf.stacks.values().flatten().map(|place| (*place, number)));
        }
        count_strands(graph, &all.shelf_of, &mut shelves);
        all.lefts = lefts(&shelves);
        let heights = box_heights(graph);
        let height_of = |place: &Place| heights.get(place).copied().unwrap_or(BOX.1);
        let frames: BTreeSet<Frame<'_>> =
            shelves.iter().flat_map(|shelf| shelf.stacks.keys().copied()).collect();
        let mut top = 0.0;
        for frame in &frames {
            let stacks = || {
                shelves.iter().zip(&all.lefts).filter_map(|(shelf, left)| {
                    let stack = shelf.stacks.get(frame)?;
                    let gap = shelf.row_gap(frames.len());
                    let gaps = gap * (to_f64(stack.len()) - 1.0).max(0.0);
                    Some((stack, gap, *left, gaps + stack.iter().map(|place| height_of(place)).sum::<f64>()))
                })
            };
            let tallest = stacks().map(|(.., height)| height).fold(0.0, f64::max);
            for (stack, gap, left, height) in stacks() {
                let mut y = top + FRAME_TITLE + (tallest - height) / 2.0;
                for place in stack {
                    let height = height_of(place);
                    all.boxes.insert(place, Rectangle { x: left, y, width: BOX.0, height });
                    y += height + gap;
                }
            }
            let height = FRAME_TITLE + tallest + FRAME.1;
            all.frames.push((frame.1, Rectangle { x: 0.0, y: top, width: 0.0, height }));
            top += height + FRAME_GAP;
        }
        all.widen();
        all
    }

    pub(crate) fn height(&self) -> f64 {
        self.frames.last().map_or(0.0, |(_, frame)| frame.bottom())
    }

    pub(crate) fn width(&self) -> f64 {
        self.frames.last().map_or(0.0, |(_, frame)| frame.width)
    }

    /// As wide as what is in it, and in the middle if there is more room.
    fn widen(&mut self) {
        let needed = self.boxes.values().map(|one| one.right()).fold(0.0, f64::max) + FRAME.0;
        let width = needed.max(LEAST_WIDTH);
        let shift = (width - needed) / 2.0;
        self.boxes.values_mut().for_each(|one| one.x += shift);
        self.lefts.iter_mut().for_each(|left| *left += shift);
        self.frames.iter_mut().for_each(|(_, frame)| frame.width = width);
    }
}

// === impl Shelf ===

impl Shelf<'_> {
    /// What passes shares the gaps, and each should find one near its way.
    fn row_gap(&self, frames: usize) -> f64 {
        let gaps = self.stacks.values().map(Vec::len).sum::<usize>().saturating_add(frames);
        let lanes = to_f64(self.passing) / to_f64(gaps.max(1));
        (2.0 * CLEARANCE + LANE * lanes).clamp(ROW_GAP, MOST_ROW_GAP)
    }

    /// To the shelf right of it.
    fn gap(&self, next: &Self) -> f64 {
        let usual = if next.is_column { COLUMN_GAP } else { PART_GAP };
        usual + (TURN * to_f64(self.leaving)).min(MOST_TURNS)
    }
}

fn shelves(graph: &Graph) -> Vec<Shelf<'_>> {
    let mut columns: BTreeMap<usize, Vec<Shelf<'_>>> = BTreeMap::new();
    for ((is_last, id, column), places) in cells(graph) {
        let shelves = columns.entry(column).or_default();
        let parts = places.len().div_ceil(ROWS).max(1);
        let rows = places.len().div_ceil(parts).max(1);
        for (number, part) in places.chunks(rows).enumerate() {
            if shelves.len() <= number {
                shelves.push(Shelf { is_column: number == 0, ..Shelf::default() });
            }
            if let Some(shelf) = shelves.get_mut(number) {
                shelf.stacks.insert((is_last, id), part.to_vec());
            }
        }
    }
    columns.into_values().flatten().collect()
}

fn count_strands(graph: &Graph, shelf_of: &BTreeMap<&Place, usize>, shelves: &mut [Shelf<'_>]) {
    for ((from, to), strands) in &graph.edges {
        let (Some(from), Some(to)) = (shelf_of.get(from), shelf_of.get(to)) else { continue };
        let (first, last) = (*from.min(to), *from.max(to));
        for (number, shelf) in shelves.iter_mut().enumerate().take(last).skip(first) {
            shelf.leaving = shelf.leaving.saturating_add(strands.len());
            if number > first {
                shelf.passing = shelf.passing.saturating_add(strands.len());
            }
        }
    }
}

fn lefts(shelves: &[Shelf<'_>]) -> Vec<f64> {
    let mut left = FRAME.0;
    let mut lefts = vec![left];
    for (shelf, next) in shelves.iter().zip(shelves.iter().skip(1)) {
        left += BOX.0 + shelf.gap(next);
        lefts.push(left);
    }
    lefts
}

/// A box is as tall as the strands at one of its sides need, up to some.
fn box_heights(graph: &Graph) -> BTreeMap<&Place, f64> {
    let mut ends: BTreeMap<(&Place, bool), usize> = BTreeMap::new();
    for ((from, to), strands) in &graph.edges {
        for end in [(from, true), (to, false)] {
            let count = ends.entry(end).or_default();
            *count = count.saturating_add(strands.len());
        }
    }
    let most = |place| {
        let of = |is_from| ends.get(&(place, is_from)).copied().unwrap_or_default();
        to_f64(of(true).max(of(false)).min(8))
    };
    graph.nodes.iter().map(|place| (place, BOX.1.max(PORT * (most(place) + 1.0) - 12.0))).collect()
}
