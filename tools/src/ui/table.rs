//! Tables whose columns can be sorted by: the address says by which.

use std::cmp::Ordering;

use maud::{html, Markup};

use super::context::Context;
use super::show::{bytes, milliseconds, or_dash, per_second, share, swatch, Foreign};
use super::traffic::{Protocol, Traffic};
use super::view::View;

/// One line: what it is about, and how that goes.
pub(crate) struct Row {
    pub(crate) names: Vec<Name>,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) traffic: Traffic,
}

/// A cell with a name, and where it leads.
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) href: Option<String>,
}

/// A column with numbers.
struct Metric {
    key: &'static str,
    title: &'static str,
    help: &'static str,
    /// What it is sorted by; `None` if there is none.
    value: fn(&Traffic) -> Option<f64>,
    text: fn(f64) -> String,
}

/// All lists have these, so that one learns to read them once.
const METRICS: [Metric; 8] = [
    Metric {
        key: "rate",
        title: "Requests",
        help: "HTTP and gRPC requests per second",
        value: |one| Some(one.http.requests).filter(|rate| *rate > 0.0),
        text: per_second,
    },
    Metric {
        key: "errors",
        title: "Errors",
        help: "share of requests, and of closed TCP connections, that failed",
        value: Traffic::errors,
        text: share,
    },
    Metric {
        key: "p50",
        title: "p50",
        help: "half is as fast as this",
        value: |one| one.quantile_ms(0.5),
        text: milliseconds,
    },
    Metric {
        key: "p99",
        title: "p99",
        help: "99 of 100 are as fast as this",
        value: |one| one.quantile_ms(0.99),
        text: milliseconds,
    },
    Metric {
        key: "mtls",
        title: "Mutual TLS",
        help: "share of requests and bytes, as the destinations report it",
        value: |one| one.mutual_tls.ratio(),
        text: share,
    },
    Metric {
        key: "open",
        title: "TCP open",
        help: "TCP connections that are open",
        value: |one| Some(one.tcp.open).filter(|open| *open > 0.0),
        text: |open| format!("{open:.0}"),
    },
    Metric {
        key: "in",
        title: "TCP from client",
        help: "bytes per second that clients of TCP connections send",
        value: |one| Some(one.tcp.received_bytes).filter(|rate| *rate > 0.0),
        text: bytes,
    },
    Metric {
        key: "out",
        title: "TCP to client",
        help: "bytes per second that clients of TCP connections get",
        value: |one| Some(one.tcp.sent_bytes).filter(|rate| *rate > 0.0),
        text: bytes,
    },
];

/// The table, or a line that says that there is nothing in it.
pub(crate) fn table(
    context: &Context<'_>,
    id: &'static str,
    columns: &[&'static str],
    rows: Vec<Row>,
) -> Markup {
    let rows = sorted(rows, columns, &context.view.sort);
    let has_tcp = rows.iter().any(|row| row.protocols.contains(&Protocol::Tcp));
    let metrics: Vec<_> =
        METRICS.iter().filter(|metric| has_tcp || !metric.title.starts_with("TCP")).collect();
    html! {
        @if rows.is_empty() {
            p.empty { "None." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(columns.first().copied().unwrap_or_default()) {
                table #(id) {
                    thead { tr {
                        @for column in columns { (head(context, column, column, None)) }
                        th scope="col" { "Protocols" }
                        @for metric in &metrics { (head(context, metric.key, metric.title, Some(metric.help))) }
                    } }
                    tbody { @for row in &rows { (line(row, &metrics)) } }
                }
            }
        }
    }
}

fn line(row: &Row, metrics: &[&Metric]) -> Markup {
    html! {
        tr {
            @for name in &row.names {
                td.name {
                    @match &name.href {
                        Some(href) => { a href=(href) { (Foreign(&name.text)) } },
                        None => { (Foreign(&name.text)) },
                    }
                }
            }
            td { @for protocol in &row.protocols { span.tag.(protocol.name()) { (protocol.name()) } " " } }
            @for metric in metrics { (cell(metric, &row.traffic)) }
        }
    }
}

fn cell(metric: &Metric, traffic: &Traffic) -> Markup {
    let value = (metric.value)(traffic);
    let text = or_dash(value.map(metric.text));
    html! {
        td.number.none[value.is_none()] data-metric=(metric.key) {
            @if metric.key == "errors" && value.is_some() { (swatch(value)) }
            (text)
        }
    }
}

/// A title that sorts by its column, and the other way round if it does already.
fn head(context: &Context<'_>, key: &str, title: &str, help: Option<&'static str>) -> Markup {
    let is_number = help.is_some();
    let sort = context.view.sort.as_str();
    let (is_it, is_reversed) = match sort.strip_prefix('-') {
        Some(rest) => (rest == key, true),
        None => (sort == key, false),
    };
    let next = if is_it && !is_reversed { format!("-{key}") } else { key.to_owned() };
    let href = View { sort: next, ..context.view.clone() }.href(context.path);
    // Numbers begin with the greatest.
    let direction = if is_reversed == is_number { "ascending" } else { "descending" };
    html! {
        th.number[is_number] scope="col" title=[help] aria-sort=[is_it.then_some(direction)] { a href=(href) { (title) } }
    }
}

/// By the column that is asked for; else the busiest first.
fn sorted(mut rows: Vec<Row>, columns: &[&'static str], sort: &str) -> Vec<Row> {
    let (key, is_reversed) = match sort.strip_prefix('-') {
        Some(key) => (key, true),
        None => (sort, false),
    };
    let by_name = |row: &Row, column: usize| row.names.get(column).map(|name| name.text.to_lowercase());
    rows.sort_by_key(|row| row.names.iter().map(|name| name.text.clone()).collect::<Vec<_>>());
    if let Some(column) = columns.iter().position(|column| *column == key) {
        rows.sort_by_key(|row| by_name(row, column));
        if is_reversed {
            rows.reverse();
        }
    } else {
        let busiest: fn(&Traffic) -> Option<f64> = |one| Some(one.http.requests + one.tcp_bytes() / 1e12);
        let value = METRICS.iter().find(|metric| metric.key == key).map_or(busiest, |metric| metric.value);
        rows.sort_by(|a, b| by_value(value(&a.traffic), value(&b.traffic), is_reversed));
    }
    rows
}

/// The greatest first, or last; what has no value is last either way.
fn by_value(a: Option<f64>, b: Option<f64>, is_reversed: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if is_reversed => a.total_cmp(&b),
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// The same numbers, large, for one thing.
pub(crate) fn tiles(traffic: &Traffic) -> Markup {
    let shown = METRICS.iter().filter_map(|metric| Some((metric, (metric.value)(traffic)?)));
    html! {
        dl.tiles {
            @for (metric, value) in shown {
                div data-metric=(metric.key) title=(metric.help) {
                    dt { (metric.title) }
                    dd { @if metric.key == "errors" { (swatch(Some(value))) } ((metric.text)(value)) }
                }
            }
            @if traffic.is_idle() { div { dt { "Now" } dd { "idle" } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, requests: f64) -> Row {
        let mut traffic = Traffic::default();
        traffic.http.requests = requests;
        Row { names: vec![Name { text: name.to_owned(), href: None }], protocols: vec![], traffic }
    }

    fn order(sort: &str) -> String {
        let rows = vec![row("b", 2.0), row("a", 0.0), row("c", 5.0)];
        sorted(rows, &["Service"], sort).iter().map(|row| row.names[0].text.clone()).collect()
    }

    #[test]
    fn sorted_by_what_the_address_says() {
        assert_eq!(
            ["", "rate", "-rate", "Service", "-Service", "nonsense"].map(order),
            ["cba", "cba", "bca", "abc", "cba", "cba"]
        );
    }
}
