//! What is around every page: where one is, what one may choose, what is wrong.

use std::collections::BTreeSet;

use maud::{html, Markup, PreEscaped, DOCTYPE};

use super::context::Context;
use super::mesh::{Level, Mesh};
use super::show::Foreign;
use super::view::{Range, View};

/// Path, name, and the key that leads there.
const PAGES: [(&str, &str, &str); 4] = [
    ("/", "Topology", "1"),
    ("/clusters", "Kubernetes clusters", "2"),
    ("/services", "Services", "3"),
    ("/workloads", "Workloads", "4"),
];

/// The whole document.
pub(crate) fn document(context: &Context<'_>, title: &str, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (Foreign(title)) " · istio-stats" }
                link rel="icon" href="/icon.svg";
                link rel="stylesheet" href="/style.css";
                script src="/script.js" defer {}
                @if !context.view.paused { noscript { meta http-equiv="refresh" content="10"; } }
            }
            body data-paused[context.view.paused] {
                a.skip href="#main" { "Skip to the content" }
                (header(context))
                main #main tabindex="-1" {
                    (told(context))
                    h1 { (Foreign(title)) }
                    (main)
                }
                (footer())
            }
        }
    }
}

fn header(context: &Context<'_>) -> Markup {
    let view = &context.view;
    let is_view = PAGES.iter().any(|(path, _, _)| *path == context.path);
    // What a list leaves out the next one does, too; one service is no filter.
    let kept = if is_view { View { sort: String::new(), ..view.clone() } } else { view.everything() };
    html! {
        header {
            a.brand href=(view.everything().href("/")) { (PreEscaped(include_str!("icon.svg"))) "istio-stats" }
            nav aria-label="Views" {
                @for (path, name, key) in PAGES {
                    a href=(kept.href(path)) accesskey=(key) aria-current=[(path == context.path).then_some("page")] { (name) }
                }
            }
            @if is_view { (filters(context)) }
        }
    }
}

/// A form that works by itself; the script only sends it sooner.
fn filters(context: &Context<'_>) -> Markup {
    let view = &context.view;
    let (cluster_ids, namespaces) = known(context.mesh());
    let choice = |name: &'static str, all: &'static str, known: &BTreeSet<&str>, chosen: &str| {
        html! {
            select name=(name) aria-label=(all) {
                option value="" { (all) }
                @if !chosen.is_empty() && !known.contains(chosen) {
                    option value=(chosen) selected { (Foreign(chosen)) }
                }
                @for one in known { option value=(one) selected[*one == chosen] { (Foreign(one)) } }
            }
        }
    };
    html! {
        form.filters action=(context.path) method="get" role="search" {
            @if context.path == "/" {
                select name="by" aria-label="What a box stands for" {
                    @for (level, value, name) in LEVELS { option value=(value) selected[level == view.by] { (name) } }
                }
            }
            (choice("cluster", "all Kubernetes clusters", &cluster_ids, &view.cluster))
            (choice("namespace", "all namespaces", &namespaces, &view.namespace))
            input #q type="search" name="q" value=(view.q) placeholder="name contains… (/)" aria-label="Name contains" autocomplete="off";
            @if context.source.asked().is_some() {
                select name="range" aria-label="Rates over" {
                    @for range in Range::ALL {
                        option value=(range.promql()) selected[range == view.range] { "over " (range.promql()) }
                    }
                }
            }
            @if !view.sort.is_empty() { input type="hidden" name="sort" value=(view.sort); }
            @if view.paused { input type="hidden" name="paused" value="true"; }
            button { "Show" }
            @if view.filters() { a.clear href=(view.everything().href(context.path)) { "Show all" } }
        }
    }
}

const LEVELS: [(Level, &str, &str); 3] = [
    (Level::Service, "service", "services"),
    (Level::Workload, "workload", "workloads"),
    (Level::Namespace, "namespace", "namespaces"),
];

fn known(mesh: &Mesh) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let mut known = (BTreeSet::new(), BTreeSet::new());
    for call in mesh.calls.keys() {
        for place in [&call.source, &call.service, &call.destination] {
            known.0.insert(place.cluster_id.as_str());
            known.1.insert(place.namespace.as_str());
        }
    }
    known
}

/// How old this is, and what is wrong with it.
fn told(context: &Context<'_>) -> Markup {
    let picture = &context.picture;
    let view = &context.view;
    let paused = View { paused: !view.paused, ..view.clone() };
    let stale = picture.tried.saturating_duration_since(picture.at).as_secs();
    let urls = context.source.urls();
    html! {
        p.state {
            span {
                @match picture.over {
                    Some(over) => { "Rates over " (span(over.as_secs())) },
                    None => { "Rates in a moment: they need two readings" },
                }
                " from "
                @match urls.as_slice() {
                    [url] => { (Foreign(url)) },
                    urls => { (urls.len()) " Envoys" },
                }
            }
            a.pause href=(paused.href(context.path)) { @if view.paused { "Go on" } @else { "Pause" } }
        }
        @if !picture.problems.is_empty() {
            div.problems role="alert" {
                @if stale > 0 { p { strong { "Shown is what was there " (span(stale)) " ago." } } }
                @for problem in &picture.problems {
                    p { strong { (problem.part) " cannot be shown: " } (Foreign(&problem.why)) }
                }
            }
        }
        @for note in &picture.notes { p.note role="status" { (Foreign(note)) } }
    }
}

pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

fn footer() -> Markup {
    html! {
        footer {
            span { "Errors: HTTP 5xx, gRPC statuses like it, servers that broke off, TCP connections that failed." }
            span.keys { kbd { "1" } "–" kbd { "4" } " views " kbd { "/" } " find " kbd { "p" } " pause " kbd { "r" } " read again" }
        }
    }
}
