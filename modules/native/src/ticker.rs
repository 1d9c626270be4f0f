//! Wakes streams that stay open. A filter has no timer, and a gRPC stream or a TCP connection may be silent for
//! hours after its last byte; so one thread of the process has Envoy call them, each in its period.
//!
//! Envoy's part of a registration must not be used once the worker of its stream is gone. It is not: the
//! stream is gone before, and that takes the registration out of the list, which the thread holds locked
//! while it uses any.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::abi::Scheduler;

/// A stream that is woken as long as this lives.
#[derive(Debug)]
pub(crate) struct Registration(u64);

struct Ticker {
    next: u64,
    streams: Option<HashMap<u64, Sleeper>>,
    is_running: bool,
    /// When the thread looks again without being told; `None`: never.
    looks_at: Option<Instant>,
}

struct Sleeper {
    scheduler: Scheduler,
    period: Duration,
    due: Instant,
}

static TICKER: Mutex<Ticker> =
    Mutex::new(Ticker { next: 0, streams: None, is_running: false, looks_at: None });
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
        let now = Instant::now();
        let rest = ticker_now.wake(now).map(|rest| rest.max(LEAST_SLEEP));
        ticker_now.looks_at = rest.and_then(|rest| now.checked_add(rest));
        ticker_now = match rest {
            Some(rest) => NEWS.wait_timeout(ticker_now, rest).unwrap_or_else(PoisonError::into_inner).0,
            None => NEWS.wait(ticker_now).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

// === impl Registration ===

impl Registration {
    /// Has a stream woken; `None` if that is not possible.
    pub(crate) fn new(scheduler: Option<Scheduler>, period: Duration) -> Option<Self> {
        let scheduler = scheduler?;
        let due = Instant::now().checked_add(period)?;
        let mut ticker = ticker();
        ticker.start()?;
        let id = ticker.next;
        ticker.next = id.wrapping_add(1);
        ticker.streams.get_or_insert_with(HashMap::default).insert(id, Sleeper { scheduler, period, due });
        ticker.expect(due);
        Some(Self(id))
    }

    /// Has it woken a period from now, and then in this period. Whoever was woken says so: what it waited for
    /// has begun anew when it was called, which is later than it was told.
    pub(crate) fn again(&self, period: Duration) {
        let Some(due) = Instant::now().checked_add(period) else {
            return;
        };
        let mut ticker = ticker();
        if let Some(sleeper) = ticker.streams.as_mut().and_then(|streams| streams.get_mut(&self.0)) {
            (sleeper.period, sleeper.due) = (period, due);
        }
        ticker.expect(due);
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

    /// Someone is due then. The thread is told only if it would sleep too long: short connections come and go
    /// faster than it could look.
    fn expect(&mut self, due: Instant) {
        if self.looks_at.is_none_or(|looks_at| looks_at > due) {
            self.looks_at = Some(due);
            NEWS.notify_one();
        }
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
