//! The core against a fake Envoy: what it does to headers and filter state,
//! what it records, and what it makes of bad bytes.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail that way")]
#![allow(unreachable_pub, reason = "nothing is reachable from outside a test binary")]

mod codecs;
mod exchange;
mod http;
mod story;
mod tcp;
mod workload;
