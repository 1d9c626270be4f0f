//! Whether the plugin hears of all that there is on an HTTP/3 listener.

use crate::artefact::Artefact;
use crate::doctor::attached::Attached;
use crate::doctor::chain::Chain;
use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&HTTP3_FILTER];

const HTTP3_FILTER: Symptom = Symptom {
    code: "http3-filter",
    severity: Severity::Hint,
    title: "Over HTTP/3 a filter cannot read headers",
    why: "Envoy logs a request over HTTP/3 when the client has acknowledged the last byte, and not to filters, which are \
         gone by then. The plugin counts it at its end all the same, but without headers: `Host`, gRPC status, their \
         part of sizes, expressions over them. What a filter in front of it answers it does not see at all.",
    remedy: "If that matters, make the plugin an access logger of this listener.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let chains = seen.dump().into_iter().flat_map(|dump| &dump.chains).filter(|chain| chain.is_quic);
    let facts: Vec<_> = chains.filter(|chain| has_filter(chain)).map(Chain::describe).collect();
    let finding = |facts| Finding::new(&HTTP3_FILTER, facts);
    Some(facts).filter(|facts| !facts.is_empty()).map(finding).into_iter().collect()
}

fn has_filter(chain: &Chain) -> bool {
    chain.plugins(Artefact::IstioStats).any(|Attached { is_logger, .. }| !is_logger)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::fixture::{listener, of_listeners, plugin, symptoms};

    #[test]
    fn a_filter_on_a_quic_listener() {
        let stats = [plugin("istio_stats", "{}")];
        let found = |quic: bool, filter: bool| {
            let (filters, loggers) = if filter { (&stats[..], &[][..]) } else { (&[][..], &stats[..]) };
            let mut one = listener("INBOUND", filters, loggers);
            one["udp_listener_config"] = if quic { json!({"quic_options": {}}) } else { json!({}) };
            symptoms(&find(&of_listeners(&json!({"static_listeners": [{"listener": one}]}), &[], "")))
        };
        assert_eq!(found(true, true), [&HTTP3_FILTER]);
        assert!(found(true, false).is_empty());
        assert!(found(false, true).is_empty());
    }
}
