//! The metrics of one configured filter: vectors, which Envoy wants defined while it configures, and
//! from them the series that a thread records.

use core::cell::{Cell, RefCell};
use core::iter;
use core::sync::atomic::{AtomicI64, Ordering};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use istio_stats::catalogue::metric::PREFIX;
use istio_stats::host::metric_name::MetricName;
use istio_stats::host::{HostError, MetricId, MetricKind};
use istio_stats::rules::plan::MetricShape;

use crate::abi::metrics::{LabelValues, Owner, Refused, Vector};
use crate::handles;

/// The vectors of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Vectors {
    /// What they belong to; `None`: to nothing, they are recorded by handle only.
    owner: Option<Owner>,
    known: Vec<Known>,
    /// What was added to gauges in all, to be taken away in the end.
    added: AtomicI64,
}

#[derive(Clone, Debug)]
struct Known {
    shape: Arc<MetricShape>,
    /// What a plugin says of itself.
    is_own: bool,
    /// `None`: it is recorded by handle only.
    vector: Option<Vector>,
}

/// Why a sample was not recorded.
#[derive(Debug)]
pub(crate) enum Failure {
    Host(HostError),
    /// It can be recorded by handle only, and there is none.
    NoHandle(Arc<MetricShape>),
}

/// What all configurations added to the one gauge that is added to, which is theirs together: how many label sets
/// are kept. Envoy is told the sum, so that it is right also where Envoy forgot the gauge meanwhile.
static ADDED: Mutex<i64> = Mutex::new(0);

/// The series that one thread records.
#[derive(Debug, Default)]
pub(crate) struct Series {
    list: RefCell<Vec<One>>,
    /// Numbers of the plugin's own, which it asks for again and again.
    own: RefCell<HashMap<Box<str>, u32>>,
    /// The labels of the last new one: the next mostly has the same.
    last: RefCell<Option<(Box<str>, Rc<LabelValues>)>>,
}

#[derive(Debug)]
struct One {
    metric: Known,
    values: Rc<LabelValues>,
    handle: Cell<handles::Known>,
}

const UNDEFINED: HostError = HostError { call: "define_metric", status: HostError::NOT_FOUND };
const UNKNOWN: HostError = HostError { call: "record_metric", status: HostError::NOT_FOUND };

/// Whether a metric is none of streams.
fn is_own(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|name| name.starts_with("stats_"))
}

fn refused(call: &'static str) -> impl FnOnce(Refused) -> HostError {
    move |Refused(status)| HostError { call, status }
}

// === impl Vectors ===

impl Vectors {
    /// None yet; `owner` is what new ones belong to.
    pub(crate) fn of(owner: Option<Owner>) -> Self {
        Self { owner, ..Self::default() }
    }

    /// Defines one, if it is new.
    ///
    /// # Errors
    /// Envoy refused it.
    pub(crate) fn define<'a>(
        &mut self,
        kind: MetricKind,
        name: &str,
        labels: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), HostError> {
        if self.find(kind, name, labels.clone()).is_some() {
            return Ok(());
        }
        let vector = self.owner.map(|owner| owner.define(kind, name, labels.clone())).transpose();
        let vector = vector.map_err(refused("define_metric"))?;
        let labels = labels.map(ToOwned::to_owned).collect();
        let shape = Arc::new(MetricShape { kind, name: name.to_owned(), labels });
        self.known.push(Known { shape, is_own: is_own(name), vector });
        Ok(())
    }

    /// Those that were defined.
    pub(crate) fn shapes(&self) -> impl Iterator<Item = &MetricShape> {
        self.known.iter().map(|known| &*known.shape)
    }

    fn find<'a>(
        &self,
        kind: MetricKind,
        name: &str,
        labels: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<&Known> {
        self.known.iter().find(|Known { shape, .. }| {
            shape.kind == kind
                && shape.name == name
                && shape.labels.iter().map(String::as_str).eq(labels.clone())
        })
    }

    /// Adds one to the counter of this name with this label, if that is possible.
    pub(crate) fn count(&self, name: &str, label: &str, value: &str) {
        if let Some(known) = self.find(MetricKind::Counter, name, iter::once(label)) {
            let _ = known.record(&Cell::default(), &LabelValues::of(iter::once(value)), 1);
        }
    }

    /// The configuration goes: so does what it added to the gauge of this name.
    pub(crate) fn close(&self, gauge: &str) {
        if let Some(known) = self.find(MetricKind::Gauge, gauge, iter::empty()) {
            let added = self.added.load(Ordering::Relaxed);
            let values = LabelValues::of(iter::empty());
            // Nobody is left to be told of a failure.
            let _ = self.add(added.saturating_neg(), |sum| known.record(&Cell::default(), &values, sum));
        }
    }

    /// Adds to the gauge; `set` sets it to the sum.
    fn add<T>(&self, delta: i64, set: impl FnOnce(u64) -> T) -> T {
        let mut sum = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
        *sum = sum.saturating_add(delta);
        self.added.fetch_add(delta, Ordering::Relaxed);
        set(u64::try_from(*sum).unwrap_or(0))
    }
}

// === impl Known ===

impl Known {
    /// By handle where there is one, else by the values of its labels. Not so what a plugin says of itself, if it
    /// can be helped: Envoy forgets that with the configuration that said it.
    fn record(&self, handle: &Cell<handles::Known>, values: &LabelValues, value: u64) -> Result<(), Failure> {
        let is_by_handle = !self.is_own || self.vector.is_none();
        if is_by_handle && handles::record(handle, &self.shape, values, value) {
            return Ok(());
        }
        let vector = self.vector.ok_or_else(|| Failure::NoHandle(self.shape.clone()))?;
        vector.record(values, value).map_err(refused("record_metric")).map_err(Failure::Host)
    }
}

// === impl Series ===

impl Series {
    /// The series with this name and these labels.
    ///
    /// # Errors
    /// No metric of this name with these labels was defined.
    pub(crate) fn find(
        &self,
        of: &Vectors,
        kind: MetricKind,
        name: MetricName<'_>,
    ) -> Result<MetricId, HostError> {
        let is_own = is_own(name.name());
        if let Some(number) = self.own.borrow().get(name.stat_name()).filter(|_| is_own) {
            return Ok(MetricId(*number));
        }
        let labels: Vec<_> = name.labels().map(|(label, _)| label).collect();
        let metric = of.find(kind, name.name(), labels.into_iter()).ok_or(UNDEFINED)?.clone();
        let mut list = self.list.borrow_mut();
        let number = u32::try_from(list.len()).map_err(|_| UNDEFINED)?;
        list.push(One { metric, values: self.values(name), handle: Cell::default() });
        if is_own {
            self.own.borrow_mut().insert(name.stat_name().into(), number);
        }
        Ok(MetricId(number))
    }

    fn values(&self, name: MetricName<'_>) -> Rc<LabelValues> {
        let text = name.stat_name();
        let labels = text.get(..text.len().saturating_sub(name.name().len())).unwrap_or_default();
        let mut last = self.last.borrow_mut();
        if let Some((_, values)) = last.as_ref().filter(|(known, _)| **known == *labels) {
            return values.clone();
        }
        let values = Rc::new(LabelValues::of(name.labels().map(|(_, value)| value)));
        *last = Some((labels.into(), values.clone()));
        values
    }

    /// Adds to a counter or a gauge.
    ///
    /// # Errors
    /// Envoy refused it, or it has no handle and needs one.
    pub(crate) fn increment(&self, of: &Vectors, id: MetricId, delta: i64) -> Result<(), Failure> {
        self.with(id, |one| {
            if one.metric.shape.kind == MetricKind::Gauge {
                of.add(delta, |sum| one.record(sum))
            } else {
                one.record(u64::try_from(delta).unwrap_or(0))
            }
        })
    }

    /// Sets a gauge or adds a sample to a histogram.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn record(&self, id: MetricId, value: u64) -> Result<(), Failure> {
        self.with(id, |one| one.record(value))
    }

    fn with(
        &self,
        MetricId(number): MetricId,
        record: impl FnOnce(&One) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let list = self.list.borrow();
        let one = usize::try_from(number).ok().and_then(|place| list.get(place));
        record(one.ok_or(Failure::Host(UNKNOWN))?)
    }
}

// === impl One ===

impl One {
    fn record(&self, value: u64) -> Result<(), Failure> {
        self.metric.record(&self.handle, &self.values, value)
    }
}
