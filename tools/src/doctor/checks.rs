//! Every check: a function from what was seen to what is wrong.

mod counting;
mod duplicates;
mod labels;
mod loading;
mod matcher;
mod peers;
mod setup;

use istio_stats::catalogue::metric::Metric;

use super::finding::Finding;
use super::seen::Seen;
use super::symptom::Symptom;
use crate::names;

type Check = fn(&Seen) -> Vec<Finding>;

const CHECKS: &[Check] = &[
    loading::runtime,
    loading::rejected,
    loading::loaded,
    matcher::excluded,
    loading::configuration,
    setup::failure_policy,
    counting::keeps_up,
    counting::reloads,
    labels::in_names,
    labels::greedy,
    labels::spurious,
    duplicates::native_filter,
    duplicates::attached_twice,
    duplicates::on_the_page,
    setup::reporter,
    peers::own_cluster,
    peers::peer_cluster,
    peers::decode_errors,
    setup::grpc_messages,
    setup::room,
];

/// Runs every check; findings in the order in which they are best cured.
pub(crate) fn run(seen: &Seen) -> Vec<Finding> {
    let mut findings: Vec<_> = CHECKS.iter().flat_map(|check| check(seen)).collect();
    if findings.is_empty() && !counted_anything(seen) {
        findings.push(Finding::new(Symptom::NothingCounted, other_names(seen)));
    }
    findings.sort_by_key(|finding| (finding.symptom.severity(), finding.symptom));
    findings
}

fn counted_anything(seen: &Seen) -> bool {
    let first = [Metric::Requests, Metric::RequestMessages, Metric::TcpOpened];
    let names: Vec<_> = first.into_iter().flat_map(|metric| seen.names.of(metric)).collect();
    seen.page.samples.iter().any(|sample| names.iter().any(|name| sample.name.ends_with(name)))
}

/// A page alone does not tell how the plugin's metrics are called.
fn other_names(seen: &Seen) -> Option<String> {
    let advice = names::advice(&seen.names.describe(), &seen.page);
    advice.filter(|_| seen.admin.is_none())
}
