//! Whether there is anything to judge by.

use istio_stats::catalogue::metric::Metric;

use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&NOTHING_COUNTED];

const NOTHING_COUNTED: Symptom = Symptom {
    code: "nothing-counted",
    severity: Severity::Hint,
    title: "Nothing was counted yet",
    why: "A series appears when it first counts, so there is nothing yet to judge labels and peers by.",
    remedy: "Send a request through this proxy and ask again.",
};

/// To be asked if nothing else is wrong.
pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    if counted_anything(seen) {
        return Vec::new();
    }
    vec![Finding::new(&NOTHING_COUNTED, seen.other_names())]
}

fn counted_anything(seen: &Seen) -> bool {
    let first = [Metric::Requests, Metric::RequestMessages, Metric::TcpOpened];
    let names: Vec<_> = first.into_iter().flat_map(|metric| seen.names.of(metric)).collect();
    seen.page.samples.iter().any(|sample| names.iter().any(|name| sample.name.ends_with(name)))
}
