//! What each module exports.
//!
//! Envoy enters the VM once for every callback that a module exports, about
//! 2 µs each even if the callback does nothing, and skips the ones that are
//! missing. The SDK exports all of them. So each artefact keeps what it uses.

use crate::artefact::Artefact::{self, IstioStats, MetadataExchange};

const BOTH: &[Artefact] = &[IstioStats, MetadataExchange];
const STATS: &[Artefact] = &[IstioStats];
const EXCHANGE: &[Artefact] = &[MetadataExchange];
const NEITHER: &[Artefact] = &[];

/// Every export of the ABI and who keeps it. One that is kept must be there.
///
/// `proxy_on_done` is kept by neither: a missing one means "done at once".
/// `proxy_on_context_create` says to which root context a stream belongs. Without
/// `proxy_on_delete` the SDK forgets none; the exchange does without the SDK.
#[rustfmt::skip]
const EXPORTS: &[(&str, &[Artefact])] = &[
    ("memory",                                 BOTH),
    ("_initialize",                            BOTH),
    ("proxy_abi_version_0_2_1",                BOTH),
    ("proxy_on_memory_allocate",               BOTH),
    ("proxy_on_vm_start",                      BOTH),
    ("proxy_on_configure",                     BOTH),
    ("proxy_on_context_create",                BOTH),
    ("proxy_on_delete",                        STATS),
    ("proxy_on_log",                           STATS),
    ("proxy_on_tick",                          STATS),
    ("proxy_on_request_headers",               EXCHANGE),
    ("proxy_on_response_headers",              EXCHANGE),
    ("proxy_on_done",                          NEITHER),
    ("proxy_on_queue_ready",                   NEITHER),
    ("proxy_on_foreign_function",              NEITHER),
    ("proxy_on_request_body",                  NEITHER),
    ("proxy_on_request_trailers",              NEITHER),
    ("proxy_on_response_body",                 NEITHER),
    ("proxy_on_response_trailers",             NEITHER),
    ("proxy_on_new_connection",                NEITHER),
    ("proxy_on_downstream_data",               EXCHANGE),
    ("proxy_on_downstream_connection_close",   NEITHER),
    ("proxy_on_upstream_data",                 EXCHANGE),
    ("proxy_on_upstream_connection_close",     NEITHER),
    ("proxy_on_http_call_response",            NEITHER),
    ("proxy_on_grpc_receive",                  NEITHER),
    ("proxy_on_grpc_receive_initial_metadata", NEITHER),
    ("proxy_on_grpc_receive_trailing_metadata", NEITHER),
    ("proxy_on_grpc_close",                    NEITHER),
];

/// What becomes of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The artefact needs it.
    Keep,
    /// The artefact does without.
    Drop,
    /// A callback this table does not know: somebody has to decide.
    Unknown,
}

/// The exports without which the artefact does not work.
pub(super) fn required(artefact: Artefact) -> impl Iterator<Item = &'static str> {
    let keeps = move |&&(_, keepers): &&(&str, &[Artefact])| keepers.contains(&artefact);
    EXPORTS.iter().filter(keeps).map(|&(name, _)| name)
}

/// Decides on one export. What is no callback of the ABI is a leftover of
/// the linker and of no use to the host.
pub(super) fn fate_of(artefact: Artefact, export: &str) -> Fate {
    match EXPORTS.iter().find(|(name, _)| *name == export) {
        Some((_, keepers)) if keepers.contains(&artefact) => Fate::Keep,
        None if export.starts_with("proxy_on_") => Fate::Unknown,
        _ => Fate::Drop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_export_is_listed_twice() {
        for (index, (name, _)) in EXPORTS.iter().enumerate() {
            assert!(!EXPORTS[..index].iter().any(|(other, _)| other == name), "{name}");
        }
    }

    /// The budget of the stats module: entries for create, log and delete, plus the tick.
    #[test]
    fn the_stats_module_is_not_entered_for_headers_bodies_or_data() {
        let kept: Vec<_> = required(IstioStats).filter(|name| name.starts_with("proxy_on_")).collect();
        assert_eq!(
            kept,
            [
                "proxy_on_memory_allocate",
                "proxy_on_vm_start",
                "proxy_on_configure",
                "proxy_on_context_create",
                "proxy_on_delete",
                "proxy_on_log",
                "proxy_on_tick",
            ]
        );
    }

    #[test]
    fn unlisted_callbacks_are_unknown_and_other_leftovers_are_dropped() {
        assert_eq!(fate_of(IstioStats, "proxy_on_log"), Fate::Keep);
        assert_eq!(fate_of(MetadataExchange, "proxy_on_log"), Fate::Drop);
        assert_eq!(fate_of(IstioStats, "proxy_on_something_new"), Fate::Unknown);
        assert_eq!(fate_of(IstioStats, "__heap_base"), Fate::Drop);
    }
}
