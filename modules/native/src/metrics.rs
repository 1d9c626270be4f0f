//! The metrics of one configured filter: vectors, which Envoy wants defined while it configures, and
//! from them the series that a thread records.

use core::cell::RefCell;
use core::iter;
use core::sync::atomic::{AtomicI64, Ordering};
use std::rc::Rc;

use hashbrown::HashMap;
use istio_stats::catalogue::metric::PREFIX;
use istio_stats::host::metric_name::MetricName;
use istio_stats::host::{HostError, MetricId, MetricKind};

use crate::abi::{FilterConfig, LabelValues, Refused, Vector};

/// The vectors of a configuration, and Envoy's part of it.
#[derive(Debug)]
pub(crate) struct Vectors {
    envoy: FilterConfig,
    known: Vec<Known>,
    /// What was added to gauges in all, to be taken away in the end.
    added: AtomicI64,
}

#[derive(Debug)]
struct Known {
    kind: MetricKind,
    name: String,
    labels: Vec<String>,
    vector: Vector,
}

/// The series that one thread records.
#[derive(Debug, Default)]
pub(crate) struct Series {
    list: RefCell<Vec<One>>,
    /// Numbers of the plugin's own, which it asks for again and again.
    own: RefCell<HashMap<Box<str>, u32>>,
    /// The labels of the last new one: the next mostly has the same.
    last: RefCell<Option<(Box<str>, Rc<LabelValues>)>>,
}

#[derive(Clone, Debug)]
struct One {
    kind: MetricKind,
    vector: Vector,
    values: Rc<LabelValues>,
}

const UNDEFINED: HostError = HostError { call: "define_metric", status: HostError::NOT_FOUND };

fn refused(call: &'static str) -> impl FnOnce(Refused) -> HostError {
    move |Refused(status)| HostError { call, status }
}

// === impl Vectors ===

impl Vectors {
    /// None yet.
    pub(crate) fn of(envoy: FilterConfig) -> Self {
        Self { envoy, known: Vec::new(), added: AtomicI64::new(0) }
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
        let vector = self.envoy.define(kind, name, labels.clone());
        let vector = vector.map_err(refused("envoy_dynamic_module_callback_http_filter_config_define"))?;
        let labels = labels.map(ToOwned::to_owned).collect();
        self.known.push(Known { kind, name: name.to_owned(), labels, vector });
        Ok(())
    }

    fn find<'a>(
        &self,
        kind: MetricKind,
        name: &str,
        labels: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<Vector> {
        let is_it = |known: &&Known| {
            known.kind == kind
                && known.name == name
                && known.labels.iter().map(String::as_str).eq(labels.clone())
        };
        self.known.iter().find(is_it).map(|known| known.vector)
    }

    /// Adds one to the counter of this name with this label.
    ///
    /// # Errors
    /// It was not defined, or Envoy refused it.
    pub(crate) fn count(&self, name: &str, label: &str, value: &str) -> Result<(), HostError> {
        let vector = self.find(MetricKind::Counter, name, iter::once(label)).ok_or(UNDEFINED)?;
        self.envoy.record(vector, &LabelValues::of(iter::once(value)), 1).map_err(refused("count"))
    }

    /// The configuration goes: so does what it added to the gauge of this name.
    pub(crate) fn close(&self, gauge: &str) {
        let added = self.added.swap(0, Ordering::Relaxed);
        if let (Some(vector), 1..) = (self.find(MetricKind::Gauge, gauge, iter::empty()), added) {
            // Nobody is left to be told of a failure.
            let _ = self.envoy.change_gauge(vector, &LabelValues::of(iter::empty()), added.saturating_neg());
        }
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
        let is_own = name.name().strip_prefix(PREFIX).is_some_and(|name| name.starts_with("stats_"));
        if let Some(number) = self.own.borrow().get(name.stat_name()).filter(|_| is_own) {
            return Ok(MetricId(*number));
        }
        let labels: Vec<_> = name.labels().map(|(label, _)| label).collect();
        let vector = of.find(kind, name.name(), labels.into_iter()).ok_or(UNDEFINED)?;
        let mut list = self.list.borrow_mut();
        let number = u32::try_from(list.len()).map_err(|_| UNDEFINED)?;
        list.push(One { kind, vector, values: self.values(name) });
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
    /// Envoy refused it.
    pub(crate) fn increment(&self, of: &Vectors, id: MetricId, delta: i64) -> Result<(), HostError> {
        let one = self.get(id)?;
        let result = if one.kind == MetricKind::Gauge {
            of.added.fetch_add(delta, Ordering::Relaxed);
            of.envoy.change_gauge(one.vector, &one.values, delta)
        } else {
            of.envoy.record(one.vector, &one.values, u64::try_from(delta).unwrap_or(0))
        };
        result.map_err(refused("increment_metric"))
    }

    /// Sets a gauge or adds a sample to a histogram.
    ///
    /// # Errors
    /// Envoy refused it.
    pub(crate) fn record(&self, of: &Vectors, id: MetricId, value: u64) -> Result<(), HostError> {
        let one = self.get(id)?;
        of.envoy.record(one.vector, &one.values, value).map_err(refused("record_metric"))
    }

    fn get(&self, MetricId(number): MetricId) -> Result<One, HostError> {
        let place = usize::try_from(number).ok();
        let one = place.and_then(|place| self.list.borrow().get(place).cloned());
        one.ok_or(HostError { call: "record_metric", status: HostError::NOT_FOUND })
    }
}
