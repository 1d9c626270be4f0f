//! The ways in.

use clap::ValueEnum;

/// How the plugin gets into a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// Istio's EnvoyFilter: everything is possible
    EnvoyFilter,
    /// Istio's WasmPlugin
    WasmPlugin,
    /// Istio's TrafficExtension
    TrafficExtension,
    /// Bootstraps of stock Envoys, one for each side
    Standalone,
}
