//! A request as it lies on the queue: metrics to define, and a sample of each.
//!
//! ```text
//! asker u32 │ number u32 │ length u32 │ metrics (length bytes) │ samples, u64 each
//! metric: its kind, one letter │ stat name │ a zero byte
//! ```
//!
//! Numbers are little endian. A stat name that begins with `;` is the metric's own
//! part; its labels are those of the metric before. Other builds read requests, and
//! metrics in notes: the form stays.

use crate::host::{Host, MetricKind};
use crate::series::host_metric::HostMetric;

/// Numbers the requests of a VM from one; they are served in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestNumber(pub u32);

/// One of the metrics.
#[derive(Clone, Copy, Debug)]
pub struct QueuedMetric<'a> {
    /// How it counts.
    pub kind: MetricKind,
    /// Its labels as they stand in its stat name, without the last `;`.
    pub labels: &'a str,
    /// Its own name.
    pub name: &'a str,
}

/// A request, not yet decoded any further.
#[derive(Debug)]
pub struct QueuedRequest<'a> {
    /// The number of the VM that asked.
    pub asker: u32,
    /// Its number among those of this VM.
    pub number: RequestNumber,
    /// To be defined.
    pub metrics: &'a [u8],
    /// One of each metric.
    samples: &'a [u8],
}

// === impl QueuedRequest ===

impl<'a> QueuedRequest<'a> {
    /// Encodes a request.
    pub fn encode<'m>(
        asker: u32,
        number: RequestNumber,
        metrics: impl Iterator<Item = (MetricKind, &'m str, u64)>,
    ) -> Vec<u8> {
        let (mut names, mut samples) = (Vec::new(), Vec::new());
        // Metrics of a label set mostly differ in their own names only.
        let mut before = "";
        for (kind, stat_name, sample) in metrics {
            names.push(code_of(kind));
            let labels = labels_of(stat_name);
            let rest = if labels == before { stat_name.get(labels.len()..) } else { None };
            names.extend_from_slice(rest.unwrap_or(stat_name).as_bytes());
            names.push(0);
            samples.extend_from_slice(&sample.to_le_bytes());
            before = labels;
        }
        let length = u32::try_from(names.len()).unwrap_or_default();
        let numbers = [asker, number.0, length].map(u32::to_le_bytes);
        [numbers.as_flattened(), &names, &samples].concat()
    }

    /// Reads what some build encoded.
    pub fn parse(item: &'a [u8]) -> Option<Self> {
        let (asker, rest) = split_number(item)?;
        let (number, rest) = split_number(rest)?;
        let (length, rest) = split_number(rest)?;
        let (metrics, samples) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        Some(Self { asker, number: RequestNumber(number), metrics, samples })
    }

    /// Defines its metrics and records their samples.
    pub fn serve(&self, host: &dyn Host) {
        define(host, self.metrics, self.samples);
    }
}

/// The metrics of a request or a note; `None` for what is none.
pub fn metrics(bytes: &[u8]) -> impl Iterator<Item = Option<QueuedMetric<'_>>> {
    let mut labels = "";
    let metrics = bytes.split(|byte| *byte == 0).filter(|metric| !metric.is_empty());
    metrics.map(move |metric| {
        let (code, text) = metric.split_first()?;
        let (kind, text) = (kind_of(*code)?, core::str::from_utf8(text).ok()?);
        if !text.starts_with(';') {
            labels = labels_of(text);
        }
        let end = text.bytes().rposition(|byte| byte == b';');
        let name = text.get(end.map_or(0, |end| end.saturating_add(1))..)?;
        Some(QueuedMetric { kind, labels, name })
    })
}

/// Defines the metrics of some request, and records a sample of each, as far as
/// there are some.
pub fn define(host: &dyn Host, bytes: &[u8], samples: &[u8]) {
    let mut samples = samples.chunks_exact(size_of::<u64>()).filter_map(|bytes| bytes.try_into().ok());
    for QueuedMetric { kind, labels, name } in metrics(bytes).flatten() {
        let sample = samples.next();
        let end = if labels.is_empty() { "" } else { ";" };
        // Who asked will meet the same error, and log it.
        let defined = HostMetric::define(host, kind, &[labels, end, name].concat());
        if let (Ok(metric), Some(sample)) = (defined, sample) {
            let _ = metric.record(host, u64::from_le_bytes(sample));
        }
    }
}

/// All but a metric's own name, which has no semicolon.
fn labels_of(stat_name: &str) -> &str {
    let end = stat_name.bytes().rposition(|byte| byte == b';');
    end.and_then(|end| stat_name.get(..end)).unwrap_or_default()
}

/// The letter of a kind.
pub(super) fn code_of(kind: MetricKind) -> u8 {
    match kind {
        MetricKind::Counter => b'c',
        MetricKind::Gauge => b'g',
        MetricKind::Histogram => b'h',
    }
}

fn kind_of(code: u8) -> Option<MetricKind> {
    [MetricKind::Counter, MetricKind::Gauge, MetricKind::Histogram]
        .into_iter()
        .find(|kind| code_of(*kind) == code)
}

fn split_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_other_builds_read() {
        let metrics = [
            (MetricKind::Counter, "a=.=1;.;total", 3),
            (MetricKind::Histogram, "a=.=1;.;ms", 0x0102),
            (MetricKind::Gauge, "level", 5),
        ];
        let expected = [
            &b"\x07\0\0\0\x02\0\0\0\x1b\0\0\0"[..],
            b"ca=.=1;.;total\0",
            b"h;ms\0",
            b"glevel\0",
            b"\x03\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0\x05\0\0\0\0\0\0\0",
        ]
        .concat();
        let encoded = QueuedRequest::encode(7, RequestNumber(2), metrics.into_iter());
        assert_eq!(encoded, expected, "{:?}", String::from_utf8_lossy(&encoded));
        let request = QueuedRequest::parse(&encoded).unwrap();
        assert_eq!((request.asker, request.number), (7, RequestNumber(2)));
        let host = crate::host::fake::FakeHost::new();
        request.serve(&host);
        assert_eq!(host.stat_names(), metrics.map(|(kind, name, _)| (kind, name.to_owned())));
        assert_eq!(
            (host.counter("a=.=1;.;total"), host.histogram("a=.=1;.;ms"), host.gauge("level")),
            (Some(3), Some(vec![0x0102]), Some(5))
        );
    }
}
