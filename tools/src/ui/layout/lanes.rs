//! Where strands pass the boxes of a shelf: in lanes between them, each strand in its own.

use super::geometry::Rectangle;
use super::shelves::{CLEARANCE, LANE};

/// Those of one shelf, from the top down, and whether a strand is in it.
#[derive(Debug)]
pub(crate) struct Lanes(Vec<(f64, bool)>);

// === impl Lanes ===

impl Lanes {
    /// Between these boxes, and above and below them.
    pub(crate) fn between(boxes: impl IntoIterator<Item = Rectangle>, height: f64) -> Self {
        let mut boxes: Vec<_> = boxes.into_iter().collect();
        boxes.sort_by(|a, b| a.y.total_cmp(&b.y));
        let mut lanes = Vec::new();
        let mut top = 0.0;
        let below = Rectangle { y: height, ..Rectangle::default() };
        for one in boxes.into_iter().chain([below]) {
            let (first, last) = (top + CLEARANCE, one.y - CLEARANCE);
            // In the middle of the gap.
            let mut y = first + ((last - first) % LANE) / 2.0;
            while y <= last {
                lanes.push((y, false));
                y += LANE;
            }
            top = one.bottom();
        }
        Self(lanes)
    }

    /// Takes the nearest that is free; the nearest, if none is.
    pub(crate) fn take(&mut self, wanted: f64) -> f64 {
        let middle = self.0.partition_point(|(y, _)| *y < wanted);
        let is_free = |(_, is_taken): &(f64, bool)| !is_taken;
        let above = self.0.iter().take(middle).rposition(is_free);
        let below = self.0.iter().skip(middle).position(is_free);
        let below = below.map(|further| middle.saturating_add(further));
        let any = [middle.saturating_sub(1), middle];
        let free: Vec<_> = above.into_iter().chain(below).collect();
        let lanes = if free.is_empty() { any.to_vec() } else { free };
        let distance =
            |number: &usize| self.0.get(*number).map_or(f64::INFINITY, |(y, _)| (y - wanted).abs());
        let nearest = lanes.into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let Some((y, is_taken)) = nearest.and_then(|number| self.0.get_mut(number)) else {
            return wanted;
        };
        *is_taken = true;
        *y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_strand_has_its_own_lane_as_near_as_can_be_and_none_meets_a_box() {
        let boxes = [20.0, 98.0].map(|y| Rectangle { x: 0.0, y, width: 176.0, height: 56.0 });
        let mut lanes = Lanes::between(boxes, 180.0);
        let taken: Vec<_> = (0..8).map(|_| lanes.take(90.0)).collect();
        for (number, y) in taken.iter().enumerate() {
            assert!(boxes.iter().all(|one| *y <= one.y - CLEARANCE || *y >= one.bottom() + CLEARANCE), "{y}");
            let mut before = taken.iter().take(number);
            assert!(before.all(|other| (y - other).abs() >= LANE), "{taken:?}");
        }
        assert!(taken.first().is_some_and(|y| (76.0..98.0).contains(y)), "{taken:?}");
        // There are no more than that: two share one then.
        assert!(taken.contains(&lanes.take(90.0)));
    }
}
