//! The core's host: what it asks of a proxy, asked of Envoy by its interface for modules.

use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hashbrown::HashMap;
use istio_stats::attribute::keys::{FRAME_BEGUN_KEY, RECEIVED_FRAME_BYTES_KEY};
use istio_stats::host::metric_name::MetricName;
use istio_stats::host::{
    Data, ExpressionToken, HeaderMap, Host, HostError, ListToken, MetricId, MetricKind, QueueId, Shared, Vm,
};
use istio_stats::rules::plan::MetricShape;

use crate::abi::network::Connection;
use crate::abi::{self, owned, Filter, Headers};
use crate::config::Settings;
use crate::expressions::Known;
use crate::metrics::{Failure, Series, Vectors};
use crate::properties::request::List;
use crate::subject::Subject;
use crate::{handles, properties, shared};

/// What one plugin of one thread asks.
#[derive(Debug)]
pub(crate) struct NativeHost<'a> {
    settings: &'a Settings,
    vectors: Definitions<'a>,
    state: &'a State,
}

/// What such a plugin has, from one call to the next.
#[derive(Debug)]
pub(crate) struct State {
    series: Series,
    expressions: Known,
    /// Attributes that are read together, by their tokens.
    lists: RefCell<Vec<List>>,
    /// The stream that is in hand, or in effect.
    pub(crate) current: RefCell<Option<Subject>>,
    /// Open streams by context id.
    pub(crate) open: RefCell<HashMap<u32, Subject>>,
    /// How often the plugin wants to be called.
    pub(crate) tick: Cell<Duration>,
    vm: Rc<Vm>,
}

/// The vectors: while configuring, what is new is defined.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Definitions<'a> {
    Open(&'a Mutex<Vectors>),
    Closed(&'a Vectors),
}

const fn none(call: &'static str) -> HostError {
    HostError { call, status: HostError::NOT_FOUND }
}

fn done(call: &'static str, is_done: bool) -> Result<(), HostError> {
    is_done.then_some(()).ok_or(HostError { call, status: HostError::BAD_ARGUMENT })
}

// === impl State ===

impl State {
    /// Of a plugin that knows no stream yet.
    pub(crate) fn new() -> Self {
        Self {
            series: Series::default(),
            expressions: Known::default(),
            lists: RefCell::default(),
            current: RefCell::default(),
            open: RefCell::default(),
            tick: Cell::new(Duration::MAX),
            vm: Rc::default(),
        }
    }
}

// === impl NativeHost ===

impl<'a> NativeHost<'a> {
    /// A host for this state of a configured filter.
    pub(crate) fn new(settings: &'a Settings, vectors: Definitions<'a>, state: &'a State) -> Self {
        Self { settings, vectors, state }
    }

    fn subject(&self, call: &'static str) -> Result<Subject, HostError> {
        self.state.current.borrow().clone().ok_or(none(call))
    }

    fn filter(&self, call: &'static str) -> Result<Filter, HostError> {
        match self.subject(call)? {
            Subject::Http(filter) => Ok(filter),
            Subject::Tcp(..) => Err(none(call)),
        }
    }

    fn connection(&self, call: &'static str) -> Result<Connection, HostError> {
        match self.subject(call)? {
            Subject::Tcp(connection, _) => Ok(connection),
            Subject::Http(_) => Err(none(call)),
        }
    }

    fn with_vectors<T>(&self, act: impl FnOnce(&Vectors) -> T) -> T {
        match self.vectors {
            Definitions::Open(vectors) => act(&vectors.lock().unwrap_or_else(PoisonError::into_inner)),
            Definitions::Closed(vectors) => act(vectors),
        }
    }

    /// What the core is told of a sample. Of one that had no handle it is told nothing: that is said here.
    fn recorded(&self, result: Result<(), Failure>) -> Result<(), HostError> {
        match (result, self.vectors) {
            (Ok(()), _) | (Err(Failure::NoHandle(_)), Definitions::Open(_)) => Ok(()),
            (Err(Failure::NoHandle(metric)), Definitions::Closed(_)) => {
                self.tell_unrecorded(&metric);
                Ok(())
            }
            (Err(Failure::Host(error)), _) => Err(error),
        }
    }

    /// Says that no sample of a network filter's metric is recorded, and why.
    pub(crate) fn tell_unrecorded(&self, metric: &MetricShape) {
        let message = if handles::are_there() {
            let why = "no upstream cluster of this module defines it with these labels";
            let remedy = "the cluster_config of one has to be the configuration of the filter";
            format!("istio-stats: TCP: {} is not recorded: {why}; {remedy}", metric.name)
        } else {
            let why = "there is no upstream cluster of this module, which has its metrics";
            format!("istio-stats: TCP is not reported: {why}; it belongs into the bootstrap")
        };
        self.log_once(log::Level::Error, &message);
    }
}

fn headers(map: HeaderMap) -> Headers {
    match map {
        HeaderMap::Request => Headers::Request,
        HeaderMap::Response => Headers::Response,
    }
}

impl Host for NativeHost<'_> {
    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
        match path {
            ["xds", "node", path @ ..] if self.settings.node.is_no_text(path) => {
                Err(HostError { call: "node", status: HostError::SERIALIZATION_FAILURE })
            }
            ["xds", "node", path @ ..] => Ok(self.settings.node.get(path)),
            ["plugin_root_id"] => Ok(Some(self.settings.name.as_bytes().to_vec())),
            path => self.subject("property").map_or(Ok(None), |subject| properties::read(&subject, path)),
        }
    }

    fn is_near(&self) -> bool {
        true
    }

    fn create_list(&self, paths: &[&'static [&'static str]]) -> Result<ListToken, HostError> {
        let mut lists = self.state.lists.borrow_mut();
        let number = u32::try_from(lists.len()).map_err(|_| none("create_list"))?;
        lists.push(List::of(paths));
        Ok(ListToken(number))
    }

    fn read_list(&self, ListToken(number): ListToken) -> Vec<u8> {
        let lists = self.state.lists.borrow();
        let list = usize::try_from(number).ok().and_then(|number| lists.get(number));
        list.zip(self.filter("read_list").ok()).map(|(list, filter)| list.read(filter)).unwrap_or_default()
    }

    fn set_property(&self, key: &str, value: &[u8]) -> Result<(), HostError> {
        let call = "set_filter_state_bytes";
        let is_of_frames = [FRAME_BEGUN_KEY, RECEIVED_FRAME_BYTES_KEY].contains(&key);
        if is_of_frames && self.connection(call).is_ok() {
            // The stats plugin stands behind, and counts what is left: see `replace_data`.
            return Ok(());
        }
        let key = format!("wasm.{key}");
        let is_done = match self.subject(call)? {
            Subject::Http(filter) => filter.set_filter_state(&key, value),
            Subject::Tcp(connection, _) => connection.set_filter_state(&key, value),
        };
        done(call, is_done)
    }

    fn header(&self, map: HeaderMap, name: &str) -> Result<Option<Vec<u8>>, HostError> {
        let filter = self.filter("http_get_header")?;
        Ok(owned(|value| filter.header(headers(map), name, value)))
    }

    fn set_header(&self, map: HeaderMap, name: &str, value: &[u8]) -> Result<(), HostError> {
        let call = "http_set_header";
        done(call, self.filter(call)?.set_header(headers(map), name, Some(value)))
    }

    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<(), HostError> {
        let call = "http_set_header";
        done(call, self.filter(call)?.set_header(headers(map), name, None))
    }

    fn data(&self, direction: Data, max_bytes: usize) -> Result<Vec<u8>, HostError> {
        let call = "get_buffer_chunks";
        self.connection(call)?.data(direction, max_bytes).ok_or(none(call))
    }

    fn replace_data(&self, direction: Data, length: usize, bytes: &[u8]) -> Result<(), HostError> {
        let call = "drain_buffer";
        let connection = self.connection(call)?;
        done(call, connection.replace_data(direction, length, bytes))?;
        if direction == Data::Downstream && !bytes.is_empty() {
            // It passes the stats plugin, too, and is none of the client's.
            let key = format!("wasm.{RECEIVED_FRAME_BYTES_KEY}");
            connection.set_filter_state(&key, bytes.len().to_string().as_bytes());
        }
        Ok(())
    }

    fn define_metric(&self, kind: MetricKind, name: MetricName<'_>) -> Result<MetricId, HostError> {
        if let Definitions::Open(vectors) = self.vectors {
            let labels: Vec<_> = name.labels().map(|(label, _)| label).collect();
            let mut vectors = vectors.lock().unwrap_or_else(PoisonError::into_inner);
            vectors.define(kind, name.name(), labels.into_iter())?;
        }
        self.with_vectors(|vectors| self.state.series.find(vectors, kind, name))
    }

    fn increment_metric(&self, id: MetricId, delta: i64) -> Result<(), HostError> {
        self.recorded(self.with_vectors(|vectors| self.state.series.increment(vectors, id, delta)))
    }

    fn record_metric(&self, id: MetricId, value: u64) -> Result<(), HostError> {
        self.recorded(self.state.series.record(id, value))
    }

    fn create_expression(&self, text: &str) -> Result<ExpressionToken, HostError> {
        self.state.expressions.create(&self.settings.expressions, text)
    }

    fn evaluate_expression(&self, token: ExpressionToken) -> Result<Vec<u8>, HostError> {
        self.evaluate_told(token, &[])
    }

    fn is_told(&self) -> bool {
        true
    }

    fn evaluate_told(&self, token: ExpressionToken, told: &[Option<&str>]) -> Result<Vec<u8>, HostError> {
        let read = |path: &[&str]| self.property(path).ok().flatten();
        let panicked = || {
            let message = "istio-stats: internal error: an expression cannot be evaluated; it has no value";
            self.log_once(log::Level::Error, message);
        };
        self.state.expressions.evaluate(token, told, read, panicked)
    }

    /// They are few, and as many as the configuration has.
    fn delete_expression(&self, _token: ExpressionToken) {}

    fn plugin_configuration(&self) -> Result<Vec<u8>, HostError> {
        Ok(self.settings.configuration.clone())
    }

    fn set_tick_period(&self, period: Duration) -> Result<(), HostError> {
        self.state.tick.set(period);
        Ok(())
    }

    fn set_effective_context(&self, context_id: u32) -> Result<(), HostError> {
        let subject = self.state.open.borrow().get(&context_id).cloned();
        *self.state.current.borrow_mut() = Some(subject.ok_or(none("set_effective_context"))?);
        Ok(())
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn log(&self, level: log::Level, message: &str) {
        abi::log(level, message);
    }

    fn shared_data(&self, key: &str) -> Result<Shared, HostError> {
        Ok(shared::get(key))
    }

    fn set_shared_data(&self, key: &str, value: &[u8], version: u32) -> Result<(), HostError> {
        shared::set(key, value, version)
    }

    /// No queue: a new series costs a native module no more than a sample does, so each worker defines
    /// its own.
    fn shared_queue(&self, _name: &str) -> Result<QueueId, HostError> {
        Err(none("shared_queue"))
    }

    fn enqueue(&self, _queue: QueueId, _item: &[u8]) -> Result<(), HostError> {
        Err(none("enqueue"))
    }

    fn dequeue(&self, _queue: QueueId) -> Result<Option<Vec<u8>>, HostError> {
        Err(none("dequeue"))
    }

    fn vm(&self) -> Rc<Vm> {
        self.state.vm.clone()
    }
}
