//! The ways of strands: level past other boxes, up and down between the shelves.

use std::collections::BTreeMap;

use super::geometry::{Curve, Point, Rectangle};
use super::lanes::Lanes;
use super::shelves::{Shelves, BOX, PORT};
use crate::ui::layers::to_f64;
use crate::ui::mesh::{Graph, Place};
use crate::ui::traffic::Protocol;

/// What goes between two places by one protocol.
#[derive(Debug)]
pub(crate) struct Strand<'a> {
    pub(crate) from: &'a Place,
    pub(crate) to: &'a Place,
    pub(crate) protocol: Protocol,
    /// One behind the other, from the caller on.
    pub(crate) way: Vec<Curve>,
    /// The middle of its text.
    pub(crate) label: Point,
}

/// A strand while its way is looked for.
#[derive(Debug)]
struct Plan<'a> {
    from: &'a Place,
    to: &'a Place,
    protocol: Protocol,
    /// On which shelves it begins and ends.
    first: usize,
    last: usize,
    /// Where it is level: it turns from the first to the second, passes a shelf to the third, turns to the fourth…
    points: Vec<Point>,
}

/// On which side of a box a strand ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Left,
    Right,
}

/// At a side of a box: how high each strand goes on, its number, and whether it begins there.
type Ends<'a> = BTreeMap<(&'a Place, Side), Vec<(f64, usize, bool)>>;

/// A strand's number, and which of its turns.
type Turn = (usize, usize);

/// By the shelf left of it, and whether it leads down: in which order they turn.
type Rooms = BTreeMap<(usize, bool), Vec<(f64, Turn)>>;

/// How far right those go that end on the shelf where they began.
const LOOP: f64 = 60.0;
/// Of the room between two shelves, the part where strands turn, and between two of a few.
const TURNS: f64 = 0.6;
const TURN_STEP: f64 = 0.06;

/// All strands of a graph; their texts are placed when all ways are known.
pub(crate) fn strands<'a>(graph: &'a Graph, shelves: &Shelves<'a>) -> Vec<Strand<'a>> {
    let mut plans = plans(graph, shelves);
    spread_ends(&mut plans, &shelves.boxes);
    let turns = turns(&plans);
    let plans = plans.iter().enumerate();
    plans
        .map(|(number, plan)| Strand {
            from: plan.from,
            to: plan.to,
            protocol: plan.protocol,
            way: plan.way(number, &turns),
            label: (0.0, 0.0),
        })
        .collect()
}

/// From box to box through a lane of each shelf between them.
fn plans<'a>(graph: &'a Graph, shelves: &Shelves<'a>) -> Vec<Plan<'a>> {
    let boxes_of = |number| {
        let of = shelves.boxes.iter().filter(move |(place, _)| shelves.shelf_of.get(*place) == Some(&number));
        of.map(|(_, one)| *one)
    };
    let mut lanes: Vec<_> =
        (0..shelves.lefts.len()).map(|number| Lanes::between(boxes_of(number), shelves.height())).collect();
    let mut plans = Vec::new();
    for ((from, to), protocols) in &graph.edges {
        let place = |place| Some((*shelves.boxes.get(place)?, *shelves.shelf_of.get(place)?));
        let (Some((a, first)), Some((b, last))) = (place(from), place(to)) else { continue };
        for protocol in protocols.keys() {
            let mut plan = Plan { from, to, protocol: *protocol, first, last, points: Vec::new() };
            let [begin, end] = plan.sides().map(|side| move |one: Rectangle| (side.of(one), one.middle()));
            let (begin, end) = (begin(a), end(b));
            plan.points.push(begin);
            for number in plan.passed() {
                let (Some(lanes), Some(left)) = (lanes.get_mut(number), shelves.lefts.get(number)) else {
                    continue;
                };
                let share = (left + BOX.0 / 2.0 - begin.0) / (end.0 - begin.0);
                let y = lanes.take(begin.1 + (end.1 - begin.1) * share);
                let (left, right) = ((*left, y), (left + BOX.0, y));
                plan.points.extend(if first < last { [left, right] } else { [right, left] });
            }
            plan.points.push(end);
            plans.push(plan);
        }
    }
    plans
}

/// Apart from each other, in the order in which they go on.
fn spread_ends(plans: &mut [Plan<'_>], boxes: &BTreeMap<&Place, Rectangle>) {
    let mut ends: Ends<'_> = BTreeMap::new();
    for (number, plan) in plans.iter().enumerate() {
        let [begin, end] = plan.sides();
        let (Some(next), Some(before)) = (plan.points.get(1), plan.points.iter().rev().nth(1)) else {
            continue;
        };
        ends.entry((plan.from, begin)).or_default().push((next.1, number, true));
        ends.entry((plan.to, end)).or_default().push((before.1, number, false));
    }
    for ((place, _), mut ends) in ends {
        ends.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let Some(one) = boxes.get(place) else { continue };
        let step = PORT.min(one.height / (to_f64(ends.len()) + 0.6));
        let mut y = one.middle() - step * (to_f64(ends.len()) - 1.0) / 2.0;
        for (_, number, is_begin) in ends {
            let points = plans.get_mut(number).map(|plan| plan.points.as_mut_slice());
            if let Some([begin, .., end]) = points {
                (if is_begin { begin } else { end }).1 = y;
            }
            y += step;
        }
    }
}

/// Where each turns, as a share of the room between the two shelves: so that of those that go the same way
/// none crosses another.
fn turns(plans: &[Plan<'_>]) -> BTreeMap<Turn, f64> {
    let mut rooms: Rooms = BTreeMap::new();
    for (number, plan) in plans.iter().enumerate().filter(|(_, plan)| plan.first != plan.last) {
        for (turn, ends) in plan.points.chunks(2).enumerate() {
            let [mut begin, mut end] = ends else { continue };
            let mut shelf = plan.first.saturating_add(turn);
            if plan.first > plan.last {
                (begin, end) = (end, begin);
                shelf = plan.first.saturating_sub(turn.saturating_add(1));
            }
            let leads_down = begin.1 < end.1;
            let order = if leads_down { -begin.1 } else { begin.1 };
            rooms.entry((shelf, leads_down)).or_default().push((order, (number, turn)));
        }
    }
    let mut turns = BTreeMap::new();
    for mut room in rooms.into_values() {
        room.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let count = to_f64(room.len());
        let step = TURN_STEP.min(TURNS / count);
        let first = 0.5 - step * (count - 1.0) / 2.0;
        let shares = room.iter().enumerate().map(|(rank, (_, turn))| (*turn, first + step * to_f64(rank)));
        turns.extend(shares);
    }
    turns
}

// === impl Plan ===

impl Plan<'_> {
    /// Right to left, if that is the way; around, if they stand above each other.
    fn sides(&self) -> [Side; 2] {
        match self.first.cmp(&self.last) {
            std::cmp::Ordering::Less => [Side::Right, Side::Left],
            std::cmp::Ordering::Greater => [Side::Left, Side::Right],
            std::cmp::Ordering::Equal => [Side::Right, Side::Right],
        }
    }

    /// The shelves between, in its order.
    fn passed(&self) -> Vec<usize> {
        let (left, right) = (self.first.min(self.last), self.first.max(self.last));
        let between = left.saturating_add(1)..right;
        if self.first < self.last {
            between.collect()
        } else {
            between.rev().collect()
        }
    }

    fn way(&self, number: usize, turns: &BTreeMap<Turn, f64>) -> Vec<Curve> {
        if let ([begin, end], true) = (self.points.as_slice(), self.first == self.last) {
            return vec![Curve([*begin, (begin.0 + LOOP, begin.1), (end.0 + LOOP, end.1), *end])];
        }
        let ends = self.points.iter().zip(self.points.iter().skip(1)).enumerate();
        ends.map(|(part, (begin, end))| {
            let is_turn = part % 2 == 0;
            let share = turns.get(&(number, part / 2)).filter(|_| is_turn).copied().unwrap_or(0.5);
            let (left, right) = (begin.0.min(end.0), begin.0.max(end.0));
            Curve::turning(*begin, left + (right - left) * share, *end)
        })
        .collect()
    }
}

// === impl Side ===

impl Side {
    fn of(self, one: Rectangle) -> f64 {
        match self {
            Self::Left => one.x,
            Self::Right => one.right(),
        }
    }
}

// === impl Strand ===

impl Strand<'_> {
    /// Where it is after a part of the way, of which each curve is one.
    pub(crate) fn point(&self, share: f64) -> Point {
        let mut at = share * to_f64(self.way.len());
        let mut point = self.label;
        for curve in &self.way {
            point = curve.point(at.clamp(0.0, 1.0));
            if at <= 1.0 {
                break;
            }
            at -= 1.0;
        }
        point
    }
}
