//! A fake Envoy around the native module. It answers what an input says, as hostile as a peer, a client or an
//! operator can make the real one answer, and watches that the module keeps to the interface: nothing is asked of
//! what is gone, a scheduler is given back, a metric is defined while configuring only and recorded with its labels.

pub mod abi;
mod answers;
mod metrics;
mod tcp;

use std::collections::BTreeMap;
use std::panic;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use metrics::{Owner, Series};
use tcp::Data;

use crate::input::Input;

/// How it points to bytes.
pub enum Told {
    Absent,
    /// There, and empty.
    Null,
    Bytes(*const u8, usize),
}

/// What it has of a request or a connection.
#[derive(Default)]
struct Stream {
    /// Where it last pointed to: gone with the next call, as the module may expect.
    told: Vec<u8>,
    filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
    data: [Data; 2],
    chunks: Vec<Vec<u8>>,
}

/// Everything that is there. Numbers stand for pointers.
#[derive(Default)]
pub struct Envoy {
    input: Vec<u8>,
    /// Whether it defines what it is asked to, and answers as if nobody were hostile.
    pub is_friendly: bool,
    last: usize,
    streams: BTreeMap<usize, Stream>,
    owners: BTreeMap<usize, Owner>,
    series: BTreeMap<usize, Series>,
    /// Of which streams.
    schedulers: BTreeMap<usize, usize>,
    /// Streams whose hook was asked for.
    commits: Vec<usize>,
    /// What was recorded in all, by metric, and what gauges were set to.
    totals: BTreeMap<String, u128>,
    gauges: BTreeMap<String, u64>,
    wrongs: Vec<String>,
}

static ENVOY: OnceLock<Mutex<Envoy>> = OnceLock::new();

fn envoy() -> MutexGuard<'static, Envoy> {
    ENVOY.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks it something, or does something to it. No hook may be called meanwhile.
pub fn with<T>(act: impl FnOnce(&mut Envoy) -> T) -> T {
    act(&mut envoy())
}

/// Loads the module, once.
pub fn load() {
    static LOADED: OnceLock<()> = OnceLock::new();
    LOADED.get_or_init(|| {
        assert!(abi::all().iter().all(|callback| !callback.is_null()));
        // The module has panics kept for its log line; here they shall be seen, too.
        let printed = panic::take_hook();
        let version = abi::version();
        panic::set_hook(printed);
        assert_eq!(version.as_deref(), Some("v0.2.0"), "a callback is missing");
    });
}

/// Fails if the module did something wrong up to now.
pub fn check(hook: &str) {
    let wrongs = with(|envoy| std::mem::take(&mut envoy.wrongs));
    assert!(wrongs.is_empty(), "{hook}: {}", wrongs.join("; "));
}

// === impl Envoy ===

impl Envoy {
    /// A new one, which takes its answers from these bytes.
    pub fn begin(&mut self, input: &[u8]) {
        *self = Self { input: input.to_vec(), last: self.last, ..Self::default() };
    }

    /// Reads from the input.
    pub fn take<T>(&mut self, read: impl FnOnce(&mut Input<'_>) -> T) -> T {
        let mut input = Input(&self.input);
        let taken = read(&mut input);
        let left = input.0.len();
        self.input.drain(..self.input.len() - left);
        taken
    }

    /// A pointer that nobody had before.
    fn new_number(&mut self) -> usize {
        self.last += 16;
        self.last
    }

    fn wrong(&mut self, what: impl Into<String>) {
        self.wrongs.push(what.into());
    }

    /// A stream opens.
    pub fn open(&mut self) -> usize {
        let stream = self.new_number();
        self.streams.insert(stream, Stream::default());
        stream
    }

    /// It is gone; its part of the module is, too.
    pub fn close(&mut self, stream: usize) {
        self.streams.remove(&stream);
        if self.schedulers.values().any(|of| *of == stream) {
            self.wrong("a stream's scheduler outlives it");
        }
    }

    fn stream(&mut self, stream: usize) -> &mut Stream {
        if !self.streams.contains_key(&stream) {
            self.wrong("a stream is used that is gone");
        }
        self.streams.entry(stream).or_default()
    }

    /// A scheduler for it; zero: none.
    fn scheduler(&mut self, stream: usize) -> usize {
        self.stream(stream);
        if !self.is_friendly && self.take(|input| input.below(8)) == 7 {
            return 0;
        }
        let scheduler = self.new_number();
        self.schedulers.insert(scheduler, stream);
        scheduler
    }

    fn commit(&mut self, scheduler: usize) {
        match self.schedulers.get(&scheduler) {
            Some(stream) => self.commits.push(*stream),
            None => self.wrong("a scheduler is used that was given back"),
        }
    }

    fn delete_scheduler(&mut self, scheduler: usize) {
        if self.schedulers.remove(&scheduler).is_none() {
            self.wrong("a scheduler is given back twice");
        }
    }

    /// Whether the hook of a stream was asked for, and is due.
    pub fn is_due(&mut self, stream: usize) -> bool {
        let asked = self.commits.len();
        self.commits.retain(|of| *of != stream);
        asked != self.commits.len()
    }

    /// Whether a stream has one.
    pub fn has_scheduler(&self, stream: usize) -> bool {
        self.schedulers.values().any(|of| *of == stream)
    }

    fn log(&mut self, level: u32, message: &[u8]) {
        let Ok(text) = std::str::from_utf8(message) else {
            return self.wrong("a log line is no text");
        };
        if level > 4 || text.contains("internal error") {
            self.wrong(format!("logged at {level}: {text}"));
        }
    }
}
