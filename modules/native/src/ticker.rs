//! Wakes streams that stay open. An HTTP filter has no timer, and a gRPC stream may be silent for hours
//! after its last message; so one thread of the process has Envoy call them, each in its period.
//!
//! Envoy's part of a registration must not be used once the worker of its stream is gone. It is not: the
//! stream is gone before, and that takes the registration out of the list, which the thread holds locked
//! while it uses any.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::abi::{Filter, Scheduler};

/// A stream that is woken as long as this lives.
#[derive(Debug)]
pub(crate) struct Registration(u64);

struct Ticker {
    next: u64,
    streams: Option<HashMap<u64, Sleeper>>,
    is_running: bool,
}

struct Sleeper {
    scheduler: Scheduler,
    period: Duration,
    due: Instant,
}

static TICKER: Mutex<Ticker> = Mutex::new(Ticker { next: 0, streams: None, is_running: false });
static NEWS: Condvar = Condvar::new();

/// The thread sleeps so long at least: it looks at all streams when it wakes.
const LEAST_SLEEP: Duration = Duration::from_millis(20);
/// It needs hardly any.
const STACK_BYTES: usize = 64 * 1024;

fn ticker() -> MutexGuard<'static, Ticker> {
    TICKER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run() {
    let mut ticker_now = ticker();
    loop {
        let rest = ticker_now.wake(Instant::now());
        ticker_now = match rest {
            Some(rest) => {
                NEWS.wait_timeout(ticker_now, rest.max(LEAST_SLEEP)).unwrap_or_else(PoisonError::into_inner).0
            }
            None => NEWS.wait(ticker_now).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

// === impl Registration ===

impl Registration {
    /// Has this stream woken; `None` if that is not possible.
    pub(crate) fn new(filter: Filter, period: Duration) -> Option<Self> {
        let scheduler = filter.scheduler()?;
        let due = Instant::now().checked_add(period)?;
        let mut ticker = ticker();
        ticker.start()?;
        let id = ticker.next;
        ticker.next = id.wrapping_add(1);
        let streams = ticker.streams.get_or_insert_with(HashMap::default);
        streams.insert(id, Sleeper { scheduler, period, due });
        if streams.len() == 1 {
            NEWS.notify_one();
        }
        Some(Self(id))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let gone = ticker().streams.as_mut().and_then(|streams| streams.remove(&self.0));
        drop(gone);
    }
}

// === impl Ticker ===

impl Ticker {
    fn start(&mut self) -> Option<()> {
        if !self.is_running {
            let thread = thread::Builder::new().name("istio-stats".to_owned()).stack_size(STACK_BYTES);
            thread.spawn(|| crate::barrier::alone(run)).ok()?;
            self.is_running = true;
        }
        Some(())
    }

    /// Wakes those that are due; how long the others sleep.
    fn wake(&mut self, now: Instant) -> Option<Duration> {
        let mut rest = None::<Duration>;
        for sleeper in self.streams.iter_mut().flat_map(HashMap::values_mut) {
            if sleeper.due <= now {
                sleeper.scheduler.schedule();
                sleeper.due = now.checked_add(sleeper.period).unwrap_or(now);
            }
            let own = sleeper.due.saturating_duration_since(now);
            rest = Some(rest.map_or(own, |rest| rest.min(own)));
        }
        rest
    }
}
