//! From label values to the host's metric ids.
//!
//! One registry per root context. Looking up a known label set borrows its
//! values and allocates nothing; only a new one builds stat names, and has them
//! defined in the [`background`] where there is one. Until
//! then its samples are kept; none is lost. The host keeps a stat for ever and
//! cannot be told to drop one, so the number of label sets is bounded: what
//! comes later is folded into the overflow.

use core::hash::BuildHasher;
use core::mem;
use core::time::Duration;

use hashbrown::DefaultHashBuilder;

use crate::catalogue::dimension::{LabelSet, Values};
use crate::catalogue::label_value::OVERFLOW;
use crate::catalogue::reporter::Reporter;
use crate::catalogue::stat_name;
use crate::collections::index::{is_same_key, Index};
use crate::host::{Host, HostError, MetricId, MetricKind};
use crate::rules::plan::{Plan, TagValue};
use crate::rules::sample::Sample;
use crate::rules::StreamPlan;
use crate::series::background::{self, write, Background, Request};
use crate::workload::fact::is_local;

/// The label sets of one root context and the metric ids they resolve to.
#[derive(Debug)]
pub struct Registry {
    entries: Vec<Entry>,
    /// By their keys.
    index: Index,
    hasher: DefaultHashBuilder,
    /// Of the label set in hand; here so that its memory is used again.
    key: Vec<u8>,
    max_series: usize,
    overflow_total: Option<MetricId>,
    series_gauge: Option<MetricId>,
    waiting: Waiting,
}

/// What is kept until its metric is defined elsewhere.
#[derive(Debug, Default)]
struct Waiting {
    /// `None`: metrics are defined where they are met.
    background: Option<Background>,
    /// Numbers of entries with metrics or samples that wait.
    entries: Vec<usize>,
    /// What names and samples take.
    bytes: usize,
    served: Request,
    /// Ticks left to wait for whoever serves the requests.
    patience: u32,
}

/// One label set.
#[derive(Debug)]
struct Entry {
    /// As [`Series::write_key`] writes it.
    key: Box<[u8]>,
    /// By number of the metric.
    slots: Box<[Slot]>,
}

/// Where a label set is, or would be.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u64,
    /// Of its entry; `None`: it is new.
    number: Option<usize>,
}

/// A metric of one label set. It is defined when it first has something to count.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    Unused,
    /// This thread has not recorded it yet.
    Pending(Box<Pending>),
    Defined(MetricId),
}

/// A metric that is being defined or, later, whose first samples wait for a tick.
#[derive(Debug)]
struct Pending {
    request: Request,
    kind: MetricKind,
    /// Empty once it was looked up.
    stat_name: String,
    /// What the look-up found.
    id: Option<MetricId>,
    /// Samples to record; of a counter their sum.
    values: Vec<u64>,
}

/// The values of a stream's labels, and the plans that say who carries which.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// The side that reports.
    pub reporter: Reporter,
    /// The labels.
    pub set: LabelSet,
    /// Their values.
    pub values: &'a Values<'a>,
    /// The rules' say on them.
    pub ruling: &'a StreamPlan,
    /// Stands for every expression's value, if it is given.
    folded: Option<&'a str>,
}

/// Counts the reports that were folded into the overflow.
const OVERFLOW_METRIC: &str = "stats_series_overflow_total";
/// Label sets that are kept, of all VMs together.
const SERIES_METRIC: &str = "stats_series";

/// No label value holds a control character.
const SEPARATOR: u8 = 0;

/// How long one tick may look up names and record what waited. A known name is
/// found in some 20 µs, but Envoy has a worker's own copy of each histogram, and
/// makes it by all the regexes when the worker first records a sample: 0.5 ms.
const TIME_PER_SETTLING: Duration = Duration::from_millis(1);

/// Bytes of names and samples that may wait. One new label set of HTTP takes 4 kB.
const MAX_WAITING_BYTES: usize = 1024 * 1024;
/// Ticks without any progress (two seconds) after which what is requested is served here.
const PATIENCE: u32 = 500;

// === impl Registry ===

impl Registry {
    /// A registry that keeps at most this many label sets.
    ///
    /// # Errors
    /// The host refused to define the metric of its own; the registry works
    /// without.
    pub fn new(
        host: &dyn Host,
        max_series: usize,
        background: Option<Background>,
    ) -> (Self, Result<(), HostError>) {
        let series_gauge = host.define_metric(MetricKind::Gauge, &stat_name::encode([], SERIES_METRIC));
        let registry = Self {
            entries: Vec::new(),
            index: Index::default(),
            hasher: DefaultHashBuilder::default(),
            key: Vec::new(),
            max_series,
            overflow_total: None,
            series_gauge: series_gauge.ok(),
            waiting: Waiting { background, patience: PATIENCE, ..Waiting::default() },
        };
        (registry, series_gauge.map(drop))
    }

    /// Records samples of metrics that carry these labels. `overflow` gives the
    /// values to use beyond the bound.
    ///
    /// Counters with nothing to add are left alone, so that no series appears
    /// that never counted.
    ///
    /// # Errors
    /// The host refused a call; the other samples were recorded.
    pub fn record<'a>(
        &mut self,
        host: &dyn Host,
        series: Series<'_>,
        samples: &mut dyn Iterator<Item = Sample>,
        overflow: &dyn Fn() -> Values<'a>,
    ) -> Result<(), HostError> {
        let counts = |sample: &Sample| {
            let plan = series.ruling.variant.plan(sample.metric);
            plan.is_some_and(|plan| sample.value > 0 || plan.kind != MetricKind::Counter)
        };
        let mut samples = samples.filter(counts).peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let samples = &mut samples as &mut dyn Iterator<Item = Sample>;
        let place = self.find(&series);
        if place.number.is_some() || self.entries.len() < self.max_series {
            return self.add(host, place, &series, samples);
        }
        let counted = self.count_overflow(host);
        let overflown = overflow();
        let series = Series { values: &overflown, folded: Some(OVERFLOW), ..series };
        let place = self.find(&series);
        self.add(host, place, &series, samples).and(counted)
    }

    /// Defines what other VMs requested, for a while.
    pub fn serve(&self, host: &dyn Host) {
        if let Some(background) = &self.waiting.background {
            background.serve(host);
        }
    }

    /// Whether samples wait for their metrics.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.entries.is_empty()
    }

    /// Records what waited for metrics that are defined by now.
    ///
    /// # Errors
    /// The host refused a call; the samples of that metric are lost.
    pub fn settle(&mut self, host: &dyn Host) -> Result<(), HostError> {
        if !self.is_waiting() {
            return Ok(());
        }
        let served = self.waiting.served(host);
        let begin = host.now();
        let is_over = || host.now().saturating_duration_since(begin) >= TIME_PER_SETTLING;
        // Names first: soon, the next ones are being defined.
        let mut may_look_up = true;
        let found = self.each_waiting(&mut |waiting, slot| {
            if !slot.is_to_look_up(served) {
                return Ok(());
            }
            may_look_up = may_look_up && !is_over() && !waiting.is_to_wait(host);
            if may_look_up {
                waiting.look_up(host, slot)
            } else {
                Ok(())
            }
        });
        let recorded = self.each_waiting(&mut |waiting, slot| {
            if is_over() {
                Ok(())
            } else {
                waiting.record(host, slot)
            }
        });
        if !self.is_waiting() {
            self.waiting.patience = PATIENCE;
        }
        found.and(recorded)
    }

    /// Records all that waits; the rest of the metrics is defined here. Gives up
    /// the label sets: for the end.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub fn close(&mut self, host: &dyn Host) -> Result<(), HostError> {
        let result = if self.is_waiting() { self.settle_all(host) } else { Ok(()) };
        let kept = i64::try_from(self.entries.len()).unwrap_or(i64::MAX);
        // The index leads to nothing then.
        self.entries.clear();
        result.and(self.count_series(host, kept.saturating_neg()))
    }

    fn settle_all(&mut self, host: &dyn Host) -> Result<(), HostError> {
        // Samples of ours may be among what nobody else serves.
        if let Some(background) = &self.waiting.background {
            background.serve_for(host, Duration::MAX);
        }
        self.each_waiting(&mut |waiting, slot| waiting.define(host, slot))
    }

    /// Does something with each metric of the label sets that wait; then those
    /// with nothing that waits are left out.
    fn each_waiting(
        &mut self,
        act: &mut dyn FnMut(&mut Waiting, &mut Slot) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let mut result = Ok(());
        let mut numbers = mem::take(&mut self.waiting.entries);
        numbers.retain(|number| {
            let Some(entry) = self.entries.get_mut(*number) else {
                return false;
            };
            let mut waits = false;
            for slot in &mut entry.slots {
                if slot.waits() {
                    result = result.and(act(&mut self.waiting, slot));
                    waits |= slot.waits();
                }
            }
            waits
        });
        self.waiting.entries = numbers;
        result
    }

    fn find(&mut self, series: &Series<'_>) -> Place {
        series.write_key(&mut self.key);
        let hash = self.hasher.hash_one(self.key.as_slice());
        let is_it =
            |number: usize| self.entries.get(number).is_some_and(|entry| is_same_key(&entry.key, &self.key));
        Place { hash, number: self.index.find(hash, &is_it) }
    }

    fn add(
        &mut self,
        host: &dyn Host,
        place: Place,
        series: &Series<'_>,
        samples: &mut dyn Iterator<Item = Sample>,
    ) -> Result<(), HostError> {
        if let Some(number) = place.number {
            return self.add_to(host, number, series, samples);
        }
        let number = self.entries.len();
        let slots = (0..series.ruling.variant.metrics()).map(|_| Slot::Unused).collect();
        self.entries.push(Entry { key: self.key.as_slice().into(), slots });
        self.index.insert(place.hash, number);
        let added = self.add_to(host, number, series, samples);
        added.and(self.count_series(host, 1))
    }

    fn add_to(
        &mut self,
        host: &dyn Host,
        number: usize,
        series: &Series<'_>,
        samples: &mut dyn Iterator<Item = Sample>,
    ) -> Result<(), HostError> {
        let Some(entry) = self.entries.get_mut(number) else {
            return Ok(());
        };
        let mut result = Ok(());
        let mut waits = false;
        for Sample { metric, value } in samples {
            let Some((plan, slot)) =
                series.ruling.variant.plan(metric).zip(entry.slots.get_mut(metric.as_usize()))
            else {
                continue;
            };
            if let Slot::Defined(id) = slot {
                result = result.and(write(host, plan.kind, *id, value));
                continue;
            }
            let before = slot.held_bytes();
            if let Slot::Unused = slot {
                *slot = Slot::Pending(Box::new(Pending::new(plan, series)));
            }
            if let Slot::Pending(metric) = slot {
                metric.hold(value);
            }
            self.waiting.bytes = self.waiting.bytes.saturating_add(slot.held_bytes()).saturating_sub(before);
            waits = true;
        }
        if waits {
            result = result.and(self.waiting.admit(host, number, &mut entry.slots));
        }
        result
    }

    fn count_overflow(&mut self, host: &dyn Host) -> Result<(), HostError> {
        if self.overflow_total.is_none() {
            let stat_name = stat_name::encode([], OVERFLOW_METRIC);
            self.overflow_total = Some(host.define_metric(MetricKind::Counter, &stat_name)?);
        }
        self.overflow_total.map_or(Ok(()), |id| host.increment_metric(id, 1))
    }

    fn count_series(&self, host: &dyn Host, more: i64) -> Result<(), HostError> {
        match self.series_gauge {
            Some(id) if more != 0 => host.increment_metric(id, more),
            _ => Ok(()),
        }
    }
}

// === impl Waiting ===

impl Waiting {
    /// Requests the definition of an entry's new metrics, and has the entry wait.
    /// Where that is not possible, defines and records here.
    fn admit(&mut self, host: &dyn Host, entry: usize, slots: &mut [Slot]) -> Result<(), HostError> {
        let requested = self.request(host, slots);
        let has_room = self.bytes <= MAX_WAITING_BYTES;
        let mut result = Ok(());
        for slot in &mut *slots {
            if let (Some(request), Slot::Pending(metric)) = (requested, &mut *slot) {
                if metric.request == UNREQUESTED {
                    metric.request = request;
                    // Whoever serves the request records it.
                    metric.values.pop();
                    self.bytes = self.bytes.saturating_sub(size_of::<u64>());
                }
            }
            if slot.unrequested().is_some() || !has_room {
                result = result.and(self.define(host, slot));
            }
        }
        if slots.iter().any(Slot::waits) && !self.entries.contains(&entry) {
            self.entries.push(entry);
        }
        result
    }

    fn request(&self, host: &dyn Host, slots: &[Slot]) -> Option<Request> {
        let mut new = slots.iter().filter_map(Slot::unrequested).peekable();
        new.peek()?;
        let last = |metric: &'_ Pending| metric.values.last().copied().unwrap_or_default();
        let metrics = new.map(|metric| (metric.kind, metric.stat_name.as_str(), last(metric)));
        self.background.as_ref()?.request(host, metrics).ok()
    }

    /// How far the requests are served. Whoever is out of patience serves some.
    fn served(&mut self, host: &dyn Host) -> Request {
        let Some(background) = &self.background else {
            return Request::MAX;
        };
        if self.patience == 0 {
            background.serve_for(host, TIME_PER_SETTLING);
        }
        let served = background.served(host);
        self.patience = self.patience.saturating_sub(1);
        if served != self.served {
            self.served = served;
            self.progress();
        }
        served
    }

    fn progress(&mut self) {
        if self.patience > 0 {
            self.patience = PATIENCE;
        }
    }

    /// Whether a name is better looked up later. Who is to say when may be gone.
    fn is_to_wait(&self, host: &dyn Host) -> bool {
        self.patience > 0 && background::is_defining(host)
    }

    /// Has a metric defined, which it mostly is. If the host refuses, the samples are lost.
    fn look_up(&mut self, host: &dyn Host, slot: &mut Slot) -> Result<(), HostError> {
        let Slot::Pending(metric) = slot else {
            return Ok(());
        };
        self.progress();
        match host.define_metric(metric.kind, &metric.stat_name) {
            Ok(id) => {
                self.bytes = self.bytes.saturating_sub(metric.stat_name.len());
                metric.stat_name = String::new();
                metric.id = Some(id);
                Ok(())
            }
            Err(error) => {
                self.bytes = self.bytes.saturating_sub(slot.held_bytes());
                *slot = Slot::Unused;
                Err(error)
            }
        }
    }

    /// Records what waited for a metric that was looked up.
    fn record(&mut self, host: &dyn Host, slot: &mut Slot) -> Result<(), HostError> {
        let Some((id, metric)) = slot.pending().and_then(|metric| Some((metric.id?, metric))) else {
            return Ok(());
        };
        self.progress();
        self.bytes = self.bytes.saturating_sub(slot.held_bytes());
        let result = metric.values.iter().try_for_each(|value| write(host, metric.kind, id, *value));
        *slot = Slot::Defined(id);
        result
    }

    /// Defines a metric and records what waited for it.
    fn define(&mut self, host: &dyn Host, slot: &mut Slot) -> Result<(), HostError> {
        if slot.pending().is_some_and(|metric| metric.id.is_none()) {
            self.look_up(host, slot)?;
        }
        self.record(host, slot)
    }
}

// === impl Slot ===

impl Slot {
    fn pending(&self) -> Option<&Pending> {
        match self {
            Self::Pending(metric) => Some(metric),
            Self::Unused | Self::Defined(_) => None,
        }
    }

    fn unrequested(&self) -> Option<&Pending> {
        self.pending().filter(|metric| metric.request == UNREQUESTED)
    }

    /// Whether its definition was served.
    fn is_to_look_up(&self, served: Request) -> bool {
        self.pending().is_some_and(|metric| metric.id.is_none() && metric.request <= served)
    }

    /// Whether something is left to do.
    fn waits(&self) -> bool {
        self.pending().is_some_and(|metric| metric.id.is_none() || !metric.values.is_empty())
    }

    /// What its name and samples take.
    fn held_bytes(&self) -> usize {
        self.pending()
            .map_or(0, |metric| metric.stat_name.len().saturating_add(mem::size_of_val(&*metric.values)))
    }
}

// === impl Pending ===

/// No request has this number.
const UNREQUESTED: Request = 0;

impl Pending {
    fn new(plan: &Plan, series: &Series<'_>) -> Self {
        let labels = plan.labels().map(|(name, value)| (name, series.value(value)));
        let prefix = &series.ruling.variant.prefix;
        let stat_name = stat_name::encode_with_prefix(prefix, labels, &plan.name);
        Self { request: UNREQUESTED, kind: plan.kind, stat_name, id: None, values: Vec::new() }
    }

    /// Keeps a sample.
    fn hold(&mut self, value: u64) {
        match (self.kind, self.values.last_mut()) {
            (MetricKind::Counter, Some(sum)) => *sum = sum.saturating_add(value),
            (MetricKind::Gauge, Some(last)) => *last = value,
            _ => self.values.push(value),
        }
    }
}

// === impl Series ===

impl<'a> Series<'a> {
    /// What a stream is reported under.
    pub fn new(reporter: Reporter, set: LabelSet, values: &'a Values<'a>, ruling: &'a StreamPlan) -> Self {
        Self { reporter, set, values, ruling, folded: None }
    }

    /// Writes what tells it from all others: its kind, and the values that are not
    /// the same for every stream of its reporter.
    fn write_key(&self, key: &mut Vec<u8>) {
        let Self { reporter, set, values, ruling, folded } = *self;
        key.clear();
        key.extend_from_slice(&ruling.variant.conditions.bits().to_le_bytes());
        key.extend_from_slice(&[reporter as u8, set as u8]);
        let mut write = |value: &str| {
            key.extend_from_slice(value.as_bytes());
            key.push(SEPARATOR);
        };
        let parts = ruling.variant.key(set);
        for dimension in &parts.dimensions {
            if !is_local(reporter, *dimension) {
                write(values.get(*dimension));
            }
        }
        for number in &parts.expressions {
            write(folded.unwrap_or_else(|| ruling.texts.get(*number)));
        }
    }

    fn value(&self, value: TagValue) -> &'a str {
        match value {
            TagValue::Standard(dimension) => self.values.get(dimension),
            TagValue::Expression(slot) => self.folded.unwrap_or_else(|| self.ruling.texts.get(slot)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::rules::plan::{Conditions, Plans};
    use crate::rules::Texts;

    /// A hash finds candidates; which of them it is, clients must not be able to choose.
    #[test]
    fn each_label_set_has_a_key_of_its_own() {
        let catalogue = Plans::new(&Config::default());
        let ruling = |bits| StreamPlan {
            variant: catalogue.variant(Conditions::of_bits(bits)),
            texts: Texts::default(),
        };
        let (ruling, other_ruling) = (ruling(0), ruling(1));
        let values = |workload| {
            let mut values = Values::all("x");
            values.set(crate::catalogue::dimension::Dimension::DestinationWorkload, workload);
            values
        };
        let [a, b, ab] = ["a", "b", "ab"].map(values);
        let of = |reporter, set, values, ruling| Series::new(reporter, set, values, ruling);
        let series = of(Reporter::Source, LabelSet::Http, &a, &ruling);
        let key = |series: &Series<'_>| {
            let mut key = b"of another".to_vec();
            series.write_key(&mut key);
            key
        };
        assert_eq!(key(&series), key(&series));
        for other in [
            of(Reporter::Source, LabelSet::Http, &b, &ruling),
            of(Reporter::Source, LabelSet::Http, &ab, &ruling),
            of(Reporter::Source, LabelSet::Tcp, &a, &ruling),
            of(Reporter::Waypoint, LabelSet::Http, &a, &ruling),
            of(Reporter::Source, LabelSet::Http, &a, &other_ruling),
        ] {
            assert_ne!(key(&series), key(&other), "{other:?}");
        }
    }

    #[test]
    fn only_what_has_the_same_key_is_found_again() {
        let catalogue = Plans::new(&Config::default());
        let ruling = StreamPlan { variant: catalogue.variant(Conditions::EMPTY), texts: Texts::default() };
        let host = crate::host::fake::FakeHost::new();
        let (mut registry, _) = Registry::new(&host, 10, None);
        let [one, other] = ["one", "other"].map(Values::all);
        let [one, other] =
            [&one, &other].map(|values| Series::new(Reporter::Source, LabelSet::Http, values, &ruling));
        let place = registry.find(&one);
        registry.add(&host, place, &one, &mut core::iter::empty()).unwrap();
        assert_eq!(registry.find(&one).number, Some(0));
        assert_eq!(registry.find(&other).number, None);
        // Even if it had the same hash.
        let hash = registry.find(&other).hash;
        registry.index.insert(hash, 0);
        assert_eq!(registry.find(&other).number, None);
    }
}
