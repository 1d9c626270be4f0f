//! Whether the page that Prometheus asks for comes.

use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&REFUSED];

const REFUSED: Symptom = Symptom {
    code: "native-histograms-refused",
    severity: Severity::Problem,
    title: "This Envoy has no native histograms",
    why: "A scrape with `histogram_buckets=prometheusnative` is answered with 400 by an Envoy before 1.39, so that \
          Prometheus takes the proxy for down and has none of its metrics.",
    remedy: "Take the parameter away where this proxy is scraped (the pod's annotation \
             `prometheus.io/param_histogram_buckets`, the target's label `__param_histogram_buckets`), or run Envoy 1.39 \
             or later. Rules and dashboards take proxies of both forms.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let refusal = seen.native_refusal.iter().map(|refusal| match &seen.admin {
        Some(admin) => format!("Envoy {} answers {refusal}", admin.version),
        None => format!("it answers {refusal}"),
    });
    refusal.map(|fact| Finding::new(&REFUSED, [fact])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture::{facts, page_only, running};

    #[test]
    fn who_answers_and_what() {
        let refusal = Some("400 \"usage\"".to_owned());
        assert_eq!(find(&running(&[], "")), []);
        let seen = Seen { native_refusal: refusal.clone(), ..running(&[], "") };
        assert_eq!(facts(&find(&seen)), ["Envoy 1.40.0 answers 400 \"usage\""]);
        let seen = Seen { native_refusal: refusal, ..page_only("") };
        assert_eq!(facts(&find(&seen)), ["it answers 400 \"usage\""]);
    }
}
