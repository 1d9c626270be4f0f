//! The mesh as tables: Kubernetes clusters by each other, services, workloads.

use std::collections::{BTreeMap, BTreeSet};

use istio_stats::catalogue::label_value::UNKNOWN;
use maud::{html, Markup};

use super::context::Context;
use super::mesh::{Call, Mesh, Place};
use super::show::{bytes, colour, in_words, milliseconds, per_second, share, Foreign};
use super::table::{table, Name, Row};
use super::traffic::{Protocol, Traffic};
use super::view::View;

/// Which Kubernetes cluster calls which.
pub(crate) fn clusters(context: &Context<'_>) -> Markup {
    let mesh = context.view.of(context.mesh());
    let pairs = mesh.by(|call| Some((call.source.cluster_id.clone(), call.service.cluster_id.clone())));
    let by_id = |ids: BTreeSet<String>| {
        let (last, mut known): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| id == UNKNOWN);
        known.extend(last);
        known
    };
    let sources = by_id(pairs.keys().map(|(source, _)| source.clone()).collect());
    let destinations = by_id(pairs.keys().map(|(_, destination)| destination.clone()).collect());
    let rows = pairs.iter().map(|((source, destination), traffic)| Row {
        names: vec![cluster_name(context, source), cluster_name(context, destination)],
        protocols: protocols(&mesh, |call| {
            call.source.cluster_id == *source && call.service.cluster_id == *destination
        }),
        traffic: traffic.clone(),
    });
    html! {
        @if pairs.is_empty() { p.empty { "Nothing calls anything here." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Matrix" {
                table.matrix {
                    thead { tr {
                        th scope="col" { "from ↓ to →" }
                        @for id in &destinations { th scope="col" { (Foreign(id)) } }
                    } }
                    tbody { @for source in &sources { tr {
                        th scope="row" { (Foreign(source)) }
                        @for destination in &destinations {
                            (pair(pairs.get(&(source.clone(), destination.clone()))))
                        }
                    } } }
                }
            }
            h2 { "In numbers" }
            (table(context, "pairs", &["From", "To"], rows.collect()))
        }
    }
}

fn pair(traffic: Option<&Traffic>) -> Markup {
    let Some(traffic) = traffic else {
        return html! { td.nothing { "–" } };
    };
    html! {
        td title=(in_words(traffic)) {
            svg.bar viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" {
                rect width="100" height="4" fill=(colour(if traffic.is_idle() { None } else { traffic.errors().or(Some(0.0)) })) {}
            }
            @if traffic.is_idle() { span.quiet { "idle" } }
            @if traffic.http.requests > 0.0 { strong { (per_second(traffic.http.requests)) } }
            @if let Some(errors) = traffic.errors() { span { (share(errors)) " errors" } }
            @if let Some(p99) = traffic.quantile_ms(0.99) { span { "p99 " (milliseconds(p99)) } }
            @if traffic.tcp_bytes() > 0.0 { span { "TCP " (bytes(traffic.tcp_bytes())) } }
            @if let Some(ratio) = traffic.mutual_tls.ratio() { span { (share(ratio)) " mutual TLS" } }
        }
    }
}

pub(crate) fn services(context: &Context<'_>) -> Markup {
    let wanted = |call: &Call| context.view.wants(&call.service).then(|| call.service.clone());
    let rows = rows(context, context.mesh(), "/service", wanted);
    table(context, "services", &["Service", "Namespace", "Kubernetes cluster"], rows)
}

/// Those that answer, and those that only call.
pub(crate) fn workloads(context: &Context<'_>) -> Markup {
    let mesh = context.mesh();
    let wanted = |place: &Place| place.name != UNKNOWN && context.view.wants(place);
    let mut all = mesh.by(|call| wanted(&call.destination).then(|| call.destination.clone()));
    for call in mesh.calls.keys().filter(|call| wanted(&call.source)) {
        all.entry(call.source.clone()).or_default();
    }
    let rows = all.into_iter().map(|(place, traffic)| Row {
        protocols: protocols(mesh, |call| call.destination == place),
        names: names(context, "/workload", &place),
        traffic,
    });
    html! {
        p.quiet { "What each of them answers. Those without numbers only call others." }
        (table(context, "workloads", &["Workload", "Namespace", "Kubernetes cluster"], rows.collect()))
    }
}

/// One row for each place that calls have by `key`; it leads to that place's page.
pub(crate) fn rows(
    context: &Context<'_>,
    mesh: &Mesh,
    path: &'static str,
    key: impl Fn(&Call) -> Option<Place>,
) -> Vec<Row> {
    let sums: BTreeMap<Place, Traffic> = mesh.by(&key);
    let row = |(place, traffic): (Place, Traffic)| Row {
        protocols: protocols(mesh, |call| key(call).as_ref() == Some(&place)),
        names: names(context, path, &place),
        traffic,
    };
    sums.into_iter().map(row).collect()
}

fn names(context: &Context<'_>, path: &'static str, place: &Place) -> Vec<Name> {
    let href = context.view.at(place).href(path);
    vec![
        Name { text: place.name.clone(), href: Some(href) },
        Name { text: place.namespace.clone(), href: None },
        cluster_name(context, &place.cluster_id),
    ]
}

fn cluster_name(context: &Context<'_>, id: &str) -> Name {
    let only = View { cluster: id.to_owned(), ..context.view.everything() };
    Name { text: id.to_owned(), href: Some(only.href("/")) }
}

fn protocols(mesh: &Mesh, wanted: impl Fn(&Call) -> bool) -> Vec<Protocol> {
    let all: BTreeSet<_> = mesh.calls.keys().filter(|call| wanted(call)).map(|call| call.protocol).collect();
    all.into_iter().collect()
}
