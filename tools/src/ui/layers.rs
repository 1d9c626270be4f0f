//! In which column of the picture each place stands, and in which order: callers left of
//! what they call, with few crossings. The same places and calls always stand the same.

use std::collections::{BTreeMap, BTreeSet};

use istio_stats::catalogue::label_value::UNKNOWN;

use super::mesh::{Graph, Place};

/// Where a place stands among others of its Kubernetes cluster.
pub(crate) type Cells<'a> = BTreeMap<Cell<'a>, Vec<&'a Place>>;

/// A Kubernetes cluster, those that are known first, and a column.
pub(crate) type Cell<'a> = (bool, &'a str, usize);

type Neighbours<'a> = BTreeMap<&'a Place, Vec<&'a Place>>;

/// How often neighbours pull at the order.
const SWEEPS: usize = 4;

/// Puts every place into a cell.
pub(crate) fn cells(graph: &Graph) -> Cells<'_> {
    let columns = columns(graph);
    let mut cells: Cells<'_> = BTreeMap::new();
    for (place, column) in columns {
        let id = place.cluster_id.as_str();
        cells.entry((id == UNKNOWN, id, column)).or_default().push(place);
    }
    order(&mut cells, &neighbours(graph));
    cells
}

/// One behind the last that calls it; calls that close a circle do not count.
fn columns(graph: &Graph) -> BTreeMap<&Place, usize> {
    let order = callers_first(graph);
    let rank: BTreeMap<_, _> = order.iter().enumerate().map(|(rank, place)| (*place, rank)).collect();
    let forward = |(from, to): &(&Place, &Place)| rank.get(from) < rank.get(to);
    let calls: Vec<(&Place, &Place)> =
        graph.edges.keys().map(|(from, to)| (from, to)).filter(forward).collect();
    let mut columns: BTreeMap<&Place, usize> = graph.nodes.iter().map(|place| (place, 0)).collect();
    for place in &order {
        let behind = columns.get(place).copied().unwrap_or_default().saturating_add(1);
        for (_, to) in calls.iter().filter(|(from, _)| from == place) {
            let column = columns.entry(to).or_default();
            *column = behind.max(*column);
        }
    }
    // Whom nobody calls stands right before what it calls.
    let called: BTreeSet<_> = calls.iter().map(|(_, to)| *to).collect();
    for place in order.iter().filter(|place| !called.contains(*place)) {
        let nearest =
            calls.iter().filter(|(from, _)| from == place).filter_map(|(_, to)| columns.get(to)).min();
        if let Some(nearest) = nearest.copied() {
            columns.insert(place, nearest.saturating_sub(1));
        }
    }
    columns
}

/// So that of two, if there is no circle, the one that calls comes before.
fn callers_first(graph: &Graph) -> Vec<&Place> {
    let mut called: Neighbours<'_> = BTreeMap::new();
    for (from, to) in graph.edges.keys() {
        called.entry(from).or_default().push(to);
    }
    let has_callers: BTreeSet<_> = graph.edges.keys().map(|(_, to)| to).collect();
    let (inner, first): (Vec<_>, Vec<_>) = graph.nodes.iter().partition(|place| has_callers.contains(place));
    let mut done = Vec::new();
    let mut met = BTreeSet::new();
    for start in first.into_iter().chain(inner) {
        let mut open = vec![(start, false)];
        while let Some((place, is_left)) = open.pop() {
            if is_left {
                done.push(place);
            } else if met.insert(place) {
                open.push((place, true));
                let next = called.get(place).into_iter().flatten().rev();
                open.extend(next.map(|place| (*place, false)));
            }
        }
    }
    done.reverse();
    done
}

fn neighbours(graph: &Graph) -> Neighbours<'_> {
    let mut all: Neighbours<'_> = BTreeMap::new();
    for (from, to) in graph.edges.keys().filter(|(from, to)| from != to) {
        all.entry(from).or_default().push(to);
        all.entry(to).or_default().push(from);
    }
    all
}

/// Each stands where its neighbours do on average, as far as there is room: column after
/// column, to the right and back, for two that moved at once would only change places.
fn order(cells: &mut Cells<'_>, neighbours: &Neighbours<'_>) {
    let columns: BTreeSet<_> = cells.keys().map(|(_, _, column)| *column).collect();
    let right = columns.iter().copied();
    let left = columns.iter().copied().rev();
    let there_and_back: Vec<_> = right.chain(left).collect();
    for column in std::iter::repeat_n(there_and_back, SWEEPS).flatten() {
        let heights = heights(cells);
        let pull = |place: &&Place| {
            let near = neighbours.get(*place).into_iter().flatten().filter_map(|one| heights.get(one));
            let (sum, count) = near.fold((0.0, 0.0), |(sum, count), height| (sum + height, count + 1.0));
            let own = heights.get(*place).copied().unwrap_or_default();
            if count > 0.0 {
                sum / count
            } else {
                own
            }
        };
        for (_, places) in cells.iter_mut().filter(|((_, _, of), _)| *of == column) {
            places.sort_by(|a, b| pull(a).total_cmp(&pull(b)));
        }
    }
}

/// How far down each is: Kubernetes clusters stand one below the other.
fn heights<'a>(cells: &Cells<'a>) -> BTreeMap<&'a Place, f64> {
    let ids: BTreeSet<_> = cells.keys().map(|(is_last, id, _)| (*is_last, *id)).collect();
    let mut heights = BTreeMap::new();
    for (lane, id) in ids.iter().enumerate() {
        for ((_, _, _), places) in cells.iter().filter(|((is_last, of, _), _)| (*is_last, *of) == *id) {
            for (row, place) in places.iter().enumerate() {
                let share = (to_f64(row) + 0.5) / to_f64(places.len());
                heights.insert(*place, to_f64(lane) + share);
            }
        }
    }
    heights
}

/// Of what is counted here, which is far from where a float has gaps.
pub(crate) fn to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        Place { cluster_id: "east".to_owned(), namespace: String::new(), name: name.to_owned() }
    }

    fn graph(calls: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for (from, to) in calls {
            graph.nodes.extend([place(from), place(to)]);
            graph.edges.insert((place(from), place(to)), BTreeMap::new());
        }
        graph
    }

    fn columns_of(calls: &[(&str, &str)]) -> Vec<(String, usize)> {
        columns(&graph(calls)).into_iter().map(|(place, column)| (place.name.clone(), column)).collect()
    }

    #[test]
    fn callers_stand_left_of_what_they_call() {
        let found = columns_of(&[("a", "b"), ("b", "c"), ("a", "c"), ("x", "c")]);
        assert_eq!(found.iter().map(|(_, column)| *column).collect::<Vec<_>>(), [0, 1, 2, 1]);
    }

    #[test]
    fn a_circle_ends_somewhere_and_whoever_calls_itself_stays() {
        assert_eq!(columns_of(&[("a", "b"), ("b", "c"), ("c", "a"), ("b", "b")]).len(), 3);
        let found = columns_of(&[("in", "a"), ("a", "b"), ("b", "a")]);
        assert_eq!(found.iter().map(|(_, column)| *column).collect::<Vec<_>>(), [1, 2, 0]);
    }

    #[test]
    fn calls_do_not_cross_without_need() {
        let graph = graph(&[("a", "z"), ("b", "y"), ("c", "x")]);
        let cells = cells(&graph);
        let names: Vec<Vec<_>> =
            cells.values().map(|places| places.iter().map(|place| place.name.as_str()).collect()).collect();
        let [callers, called] = names.as_slice() else { panic!("{names:?}") };
        let met: Vec<_> = callers
            .iter()
            .map(|one| match *one {
                "a" => "z",
                "b" => "y",
                _ => "x",
            })
            .collect();
        assert_eq!(&met, called);
    }
}
