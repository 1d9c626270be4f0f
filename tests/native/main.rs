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

mod access_log;
mod background;
mod bounds;
mod bulk;
mod clock;
mod codecs;
mod conditions;
mod configuration;
mod documents;
mod exchange;
mod expressions;
mod fields;
mod flatbuffer;
mod fuzz;
mod house;
mod http;
mod http3;
mod istio_peers;
mod messages;
mod mutation;
mod overrides;
mod security;
mod shapes;
mod sides;
mod story;
mod struct_configuration;
mod tcp;
mod traces;
mod upgrade;
mod workload;
