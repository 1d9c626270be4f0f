//! Series that are defined off the worker that needs them.
//!
//! Envoy runs every `stats_tags` regex over a stat name that is new to the
//! process, which takes one to four milliseconds of the thread that defines it;
//! all connections of that worker would wait. A name that is known takes
//! microseconds. So a worker requests the definition on a queue that all VMs
//! share, with the first sample of each metric, and goes on. A VM that never saw
//! a stream serves the requests, which the main thread's always is: it defines,
//! records the samples, and answers in shared data how far it got. On its next
//! tick the worker finds the names known. Whoever takes a request off the queue
//! serves it, so that each sample is recorded once.

use std::rc::Rc;
use std::time::Duration;

use crate::catalogue::own_metric::SERIES_REFUSED;
use crate::catalogue::stat_name;
use crate::host::say::say;
use crate::host::{Host, HostError, MetricKind, QueueId, Vm};
use crate::series::host_metric::HostMetric;
use crate::series::names::{self, Names};
use crate::series::request::{QueuedRequest, RequestNumber};
use crate::series::{shared, upgrade};

/// A VM's access to the queue.
#[derive(Debug)]
pub struct Background {
    queue: QueueId,
    vm: Rc<Vm>,
}

/// How often the queue is looked at.
pub const TICK: Duration = Duration::from_millis(20);

/// How often it is when nobody wanted anything for [`QUIET`]. Idle workers look, too, since none can
/// know that it is not the main thread: at the pace of [`TICK`] sixteen of them took 5 % of a core.
/// Well within the patience of whoever waits.
pub const QUIET_TICK: Duration = Duration::from_millis(500);

/// How long whoever defines expects more. Also after its beginning: an upgrade may go on elsewhere.
pub const QUIET: Duration = Duration::from_secs(30);

/// How often a worker looks for answers: in small portions, since its
/// connections wait meanwhile.
pub const WORKER_TICK: Duration = Duration::from_millis(4);

/// How long one tick may define: the thread has other things to do.
const TIME_PER_TICK: Duration = Duration::from_millis(14);

const QUEUE: &str = "istio_stats.series";
/// Shared data: whether series are being defined.
const DEFINING: &str = "istio_stats.defining";
/// Shared data: how many VMs have a number.
const VMS: &str = "istio_stats.vms";

// === impl Background ===

impl Background {
    /// Joins the queue, to ask for these metrics; `None` if the host has none, or others
    /// have too many metrics.
    pub fn join(host: &dyn Host, metrics: &Names) -> Option<Self> {
        let queue = host.shared_queue(QUEUE).ok()?;
        // The first VM of the process does this before there is another.
        for number in [VMS, upgrade::NOTES] {
            shared::begin(host, number).ok()?;
        }
        if !metrics.announce(host) {
            return None;
        }
        let background = Self { queue, vm: host.vm() };
        if upgrade::begins(host) {
            // Whoever made a request may be gone by the first tick.
            background.serve(host);
            upgrade::define_noted(host, &background.vm, upgrade::TIME_AT_ONCE, upgrade::NOTES_AT_ONCE);
        }
        Some(background)
    }

    /// Requests the definition of these metrics, and that a sample of each is recorded.
    ///
    /// # Errors
    /// The host refused a call, or the request is too long: nothing was requested.
    pub fn request<'a>(
        &self,
        host: &dyn Host,
        metrics: impl Iterator<Item = (MetricKind, &'a str, u64)>,
    ) -> Result<RequestNumber, HostError> {
        let asker = self.number(host)?;
        let number = RequestNumber(self.vm.last_request.get().saturating_add(1));
        let request = QueuedRequest::encode(asker, number, metrics);
        if request.len() > names::MAX_REQUEST_BYTES {
            return Err(HostError { call: "a long request", status: HostError::BAD_ARGUMENT });
        }
        host.enqueue(self.queue, &request)?;
        self.vm.last_request.set(number.0);
        Ok(number)
    }

    /// The last request of this VM that was served; zero if none was.
    pub fn served(&self, host: &dyn Host) -> RequestNumber {
        let number = self.vm.number.get();
        let served = number.and_then(|number| shared::number_at(host, &answer_key(number)).ok());
        RequestNumber(served.unwrap_or_default())
    }

    /// Serves what was requested, for a while; whether there was anything.
    pub fn serve(&self, host: &dyn Host) -> bool {
        let requested = self.serve_for(host, TIME_PER_TICK);
        let noted = upgrade::define_noted(host, &self.vm, TIME_PER_TICK, 1);
        requested || noted
    }

    /// Serves what was requested, by whomever, until so much time is over; whether there was anything.
    pub fn serve_for(&self, host: &dyn Host, time: Duration) -> bool {
        let begin = host.now();
        let mut answers: Option<Vec<(u32, RequestNumber)>> = None;
        while let Ok(Some(item)) = host.dequeue(self.queue) {
            let answers = answers.get_or_insert_with(|| {
                // If this fails, others wait for a definition now and then.
                let _ = host.set_shared_data(DEFINING, &[1], 0);
                Vec::new()
            });
            if let Some((asker, number)) = self.serve_item(host, &item) {
                match answers.iter_mut().find(|(known, _)| *known == asker) {
                    Some((_, last)) => *last = number,
                    None => answers.push((asker, number)),
                }
            }
            if host.now().saturating_duration_since(begin) >= time {
                break;
            }
        }
        let any = answers.is_some();
        if any {
            let _ = host.set_shared_data(DEFINING, &[], 0);
        }
        for (asker, RequestNumber(served)) in answers.into_iter().flatten() {
            // Who asked waits no longer than it has patience.
            let _ = shared::set_number(host, &answer_key(asker), served);
        }
        any
    }

    /// Serves what lies on the queue, if a plugin of ours can have asked for it; whom to
    /// answer.
    ///
    /// Who may ask for what is read each time, since a VM may just have begun; a
    /// definition takes a hundred times as long.
    fn serve_item(&self, host: &dyn Host, item: &[u8]) -> Option<(u32, RequestNumber)> {
        let vms = shared::number_at(host, VMS).unwrap_or_default();
        let request = QueuedRequest::parse(item).filter(|request| request.asker < vms);
        match request.as_ref().filter(|request| Names::read(host).admit(request.metrics)) {
            Some(request) => {
                request.serve(host);
                upgrade::note(host, &self.vm, request.metrics);
            }
            // If one of ours did ask, it will define them itself.
            None => refuse(host),
        }
        request.map(|request| (request.asker, request.number))
    }

    /// Under which this VM is answered.
    fn number(&self, host: &dyn Host) -> Result<u32, HostError> {
        if let Some(number) = self.vm.number.get() {
            return Ok(number);
        }
        let number = shared::claim(host, VMS)?;
        self.vm.number.set(Some(number));
        Ok(number)
    }
}

/// What no plugin of ours asked for is counted.
fn refuse(host: &dyn Host) {
    say(host, log::Level::Warn, format_args!("the queue {QUEUE} has requests of another plugin; refused"));
    let stat_name = stat_name::encode([], SERIES_REFUSED.name);
    if let Ok(metric) = HostMetric::define(host, SERIES_REFUSED.kind, &stat_name) {
        let _ = metric.record(host, 1);
    }
}

/// Whether series are being defined. Envoy locks its store for as long as the
/// regexes of a definition take, and whoever looks up a name meanwhile waits.
pub fn is_defining(host: &dyn Host) -> bool {
    host.shared_data(DEFINING).is_ok_and(|shared| shared.value.is_some_and(|value| !value.is_empty()))
}

fn answer_key(asker: u32) -> String {
    shared::key("served", asker.into())
}

#[cfg(test)]
mod tests;
