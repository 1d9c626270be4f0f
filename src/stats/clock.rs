//! When a root context does what no stream makes it do: reports on open streams,
//! and looks after series that are defined in the background.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::host::say::log_failure;
use crate::host::{Host, Vm};
use crate::series::background;

/// The root context's timer and its duty to define series for other VMs.
#[derive(Debug)]
pub struct Clock {
    vm: Rc<Vm>,
    /// Whether series can be defined in the background at all.
    background: bool,
    /// Whether this root context does it for the others.
    defines: Cell<bool>,
    /// When others last wanted any, or it began.
    last_wanted: Cell<Instant>,
    /// Period of the reports.
    period: Duration,
    last_report: Cell<Instant>,
    /// What the host was told.
    tick: Cell<Duration>,
}

/// Without reports on open streams: for what is to be forgotten from time to time.
const HOUSEKEEPING: Duration = Duration::from_secs(5);

/// Timers are not exact, and who is a little early would wait for the next tick.
const SLACK: Duration = Duration::from_millis(20);

// === impl Clock ===

impl Clock {
    /// Starts the timer; a reporting period of zero means no reports.
    pub fn start(host: &dyn Host, reporting_period: Duration, background: bool) -> Self {
        let now = host.now();
        let clock = Self {
            vm: host.vm(),
            background,
            defines: Cell::new(false),
            last_wanted: Cell::new(now),
            period: if reporting_period.is_zero() { HOUSEKEEPING } else { reporting_period },
            last_report: Cell::new(now),
            tick: Cell::new(Duration::ZERO),
        };
        clock.keep_pace(host, false);
        clock
    }

    /// A stream passes this VM: it defines no series for others any more.
    pub fn saw_stream(&self) {
        self.vm.saw_stream.set(true);
    }

    /// Whether this root context defines series for others.
    pub fn defines(&self) -> bool {
        self.defines.get()
    }

    /// Others wanted series: they may want more.
    pub fn saw_request(&self, host: &dyn Host) {
        self.last_wanted.set(host.now());
    }

    /// Whether it is time for a report; if so, the next period begins. It is, too,
    /// if the clock went back: nobody knows how long ago the last one was.
    pub fn is_report_due(&self, host: &dyn Host) -> bool {
        let now = host.now();
        let elapsed = now.checked_duration_since(self.last_report.get());
        let due = elapsed.is_none_or(|elapsed| elapsed.saturating_add(SLACK) >= self.period);
        if due {
            self.last_report.set(now);
        }
        due
    }

    /// Ticks often while that is of use.
    pub fn keep_pace(&self, host: &dyn Host, is_waiting: bool) {
        self.take_or_leave_duty();
        let wanted = match (is_waiting, self.defines()) {
            (true, _) => background::WORKER_TICK,
            (false, true) if self.is_quiet(host) => background::QUIET_TICK,
            (false, true) => background::TICK,
            (false, false) => self.period,
        };
        if wanted == self.tick.get() {
            return;
        }
        let result = host.set_tick_period(wanted);
        if result.is_ok() {
            self.tick.set(wanted);
        }
        log_failure(host, "setting the timer for reports on open streams", result);
    }

    /// Whether nobody has wanted a series for long.
    fn is_quiet(&self, host: &dyn Host) -> bool {
        let elapsed = host.now().checked_duration_since(self.last_wanted.get());
        elapsed.is_none_or(|elapsed| elapsed >= background::QUIET)
    }

    /// Leaves the duty to another root context.
    pub fn stop(&self) {
        if self.defines.replace(false) {
            self.vm.defines.set(false);
        }
    }

    /// One root context of a VM without streams defines series for the others.
    fn take_or_leave_duty(&self) {
        if self.vm.saw_stream.get() {
            self.stop();
        } else if self.background && !self.vm.defines.replace(true) {
            self.defines.set(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn a_report_is_due_once_in_a_period() {
        let host = FakeHost::new();
        let period = Duration::from_secs(5);
        let clock = Clock::start(&host, period, false);
        for _ in 0..3 {
            assert!(!clock.is_report_due(&host), "just begun");
            host.advance(period - 2 * SLACK);
            assert!(!clock.is_report_due(&host), "too early");
            host.advance(SLACK);
            assert!(clock.is_report_due(&host), "a timer may be a little early");
        }
    }
}
