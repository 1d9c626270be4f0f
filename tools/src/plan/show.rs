//! The plan as text and as JSON.

use std::fmt::Write as _;

use serde_json::{json, Value};

use super::levers::{Lever, ALL};
use super::mesh::{Mesh, Totals};
use super::model::Cost;

const HEAD: [&str; 7] =
    ["", "page of a proxy", "series scraped", "scraped/s", "series held", "Prometheus", "series above"];

/// For people.
pub(crate) fn text(mesh: &Mesh, interval: f64) -> String {
    let mut out = format!(
        "{} Kubernetes clusters, each with {} proxies of {} workloads; {} label sets in a proxy\n\n",
        mesh.kubernetes_clusters,
        mesh.proxies(),
        mesh.workloads,
        mesh.label_sets(),
    );
    let mut rows = vec![HEAD.map(str::to_owned), row("as it is", &mesh.totals(), interval)];
    rows.extend(changes(mesh).map(|(lever, totals)| row(lever.name, &totals, interval)));
    let widths: Vec<_> = (0..HEAD.len())
        .map(|place| rows.iter().filter_map(|row| row.get(place)).map(|cell| cell.chars().count()).max())
        .collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(place, (cell, width))| {
            let width = width.unwrap_or_default();
            if place == 0 {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    for (lever, _) in changes(mesh) {
        let _ = write!(out, "\n{}, into {}:\n\n    {}\n", lever.name, lever.place, lever.lines);
    }
    out
}

/// For scripts.
pub(crate) fn json(mesh: &Mesh, interval: f64) -> Value {
    let levers = changes(mesh).map(|(lever, changed)| {
        json!({
            "name": lever.name,
            "place": lever.place,
            "lines": lever.lines,
            "totals": totals(&changed, interval),
        })
    });
    json!({
        "kubernetes_clusters": mesh.kubernetes_clusters,
        "proxies": mesh.proxies(),
        "label_sets": mesh.label_sets(),
        "totals": totals(&mesh.totals(), interval),
        "levers": levers.collect::<Vec<_>>(),
    })
}

fn changes(mesh: &Mesh) -> impl Iterator<Item = (&'static Lever, Totals)> + '_ {
    ALL.iter().filter_map(|lever| Some((lever, (lever.change)(mesh)?.totals())))
}

fn row(name: &str, totals: &Totals, interval: f64) -> [String; 7] {
    [
        name.to_owned(),
        bytes(totals.proxy.bytes),
        count(totals.scraped.series),
        bytes(totals.scraped.bytes / interval),
        count(totals.held.series),
        bytes(totals.held.memory),
        count(totals.above.series),
    ]
}

fn totals(totals: &Totals, interval: f64) -> Value {
    let cost = |cost: &Cost| json!({"series": cost.series.round(), "memory_bytes": cost.memory.round()});
    json!({
        "page_bytes": totals.proxy.bytes.round(),
        "series_of_a_proxy": totals.proxy.series.round(),
        "scraped_bytes_per_second": (totals.scraped.bytes / interval).round(),
        "scraped": cost(&totals.scraped),
        "recorded": cost(&totals.recorded),
        "held": cost(&totals.held),
        "above": cost(&totals.above),
    })
}

fn bytes(value: f64) -> String {
    scaled(value, &["B", "kB", "MB", "GB", "TB", "PB"])
}

fn count(value: f64) -> String {
    scaled(value, &["", "k", "M", "G", "T"]).trim_end().to_owned()
}

fn scaled(mut value: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next();
    while value >= 1000.0 && units.len() > 0 {
        value /= 1000.0;
        unit = units.next();
    }
    let digits = usize::from(value < 10.0 && value.fract() != 0.0);
    format!("{value:.digits$} {}", unit.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 4020.0, 67.0e6].map(count), ["0", "4.0 k", "67 M"]);
        assert_eq!([835.0, 3_350_000.0].map(bytes), ["835 B", "3.4 MB"]);
    }
}
