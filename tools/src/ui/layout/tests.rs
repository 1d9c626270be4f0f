use super::labels::LABEL;
use super::*;
use crate::ui::traffic::{Protocol, Traffic};

fn place(cluster_id: &str, name: &str) -> Place {
    Place { cluster_id: cluster_id.to_owned(), namespace: "shop".to_owned(), name: name.to_owned() }
}

/// Two places and what is spoken between them.
type Calls<'a> = ((&'a str, &'a str), (&'a str, &'a str), &'a [Protocol]);

fn graph(calls: &[Calls<'_>]) -> Graph {
    let mut graph = Graph::default();
    for ((a, from), (b, to), protocols) in calls {
        let (from, to) = (place(a, from), place(b, to));
        graph.nodes.extend([from.clone(), to.clone()]);
        let strands = protocols.iter().map(|protocol| (*protocol, Traffic::default()));
        graph.edges.insert((from, to), strands.collect());
    }
    graph
}

const ALL: &[Protocol] = &[Protocol::Http, Protocol::Grpc, Protocol::Tcp];
const HTTP: &[Protocol] = &[Protocol::Http];

fn shop() -> Graph {
    graph(&[
        (("unknown", "unknown"), ("east", "web"), HTTP),
        (("east", "web"), ("east", "cart"), HTTP),
        (("east", "web"), ("west", "reviews"), ALL),
        (("west", "reviews"), ("west", "ratings"), HTTP),
        (("west", "ratings"), ("west", "reviews"), HTTP),
        (("west", "ratings"), ("west", "ratings"), HTTP),
    ])
}

#[test]
fn each_box_is_in_the_frame_of_its_kubernetes_cluster_and_covers_no_other() {
    let graph = shop();
    let layout = Layout::of(&graph);
    assert_eq!(layout.frames.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ["east", "west", "unknown"]);
    for (place, one) in &layout.boxes {
        let (_, frame) = layout.frames.iter().find(|(id, _)| *id == place.cluster_id).unwrap();
        assert!(one.y > frame.y && one.y + one.height < frame.y + frame.height, "{place:?}");
        assert!(one.x > 0.0 && one.x + one.width < layout.width, "{place:?}");
        for (other, another) in layout.boxes.iter().filter(|(other, _)| *other != place) {
            assert!(one.shared(*another) <= 0.0, "{place:?} {other:?}");
        }
    }
}

#[test]
fn strands_of_one_edge_lie_apart_and_so_do_their_texts() {
    let graph = shop();
    let layout = Layout::of(&graph);
    let three: Vec<_> = layout
        .strands
        .iter()
        .filter(|strand| strand.to.name == "reviews" && strand.from.name == "web")
        .collect();
    let [a, b, c] = three.as_slice() else { panic!("{three:?}") };
    for (one, other) in [(a, b), (b, c), (a, c)] {
        assert!((one.point(0.0).1 - other.point(0.0).1).abs() > 10.0);
        assert!(Rectangle::around(one.label, LABEL).shared(Rectangle::around(other.label, LABEL)) <= 0.0);
    }
}

/// Numbers are no part of it: what is read again stands where it stood.
#[test]
fn positions_stay_put() {
    let (one, mut other) = (shop(), shop());
    for strands in other.edges.values_mut() {
        for traffic in strands.values_mut() {
            traffic.http.requests = 4711.0;
        }
    }
    let positions = |graph: &Graph| format!("{:?}", Layout::of(graph));
    assert_eq!(positions(&one), positions(&other));
}

/// Else one could not tell where it goes on.
#[test]
fn no_strand_goes_behind_a_box() {
    let chain = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d"), ("d", "a")];
    let calls: Vec<Calls<'_>> =
        chain.iter().map(|(from, to)| (("east", *from), ("east", *to), ALL)).collect();
    for graph in [shop(), graph(&calls), many(60)] {
        let layout = Layout::of(&graph);
        for strand in &layout.strands {
            let ends = strand.way.iter().zip(strand.way.iter().skip(1));
            assert!(ends.clone().all(|(one, next)| one.point(1.0) == next.point(0.0)), "{strand:?}");
            let points =
                strand.way.iter().flat_map(|curve| (1..20).map(|t| curve.point(f64::from(t) / 20.0)));
            for point in points {
                let here = Rectangle::around(point, (1.0, 1.0));
                let covered = layout.boxes.iter().find(|(_, one)| one.shared(here) > 0.5);
                assert!(covered.is_none(), "{point:?} of {strand:?} is behind {covered:?}");
            }
        }
    }
}

#[test]
fn five_hundred_are_laid_out_in_time() {
    let graph = many(500);
    let begin = std::time::Instant::now();
    assert_eq!(Layout::of(&graph).boxes.len(), graph.nodes.len());
    // It takes a twentieth of that on a slow machine that is busy.
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
}

fn many(count: usize) -> Graph {
    let names: Vec<_> = (0..count).map(|number| format!("service-{number}")).collect();
    let mut graph = Graph::default();
    for (number, name) in names.iter().enumerate() {
        for step in [1, 7, 31] {
            let Some(to) = names.iter().cycle().nth(number.wrapping_mul(2).wrapping_add(step)) else {
                continue;
            };
            let ends = (place("east", name), place("west", to));
            graph.nodes.extend([ends.0.clone(), ends.1.clone()]);
            graph.edges.insert(ends, [(Protocol::Http, Traffic::default())].into());
        }
    }
    graph
}
