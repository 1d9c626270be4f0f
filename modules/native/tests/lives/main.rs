//! The native module in a fake Envoy, through nothing but the interface that the real one has: lives of filters,
//! requests and connections in orders that Envoy has, with answers as hostile as they can be. `make fuzz` has
//! libFuzzer tell more of them, `make memory` has Valgrind watch these.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail that way"
)]
#![allow(unreachable_pub, reason = "nothing is reachable from outside a test binary")]

mod envoy;
#[path = "../../../../fuzz/src/input.rs"]
#[allow(dead_code, reason = "of the fuzz targets")]
mod input;
mod story;
mod threads;

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use istio_stats_native as _;

/// A few seconds of a debug build.
const LIVES: u32 = 300;

/// There is one Envoy in a process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn handles_come_and_go() {
    let _alone = alone();
    threads::handles_come_and_go();
}

#[test]
fn the_silent_are_woken() {
    let _alone = alone();
    threads::the_silent_are_woken();
}

#[test]
fn what_the_fuzzer_begins_with() {
    let _alone = alone();
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/native");
    let files: Vec<_> = fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        println!("{}", file.display());
        story::run(&fs::read(file).unwrap());
    }
}

#[test]
fn whatever_it_is_told_it_keeps_to_the_interface() {
    let _alone = alone();
    for life in 0..LIVES {
        // A linear congruential generator: the same lives everywhere.
        let mut random = life;
        let bytes: Vec<u8> = (0..256)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                random.to_be_bytes()[0]
            })
            .collect();
        story::run(&bytes);
    }
}
