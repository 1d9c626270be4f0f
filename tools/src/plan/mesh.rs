//! How many label sets a mesh has, and what they cost.

use super::model::{cost, Cost, Form, Kind, BASE_MEMORY, HTTP, OWN_SERIES, TCP};

/// What there is of each, and how it is scraped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mesh {
    pub(crate) kubernetes_clusters: f64,
    /// In each Kubernetes cluster.
    pub(crate) workloads: f64,
    /// Of each workload.
    pub(crate) pods: f64,
    /// Label sets of a proxy.
    pub(crate) http: f64,
    pub(crate) tcp: f64,
    /// Bytes of the labels of HTTP's label sets in the text format.
    pub(crate) labels: f64,
    pub(crate) form: Form,
    pub(crate) buckets: f64,
    /// Histograms of a label set of HTTP.
    pub(crate) histograms: f64,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Totals {
    /// One proxy, on its page.
    pub(crate) proxy: Cost,
    /// What the Prometheus of a Kubernetes cluster scrapes.
    pub(crate) scraped: Cost,
    /// What it records of workloads, and sends to who is above.
    pub(crate) recorded: Cost,
    /// All that it holds.
    pub(crate) held: Cost,
    /// What is above it holds of all Kubernetes clusters.
    pub(crate) above: Cost,
}

// === impl Mesh ===

impl Mesh {
    /// Label sets of one proxy.
    pub(crate) fn label_sets(&self) -> f64 {
        self.http + self.tcp
    }

    pub(crate) fn proxies(&self) -> f64 {
        self.workloads * self.pods
    }

    pub(crate) fn totals(&self) -> Totals {
        let proxy = self.of_label_sets(self.form);
        let own = Cost::of_series(OWN_SERIES * self.proxies());
        let scraped = proxy.times(self.proxies()).plus(own);
        // Recorded in classic form, and nothing of it is scraped.
        let recorded = Cost { bytes: 0.0, ..self.of_label_sets(Form::Text).times(self.workloads) };
        let held = scraped.plus(recorded).plus(self.increases());
        let held = Cost { memory: held.memory + BASE_MEMORY, ..held };
        Totals { proxy, scraped, recorded, held, above: recorded.plus(own).times(self.kubernetes_clusters) }
    }

    fn of_label_sets(&self, form: Form) -> Cost {
        self.of_both(|kind| cost(kind, form, self.labels, self.buckets))
    }

    /// Of all label sets of a proxy, of which `one` costs so much.
    fn of_both(&self, one: impl Fn(Kind) -> Cost) -> Cost {
        one(Kind { histograms: self.histograms, ..HTTP }).times(self.http).plus(one(TCP).times(self.tcp))
    }

    /// Of native histograms rules/workload.yaml records what they grew by, too.
    fn increases(&self) -> Cost {
        if self.form != Form::Native {
            return Cost::default();
        }
        let one = |kind| cost(Kind { counters: 0.0, ..kind }, Form::Native, self.labels, self.buckets);
        Cost { bytes: 0.0, ..self.of_both(one).times(self.workloads) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::figures::{assert_near, number, rows};
    use crate::plan::model::{usual_labels, BUCKETS};

    /// The columns of a row: mesh, form, series scraped, series held, …, MiB, …, …, …, evaluations missed, series above.
    /// What rules had no time for was not there to be counted.
    #[test]
    fn it_says_what_real_prometheis_held_of_replayed_proxies() {
        let rows = rows(include_str!("../../../benches/figures/fleet.md"));
        let complete: Vec<_> = rows.iter().filter(|cells| number(cells[9]) == 0.0).collect();
        assert!(complete.len() > 1);
        for cells in complete {
            let size: Vec<_> = cells[0].split('×').map(number).collect();
            let mesh = Mesh {
                kubernetes_clusters: size[0],
                workloads: size[1],
                pods: size[2],
                http: 2.0,
                tcp: 0.0,
                labels: usual_labels(&[]),
                form: if cells[1].starts_with("native") { Form::Native } else { Form::Text },
                buckets: BUCKETS,
                histograms: HTTP.histograms,
            };
            let totals = mesh.totals();
            for (what, said, measured, factor) in [
                ("scraped", totals.scraped.series, number(cells[2]), 1.1),
                ("held", totals.held.series, number(cells[3]), 1.1),
                ("memory", totals.held.memory / 1_048_576.0, number(cells[5]), 1.4),
                ("above", totals.above.series, number(cells[10]), 1.1),
            ] {
                assert_near(said, measured, factor, &format!("{cells:?}: {what}"));
            }
        }
    }
}
