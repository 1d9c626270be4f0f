//! What rows are sorted by.

use std::cmp::Ordering;

use super::rows::Row;

/// The largest first, but for names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Requests,
    Errors,
    P99,
    Bytes,
    Name,
}

// === impl Order ===

impl Order {
    /// The next one, for a key that goes through them.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Requests => Self::Errors,
            Self::Errors => Self::P99,
            Self::P99 => Self::Bytes,
            Self::Bytes => Self::Name,
            Self::Name => Self::Requests,
        }
    }

    /// Sorts rows that come the busiest first, which equal ones stay.
    pub(crate) fn sort(self, rows: &mut [Row]) {
        match self {
            Self::Requests => {}
            Self::Errors => by(rows, |row| row.success_ratio().map_or(0.0, |ratio| 1.0 - ratio)),
            Self::P99 => by(rows, |row| {
                row.http.as_ref().and_then(|http| http.duration_ms.quantile(0.99)).unwrap_or_default()
            }),
            Self::Bytes => by(rows, |row| row.tcp.map_or(0.0, |tcp| tcp.received_bytes + tcp.sent_bytes)),
            Self::Name => rows.sort_by(|a, b| a.labels.cmp(&b.labels)),
        }
    }
}

fn by(rows: &mut [Row], key: impl Fn(&Row) -> f64) {
    rows.sort_by(|a, b| key(b).partial_cmp(&key(a)).unwrap_or(Ordering::Equal));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::rows::{Http, Tcp};

    #[test]
    fn every_order_sorts_by_its_own_and_comes_round() {
        let row = |name: &str, requests, failed, bytes| {
            let mut http = Http { requests, failed, ..Http::default() };
            http.duration_ms.add(requests, 1.0);
            http.duration_ms.add(f64::INFINITY, 1.0);
            let tcp = Tcp { sent_bytes: bytes, ..Tcp::default() };
            Row { labels: vec![("reporter", name.to_owned())], http: Some(http), tcp: Some(tcp) }
        };
        let busiest_first = [row("c", 9.0, 0.0, 2.0), row("b", 5.0, 5.0, 1.0), row("a", 4.0, 1.0, 3.0)];
        let mut order = Order::Requests;
        for expected in ["cba", "bac", "cba", "acb", "abc"] {
            let mut rows = busiest_first.clone();
            order.sort(&mut rows);
            let names: String = rows.iter().map(|row| row.labels[0].1.as_str()).collect();
            assert_eq!(names, expected, "{order:?}");
            order = order.next();
        }
        assert_eq!(order, Order::Requests);
    }
}
