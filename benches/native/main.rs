//! A usual request over and over, in the native build of the core, for a simulator of
//! processors to watch: `make bench BENCH="--only instructions"`.
//!
//! Without an argument it lists the kinds of requests.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "no plugin: it may fail that way"
)]
#![allow(unreachable_pub, dead_code, reason = "shared with the native tests, which use more of it")]

mod cold;
#[path = "../../tests/native/story.rs"]
mod story;
mod tape;
#[path = "../../tests/native/usual.rs"]
mod usual;

use cold::Elsewhere;
use istio_stats::host::fake::Phase;
use istio_stats::host::{ExpressionToken, Host, MetricId};
use story::Story;
use tape::Tape;
use usual::{Usual, USUAL};

/// After which the plugin knows what such requests have.
const WARM_UP: usize = 40;
const REQUESTS: usize = 100;
/// Of the list whose bytes stand for what any plugin has to be told.
const FLOOR: &str = "one list, 4 records";

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, caches] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        [FLOOR].into_iter().chain(USUAL.map(|usual| usual.name)).for_each(|name| println!("{name}"));
        return;
    };
    let usual = USUAL.into_iter().find(|usual| usual.name == name);
    let is_floor = usual.is_none();
    run(&usual.unwrap_or(USUAL[0]), is_floor, caches == "cold");
}

fn run(usual: &Usual, is_floor: bool, is_cold: bool) {
    let story = Story::new(usual.root_id, usual.configuration);
    for _ in 0..WARM_UP {
        open(&story, usual);
        story.plugin.on_access_log(&story.host);
    }
    open(&story, usual);
    let tape = Tape::of(&story.host);
    story.plugin.on_access_log(&tape);
    let elsewhere = Elsewhere::new();
    for _ in 0..REQUESTS {
        tape.play();
        if is_cold {
            elsewhere.go();
        }
        if is_floor {
            least_request(&tape);
        } else {
            usual_request(&story, &tape);
        }
    }
}

fn open(story: &Story, usual: &Usual) {
    let id = story.open_unseen();
    (usual.prepare)(story);
    story.host.enter_stream(id, Phase::Log);
}

/// What is watched.
#[inline(never)]
fn usual_request(story: &Story, tape: &Tape<'_>) {
    story.plugin.on_access_log(tape);
}

/// What no plugin can do without.
#[inline(never)]
fn least_request(tape: &Tape<'_>) {
    let list = tape.evaluate_expression(ExpressionToken(0)).unwrap_or_default();
    let _ = tape.increment_metric(MetricId(0), 1);
    for (id, value) in (1..).zip([12, 120, list.len() as u64]) {
        let _ = tape.record_metric(MetricId(id), value);
    }
}
