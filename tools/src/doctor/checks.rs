//! Every check. Each has a file, with the symptoms that it finds; a new one needs
//! its file, its two lines here and its words in docs/troubleshooting.md.

mod attached_twice;
mod configuration;
mod decode_errors;
mod duplicates;
mod failure_policy;
mod grpc_messages;
mod handles;
mod http3;
mod keeps_up;
mod labels_greedy;
mod labels_in_names;
mod labels_spurious;
mod loaded;
mod native_filter;
mod native_histograms;
mod nothing_counted;
mod own_cluster;
mod peer_cluster;
mod rejected;
mod reloads;
mod reporter;
mod room;
mod runtime;
mod stats_matcher;

use super::finding::Finding;
use super::seen::Seen;
use super::symptom::Symptom;

/// Looks for something that may be wrong.
struct Check {
    /// What it may find.
    symptoms: &'static [&'static Symptom],
    find: fn(&Seen) -> Vec<Finding>,
}

/// In the order in which what they find is best cured.
const CHECKS: &[Check] = &[
    Check { symptoms: runtime::SYMPTOMS, find: runtime::find },
    Check { symptoms: rejected::SYMPTOMS, find: rejected::find },
    Check { symptoms: loaded::SYMPTOMS, find: loaded::find },
    Check { symptoms: handles::SYMPTOMS, find: handles::find },
    Check { symptoms: stats_matcher::SYMPTOMS, find: stats_matcher::find },
    Check { symptoms: configuration::SYMPTOMS, find: configuration::find },
    Check { symptoms: failure_policy::SYMPTOMS, find: failure_policy::find },
    Check { symptoms: keeps_up::SYMPTOMS, find: keeps_up::find },
    Check { symptoms: reloads::SYMPTOMS, find: reloads::find },
    Check { symptoms: labels_in_names::SYMPTOMS, find: labels_in_names::find },
    Check { symptoms: labels_greedy::SYMPTOMS, find: labels_greedy::find },
    Check { symptoms: labels_spurious::SYMPTOMS, find: labels_spurious::find },
    Check { symptoms: native_filter::SYMPTOMS, find: native_filter::find },
    Check { symptoms: attached_twice::SYMPTOMS, find: attached_twice::find },
    Check { symptoms: duplicates::SYMPTOMS, find: duplicates::find },
    Check { symptoms: reporter::SYMPTOMS, find: reporter::find },
    Check { symptoms: own_cluster::SYMPTOMS, find: own_cluster::find },
    Check { symptoms: peer_cluster::SYMPTOMS, find: peer_cluster::find },
    Check { symptoms: decode_errors::SYMPTOMS, find: decode_errors::find },
    Check { symptoms: grpc_messages::SYMPTOMS, find: grpc_messages::find },
    Check { symptoms: http3::SYMPTOMS, find: http3::find },
    Check { symptoms: native_histograms::SYMPTOMS, find: native_histograms::find },
    Check { symptoms: room::SYMPTOMS, find: room::find },
];

/// What is asked if nothing is wrong.
const LAST: Check = Check { symptoms: nothing_counted::SYMPTOMS, find: nothing_counted::find };

/// Runs every check; findings in the order in which they are best cured.
pub(crate) fn run(seen: &Seen) -> Vec<Finding> {
    let mut findings: Vec<_> = CHECKS.iter().flat_map(|check| check.run(seen)).collect();
    if findings.is_empty() {
        findings = LAST.run(seen);
    }
    let rank = |symptom| symptoms().position(|one| one == symptom);
    findings.sort_by_key(|finding| (finding.symptom.severity, rank(finding.symptom)));
    findings
}

fn symptoms() -> impl Iterator<Item = &'static Symptom> {
    CHECKS.iter().chain([&LAST]).flat_map(|check| check.symptoms.iter().copied())
}

// === impl Check ===

impl Check {
    fn run(&self, seen: &Seen) -> Vec<Finding> {
        let findings = (self.find)(seen);
        debug_assert!(findings.iter().all(|finding| self.symptoms.contains(&finding.symptom)));
        findings
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::doctor::fixture::{page, page_only, plugin_with, running, symptoms as symptoms_of};

    fn words(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_document_has_every_symptom_in_these_words() {
        let document = words(include_str!("../../../docs/troubleshooting.md"));
        for symptom in symptoms() {
            let heading = format!("### {} `{}`", symptom.title, symptom.code);
            for text in [heading.as_str(), symptom.why, symptom.remedy] {
                assert!(document.contains(&words(text)), "docs/troubleshooting.md lacks: {text}");
            }
        }
        assert_eq!(document.matches("### ").count(), symptoms().count());
    }

    const COUNTED: &str = "wasmcustom.reporter=.=source;.;source_cluster=.=east;.;\
                           destination_cluster=.=west;.;istio_requests_total: 3\n";
    const SERIES: &str = "istio_requests_total{reporter=\"source\",source_cluster=\"east\",\
                          destination_cluster=\"west\"} 3\n";

    #[test]
    fn nothing_is_wrong_with_a_good_envoy() {
        let exchange = plugin_with(json!({"name": "metadata_exchange", "failure_policy": "FAIL_OPEN"}));
        let stats = plugin_with(json!({"name": "istio_stats", "failure_policy": "FAIL_OPEN"}));
        let good = running(&[exchange, stats], COUNTED);
        let mut good = Seen { page: page(SERIES), ..good };
        good.admin.as_mut().unwrap().dump.cluster_id = Some("east".to_owned());
        assert_eq!(run(&good), []);
        assert_eq!(run(&page_only(SERIES)), []);
    }

    #[test]
    fn problems_come_before_hints_and_both_in_the_order_of_their_cure() {
        let idle = running(&[plugin_with(json!({"name": "istio_stats"}))], "");
        let codes: Vec<_> = run(&idle).iter().map(|finding| finding.symptom.code).collect();
        assert_eq!(codes, ["plugin-not-loaded", "failure-policy", "label-in-name", "no-cluster-id"]);
        let page = page_only("istio_stats_series{} 0\n");
        assert_eq!(symptoms_of(&run(&page)), [nothing_counted::SYMPTOMS[0]]);
    }

    #[test]
    fn codes_are_unique() {
        let codes: BTreeSet<_> = symptoms().map(|symptom| symptom.code).collect();
        assert_eq!(codes.len(), symptoms().count());
    }
}
