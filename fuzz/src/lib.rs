//! What is fuzzed, and what must hold whatever the bytes are.
//!
//! Each target is a function of bytes that panics where a promise is broken.
//! libFuzzer calls it from `fuzz_targets/`, and the short run in `cargo test`
//! includes these very files (`tests/native/fuzz.rs`).

pub mod configuration;
pub mod extremes;
pub mod flat_buffer;
pub mod flat_node;
pub mod http_story;
pub mod input;
pub mod istio_peer;
pub mod likeness;
pub mod pairs;
pub mod peer_header;
pub mod stat_name;
pub mod tags;
pub mod tcp_frame;

/// A function that panics where a promise is broken.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its corpus.
pub const TARGETS: [(&str, Target); 10] = [
    ("configuration", configuration::run),
    ("extremes", extremes::run),
    ("peer_header", peer_header::run),
    ("tcp_frame", tcp_frame::run),
    ("pairs", pairs::run),
    ("flat_buffer", flat_buffer::run),
    ("istio_peer", istio_peer::run),
    ("stat_name", stat_name::run),
    ("http_story", http_story::run),
    ("likeness", likeness::run),
];
