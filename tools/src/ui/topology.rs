//! The picture: Kubernetes clusters as frames, what is in them as boxes, calls as strands.

use istio_stats::catalogue::label_value::UNKNOWN;
use maud::{html, Markup};

use super::context::Context;
use super::layers::to_f64;
use super::layout::{Curve, Layout, Point, Rectangle, Strand};
use super::mesh::{Graph, Level, Mesh, Place};
use super::show::{bytes, colour, cut, in_words, milliseconds, per_second, place, share, visible};
use super::traffic::{Protocol, Traffic};

/// More things than this nobody can tell apart: namespaces are shown instead.
const MOST_BOXES: usize = 500;
/// More strands than this have their texts only where the pointer is, or an error.
const MOST_TEXTS: usize = 90;

/// The page's main part.
pub(crate) fn page(context: &Context<'_>) -> Markup {
    let mesh = context.view.of(context.mesh());
    let (level, graph) = readable(&mesh, context.view.by);
    let boxes = mesh.graph(context.view.by).nodes.len();
    html! {
        @if level != context.view.by {
            p.note role="status" {
                (boxes) " " (plural(context.view.by)) " are more than a picture can hold: it shows their namespaces. "
                "Choose a Kubernetes cluster or a namespace to see what is in it."
            }
        }
        (picture(context, &graph, level))
        @if !graph.nodes.is_empty() { (legend()) }
    }
}

/// The graph at the level that was asked for, or a coarser one.
fn readable(mesh: &Mesh, level: Level) -> (Level, Graph) {
    let graph = mesh.graph(level);
    if graph.nodes.len() > MOST_BOXES {
        return (Level::Namespace, mesh.graph(Level::Namespace));
    }
    (level, graph)
}

fn plural(level: Level) -> &'static str {
    match level {
        Level::Service => "services",
        Level::Workload => "workloads",
        Level::Namespace => "namespaces",
    }
}

/// The picture of a graph.
pub(crate) fn picture(context: &Context<'_>, graph: &Graph, level: Level) -> Markup {
    let layout = Layout::of(graph);
    let has_texts = layout.strands.len() <= MOST_TEXTS;
    // Smaller than this nobody can read it: it scrolls instead.
    let least = format!("{:.0}", layout.width * 0.66);
    html! {
        @if graph.nodes.is_empty() {
            p.empty { "Nothing calls anything here." }
        } @else {
            div.picture tabindex="0" role="region" aria-label="Topology" {
                svg.topology.quiet[!has_texts] xmlns="http://www.w3.org/2000/svg" width=(least) role="group"
                    viewBox={ "0 0 " (number(layout.width)) " " (number(layout.height)) } {
                    @for (id, frame) in &layout.frames { (frame_of(context, graph, level, id, *frame)) }
                    @for strand in &layout.strands { (strand_of(context, graph, level, &layout, strand, has_texts)) }
                    @for (place, rectangle) in &layout.boxes { (box_of(context, graph, level, place, layout.number(place), *rectangle)) }
                    // Over everything, so that no line crosses a text.
                    @if has_texts { @for strand in &layout.strands { (caption_of(context, graph, level, &layout, strand)) } }
                }
            }
        }
    }
}

fn frame_of(context: &Context<'_>, graph: &Graph, level: Level, id: &str, frame: Rectangle) -> Markup {
    let count = graph.nodes.iter().filter(|place| place.cluster_id == id).count();
    let what = if count == 1 { plural(level).trim_end_matches('s') } else { plural(level) };
    let only = super::view::View { cluster: id.to_owned(), ..context.view.everything() };
    html! {
        g.frame.unknown[id == UNKNOWN] {
            rect x=(number(frame.x + 1.0)) y=(number(frame.y + 1.0)) width=(number(frame.width - 2.0))
                height=(number(frame.height - 2.0)) rx="14" {}
            a href=(only.href("/")) {
                text.name x=(number(frame.x + 22.0)) y=(number(frame.y + 28.0)) {
                    @if id == UNKNOWN { "outside, or unknown" } @else { (cut(id, 60)) }
                }
            }
            text.count x=(number(frame.x + frame.width - 22.0)) y=(number(frame.y + 28.0)) text-anchor="end" {
                @if id != UNKNOWN { "Kubernetes cluster · " } (count) " " (what)
            }
        }
    }
}

fn box_of(
    context: &Context<'_>,
    graph: &Graph,
    level: Level,
    at: &Place,
    order: usize,
    r: Rectangle,
) -> Markup {
    let into = graph.edges.iter().filter(|((_, to), _)| to == at).flat_map(|(_, strands)| strands.values());
    let traffic = Traffic::sum(into);
    let name = if level == Level::Namespace { &at.namespace } else { &at.name };
    let below = if level == Level::Namespace { "namespace" } else { at.namespace.as_str() };
    html! {
        a.box href=(href(context, level, at)) data-box=(order) {
            title { (place(at)) ": " (in_words(&traffic)) }
            rect x=(number(r.x)) y=(number(r.y)) width=(number(r.width)) height=(number(r.height)) rx="9" {}
            rect.health x=(number(r.x)) y=(number(r.y + 9.0)) width="5" height=(number(r.height - 18.0)) rx="2.5"
                fill=(colour(traffic.errors())) {}
            text.name x=(number(r.x + 17.0)) y=(number(r.y + r.height / 2.0 - 4.0)) { (cut(name, 19)) }
            text.below x=(number(r.x + 17.0)) y=(number(r.y + r.height / 2.0 + 14.0)) {
                (cut(if below == UNKNOWN { "–" } else { below }, 16))
            }
            @if traffic.http.requests > 0.0 {
                text.rate x=(number(r.x + r.width - 12.0)) y=(number(r.y + r.height / 2.0 + 14.0)) text-anchor="end" {
                    (per_second(traffic.http.requests))
                }
            }
        }
    }
}

/// Where a box leads to.
pub(crate) fn href(context: &Context<'_>, level: Level, at: &Place) -> String {
    match level {
        Level::Service => context.view.at(at).href("/service"),
        Level::Workload => context.view.at(at).href("/workload"),
        Level::Namespace => super::view::View { by: Level::Service, ..context.view.at(at) }.href("/"),
    }
}

fn traffic_of<'a>(graph: &'a Graph, strand: &Strand<'_>) -> Option<&'a Traffic> {
    let ends = (strand.from.clone(), strand.to.clone());
    graph.edges.get(&ends)?.get(&strand.protocol)
}

/// Its boxes, by which the script finds all that belongs together.
fn ends(layout: &Layout<'_>, strand: &Strand<'_>) -> String {
    format!("{} {}", layout.number(strand.from), layout.number(strand.to))
}

/// What stands on a strand. The link is that of the strand, where keys and screen readers find it.
fn caption_of(
    context: &Context<'_>,
    graph: &Graph,
    level: Level,
    layout: &Layout<'_>,
    strand: &Strand<'_>,
) -> Markup {
    let Some(traffic) = traffic_of(graph, strand).filter(|traffic| !traffic.is_idle()) else {
        return html! {};
    };
    html! {
        a.strand.caption href=(href(context, level, strand.to)) data-ends=(ends(layout, strand)) tabindex="-1" aria-hidden="true" {
            (pill(&parts(strand.protocol, traffic), traffic, strand.label))
        }
    }
}

fn strand_of(
    context: &Context<'_>,
    graph: &Graph,
    level: Level,
    layout: &Layout<'_>,
    strand: &Strand<'_>,
    has_caption: bool,
) -> Markup {
    let Strand { from, to, protocol, way, label } = strand;
    let Some(traffic) = traffic_of(graph, strand) else {
        return html! {};
    };
    let line = line(way);
    let fails = traffic.errors().is_some_and(|errors| errors > 0.0);
    let colour = if traffic.is_idle() { colour(None) } else { colour(traffic.errors().or(Some(0.0))) };
    html! {
        a.strand.idle[traffic.is_idle()].fails[fails] href=(href(context, level, to)) data-protocol=(protocol.name())
            data-from=(visible(&from.name)) data-to=(visible(&to.name)) data-ends=(ends(layout, strand)) {
            title { (place(from)) " calls " (place(to)) ", " (protocol.name()) ": " (in_words(traffic)) }
            path.reach d=(line) {}
            path.(protocol.name()) d=(line) stroke=(colour) stroke-width=(number(thickness(traffic))) {}
            path.arrow d=(arrow(way)) fill=(colour) {}
            @if !traffic.is_idle() && !has_caption {
                (pill(&parts(*protocol, traffic), traffic, *label))
            }
        }
    }
}

/// What stands on a strand, and how it looks.
fn parts(protocol: Protocol, traffic: &Traffic) -> Vec<(&'static str, String)> {
    let mut parts = Vec::new();
    match protocol {
        Protocol::Http => {}
        Protocol::Grpc => parts.push(("protocol", "gRPC".to_owned())),
        Protocol::Tcp => parts.push(("protocol", "TCP".to_owned())),
    }
    if protocol == Protocol::Tcp {
        parts.push(("", bytes(traffic.tcp_bytes())));
    } else {
        parts.push(("", per_second(traffic.http.requests)));
    }
    if let Some(errors) = traffic.errors().filter(|errors| *errors > 0.0) {
        parts.push(("errors", share(errors)));
    }
    if let Some(p99) = traffic.quantile_ms(0.99) {
        parts.push(("", milliseconds(p99)));
    }
    parts
}

/// As wide as its text, about.
fn pill(parts: &[(&'static str, String)], traffic: &Traffic, (x, y): (f64, f64)) -> Markup {
    let letters = parts.iter().map(|(_, text)| text.chars().count().saturating_add(1)).sum();
    let lock_width = if traffic.mutual_tls.ratio().is_some() { 14.0 } else { 0.0 };
    let width = to_f64(letters) * 6.7 + 12.0 + lock_width;
    let left = x - width / 2.0;
    html! {
        rect.pill x=(number(left)) y=(number(y - 10.0)) width=(number(width)) height="20" rx="10" {}
        (lock(traffic, left + 8.0, y))
        text.label x=(number(x + lock_width / 2.0)) y=(number(y + 4.0)) text-anchor="middle" {
            @for (class, text) in parts { tspan.(class) { (text) } " " }
        }
    }
}

/// Closed if all of it goes over mutual TLS, open if nothing does, half if some does.
fn lock(traffic: &Traffic, x: f64, y: f64) -> Markup {
    let Some(ratio) = traffic.mutual_tls.ratio() else {
        return html! {};
    };
    let class = match ratio {
        1.0 => "closed",
        0.0 => "open",
        _ => "half",
    };
    let swing = if class == "closed" { "v3" } else { "v1" };
    html! {
        g.lock.(class) transform={ "translate(" (number(x)) " " (number(y)) ")" } {
            path d={ "M1.6,-0.5 v-2.2 a2.4,2.4 0 0 1 4.8,0 " (swing) } {}
            rect x="0" y="-0.8" width="8" height="6" rx="1.2" {}
        }
    }
}

/// Ten times as much is a bit thicker.
fn thickness(traffic: &Traffic) -> f64 {
    let requests = (1.0 + traffic.http.requests).log10();
    let bytes = (1.0 + traffic.tcp_bytes() / 1000.0).log10();
    1.6 + 1.1 * requests.max(bytes).min(4.0)
}

fn line(way: &[Curve]) -> String {
    let mut line = String::new();
    for (number, Curve([begin, first, second, end])) in way.iter().enumerate() {
        let begin = if number == 0 { format!("M{}", point(*begin)) } else { String::new() };
        line.extend([begin, format!(" C{} {} {}", point(*first), point(*second), point(*end))]);
    }
    line
}

fn arrow(way: &[Curve]) -> String {
    let Some(Curve([_, _, from, to])) = way.last() else { return String::new() };
    let back = if from.0 < to.0 { -9.0 } else { 9.0 };
    format!("M{} l{back},-4.5 v9 z", point(*to))
}

fn point((x, y): Point) -> String {
    format!("{},{}", number(x), number(y))
}

fn legend() -> Markup {
    let protocol = |class: &'static str, name: &'static str| {
        html! {
            span { svg.key viewBox="0 0 34 8" aria-hidden="true" { path.(class) d="M1,4 H33" stroke="currentColor" stroke-width="2.4" {} } (name) }
        }
    };
    let health =
        |errors: Option<f64>, name: &'static str| html! { span { (super::show::swatch(errors)) (name) } };
    html! {
        p.legend aria-label="Legend" {
            (protocol("http", "HTTP")) (protocol("grpc", "gRPC")) (protocol("tcp", "TCP"))
            (health(Some(0.0), "no errors")) (health(Some(0.01), "1%")) (health(Some(0.05), "5%"))
            (health(Some(0.2), "15% and more")) (health(None, "idle"))
            span { svg.key.small viewBox="-1 -7 10 14" aria-hidden="true" { (lock_sample("closed")) } "mutual TLS" }
            span { svg.key.small viewBox="-1 -7 10 14" aria-hidden="true" { (lock_sample("open")) } "none" }
            span.quiet { "On each strand: requests or bytes per second, errors, p99." }
        }
    }
}

fn lock_sample(class: &str) -> Markup {
    let part = if class == "closed" { 1.0 } else { 0.0 };
    let share = super::traffic::Share { part, whole: 1.0 };
    lock(&Traffic { mutual_tls: share, ..Traffic::default() }, 0.0, 1.0)
}

fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
