//! [`Host`] in memory, for native tests: it answers as Envoy does, which is
//! mostly "not there", and keeps what the plugin did to it.
//!
//! A test sets attributes and headers, enters the phases of a stream in order
//! and calls the plugin in between; then it asks for headers, metrics, log
//! lines and the number of hostcalls.
//!
//! ```
//! use istio_stats::host::fake::{FakeHost, Phase};
//! use istio_stats::host::{HeaderMap, Host};
//!
//! let fake = FakeHost::new();
//! fake.set_node_metadata("CLUSTER_ID", "east");
//! fake.open_stream();
//! fake.set_attribute(&["response", "code"], 200);
//! fake.set_header_to(HeaderMap::Request, "content-type", "application/grpc");
//!
//! fake.enter(Phase::RequestHeaders);
//! assert_eq!(fake.property(&["response", "code"]), Ok(None)); // not yet
//! fake.enter(Phase::Log);
//! assert_eq!(fake.property(&["response", "code"]), Ok(Some(200i64.to_le_bytes().to_vec())));
//! ```

mod phase;
mod value;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use phase::Phase;
pub use value::{pairs, Value};

use crate::wire::cel::plain_path;

use super::{Data, ExpressionToken, Flow, HeaderMap, Host, HostError, MetricId, MetricKind, QueueId, Shared};

/// One VM in a fake Envoy.
#[derive(Debug)]
pub struct FakeHost {
    process: Rc<RefCell<Process>>,
    vm: RefCell<Vm>,
    calls: RefCell<Calls>,
    phase: Cell<Phase>,
}

/// The hostcalls that are counted and can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as the methods of Host")]
pub enum Hostcall {
    Property,
    SetProperty,
    Header,
    SetHeader,
    RemoveHeader,
    Data,
    ReplaceData,
    DefineMetric,
    IncrementMetric,
    RecordMetric,
    CreateExpression,
    EvaluateExpression,
    DeleteExpression,
    PluginConfiguration,
    SetTickPeriod,
    SetEffectiveContext,
    Log,
    SharedData,
    SetSharedData,
    SharedQueue,
    Enqueue,
    Dequeue,
}

/// What all VMs of an Envoy share.
#[derive(Debug)]
struct Process {
    metrics: Vec<Metric>,
    shared: BTreeMap<String, (Vec<u8>, u32)>,
    /// Items by number of the queue; `None`: there are no queues.
    queues: Option<Vec<(String, VecDeque<Vec<u8>>)>>,
    now: Instant,
    /// What a metric takes that its module had not defined yet.
    time_to_define: Duration,
    log: Vec<(log::Level, String)>,
}

#[derive(Debug)]
struct Metric {
    kind: MetricKind,
    stat_name: String,
    value: u64,
    samples: Vec<u64>,
    /// Numbers of the modules that defined it and are still there; Envoy drops it with the last.
    modules: BTreeSet<u32>,
}

#[derive(Debug)]
struct Vm {
    /// Attributes of the node, and of every stream that does not say otherwise.
    attributes: Value,
    streams: BTreeMap<u32, Stream>,
    /// The stream last entered.
    current: Option<u32>,
    /// Set by the plugin, until the callback ends.
    effective: Option<u32>,
    next_context_id: u32,
    configuration: Vec<u8>,
    tick_period: Option<Duration>,
    /// Texts of the expressions that were created, by token; `None`: deleted.
    expressions: Vec<Option<String>>,
    /// What expressions evaluate to, by text.
    expression_values: BTreeMap<String, Value>,
    /// Metrics by the ids that this VM was given, from one.
    metric_ids: Vec<usize>,
    /// What its root contexts agree on.
    shared_by_roots: Rc<super::Vm>,
    /// Which module it runs.
    module: u32,
}

#[derive(Debug)]
struct Stream {
    attributes: Value,
    filter_state: BTreeMap<String, Vec<u8>>,
    request_headers: Headers,
    response_headers: Headers,
    downstream_data: Pipe,
    upstream_data: Pipe,
}

/// One direction of a TCP connection.
#[derive(Debug, Default)]
struct Pipe {
    /// What the current callback is shown, and what was held back before.
    shown: Vec<u8>,
    /// What went on.
    passed: Vec<u8>,
}

type Headers = Vec<(String, Vec<u8>)>;

#[derive(Debug, Default)]
struct Calls {
    made: BTreeMap<Hostcall, usize>,
    returned_bytes: usize,
    failing: BTreeMap<Hostcall, u32>,
    lasting: BTreeMap<Hostcall, Duration>,
}

/// Id of the root context; streams have higher ones.
pub const ROOT_CONTEXT_ID: u32 = 1;

fn is_balanced(text: &str) -> bool {
    let mut depth = 0i32;
    for c in text.chars() {
        depth = match c {
            '(' | '[' | '{' => depth.saturating_add(1),
            ')' | ']' | '}' => depth.saturating_sub(1),
            _ => depth,
        };
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

/// A status of the ABI that the fake gives for what it does not model.
const INTERNAL_FAILURE: u32 = 10;
const CAS_MISMATCH: u32 = 8;
const UNIMPLEMENTED: u32 = 12;

// === impl FakeHost: the story ===

impl Default for FakeHost {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeHost {
    /// An Envoy with one VM, being configured, that knows nothing of itself.
    pub fn new() -> Self {
        let process = Process {
            metrics: Vec::new(),
            time_to_define: Duration::ZERO,
            shared: BTreeMap::new(),
            queues: None,
            now: Instant::now(),
            log: Vec::new(),
        };
        Self::in_process(Rc::new(RefCell::new(process)))
    }

    /// Another VM of the same process: a worker. It has its own streams and
    /// metric ids; metrics, shared data and log are the process's.
    pub fn another_vm(&self) -> Self {
        let vm = Self::in_process(Rc::clone(&self.process));
        vm.vm.borrow_mut().attributes = self.vm.borrow().attributes.clone();
        vm.vm.borrow_mut().configuration = self.vm.borrow().configuration.clone();
        vm.vm.borrow_mut().module = self.vm.borrow().module;
        vm
    }

    /// A VM that runs the next module, of which the process had none yet.
    pub fn vm_of_next_module(&self) -> Self {
        let next = self.another_vm();
        let module = self.vm.borrow().module.saturating_add(1);
        next.vm.borrow_mut().module = module;
        next
    }

    /// The last VM goes that runs this module.
    pub fn unload(&self) {
        let module = self.vm.borrow().module;
        for metric in &mut self.process.borrow_mut().metrics {
            metric.modules.remove(&module);
        }
    }

    fn in_process(process: Rc<RefCell<Process>>) -> Self {
        let vm = Vm {
            attributes: Value::Map(BTreeMap::new()),
            streams: BTreeMap::new(),
            current: None,
            effective: None,
            next_context_id: ROOT_CONTEXT_ID,
            configuration: Vec::new(),
            tick_period: None,
            expressions: Vec::new(),
            expression_values: BTreeMap::new(),
            metric_ids: Vec::new(),
            shared_by_roots: Rc::default(),
            module: 0,
        };
        Self { process, vm: RefCell::new(vm), calls: RefCell::default(), phase: Cell::new(Phase::Configure) }
    }

    /// Gives the process shared queues, as Envoy has them. Without, a plugin does
    /// everything where it is noticed, which is what most tests are about.
    pub fn with_queues(self) -> Self {
        self.process.borrow_mut().queues = Some(Vec::new());
        self
    }

    /// Sets the plugin's configuration.
    pub fn set_plugin_configuration(&self, configuration: impl AsRef<[u8]>) {
        self.vm.borrow_mut().configuration = configuration.as_ref().to_vec();
    }

    /// Creates a stream context and enters [`Phase::StreamCreated`]; what is
    /// set from now on belongs to this stream.
    pub fn open_stream(&self) -> u32 {
        let stream = Stream {
            attributes: Value::Map(BTreeMap::new()),
            filter_state: BTreeMap::new(),
            request_headers: Headers::new(),
            response_headers: Headers::new(),
            downstream_data: Pipe::default(),
            upstream_data: Pipe::default(),
        };
        let mut vm = self.vm.borrow_mut();
        vm.next_context_id = vm.next_context_id.saturating_add(1);
        let id = vm.next_context_id;
        vm.streams.insert(id, stream);
        drop(vm);
        self.enter_stream(id, Phase::StreamCreated);
        id
    }

    /// Ends the callback and begins the next one: of the root context, or of
    /// the stream last entered.
    pub fn enter(&self, phase: Phase) {
        let mut vm = self.vm.borrow_mut();
        assert!(phase.is_root() || vm.current.is_some(), "{phase:?} needs an open stream");
        vm.effective = None;
        self.phase.set(phase);
    }

    /// The same for another stream.
    pub fn enter_stream(&self, context_id: u32, phase: Phase) {
        let known = self.vm.borrow().streams.contains_key(&context_id);
        assert!(known && !phase.is_root(), "{phase:?} of stream {context_id}");
        self.vm.borrow_mut().current = Some(context_id);
        self.enter(phase);
    }

    /// Deletes a stream context and all that belongs to it.
    pub fn close_stream(&self, context_id: u32) {
        let mut vm = self.vm.borrow_mut();
        vm.streams.remove(&context_id);
        vm.current = vm.current.filter(|current| *current != context_id);
        vm.effective = None;
        self.phase.set(Phase::Tick);
    }

    /// Sets an attribute of the current stream. Before any stream is open, and
    /// for the node's at any time: of all streams. It is readable in the phases
    /// in which Envoy has it.
    pub fn set_attribute(&self, path: &[&str], value: impl Into<Value>) {
        self.attributes_of(path, |attributes| attributes.put(path, value.into()));
    }

    /// Forgets an attribute.
    pub fn remove_attribute(&self, path: &[&str]) {
        self.attributes_of(path, |attributes| attributes.remove(path));
    }

    /// Sets one key of the node's metadata.
    pub fn set_node_metadata(&self, key: &str, value: impl Into<Value>) {
        self.set_attribute(&["xds", "node", "metadata", key], value);
    }

    /// Sets one Kubernetes label in the node's metadata.
    pub fn set_node_label(&self, label: &str, value: impl Into<Value>) {
        self.set_attribute(&["xds", "node", "metadata", "LABELS", label], value);
    }

    /// Sets a header of the current stream from outside, as the peer or
    /// another filter does: in any phase, not counted as a hostcall.
    pub fn set_header_to(&self, map: HeaderMap, name: &str, value: impl AsRef<[u8]>) {
        self.with_headers(map, |headers| {
            headers.retain(|(known, _)| known != name);
            headers.push((name.to_owned(), value.as_ref().to_vec()));
        });
    }

    /// Adds one more value of a header of the current stream, from outside.
    pub fn add_header(&self, map: HeaderMap, name: &str, value: impl AsRef<[u8]>) {
        self.with_headers(map, |headers| headers.push((name.to_owned(), value.as_ref().to_vec())));
    }

    /// Data of the current connection arrives: enters [`Phase::Data`]. Returns
    /// the size that the callback is told: with what was held back before.
    pub fn arrive(&self, direction: Data, bytes: &[u8]) -> usize {
        self.enter(Phase::Data(direction));
        let size = self.with_pipe(direction, |pipe| {
            pipe.shown.extend(bytes);
            pipe.shown.len()
        });
        size.unwrap_or(0)
    }

    /// The data callback ends and says what becomes of the data.
    pub fn end_data(&self, direction: Data, flow: Flow) {
        let pass = |pipe: &mut Pipe| pipe.passed.append(&mut pipe.shown);
        if flow == Flow::Continue {
            self.with_pipe(direction, pass);
        }
    }

    /// Makes an expression evaluate to this, in callbacks of streams; without it
    /// evaluation fails. The text is the one that the host is given.
    pub fn set_expression(&self, text: &str, value: impl Into<Value>) {
        self.vm.borrow_mut().expression_values.insert(text.to_owned(), value.into());
    }

    /// Makes every such hostcall fail with this status from now on.
    pub fn fail(&self, call: Hostcall, status: u32) {
        self.calls.borrow_mut().failing.insert(call, status);
    }

    /// Makes such hostcalls work again.
    pub fn recover(&self, call: Hostcall) {
        self.calls.borrow_mut().failing.remove(&call);
    }

    fn attributes_of(&self, path: &[&str], change: impl FnOnce(&mut Value)) {
        let mut vm = self.vm.borrow_mut();
        let vm = &mut *vm;
        let stream = vm.current.filter(|_| !Phase::has_root_attribute(path));
        match stream.and_then(|id| vm.streams.get_mut(&id)) {
            Some(stream) => change(&mut stream.attributes),
            None => change(&mut vm.attributes),
        }
    }

    fn with_pipe<T>(&self, direction: Data, change: impl FnOnce(&mut Pipe) -> T) -> Option<T> {
        let mut vm = self.vm.borrow_mut();
        let id = vm.current?;
        let stream = vm.streams.get_mut(&id)?;
        Some(change(match direction {
            Data::Downstream => &mut stream.downstream_data,
            Data::Upstream => &mut stream.upstream_data,
        }))
    }

    fn with_headers<T>(&self, map: HeaderMap, change: impl FnOnce(&mut Headers) -> T) -> Option<T> {
        let mut vm = self.vm.borrow_mut();
        let id = vm.effective.or(vm.current)?;
        let stream = vm.streams.get_mut(&id)?;
        Some(change(match map {
            HeaderMap::Request => &mut stream.request_headers,
            HeaderMap::Response => &mut stream.response_headers,
        }))
    }
}

// === impl FakeHost: what the plugin did ===

impl FakeHost {
    /// All values of a header of the current stream, in any phase.
    pub fn header_values(&self, map: HeaderMap, name: &str) -> Vec<Vec<u8>> {
        let values = |headers: &mut Headers| {
            let named = headers.iter().filter(|(known, _)| known == name);
            named.map(|(_, value)| value.clone()).collect()
        };
        self.with_headers(map, values).unwrap_or_default()
    }

    /// All data of the current connection that went on in this direction.
    pub fn passed_data(&self, direction: Data) -> Vec<u8> {
        self.with_pipe(direction, |pipe| pipe.passed.clone()).unwrap_or_default()
    }

    /// What the plugin stored in a stream's filter state under `wasm.<key>`.
    pub fn filter_state(&self, context_id: u32, key: &str) -> Option<Vec<u8>> {
        self.vm.borrow().streams.get(&context_id)?.filter_state.get(key).cloned()
    }

    /// The counter with this stat name, if it was defined.
    pub fn counter(&self, stat_name: &str) -> Option<u64> {
        self.metric(MetricKind::Counter, stat_name, |metric| metric.value)
    }

    /// The gauge with this stat name, if it was defined.
    pub fn gauge(&self, stat_name: &str) -> Option<u64> {
        self.metric(MetricKind::Gauge, stat_name, |metric| metric.value)
    }

    /// The samples of the histogram with this stat name, if it was defined.
    pub fn histogram(&self, stat_name: &str) -> Option<Vec<u64>> {
        self.metric(MetricKind::Histogram, stat_name, |metric| metric.samples.clone())
    }

    /// Kind and stat name of every metric of the process, in order of definition.
    pub fn stat_names(&self) -> Vec<(MetricKind, String)> {
        let process = self.process.borrow();
        let metrics = process.metrics.iter().filter(|metric| metric.is_there());
        let names = metrics.map(|metric| (metric.kind, metric.stat_name.clone()));
        names.collect()
    }

    /// The process's log so far.
    pub fn log_lines(&self) -> Vec<(log::Level, String)> {
        self.process.borrow().log.clone()
    }

    /// Lets it take time to define a metric that is new to the module.
    pub fn set_time_to_define(&self, time: Duration) {
        self.process.borrow_mut().time_to_define = time;
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let now = &mut self.process.borrow_mut().now;
        *now = now.checked_add(by).unwrap_or(*now);
    }

    /// Sets the clock back, which a monotonic one should never be.
    pub fn go_back(&self, by: Duration) {
        let now = &mut self.process.borrow_mut().now;
        *now = now.checked_sub(by).unwrap_or(*now);
    }

    /// Makes time pass in every such hostcall from now on.
    pub fn slow_down(&self, call: Hostcall, by: Duration) {
        self.calls.borrow_mut().lasting.insert(call, by);
    }

    /// The period that the plugin's tick has, if it asked for one.
    pub fn tick_period(&self) -> Option<Duration> {
        self.vm.borrow().tick_period
    }

    /// How often such a hostcall was made since the last [`Self::reset_calls`].
    pub fn calls(&self, call: Hostcall) -> usize {
        self.calls.borrow().made.get(&call).copied().unwrap_or(0)
    }

    /// How many hostcalls of any kind were made.
    pub fn all_calls(&self) -> usize {
        self.calls.borrow().made.values().sum()
    }

    /// How many of them returned bytes, which makes the host call back into the
    /// VM to allocate.
    pub fn calls_that_returned_bytes(&self) -> usize {
        self.calls.borrow().returned_bytes
    }

    /// Counts hostcalls from zero again.
    pub fn reset_calls(&self) {
        let mut calls = self.calls.borrow_mut();
        calls.made.clear();
        calls.returned_bytes = 0;
    }

    fn metric<T>(&self, kind: MetricKind, stat_name: &str, read: impl FnOnce(&Metric) -> T) -> Option<T> {
        let process = self.process.borrow();
        let mut metrics = process.metrics.iter();
        metrics.find(|m| m.is(kind, stat_name)).map(read)
    }
}

// === impl Host for FakeHost ===

impl FakeHost {
    fn count(&self, call: Hostcall) -> Result<(), HostError> {
        let lasts = self.calls.borrow().lasting.get(&call).copied();
        self.advance(lasts.unwrap_or_default());
        let mut calls = self.calls.borrow_mut();
        let made = calls.made.entry(call).or_default();
        *made = made.saturating_add(1);
        match calls.failing.get(&call) {
            Some(status) => Err(call.error(*status)),
            None => Ok(()),
        }
    }

    fn returning(&self, bytes: Option<Vec<u8>>) -> Option<Vec<u8>> {
        if bytes.as_ref().is_some_and(|bytes| !bytes.is_empty()) {
            let mut calls = self.calls.borrow_mut();
            calls.returned_bytes = calls.returned_bytes.saturating_add(1);
        }
        bytes
    }

    /// The stream that hostcalls act on.
    fn stream_id(&self) -> Option<u32> {
        let vm = self.vm.borrow();
        let own = vm.current.filter(|_| !self.phase.get().is_root());
        vm.effective.or(own).filter(|id| *id != ROOT_CONTEXT_ID)
    }

    /// What a stream made effective from elsewhere shows is as much as on tick.
    fn seen_phase(&self) -> Phase {
        match self.vm.borrow().effective {
            Some(_) => Phase::Tick,
            None => self.phase.get(),
        }
    }

    /// What a list of attributes, and of tests whether one is there, evaluates to:
    /// all or nothing.
    fn list_of_attributes(&self, text: &str) -> Option<Value> {
        let at = |path: &[String]| self.attribute(&path.iter().map(String::as_str).collect::<Vec<_>>());
        let items = text.strip_prefix('[')?.strip_suffix(']')?.split(',').map(|item| {
            if let Some(name) = item.strip_prefix("has(").and_then(|item| item.strip_suffix(')')) {
                return Some(at(&plain_path(name)?).is_some().into());
            }
            if let Some((key, map)) = item.strip_prefix('"').and_then(|item| item.split_once("\" in ")) {
                return Some(at(&plain_path(&format!("{map}['{key}']"))?).is_some().into());
            }
            at(&plain_path(item)?)
        });
        items.collect::<Option<Vec<_>>>().map(Value::List)
    }

    fn attribute(&self, path: &[&str]) -> Option<Value> {
        let phase = self.seen_phase();
        let id = self.stream_id();
        let available = match id {
            Some(_) => phase.has_stream_attribute(path),
            None => Phase::has_root_attribute(path),
        };
        if !available {
            return None;
        }
        let vm = self.vm.borrow();
        let stream = id.and_then(|id| vm.streams.get(&id));
        let set = |path: &[&str]| {
            let own = stream.and_then(|stream| stream.attributes.at(path));
            own.or_else(|| vm.attributes.at(path)).cloned()
        };
        let header = |headers: &Headers, name: &str| {
            let value = headers.iter().find(|(known, _)| known == name)?.1.clone();
            Some(Value::Bytes(value))
        };
        let stored = |key: &str| stream?.filter_state.get(key).cloned().map(Value::Bytes);
        // Headers have a size while they are readable; TCP has none of them.
        let is_http = set(&["request", "protocol"]).is_some();
        let only_body = |map| is_http && !phase.can_read_headers(map);
        let body = |message: &str| Some(set(&[message, "size"]).unwrap_or(Value::Int(0)));
        match (path, set(path), stream) {
            (["request", "total_size"], Some(_), _) if only_body(HeaderMap::Request) => body("request"),
            (["response", "total_size"], Some(_), _) if only_body(HeaderMap::Response) => body("response"),
            (_, Some(value), _) => Some(value),
            (["request", "headers", name], None, Some(stream)) => header(&stream.request_headers, name),
            (["response", "headers", name], None, Some(stream)) => header(&stream.response_headers, name),
            (["request", field], None, Some(stream)) => {
                header(&stream.request_headers, phase::request_header(field)?)
            }
            ([key], None, _) => stored(key),
            (["filter_state", key], None, _) => stored(key.strip_prefix("wasm.")?),
            _ => None,
        }
    }
}

/// Whether Envoy has a protobuf message there, whose encoding is not modelled.
fn is_message(path: &[&str]) -> bool {
    match path {
        ["xds", "node"] | ["metadata"] => true,
        ["xds", field] => field.ends_with("_metadata"),
        _ => false,
    }
}

impl Host for FakeHost {
    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
        self.count(Hostcall::Property)?;
        let fail = |status| Err(Hostcall::Property.error(status));
        if path.is_empty() {
            return fail(HostError::SERIALIZATION_FAILURE);
        }
        let Some(value) = self.attribute(path) else {
            return Ok(None);
        };
        if matches!(value, Value::Map(_)) {
            if is_message(path) {
                return fail(INTERNAL_FAILURE);
            }
            // `request`, `connection` and the like have no byte form.
            if path.len() == 1 {
                return fail(HostError::SERIALIZATION_FAILURE);
            }
        }
        match value.to_wire() {
            Ok(bytes) => Ok(self.returning(Some(bytes).filter(|bytes| !bytes.is_empty()))),
            Err(status) => fail(status),
        }
    }

    fn set_property(&self, key: &str, value: &[u8]) -> Result<(), HostError> {
        self.count(Hostcall::SetProperty)?;
        let fail = |status| Err(Hostcall::SetProperty.error(status));
        let id = self.stream_id();
        let mut vm = self.vm.borrow_mut();
        let Some(stream) = id.and_then(|id| vm.streams.get_mut(&id)) else {
            return fail(HostError::NOT_FOUND);
        };
        // Undeclared properties are read-only once written.
        if stream.filter_state.contains_key(key) {
            return fail(HostError::BAD_ARGUMENT);
        }
        stream.filter_state.insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    fn header(&self, map: HeaderMap, name: &str) -> Result<Option<Vec<u8>>, HostError> {
        self.count(Hostcall::Header)?;
        if !self.seen_phase().can_read_headers(map) {
            return Ok(None);
        }
        let first = |headers: &mut Headers| headers.iter().find(|(known, _)| known == name).cloned();
        let found = self.with_headers(map, first).flatten();
        Ok(self.returning(found.map(|(_, value)| value)))
    }

    fn set_header(&self, map: HeaderMap, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.count(Hostcall::SetHeader)?;
        if !self.seen_phase().can_write_headers(map) {
            return Err(Hostcall::SetHeader.error(HostError::BAD_ARGUMENT));
        }
        self.set_header_to(map, name, value);
        Ok(())
    }

    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<(), HostError> {
        self.count(Hostcall::RemoveHeader)?;
        if !self.seen_phase().can_write_headers(map) {
            return Err(Hostcall::RemoveHeader.error(HostError::BAD_ARGUMENT));
        }
        self.with_headers(map, |headers| headers.retain(|(known, _)| known != name));
        Ok(())
    }

    fn data(&self, direction: Data, max_bytes: usize) -> Result<Vec<u8>, HostError> {
        self.count(Hostcall::Data)?;
        if self.phase.get() != Phase::Data(direction) {
            return Err(Hostcall::Data.error(HostError::BAD_ARGUMENT));
        }
        let first = |pipe: &mut Pipe| pipe.shown.get(..max_bytes).unwrap_or(&pipe.shown).to_vec();
        let bytes = self.with_pipe(direction, first);
        Ok(self.returning(bytes).unwrap_or_default())
    }

    fn replace_data(&self, direction: Data, length: usize, bytes: &[u8]) -> Result<(), HostError> {
        self.count(Hostcall::ReplaceData)?;
        if self.phase.get() != Phase::Data(direction) {
            return Err(Hostcall::ReplaceData.error(HostError::BAD_ARGUMENT));
        }
        self.with_pipe(direction, |pipe| {
            let length = length.min(pipe.shown.len());
            pipe.shown.splice(..length, bytes.iter().copied());
        });
        Ok(())
    }

    fn define_metric(&self, kind: MetricKind, stat_name: &str) -> Result<MetricId, HostError> {
        self.count(Hostcall::DefineMetric)?;
        let process = &mut *self.process.borrow_mut();
        let metrics = &mut process.metrics;
        let known = metrics.iter().position(|m| m.is(kind, stat_name));
        let index = known.unwrap_or(metrics.len());
        let vm = &mut *self.vm.borrow_mut();
        let is_new = !metrics.get(index).is_some_and(|metric| metric.modules.contains(&vm.module));
        if is_new {
            process.now = process.now.checked_add(process.time_to_define).unwrap_or(process.now);
        }
        match metrics.get_mut(index) {
            Some(metric) => {
                metric.modules.insert(vm.module);
            }
            None => metrics.push(Metric {
                kind,
                stat_name: stat_name.to_owned(),
                value: 0,
                samples: Vec::new(),
                modules: BTreeSet::from([vm.module]),
            }),
        }
        let ids = &mut vm.metric_ids;
        ids.push(index);
        u32::try_from(ids.len()).map(MetricId).map_err(|_| Hostcall::DefineMetric.error(INTERNAL_FAILURE))
    }

    fn increment_metric(&self, id: MetricId, delta: i64) -> Result<(), HostError> {
        self.count(Hostcall::IncrementMetric)?;
        self.change_metric(id, Hostcall::IncrementMetric, |metric| match metric.kind {
            MetricKind::Counter if delta > 0 => metric.add(delta),
            // Below zero a gauge wraps.
            MetricKind::Gauge => metric.add(delta),
            MetricKind::Counter | MetricKind::Histogram => Err(HostError::BAD_ARGUMENT),
        })
    }

    fn record_metric(&self, id: MetricId, value: u64) -> Result<(), HostError> {
        self.count(Hostcall::RecordMetric)?;
        self.change_metric(id, Hostcall::RecordMetric, |metric| {
            match metric.kind {
                MetricKind::Counter => metric.value = metric.value.wrapping_add(value),
                MetricKind::Gauge => metric.value = value,
                MetricKind::Histogram => metric.samples.push(value),
            }
            Ok(())
        })
    }

    /// Refuses unbalanced brackets; CEL itself is not modelled.
    fn create_expression(&self, text: &str) -> Result<ExpressionToken, HostError> {
        self.count(Hostcall::CreateExpression)?;
        if text.trim().is_empty() || !is_balanced(text) {
            return Err(Hostcall::CreateExpression.error(HostError::BAD_ARGUMENT));
        }
        let expressions = &mut self.vm.borrow_mut().expressions;
        expressions.push(Some(text.to_owned()));
        let token = u32::try_from(expressions.len());
        token.map(ExpressionToken).map_err(|_| Hostcall::CreateExpression.error(INTERNAL_FAILURE))
    }

    fn evaluate_expression(&self, token: ExpressionToken) -> Result<Vec<u8>, HostError> {
        self.count(Hostcall::EvaluateExpression)?;
        let value = {
            let vm = self.vm.borrow();
            let index = usize::try_from(token.0).ok().and_then(|token| token.checked_sub(1));
            let Some(Some(text)) = index.and_then(|index| vm.expressions.get(index)) else {
                return Err(Hostcall::EvaluateExpression.error(HostError::NOT_FOUND));
            };
            let value = vm.expression_values.get(text).cloned().or_else(|| self.list_of_attributes(text));
            let value = value.filter(|_| !self.phase.get().is_root());
            let failed = Hostcall::EvaluateExpression.error(INTERNAL_FAILURE);
            value.ok_or(failed)?.to_wire().map_err(|status| Hostcall::EvaluateExpression.error(status))?
        };
        Ok(self.returning(Some(value)).unwrap_or_default())
    }

    fn delete_expression(&self, token: ExpressionToken) {
        if self.count(Hostcall::DeleteExpression).is_ok() {
            let index = usize::try_from(token.0).ok().and_then(|token| token.checked_sub(1));
            let mut vm = self.vm.borrow_mut();
            if let Some(slot) = index.and_then(|index| vm.expressions.get_mut(index)) {
                *slot = None;
            }
        }
    }

    fn plugin_configuration(&self) -> Result<Vec<u8>, HostError> {
        self.count(Hostcall::PluginConfiguration)?;
        if self.phase.get() != Phase::Configure {
            return Ok(Vec::new());
        }
        let configuration = self.vm.borrow().configuration.clone();
        Ok(self.returning(Some(configuration)).unwrap_or_default())
    }

    fn set_tick_period(&self, period: Duration) -> Result<(), HostError> {
        self.count(Hostcall::SetTickPeriod)?;
        self.vm.borrow_mut().tick_period = (!period.is_zero()).then_some(period);
        Ok(())
    }

    fn set_effective_context(&self, context_id: u32) -> Result<(), HostError> {
        self.count(Hostcall::SetEffectiveContext)?;
        let mut vm = self.vm.borrow_mut();
        if context_id != ROOT_CONTEXT_ID && !vm.streams.contains_key(&context_id) {
            return Err(Hostcall::SetEffectiveContext.error(HostError::BAD_ARGUMENT));
        }
        vm.effective = Some(context_id);
        Ok(())
    }

    fn log(&self, level: log::Level, message: &str) {
        if self.count(Hostcall::Log).is_ok() {
            self.process.borrow_mut().log.push((level, message.to_owned()));
        }
    }

    fn now(&self) -> Instant {
        self.process.borrow().now
    }

    fn shared_data(&self, key: &str) -> Result<Shared, HostError> {
        self.count(Hostcall::SharedData)?;
        let found = self.process.borrow().shared.get(key).cloned();
        let (value, version) = found.map_or((None, 0), |(value, version)| (Some(value), version));
        Ok(Shared { value: self.returning(value), version })
    }

    fn set_shared_data(&self, key: &str, value: &[u8], version: u32) -> Result<(), HostError> {
        self.count(Hostcall::SetSharedData)?;
        let shared = &mut self.process.borrow_mut().shared;
        let (known, known_version) = shared.entry(key.to_owned()).or_default();
        // Zero asks for no check.
        if version != 0 && version != *known_version {
            return Err(Hostcall::SetSharedData.error(CAS_MISMATCH));
        }
        *known = value.to_vec();
        *known_version = known_version.saturating_add(1);
        Ok(())
    }

    fn shared_queue(&self, name: &str) -> Result<QueueId, HostError> {
        self.count(Hostcall::SharedQueue)?;
        let mut process = self.process.borrow_mut();
        let failed = Hostcall::SharedQueue.error(UNIMPLEMENTED);
        let queues = process.queues.as_mut().ok_or(failed)?;
        let known = queues.iter().position(|(known, _)| known == name);
        let index = known.unwrap_or_else(|| {
            queues.push((name.to_owned(), VecDeque::new()));
            queues.len().saturating_sub(1)
        });
        u32::try_from(index).map(QueueId).map_err(|_| failed)
    }

    fn enqueue(&self, queue: QueueId, item: &[u8]) -> Result<(), HostError> {
        self.count(Hostcall::Enqueue)?;
        self.with_queue(queue, Hostcall::Enqueue, |items| items.push_back(item.to_vec()))
    }

    fn dequeue(&self, queue: QueueId) -> Result<Option<Vec<u8>>, HostError> {
        self.count(Hostcall::Dequeue)?;
        let item = self.with_queue(queue, Hostcall::Dequeue, VecDeque::pop_front)?;
        Ok(self.returning(item))
    }

    fn vm(&self) -> Rc<super::Vm> {
        Rc::clone(&self.vm.borrow().shared_by_roots)
    }
}

impl FakeHost {
    fn with_queue<T>(
        &self,
        queue: QueueId,
        call: Hostcall,
        change: impl FnOnce(&mut VecDeque<Vec<u8>>) -> T,
    ) -> Result<T, HostError> {
        let mut process = self.process.borrow_mut();
        let index = usize::try_from(queue.0).ok();
        let found = process.queues.as_mut().zip(index).and_then(|(queues, index)| queues.get_mut(index));
        found.map(|(_, items)| change(items)).ok_or(call.error(HostError::NOT_FOUND))
    }

    fn change_metric(
        &self,
        id: MetricId,
        call: Hostcall,
        change: impl FnOnce(&mut Metric) -> Result<(), u32>,
    ) -> Result<(), HostError> {
        let index = usize::try_from(id.0).ok().and_then(|id| id.checked_sub(1));
        let index = index.and_then(|index| self.vm.borrow().metric_ids.get(index).copied());
        let mut process = self.process.borrow_mut();
        let metric = index.and_then(|index| process.metrics.get_mut(index));
        let changed = metric.map_or(Err(HostError::NOT_FOUND), change);
        changed.map_err(|status| call.error(status))
    }
}

// === impl Metric ===

impl Metric {
    fn is_there(&self) -> bool {
        !self.modules.is_empty()
    }

    fn is(&self, kind: MetricKind, stat_name: &str) -> bool {
        self.is_there() && (self.kind, &*self.stat_name) == (kind, stat_name)
    }

    fn add(&mut self, delta: i64) -> Result<(), u32> {
        self.value = self.value.wrapping_add_signed(delta);
        Ok(())
    }
}

// === impl Hostcall ===

impl Hostcall {
    fn error(self, status: u32) -> HostError {
        let call = match self {
            Self::Property => "proxy_get_property",
            Self::SetProperty => "proxy_set_property",
            Self::Header => "proxy_get_header_map_value",
            Self::SetHeader => "proxy_replace_header_map_value",
            Self::RemoveHeader => "proxy_remove_header_map_value",
            Self::Data => "proxy_get_buffer_bytes",
            Self::ReplaceData => "proxy_set_buffer_bytes",
            Self::DefineMetric => "proxy_define_metric",
            Self::IncrementMetric => "proxy_increment_metric",
            Self::RecordMetric => "proxy_record_metric",
            Self::CreateExpression => "expr_create",
            Self::EvaluateExpression => "expr_evaluate",
            Self::DeleteExpression => "expr_delete",
            Self::PluginConfiguration => "proxy_get_buffer_bytes",
            Self::SetTickPeriod => "proxy_set_tick_period_milliseconds",
            Self::SetEffectiveContext => "proxy_set_effective_context",
            Self::Log => "proxy_log",
            Self::SharedData => "proxy_get_shared_data",
            Self::SetSharedData => "proxy_set_shared_data",
            Self::SharedQueue => "proxy_register_shared_queue",
            Self::Enqueue => "proxy_enqueue_shared_queue",
            Self::Dequeue => "proxy_dequeue_shared_queue",
        };
        HostError { call, status }
    }
}

#[cfg(test)]
mod tests;
