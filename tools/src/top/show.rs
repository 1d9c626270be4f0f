//! Rows as text and as JSON.

use istio_stats::catalogue::label_value::UNKNOWN;
use serde_json::{json, Value};

use super::choice::{By, Whose};
use super::rows::{Row, Unit};
use crate::output::visible;

/// A column of the table, a cell for each row.
pub(crate) struct Column {
    pub(crate) title: String,
    pub(crate) is_number: bool,
    pub(crate) cells: Vec<String>,
}

/// All columns that have anything to say.
pub(crate) fn columns(rows: &[Row], by: By, unit: Unit) -> Vec<Column> {
    name_columns(rows, by).into_iter().chain(number_columns(rows, unit)).collect()
}

/// The lines of a table, its two head lines first.
pub(crate) fn table(rows: &[Row], by: By, unit: Unit) -> Vec<String> {
    let columns = columns(rows, by, unit);
    let widths: Vec<_> = columns.iter().map(Column::width).collect();
    let line = |cells: Vec<&str>| {
        let aligned = cells.iter().zip(&widths).zip(&columns).map(|((cell, width), column)| {
            let width = *width;
            if column.is_number {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        aligned.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rules: Vec<_> = widths.iter().map(|width| "─".repeat(*width)).collect();
    let head = [
        line(columns.iter().map(|column| column.title.as_str()).collect()),
        line(rules.iter().map(String::as_str).collect()),
    ];
    let body = (0..rows.len()).map(|row| {
        line(columns.iter().filter_map(|column| column.cells.get(row)).map(String::as_str).collect())
    });
    head.into_iter().chain(body).collect()
}

/// For scripts.
pub(crate) fn json(rows: &[Row], by: By, whose: Whose, unit: Unit) -> Value {
    let row = |row: &Row| {
        let mut object = serde_json::Map::new();
        for (label, value) in &row.labels {
            object.insert((*label).to_owned(), json!(value));
        }
        let http = row.http.as_ref();
        object.insert("requests".to_owned(), json!(http.map(|http| http.requests)));
        object.insert("success_ratio".to_owned(), json!(row.success_ratio()));
        for (name, q) in [("p50_ms", 0.5), ("p99_ms", 0.99)] {
            object.insert(name.to_owned(), json!(http.and_then(|http| http.duration_ms.quantile(q))));
        }
        object.insert("tcp_open".to_owned(), json!(row.tcp.map(|tcp| tcp.open)));
        object.insert("tcp_opened".to_owned(), json!(row.tcp.map(|tcp| tcp.opened)));
        object.insert("tcp_received_bytes".to_owned(), json!(row.tcp.map(|tcp| tcp.received_bytes)));
        object.insert("tcp_sent_bytes".to_owned(), json!(row.tcp.map(|tcp| tcp.sent_bytes)));
        Value::Object(object)
    };
    json!({
        "unit": match unit { Unit::Total => "total", Unit::PerSecond => "per second" },
        "by": format!("{by:?}").to_lowercase(),
        "reporter": format!("{whose:?}").to_lowercase(),
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
    })
}

// === impl Column ===

impl Column {
    fn new(title: &str, is_number: bool, cells: impl Iterator<Item = String>) -> Self {
        Self { title: title.to_owned(), is_number, cells: cells.map(|cell| visible(&cell)).collect() }
    }

    /// In characters.
    pub(crate) fn width(&self) -> usize {
        let all = self.cells.iter().map(String::as_str).chain([self.title.as_str()]);
        all.map(|cell| cell.chars().count()).max().unwrap_or_default()
    }
}

fn name_columns(rows: &[Row], by: By) -> Vec<Column> {
    let labels: Vec<_> = by.labels().iter().map(|label| label.name()).chain(["reporter"]).collect();
    let value = |row: &Row, label: &str| {
        let found = row.labels.iter().find(|(name, _)| *name == label);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let is_namespace = |label: &str| label.ends_with("_namespace");
    let column = |label: &&str| {
        // A namespace stands before the name it belongs to, not in a column of its own.
        let namespace = format!("{}_namespace", label.trim_end_matches("_name"));
        let qualified = labels.contains(&namespace.as_str());
        let cell = |row: &Row| match value(row, &namespace) {
            namespace if qualified && namespace != UNKNOWN => format!("{namespace}/{}", value(row, label)),
            _ => value(row, label),
        };
        Column::new(label, false, rows.iter().map(cell))
    };
    labels.iter().filter(|label| !is_namespace(label)).map(column).collect()
}

fn number_columns(rows: &[Row], unit: Unit) -> Vec<Column> {
    let amount: fn(f64) -> String = match unit {
        Unit::Total => count,
        Unit::PerSecond => rate,
    };
    let mut columns = Vec::new();
    let mut column = |title: &str, cell: &dyn Fn(&Row) -> Option<String>| {
        let cells = rows.iter().map(|row| cell(row).unwrap_or_else(|| "-".to_owned()));
        columns.push(Column::new(title, true, cells));
    };
    let of = |total: &'static str, per_second: &'static str| match unit {
        Unit::Total => total,
        Unit::PerSecond => per_second,
    };
    if rows.iter().any(|row| row.http.is_some()) {
        column(of("requests", "req/s"), &|row| Some(amount(row.http.as_ref()?.requests)));
        column("success", &|row| row.success_ratio().map(percent));
        for (title, q) in [("p50 ms", 0.5), ("p99 ms", 0.99)] {
            column(title, &|row| Some(format!("{:.1}", row.http.as_ref()?.duration_ms.quantile(q)?)));
        }
    }
    if rows.iter().any(|row| row.tcp.is_some()) {
        column("tcp open", &|row| Some(count(row.tcp?.open)));
        column(of("opened", "opened/s"), &|row| Some(amount(row.tcp?.opened)));
        column(of("bytes in", "B/s in"), &|row| Some(scaled(row.tcp?.received_bytes)));
        column(of("bytes out", "B/s out"), &|row| Some(scaled(row.tcp?.sent_bytes)));
    }
    columns
}

fn count(value: f64) -> String {
    format!("{value:.0}")
}

/// Enough digits to tell a small rate from none.
pub(crate) fn rate(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 1000.0 => format!("{value:.1}"),
        value => scaled(value),
    }
}

/// In thousands, millions and so on.
pub(crate) fn scaled(value: f64) -> String {
    let mut scaled = value;
    for unit in ["", "k", "M", "G"] {
        if scaled < 1000.0 {
            return match unit {
                "" => format!("{scaled:.0}"),
                unit => format!("{scaled:.1}{unit}"),
            };
        }
        scaled /= 1000.0;
    }
    format!("{scaled:.1}T")
}

/// Never 100% unless all succeeded, never 0% unless all failed.
pub(crate) fn percent(ratio: f64) -> String {
    let hundredths = ratio * 10_000.0;
    let rounded = match hundredths.round() {
        10_000.0 if ratio < 1.0 => 9_999.0,
        0.0 if ratio > 0.0 => 1.0,
        rounded => rounded,
    };
    match rounded {
        10_000.0 => "100%".to_owned(),
        0.0 => "0%".to_owned(),
        rounded => format!("{:.2}%", rounded / 100.0),
    }
}

#[cfg(test)]
mod tests;
