#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| istio_stats_fuzz::extremes::run(data));
