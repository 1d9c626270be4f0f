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

use crate::host::{Host, HostError, MetricId, MetricKind, QueueId, Shared, Vm};
use crate::series::upgrade;

/// A VM's access to the queue.
#[derive(Debug)]
pub struct Background {
    queue: QueueId,
    vm: Rc<Vm>,
}

/// A request's number, counted per VM; they are served in order.
pub type Request = u32;

/// How often the queue is looked at.
pub const TICK: Duration = Duration::from_millis(20);

/// How often a worker looks for answers: in small portions, since its
/// connections wait meanwhile.
pub const WORKER_TICK: Duration = Duration::from_millis(4);

/// How long one tick may define: the thread has other things to do.
const TIME_PER_TICK: Duration = Duration::from_millis(14);

const QUEUE: &str = "istio_stats.series";
/// Shared data: whether series are being defined.
const DEFINING: &str = "istio_stats.defining";
/// Shared data: how many VMs have a number.
const NUMBERS: &str = "istio_stats.vms";

/// Attempts to count up a number that others count up, too.
const MAX_ATTEMPTS: usize = 64;

// === impl Background ===

impl Background {
    /// Joins the queue; `None` if the host has none.
    pub fn join(host: &dyn Host) -> Option<Self> {
        let queue = host.shared_queue(QUEUE).ok()?;
        // The first VM of the process does this before there is another.
        for numbers in [NUMBERS, upgrade::NOTES] {
            let shared = host.shared_data(numbers).ok()?;
            if shared.value.is_none() {
                host.set_shared_data(numbers, &0u32.to_le_bytes(), shared.version).ok()?;
            }
        }
        let background = Self { queue, vm: host.vm() };
        if upgrade::begins(host) {
            // Whoever made a request may be gone by the first tick.
            background.serve(host);
            upgrade::define_noted(host, &background.vm, upgrade::TIME_AT_ONCE);
        }
        Some(background)
    }

    /// Requests the definition of these metrics, and that a sample of each is recorded.
    ///
    /// # Errors
    /// The host refused a call: nothing was requested.
    pub fn request<'a>(
        &self,
        host: &dyn Host,
        metrics: impl Iterator<Item = (MetricKind, &'a str, u64)>,
    ) -> Result<Request, HostError> {
        let number = self.number(host)?;
        let request = self.vm.last_request.get().saturating_add(1);
        let (mut names, mut samples) = (Vec::new(), Vec::new());
        // Metrics of a label set mostly differ in their own names only.
        let mut before = "";
        for (kind, stat_name, sample) in metrics {
            names.push(code_of(kind));
            let labels = labels_of(stat_name);
            let rest = if labels == before { stat_name.get(labels.len()..) } else { None };
            names.extend_from_slice(rest.unwrap_or(stat_name).as_bytes());
            names.push(0);
            samples.extend_from_slice(&sample.to_le_bytes());
            before = labels;
        }
        let length = u32::try_from(names.len()).unwrap_or_default();
        let numbers = [number, request, length].map(u32::to_le_bytes);
        host.enqueue(self.queue, &[numbers.as_flattened(), &names, &samples].concat())?;
        self.vm.last_request.set(request);
        Ok(request)
    }

    /// The last request of this VM that was served; zero if none was.
    pub fn served(&self, host: &dyn Host) -> Request {
        let number = self.vm.number.get();
        let served = number.and_then(|number| number_at(host, &answer_key(number)).ok());
        served.map_or(0, |(request, _)| request)
    }

    /// Serves what was requested, for a while.
    pub fn serve(&self, host: &dyn Host) {
        self.serve_for(host, TIME_PER_TICK);
        upgrade::define_noted(host, &self.vm, TIME_PER_TICK);
    }

    /// Serves what was requested, by whomever, until so much time is over.
    pub fn serve_for(&self, host: &dyn Host, time: Duration) {
        let begin = host.now();
        let mut answers: Vec<(u32, Request)> = Vec::new();
        while let Ok(Some(item)) = host.dequeue(self.queue) {
            let Some(Item { number, request, metrics, samples }) = Item::parse(&item) else {
                continue;
            };
            if answers.is_empty() {
                // If this fails, others wait for a definition now and then.
                let _ = host.set_shared_data(DEFINING, &[1], 0);
            }
            define(host, metrics, samples);
            upgrade::note(host, &self.vm, metrics);
            match answers.iter_mut().find(|(known, _)| *known == number) {
                Some((_, last)) => *last = request,
                None => answers.push((number, request)),
            }
            if host.now().saturating_duration_since(begin) >= time {
                break;
            }
        }
        if !answers.is_empty() {
            let _ = host.set_shared_data(DEFINING, &[], 0);
        }
        for (number, request) in answers {
            // Who asked waits no longer than it has patience.
            let _ = host.set_shared_data(&answer_key(number), &request.to_le_bytes(), 0);
        }
    }

    /// Under which this VM is answered.
    fn number(&self, host: &dyn Host) -> Result<u32, HostError> {
        if let Some(number) = self.vm.number.get() {
            return Ok(number);
        }
        let number = claim(host, NUMBERS)?;
        self.vm.number.set(Some(number));
        Ok(number)
    }
}

/// Whether series are being defined. Envoy locks its store for as long as the
/// regexes of a definition take, and whoever looks up a name meanwhile waits.
pub fn is_defining(host: &dyn Host) -> bool {
    host.shared_data(DEFINING).is_ok_and(|shared| shared.value.is_some_and(|value| !value.is_empty()))
}

/// Counts up a number that others count up, too; returns what it was before.
pub fn claim(host: &dyn Host, key: &str) -> Result<u32, HostError> {
    let mut result = Ok(0);
    for _ in 0..MAX_ATTEMPTS {
        let (number, version) = number_at(host, key)?;
        let counted = host.set_shared_data(key, &number.saturating_add(1).to_le_bytes(), version);
        result = counted.map(|()| number);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// The number in shared data, zero if there is none, and its version.
pub fn number_at(host: &dyn Host, key: &str) -> Result<(u32, u32), HostError> {
    let Shared { value, version } = host.shared_data(key)?;
    let number = value.and_then(|bytes| bytes.try_into().ok());
    Ok((number.map_or(0, u32::from_le_bytes), version))
}

/// The key of one of many values in shared data.
pub fn key(what: &str, number: u64) -> String {
    format!("istio_stats.{what}.{number}")
}

fn answer_key(number: u32) -> String {
    key("served", number.into())
}

/// All but a metric's own name, which has no semicolon.
fn labels_of(stat_name: &str) -> &str {
    let end = stat_name.bytes().rposition(|byte| byte == b';');
    end.and_then(|end| stat_name.get(..end)).unwrap_or_default()
}

fn code_of(kind: MetricKind) -> u8 {
    match kind {
        MetricKind::Counter => b'c',
        MetricKind::Gauge => b'g',
        MetricKind::Histogram => b'h',
    }
}

fn kind_of(code: u8) -> Option<MetricKind> {
    [MetricKind::Counter, MetricKind::Gauge, MetricKind::Histogram]
        .into_iter()
        .find(|kind| code_of(*kind) == code)
}

/// A request on the queue. Other builds serve it, too: its form stays.
#[derive(Debug)]
struct Item<'a> {
    /// Who asked.
    number: u32,
    request: Request,
    /// To be defined.
    metrics: &'a [u8],
    /// One of each metric.
    samples: &'a [u8],
}

impl<'a> Item<'a> {
    fn parse(item: &'a [u8]) -> Option<Self> {
        let (number, rest) = split_number(item)?;
        let (request, rest) = split_number(rest)?;
        let (length, rest) = split_number(rest)?;
        let (metrics, samples) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        Some(Self { number, request, metrics, samples })
    }
}

fn split_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

/// Defines metrics of a request, and records a sample of each, as far as there
/// are some. Other builds read the metrics, too: their form stays.
pub fn define(host: &dyn Host, metrics: &[u8], samples: &[u8]) {
    let mut before = "";
    let mut samples = samples.chunks_exact(size_of::<u64>()).filter_map(|bytes| bytes.try_into().ok());
    for metric in metrics.split(|byte| *byte == 0) {
        let Some((code, text)) = metric.split_first() else {
            continue;
        };
        let sample = samples.next();
        let (Some(kind), Ok(text)) = (kind_of(*code), core::str::from_utf8(text)) else {
            continue;
        };
        let defined = if text.starts_with(';') {
            host.define_metric(kind, &[before, text].concat())
        } else {
            before = labels_of(text);
            host.define_metric(kind, text)
        };
        // Who asked will meet the same error, and log it.
        if let (Ok(id), Some(sample)) = (defined, sample) {
            let _ = write(host, kind, id, u64::from_le_bytes(sample));
        }
    }
}

/// Records a sample.
///
/// # Errors
/// The host refused it.
pub fn write(host: &dyn Host, kind: MetricKind, id: MetricId, sample: u64) -> Result<(), HostError> {
    match kind {
        MetricKind::Counter => host.increment_metric(id, i64::try_from(sample).unwrap_or(i64::MAX)),
        MetricKind::Gauge | MetricKind::Histogram => host.record_metric(id, sample),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn what_one_vm_requests_another_defines_and_answers() {
        let main = FakeHost::new().with_queues();
        let definer = Background::join(&main).unwrap();
        let workers = [main.another_vm(), main.another_vm()];
        let backgrounds = workers.each_ref().map(|worker| Background::join(worker).unwrap());
        let metrics = [(MetricKind::Counter, "a_total", 3), (MetricKind::Histogram, "b", 40)];
        for round in 1..=3 {
            for (worker, background) in workers.iter().zip(&backgrounds) {
                assert_eq!(background.request(worker, metrics.into_iter()), Ok(round));
                assert_eq!(background.served(worker), round - 1);
            }
            definer.serve(&main);
            assert_eq!(workers.each_ref().map(|worker| backgrounds[0].served(worker)), [round; 2]);
        }
        let defined: Vec<_> = metrics.map(|(kind, name, _)| (kind, name.to_owned())).into();
        assert_eq!(main.stat_names(), defined);
        assert_eq!((main.counter("a_total"), main.histogram("b")), (Some(2 * 3 * 3), Some(vec![40; 2 * 3])));
        let numbers = backgrounds.map(|background| background.vm.number.get());
        assert_eq!(numbers, [Some(0), Some(1)]);
    }

    #[test]
    fn a_host_without_queues_has_no_background() {
        assert!(Background::join(&FakeHost::new()).is_none());
    }

    #[test]
    fn foreign_items_are_passed_over() {
        let host = FakeHost::new().with_queues();
        let background = Background::join(&host).unwrap();
        for item in [
            &b""[..],
            b"12345678901",
            b"123456781234",
            b"12345678\x0c\0\0\0x\0c\0\0cok\0h\xff\0half",
            b"12345678\x03\0\0\0cok\x02\0\0\0\0\0\0\0more",
            b"12345678\0\0\0\0samples of nothing",
        ] {
            host.enqueue(background.queue, item).unwrap();
        }
        background.serve(&host);
        let names: Vec<_> = host.stat_names().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["", "ok"]);
        assert_eq!(host.counter("ok"), Some(2));
    }

    #[test]
    fn each_vm_hears_how_far_its_own_requests_got() {
        let main = FakeHost::new().with_queues();
        let definer = Background::join(&main).unwrap();
        let workers = [main.another_vm(), main.another_vm()];
        let backgrounds = workers.each_ref().map(|worker| Background::join(worker).unwrap());
        for (worker, background, requests) in
            [(&workers[0], &backgrounds[0], 3), (&workers[1], &backgrounds[1], 1)]
        {
            for number in 1..=requests {
                assert_eq!(
                    background.request(worker, [(MetricKind::Counter, "a", 1)].into_iter()),
                    Ok(number)
                );
            }
        }
        definer.serve(&main);
        assert_eq!([backgrounds[0].served(&workers[0]), backgrounds[1].served(&workers[1])], [3, 1]);
    }
}
