//! Where the texts on strands are.

use std::collections::HashMap;

use super::geometry::Rectangle;
use super::strands::Strand;

/// As much as any text on a strand needs.
pub(crate) const LABEL: (f64, f64) = (158.0, 20.0);
/// Of a strand, between two places that are tried, and how many there are to each side of its middle.
const STEP: f64 = 0.025;
const STEPS: u8 = 14;

/// What is covered already, by the cells that it is in, so that few are looked at.
#[derive(Debug, Default)]
struct Covered(HashMap<(i64, i64), Vec<Rectangle>>);

const CELL: (f64, f64) = (200.0, 80.0);

/// Each text where it covers no other and no box, or as little as possible.
/// Texts have one size here, so that they stay where they are when numbers change.
pub(crate) fn place(strands: &mut [Strand<'_>], boxes: impl Iterator<Item = Rectangle>) {
    let mut covered = Covered::default();
    boxes.for_each(|one| covered.add(one));
    for strand in strands {
        let mut best = (f64::INFINITY, strand.point(0.5));
        for share in shares() {
            let point = strand.point(share);
            let here = Rectangle::around(point, LABEL);
            let shared = covered.shared(here);
            if shared < best.0 {
                best = (shared, point);
            }
            if shared <= 0.0 {
                break;
            }
        }
        strand.label = best.1;
        covered.add(Rectangle::around(strand.label, LABEL));
    }
}

/// From the middle outwards.
fn shares() -> impl Iterator<Item = f64> {
    let sides = (1..=STEPS).flat_map(|step| [-STEP, STEP].map(|one| f64::from(step) * one));
    std::iter::once(0.5).chain(sides.map(|away| 0.5 + away))
}

// === impl Covered ===

impl Covered {
    fn add(&mut self, one: Rectangle) {
        for cell in cells(one) {
            self.0.entry(cell).or_default().push(one);
        }
    }

    /// How much of it is covered; more than once, where that is in several cells.
    fn shared(&self, one: Rectangle) -> f64 {
        let near = cells(one).filter_map(|cell| self.0.get(&cell)).flatten();
        near.map(|other| one.shared(*other)).sum()
    }
}

fn cells(one: Rectangle) -> impl Iterator<Item = (i64, i64)> {
    let cell = |at: f64, size: f64| (at / size).floor() as i64;
    let columns = cell(one.x, CELL.0)..=cell(one.right(), CELL.0);
    let rows = cell(one.y, CELL.1)..=cell(one.bottom(), CELL.1);
    columns.flat_map(move |column| rows.clone().map(move |row| (column, row)))
}
