//! The core against a fake Envoy: what it does to headers and filter state,
//! what it records, and what it makes of bad bytes.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail that way"
)]
#![allow(unreachable_pub, reason = "nothing is reachable from outside a test binary")]

mod codecs;
mod documents;
mod exchange;
mod exchange_tcp;
mod fuzz;
mod http;
mod overrides;
mod story;
mod struct_configuration;
mod tcp;
mod workload;
