//! Where everything in the picture is: a frame for each Kubernetes cluster, one below the
//! other, boxes in columns, and the strands between them.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::{cells, to_f64, Cells};
use super::mesh::{Graph, Place};
use super::traffic::Protocol;

/// All in units of the picture.
#[derive(Debug, Default)]
pub(crate) struct Layout<'a> {
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// By the Kubernetes cluster's name, from the top down.
    pub(crate) frames: Vec<(&'a str, Rectangle)>,
    pub(crate) boxes: BTreeMap<&'a Place, Rectangle>,
    pub(crate) strands: Vec<Strand<'a>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rectangle {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// What goes between two places by one protocol.
#[derive(Debug)]
pub(crate) struct Strand<'a> {
    pub(crate) from: &'a Place,
    pub(crate) to: &'a Place,
    pub(crate) protocol: Protocol,
    /// Begin, two that pull, end.
    pub(crate) curve: [(f64, f64); 4],
    /// The middle of its text.
    pub(crate) label: (f64, f64),
}

/// On which side of a box a strand ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Left,
    Right,
}

/// One end of a strand at a box: sorted by where the other end is.
type Ends<'a> = BTreeMap<(&'a Place, Side), Vec<(f64, usize, bool)>>;

/// As much as any text on a strand needs.
const LABEL: (f64, f64) = (158.0, 20.0);
const BOX: (f64, f64) = (176.0, 56.0);
/// Between two ends at a box, so that texts beside each other do not touch.
const PORT: f64 = 23.0;
const ROW_GAP: f64 = 22.0;
const COLUMN_GAP: f64 = 176.0;
/// Between the columns that a long one is broken into.
const PART_GAP: f64 = 56.0;
const FRAME: (f64, f64) = (28.0, 24.0);
const FRAME_TITLE: f64 = 40.0;
const FRAME_GAP: f64 = 26.0;
/// More in a column are broken into several.
const ROWS: usize = 14;
/// A small mesh is not blown up.
const LEAST_WIDTH: f64 = 1180.0;

// === impl Layout ===

impl<'a> Layout<'a> {
    pub(crate) fn of(graph: &'a Graph) -> Self {
        let cells = cells(graph);
        let heights = box_heights(graph);
        let height_of = |place: &Place| heights.get(place).copied().unwrap_or(BOX.1);
        let lefts = lefts(&cells);
        let mut layout = Self::default();
        let ids: BTreeSet<_> = cells.keys().map(|(is_last, id, _)| (*is_last, *id)).collect();
        let mut top = 0.0;
        for (_, id) in ids {
            let columns: Vec<_> = cells.iter().filter(|((_, of, _), _)| *of == id).collect();
            let tall = columns.iter().flat_map(|(_, places)| places.chunks(rows_of(places.len())));
            let tall = tall.map(|part| column_height(part, &height_of)).fold(0.0, f64::max);
            let frame_height = FRAME_TITLE + tall + FRAME.1;
            for (cell, places) in columns {
                let mut left = lefts.get(&cell.2).copied().unwrap_or_default();
                for part in places.chunks(rows_of(places.len())) {
                    let mut y = top + FRAME_TITLE + (tall - column_height(part, &height_of)) / 2.0;
                    for place in part {
                        let height = height_of(place);
                        layout.boxes.insert(place, Rectangle { x: left, y, width: BOX.0, height });
                        y += height + ROW_GAP;
                    }
                    left += BOX.0 + PART_GAP;
                }
            }
            layout.frames.push((id, Rectangle { x: 0.0, y: top, width: 0.0, height: frame_height }));
            top += frame_height + FRAME_GAP;
        }
        let right = layout.boxes.values().map(|one| one.x + one.width).fold(0.0, f64::max);
        layout.width = (right + FRAME.0).max(LEAST_WIDTH);
        layout.height = (top - FRAME_GAP).max(0.0);
        // In the middle, if there is room.
        let shift = (layout.width - right - FRAME.0) / 2.0;
        layout.boxes.values_mut().for_each(|one| one.x += shift);
        for (_, frame) in &mut layout.frames {
            frame.width = layout.width;
        }
        layout.strands = strands(graph, &layout.boxes);
        place_labels(&mut layout.strands, layout.boxes.values().copied().collect());
        layout
    }
}

// === impl Rectangle ===

impl Rectangle {
    fn middle(self) -> f64 {
        self.y + self.height / 2.0
    }

    /// Around a point.
    fn around((x, y): (f64, f64), (width, height): (f64, f64)) -> Self {
        Self { x: x - width / 2.0, y: y - height / 2.0, width, height }
    }

    fn meets(self, other: Self) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }
}

// === impl Strand ===

impl Strand<'_> {
    /// Where it is after a part of the way.
    fn point(&self, t: f64) -> (f64, f64) {
        let u = 1.0 - t;
        let [a, b, c, d] = self.curve;
        let mix = |a: f64, b: f64, c: f64, d: f64| {
            u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d
        };
        (mix(a.0, b.0, c.0, d.0), mix(a.1, b.1, c.1, d.1))
    }
}

/// How many stand in each of a column's parts.
fn rows_of(count: usize) -> usize {
    let parts = count.div_ceil(ROWS).max(1);
    count.div_ceil(parts).max(1)
}

fn column_height(places: &[&Place], height_of: &impl Fn(&Place) -> f64) -> f64 {
    let boxes: f64 = places.iter().map(|place| height_of(place)).sum();
    boxes + ROW_GAP * (to_f64(places.len()) - 1.0).max(0.0)
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

/// Where each column begins: the widest Kubernetes cluster decides.
fn lefts(cells: &Cells<'_>) -> BTreeMap<usize, f64> {
    let mut parts: BTreeMap<usize, usize> = BTreeMap::new();
    for ((_, _, column), places) in cells {
        let here = places.len().div_ceil(rows_of(places.len()));
        let most = parts.entry(*column).or_default();
        *most = here.max(*most);
    }
    let mut left = FRAME.0;
    let mut lefts = BTreeMap::new();
    for (column, parts) in parts {
        lefts.insert(column, left);
        left += to_f64(parts) * (BOX.0 + PART_GAP) - PART_GAP + COLUMN_GAP;
    }
    lefts
}

fn strands<'a>(graph: &'a Graph, boxes: &BTreeMap<&'a Place, Rectangle>) -> Vec<Strand<'a>> {
    let mut strands = Vec::new();
    let mut ends: Ends<'a> = BTreeMap::new();
    for ((from, to), protocols) in &graph.edges {
        let (Some(a), Some(b)) = (boxes.get(from), boxes.get(to)) else { continue };
        // Right to left, if that is the way; around, if they stand above each other.
        let (out, into) = match b.x - a.x {
            step if step > 1.0 => (Side::Right, Side::Left),
            step if step < -1.0 => (Side::Left, Side::Right),
            _ => (Side::Right, Side::Right),
        };
        for protocol in protocols.keys() {
            ends.entry((from, out)).or_default().push((b.middle(), strands.len(), true));
            ends.entry((to, into)).or_default().push((a.middle(), strands.len(), false));
            let curve = [(side(a, out), 0.0), (0.0, 0.0), (0.0, 0.0), (side(b, into), 0.0)];
            strands.push(Strand { from, to, protocol: *protocol, curve, label: (0.0, 0.0) });
        }
    }
    for ((place, _), mut ends) in ends {
        ends.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let Some(one) = boxes.get(place) else { continue };
        let step = PORT.min(one.height / (to_f64(ends.len()) + 0.6));
        let mut y = one.middle() - step * (to_f64(ends.len()) - 1.0) / 2.0;
        for (_, strand, is_begin) in ends {
            if let Some(strand) = strands.get_mut(strand) {
                let [begin, _, _, end] = &mut strand.curve;
                (if is_begin { begin } else { end }).1 = y;
            }
            y += step;
        }
    }
    for strand in &mut strands {
        bend(&mut strand.curve);
    }
    strands
}

fn side(one: &Rectangle, side: Side) -> f64 {
    match side {
        Side::Left => one.x,
        Side::Right => one.x + one.width,
    }
}

/// Leaves and arrives level.
fn bend(curve: &mut [(f64, f64); 4]) {
    let [begin, first, second, end] = curve;
    let way = end.0 - begin.0;
    let pull = (way.abs() * 0.45).max(60.0);
    let (out, into) = match way {
        way if way > 1.0 => (pull, -pull),
        way if way < -1.0 => (-pull, pull),
        _ => (pull, pull),
    };
    *first = (begin.0 + out, begin.1);
    *second = (end.0 + into, end.1);
}

/// Each text where it covers no other and no box, if there is such a place on its strand.
/// Texts have one size here, so that they stay where they are when numbers change.
fn place_labels(strands: &mut [Strand<'_>], mut taken: Vec<Rectangle>) {
    const PLACES: [f64; 9] = [0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73, 0.2, 0.8];
    for strand in strands {
        let free = |t: &f64| {
            let here = Rectangle::around(strand.point(*t), LABEL);
            !taken.iter().any(|one| one.meets(here))
        };
        let t = PLACES.iter().copied().find(free).unwrap_or(0.5);
        strand.label = strand.point(t);
        taken.push(Rectangle::around(strand.label, LABEL));
    }
}

#[cfg(test)]
mod tests;
