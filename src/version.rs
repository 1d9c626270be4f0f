//! Which build this is.

/// The crate's version and the commit it was built from, `0.1.0+1a2b3c4d5e6f`;
/// `-dirty` follows where files differed from the commit. The version alone
/// outside git, and wherever `scripts/build-wasm` is not what builds.
pub const VERSION: &str = match option_env!("ISTIO_STATS_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};
