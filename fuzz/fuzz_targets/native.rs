#![no_main]

#[path = "../../modules/native/tests/lives/envoy/mod.rs"]
mod envoy;
#[path = "../../modules/native/tests/lives/story.rs"]
mod story;

use istio_stats_fuzz::input;
use istio_stats_native as _;

libfuzzer_sys::fuzz_target!(|data: &[u8]| story::run(data));
