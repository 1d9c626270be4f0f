//! How each row went, reading by reading.

use std::collections::{HashMap, VecDeque};

use super::latency::Buckets;
use super::rows::Row;

/// Readings that are remembered of a row.
pub(crate) const LENGTH: usize = 120;

type Labels = Vec<(&'static str, String)>;

/// Of all rows that there were in the last reading.
#[derive(Debug, Default)]
pub(crate) struct History(HashMap<Labels, Past>);

/// Of one row, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Requests per second; where there are none, bytes of TCP.
    pub(crate) rates: VecDeque<f64>,
    pub(crate) p99_ms: VecDeque<f64>,
    /// The last ones: Envoy publishes histograms only at a flush, so that a reading may
    /// come without any.
    durations: Option<Buckets>,
}

// === impl History ===

impl History {
    /// Adds a reading, whose rates these are.
    pub(crate) fn note(&mut self, rows: &[Row]) {
        let mut noted = HashMap::with_capacity(rows.len());
        for row in rows {
            let mut past = self.0.remove(&row.labels).unwrap_or_default();
            past.note(row);
            noted.insert(row.labels.clone(), past);
        }
        // Rows that are gone would pile up.
        self.0 = noted;
    }

    pub(crate) fn of(&self, row: &Row) -> Option<&Past> {
        self.0.get(&row.labels)
    }

    /// Rows whose requests went on, but whose histogram was not published since, get
    /// their last durations.
    pub(crate) fn keep_durations(&self, rows: &mut [Row]) {
        for row in rows {
            let durations = self.0.get(&row.labels).and_then(|past| past.durations.as_ref());
            if let (Some(http), Some(durations)) = (&mut row.http, durations) {
                if http.requests > 0.0 && http.duration_ms.quantile(0.5).is_none() {
                    http.duration_ms = durations.clone();
                }
            }
        }
    }
}

// === impl Past ===

impl Past {
    fn note(&mut self, row: &Row) {
        if let Some(http) = &row.http {
            if http.duration_ms.quantile(0.5).is_some() {
                self.durations = Some(http.duration_ms.clone());
            }
            let durations = self.durations.as_ref().filter(|_| http.requests > 0.0);
            push(&mut self.p99_ms, durations.and_then(|one| one.quantile(0.99)).unwrap_or_default());
        }
        push(&mut self.rates, row.pace());
    }
}

fn push(values: &mut VecDeque<f64>, value: f64) {
    if values.len() >= LENGTH {
        values.pop_front();
    }
    values.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::rows::{Http, Tcp};

    fn row(name: &str, http: Option<(f64, Option<f64>)>, tcp: Option<Tcp>) -> Row {
        let http = http.map(|(requests, bound)| {
            let mut duration_ms = Buckets::default();
            for bound in bound.into_iter().flat_map(|bound| [bound, f64::INFINITY]) {
                duration_ms.add(bound, 1.0);
            }
            Http { requests, failed: 0.0, duration_ms }
        });
        Row { labels: vec![("reporter", name.to_owned())], http, tcp }
    }

    #[test]
    fn durations_stay_while_requests_go_on() {
        let mut history = History::default();
        history.note(&[row("a", Some((3.0, Some(8.0))), None)]);
        history.note(&[row("a", Some((2.0, None)), None)]);
        let mut rows = [row("a", Some((2.0, None)), None), row("a", Some((0.0, None)), None)];
        history.keep_durations(&mut rows);
        let p50 = |row: &Row| row.http.as_ref().unwrap().duration_ms.quantile(0.5);
        assert_eq!((p50(&rows[0]), p50(&rows[1])), (Some(4.0), None));
        let past = history.of(&rows[0]).unwrap();
        assert_eq!(past.rates, [3.0, 2.0]);
        assert_eq!(past.p99_ms, [7.92, 7.92]);
    }

    #[test]
    fn tcp_has_a_pace_and_what_is_gone_is_forgotten() {
        let tcp = Tcp { received_bytes: 40.0, sent_bytes: 2.0, ..Tcp::default() };
        let mut history = History::default();
        history.note(&[row("a", None, Some(tcp)), row("b", None, Some(tcp))]);
        for _ in 0..LENGTH {
            history.note(&[row("b", None, Some(tcp))]);
        }
        assert!(history.of(&row("a", None, None)).is_none());
        let past = history.of(&row("b", None, None)).unwrap();
        assert_eq!((past.rates.len(), past.rates[0], past.p99_ms.len()), (LENGTH, 42.0, 0));
    }
}
