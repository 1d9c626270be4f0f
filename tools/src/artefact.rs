//! The modules that this project ships.

use std::fmt;

use clap::ValueEnum;

/// A shipped module, `dist/<name>.wasm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Artefact {
    /// Observes and records metrics.
    #[value(name = "istio-stats")]
    IstioStats,
    /// Exchanges workload metadata with the peer.
    #[value(name = "metadata-exchange")]
    MetadataExchange,
}

// === impl Artefact ===

impl fmt::Display for Artefact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IstioStats => "istio-stats",
            Self::MetadataExchange => "metadata-exchange",
        })
    }
}
