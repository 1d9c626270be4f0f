//! What one label set costs: the model behind all that `plan` says. Its constants are what
//! `make scale` measured and fitted; tests compare the two.

use istio_stats::catalogue::dimension::{Dimension, LabelSet};

/// What its metrics are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kind {
    pub(crate) counters: f64,
    pub(crate) histograms: f64,
    pub(crate) set: LabelSet,
}

/// How a scrape has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// Classic histograms, in Prometheus' text format
    Text,
    /// Classic histograms, in protobuf: Envoy 1.39
    Protobuf,
    /// Native histograms: Envoy 1.39
    Native,
}

/// Of label sets, or of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    pub(crate) series: f64,
    /// Of the page.
    pub(crate) bytes: f64,
    /// Of Prometheus, for what it has in memory: the last hours.
    pub(crate) memory: f64,
}

/// Of a label set of HTTP, without messages of gRPC.
pub(crate) const HTTP: Kind = Kind { counters: 1.0, histograms: 3.0, set: LabelSet::Http };
pub(crate) const TCP: Kind = Kind { counters: 4.0, histograms: 1.0, set: LabelSet::Tcp };

/// Upper bounds of Envoy's classic buckets, the endless one among them.
pub(crate) const BUCKETS: f64 = 20.0;
/// Of each proxy, beside its label sets: metrics of the plugin and of Envoy itself that are kept. The store above has them, too.
pub(crate) const OWN_SERIES: f64 = 7.0;
/// Around a label in the text format: `=""` and a comma.
const AROUND_LABEL: usize = 4;
/// What protobuf has more of for a label.
const PROTOBUF_LABEL: f64 = 2.0;
/// Beside the labels, in bytes: name, bound, value of a line; value of a counter; buckets of a histogram.
const TEXT_LINE: f64 = 48.0;
const PROTOBUF_COUNTER: f64 = 16.0;
const PROTOBUF_HISTOGRAM: f64 = 270.0;
const NATIVE_HISTOGRAM: f64 = 60.0;
/// Of Prometheus' resident memory, in bytes: samples, index, and what waits for the garbage collector.
const SERIES_MEMORY: f64 = 12_000.0;
const NATIVE_MEMORY: f64 = 13_000.0;
/// And of itself.
pub(crate) const BASE_MEMORY: f64 = 25_000_000.0;
/// Of a label's value, if none was seen.
const USUAL_VALUE: usize = 8;

/// Bytes of all labels of HTTP in the text format, with values of usual length, but without these.
pub(crate) fn usual_labels(removed: &[Dimension]) -> f64 {
    usual(LabelSet::Http, removed)
}

fn usual(set: LabelSet, removed: &[Dimension]) -> f64 {
    let kept = set.dimensions().iter().filter(|label| !removed.contains(label));
    kept.map(|label| label_bytes(label.name(), USUAL_VALUE)).sum()
}

/// Of one label in the text format.
#[expect(clippy::cast_precision_loss, reason = "some bytes")]
pub(crate) fn label_bytes(name: &str, value: usize) -> f64 {
    name.len().saturating_add(value).saturating_add(AROUND_LABEL) as f64
}

/// Of one label set, where those of HTTP have `labels` bytes of labels.
#[expect(clippy::cast_precision_loss, reason = "25")]
pub(crate) fn cost(kind: Kind, form: Form, labels: f64, buckets: f64) -> Cost {
    let labels = labels * kind.share_of_labels();
    // With the sum and the count.
    let classic = kind.counters + kind.histograms * (buckets + 2.0);
    let native = kind.counters + kind.histograms;
    let message = labels + PROTOBUF_LABEL * kind.set.dimensions().len() as f64;
    let protobuf = |histogram: f64| {
        kind.counters * (message + PROTOBUF_COUNTER) + kind.histograms * (message + histogram)
    };
    let memory = classic * SERIES_MEMORY;
    match form {
        Form::Text => Cost { series: classic, bytes: classic * (labels + TEXT_LINE), memory },
        Form::Protobuf => {
            Cost { series: classic, bytes: protobuf(PROTOBUF_HISTOGRAM * buckets / BUCKETS), memory }
        }
        Form::Native => Cost {
            series: native,
            bytes: protobuf(NATIVE_HISTOGRAM),
            memory: kind.counters * SERIES_MEMORY + kind.histograms * NATIVE_MEMORY,
        },
    }
}

// === impl Kind ===

impl Kind {
    /// Its labels' bytes, as a share of those that HTTP has.
    pub(crate) fn share_of_labels(self) -> f64 {
        usual(self.set, &[]) / usual_labels(&[])
    }
}

// === impl Cost ===

impl Cost {
    /// Of so many.
    pub(crate) fn times(self, count: f64) -> Self {
        Self { series: self.series * count, bytes: self.bytes * count, memory: self.memory * count }
    }

    /// Of so many series that no histogram has; of the page they are next to nothing.
    pub(crate) fn of_series(series: f64) -> Self {
        Self { series, bytes: 0.0, memory: series * SERIES_MEMORY }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            series: self.series + other.series,
            bytes: self.bytes + other.bytes,
            memory: self.memory + other.memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::figures::{assert_near, number, rows};

    #[test]
    fn it_says_what_was_measured_of_a_page_of_1000_label_sets() {
        let rows = rows(include_str!("../../../benches/figures/scrape.md"));
        assert_eq!(rows.len(), 3);
        for (row, form) in rows.iter().zip([Form::Text, Form::Protobuf, Form::Native]) {
            let said = cost(HTTP, form, usual_labels(&[]), BUCKETS).times(1000.0);
            assert_eq!(said.series, number(row[2]), "{row:?}");
            assert_near(said.bytes / 1000.0, number(row[1]), 1.1, row[0]);
            assert_near((said.memory + BASE_MEMORY) / 1_048_576.0, number(row[5]), 1.4, row[0]);
        }
    }

    /// Least squares over all meshes that were measured.
    #[test]
    fn memory_is_what_was_fitted() {
        let rows = rows(include_str!("../../../benches/figures/model.md"));
        let [memory, _] = rows.as_slice() else { panic!("{rows:?}") };
        for (said, fitted) in [BASE_MEMORY, SERIES_MEMORY, NATIVE_MEMORY].into_iter().zip(&memory[1..]) {
            assert_near(said, number(fitted), 1.25, fitted);
        }
    }
}
