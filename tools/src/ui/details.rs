//! One service or workload: how it does, what fails, who calls it and what it calls, the
//! workloads and pods behind it.

use std::collections::BTreeMap;

use maud::{html, Markup};

use super::chart::{chart, Line};
use super::context::Context;
use super::lists::rows;
use super::mesh::{Level, Mesh};
use super::pods::{pods, Pod, Subject};
use super::resources::Resources;
use super::series::Problem;
use super::show::{bytes, milliseconds, or_dash, per_second, place, share, size, swatch, Foreign};
use super::table::{table, tiles};
use super::topology::picture;
use super::traffic::{Protocol, Traffic};
use super::words;
use crate::top::latency::Buckets;

pub(crate) fn service(context: &Context<'_>) -> Markup {
    let place = context.view.place();
    page(context, Subject::Service(&place), Level::Service)
}

pub(crate) fn workload(context: &Context<'_>) -> Markup {
    let place = context.view.place();
    page(context, Subject::Workload(&place), Level::Workload)
}

fn page(context: &Context<'_>, subject: Subject<'_>, level: Level) -> Markup {
    let mesh = context.mesh();
    let called = mesh.filtered(|call| subject.is_called(call));
    let calling = mesh.filtered(|call| subject.calls(call));
    let around = mesh.filtered(|call| subject.is_called(call) || subject.calls(call));
    let path = if level == Level::Workload { "/workload" } else { "/service" };
    let callers = rows(context, &called, path, |call| Some(call.ends(level).0));
    let callees = rows(context, &calling, path, |call| Some(call.ends(level).1));
    let names: [&'static str; 3] = match level {
        Level::Workload => ["Workload", "Namespace", "Kubernetes cluster"],
        _ => ["Service", "Namespace", "Kubernetes cluster"],
    };
    let traffic = called.total();
    html! {
        p.where { (kind(subject)) " " (place(subject.place())) }
        @if around.calls.is_empty() {
            p.note role="status" { "Nothing is known of it: nobody reports a call of it or to it." }
        }
        @if !called.calls.is_empty() { (tiles(&traffic)) }
        (picture(context, &around.graph(level), level))
        @if !called.calls.is_empty() {
            section #outcomes { h2 { "How calls end" } (outcomes(&traffic)) }
            section #latency { h2 { "Latency over time" } (latency(context, subject)) }
            section #callers { h2 { "Who calls it" } (table(context, "callers-table", &names, callers)) }
        }
        @if !calling.calls.is_empty() {
            section #callees { h2 { "What it calls" } (table(context, "callees-table", &names, callees)) }
        }
        (behind(context, subject, &called, &calling))
        section #pods { h2 { "Pods" } (pods_of(context, subject)) }
    }
}

fn kind(subject: Subject<'_>) -> &'static str {
    match subject {
        Subject::Service(_) => "Service",
        Subject::Workload(_) => "Workload",
    }
}

/// The workloads of a service; the services that a workload answers.
fn behind(context: &Context<'_>, subject: Subject<'_>, called: &Mesh, calling: &Mesh) -> Markup {
    let of_service = |mesh: &Mesh| rows(context, mesh, "/workload", |call| Some(call.answering()));
    html! {
        @match subject {
            Subject::Service(_) if !called.calls.is_empty() => section #workloads {
                h2 { "Workloads that answer" }
                (table(context, "workloads-table", &["Workload", "Namespace", "Kubernetes cluster"], of_service(called)))
            },
            Subject::Service(_) => section #workloads {
                h2 { "Workloads that call" }
                (table(context, "workloads-table", &["Workload", "Namespace", "Kubernetes cluster"],
                    rows(context, calling, "/workload", |call| Some(call.source.clone()))))
            },
            Subject::Workload(_) => section #services {
                h2 { "Services it answers" }
                (table(context, "services-table", &["Service", "Namespace", "Kubernetes cluster"],
                    rows(context, called, "/service", |call| Some(call.service.clone()))))
            },
        }
    }
}

/// By code and flag, in words; what fails first.
fn outcomes(traffic: &Traffic) -> Markup {
    let mut all: Vec<_> = traffic.outcomes.iter().filter(|(_, rate)| **rate > 0.0).collect();
    all.sort_by(|(a, a_rate), (b, b_rate)| {
        b.is_failure().cmp(&a.is_failure()).then(b_rate.total_cmp(a_rate)).then(a.cmp(b))
    });
    let whole = traffic.http.requests + traffic.closed;
    html! {
        @if all.is_empty() { p.empty { "None ended in this time." } } @else {
            div.scroll tabindex="0" role="region" aria-label="How calls end" {
                table #outcomes-table {
                    thead { tr {
                        th scope="col" { "Protocol" } th scope="col" { "Code" } th scope="col" { "Flags" }
                        th scope="col" { "What happened" }
                        th.number scope="col" { "Rate" } th.number scope="col" { "Share" }
                    } }
                    tbody { @for (outcome, rate) in all { tr.fails[outcome.is_failure()] {
                        td { span.tag.(outcome.protocol.name()) { (outcome.protocol.name()) } }
                        td { @match outcome.protocol {
                            Protocol::Http => { (Foreign(&outcome.code)) },
                            Protocol::Grpc => { (Foreign(&words::grpc(&outcome.grpc_status))) },
                            Protocol::Tcp => { "–" },
                        } }
                        td { code { (Foreign(&outcome.flags)) } }
                        td.words { (Foreign(&in_words(&outcome.code, &outcome.flags))) }
                        td.number { (per_second(*rate)) }
                        td.number { (share(*rate / whole)) }
                    } } }
                }
            }
        }
    }
}

fn in_words(code: &str, flags: &str) -> String {
    let parts = [words::code(code).to_owned(), words::flags(flags)];
    let told: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    told.join(": ")
}

fn latency(context: &Context<'_>, subject: Subject<'_>) -> Markup {
    let drawn = match lines(context, subject) {
        Ok((lines, seconds)) => chart(&lines, seconds),
        Err(error) => return failed("Latency over time", &format!("{error:#}")),
    };
    drawn.unwrap_or_else(
        || html! { p.empty { "No requests in this time, or not for long enough to draw a line." } },
    )
}

const QUANTILES: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];

/// The lines, and how many seconds they are about.
fn lines(context: &Context<'_>, subject: Subject<'_>) -> anyhow::Result<(Vec<Line>, f64)> {
    let Some(prometheus) = context.source.asked() else {
        return Ok(remembered(context, subject));
    };
    let range = context.view.range;
    // Long enough to see what was before.
    let spanned = range.duration().saturating_mul(6);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = now.as_secs_f64();
    // By when they were, as bits: those of times after 1970 have the times' order.
    let mut steps: BTreeMap<u64, Buckets> = BTreeMap::new();
    for (labels, points) in prometheus.over_time(&subject.latency(prometheus, range), spanned, 90)? {
        let Some(bound) = labels.get("le").and_then(|bound| bound.parse().ok()) else { continue };
        for (at, count) in points {
            steps.entry(at.to_bits()).or_default().add(bound, count);
        }
    }
    let line = |(name, q): (&'static str, f64)| {
        let ago = |at: &u64| (now - f64::from_bits(*at)).max(0.0);
        let points = steps.iter().filter_map(|(at, buckets)| Some((ago(at), buckets.quantile(q)?)));
        Line { name, points: points.collect() }
    };
    let lines = QUANTILES.map(line).into();
    Ok((lines, spanned.as_secs_f64()))
}

fn remembered(context: &Context<'_>, subject: Subject<'_>) -> (Vec<Line>, f64) {
    let picture = &context.picture;
    let now = [(picture.at, std::sync::Arc::clone(&picture.mesh))];
    let all: Vec<_> = picture.before.iter().chain(&now).collect();
    let ago = |at: &std::time::Instant| picture.at.saturating_duration_since(*at).as_secs_f64();
    let line = |(name, q): (&'static str, f64)| {
        let points = all.iter().filter_map(|(at, mesh)| {
            let traffic = mesh.filtered(|call| subject.is_called(call)).total();
            Some((ago(at), traffic.quantile_ms(q)?))
        });
        Line { name, points: points.collect() }
    };
    let seconds = all.first().map_or(0.0, |(at, _)| ago(at));
    (QUANTILES.map(line).into(), seconds.max(60.0))
}

fn pods_of(context: &Context<'_>, subject: Subject<'_>) -> Markup {
    let Some(prometheus) = context.source.asked() else {
        return proxies(context, subject);
    };
    let found = match pods(prometheus, context.view.range, subject) {
        Ok(found) => found,
        Err(error) => return failed("Pods", &format!("{error:#}")),
    };
    let resources = Resources::of(prometheus, found.keys());
    let knows_pods = found.keys().any(|pod| !pod.name.is_empty());
    html! {
        @if found.is_empty() {
            p.empty { "No proxy of its own reports it: it has none, or is not scraped, or pods were summed away." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Pods" {
                table #pods-table {
                    thead { tr {
                        th scope="col" { "Pod" } th scope="col" { "Status" }
                        th.number scope="col" { "Requests" } th.number scope="col" { "Errors" } th.number scope="col" { "p99" }
                        th.number scope="col" { "TCP" } th.number scope="col" { "CPU" } th.number scope="col" { "Memory" }
                        th scope="col" { "Node" } th.number scope="col" { "its CPU" } th.number scope="col" { "its memory" }
                    } }
                    tbody { @for (pod, traffic) in &found { (pod_row(pod, traffic, &resources)) } }
                }
            }
            @if !knows_pods {
                p.missing { "The series have no label " code { "pod" } ": shown is what was scraped." }
            }
        }
        @for problem in &resources.problems { (problem_of(problem)) }
        @if !resources.missing.is_empty() {
            p.missing { "This Prometheus lacks " (resources.missing.join("; ")) "." }
        }
    }
}

fn pod_row(pod: &Pod, traffic: &Traffic, resources: &Resources) -> Markup {
    let of_pod = resources.pod(pod);
    let node = of_pod.node.unwrap_or_default();
    let of_node = resources.node(pod, &node);
    let cores = |cores: f64| format!("{:.0}\u{a0}m", cores * 1000.0);
    html! {
        tr {
            td.name { (Foreign(if pod.name.is_empty() { &pod.instance } else { &pod.name })) }
            td {
                @match of_pod.is_ready {
                    Some(true) => { span.tag.good { "ready" } },
                    Some(false) => { span.tag.bad { "not ready" } },
                    None => { "–" },
                }
                @if let Some(restarts) = of_pod.restarts.filter(|restarts| *restarts > 0.0) {
                    " " (format!("{restarts:.0}")) " restarts"
                }
            }
            td.number { (per_second(traffic.http.requests)) }
            td.number { (swatch(traffic.errors())) (or_dash(traffic.errors().map(share))) }
            td.number { (or_dash(traffic.quantile_ms(0.99).map(milliseconds))) }
            td.number { (or_dash(Some(traffic.tcp_bytes()).filter(|bytes| *bytes > 0.0).map(bytes))) }
            td.number { (or_dash(of_pod.cpu.map(cores))) }
            td.number { (or_dash(of_pod.memory.map(size))) }
            td { @if node.is_empty() { "–" } @else { (Foreign(&node)) } }
            td.number { (or_dash(of_node.cpu.map(share))) }
            td.number { (or_dash(of_node.memory.map(share))) }
        }
    }
}

/// Of Envoys that are read one by one, each stands for its pod.
fn proxies(context: &Context<'_>, subject: Subject<'_>) -> Markup {
    let of = |mesh: &Mesh| {
        let own = mesh.filtered(|call| subject.is_called(call) || subject.calls(call));
        (!own.calls.is_empty()).then(|| own.total())
    };
    let found: Vec<_> =
        context.picture.proxies.iter().filter_map(|(url, mesh)| Some((url, of(mesh)?))).collect();
    html! {
        div.scroll tabindex="0" role="region" aria-label="Proxies" {
            table #pods-table {
                thead { tr {
                    th scope="col" { "Envoy that reports it" }
                    th.number scope="col" { "Requests" } th.number scope="col" { "Errors" } th.number scope="col" { "p99" }
                    th.number scope="col" { "TCP" }
                } }
                tbody { @for (url, traffic) in found { tr {
                    td.name { (Foreign(url)) }
                    td.number { (per_second(traffic.http.requests)) }
                    td.number { (swatch(traffic.errors())) (or_dash(traffic.errors().map(share))) }
                    td.number { (or_dash(traffic.quantile_ms(0.99).map(milliseconds))) }
                    td.number { (bytes(traffic.tcp_bytes())) }
                } } }
            }
        }
        p.missing { "Envoys do not say which pod and node they are on: for those, CPU and memory name a Prometheus, " code { "--prometheus" } "." }
    }
}

fn failed(part: &str, why: &str) -> Markup {
    problem_of(&Problem { part: part.to_owned(), why: why.to_owned() })
}

fn problem_of(problem: &Problem) -> Markup {
    html! { p.problem role="alert" { strong { (problem.part) " cannot be shown: " } (Foreign(&problem.why)) } }
}
