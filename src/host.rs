//! All that the core knows of the proxy it runs in.
//!
//! [`Host`] is the whole surface: `host/wasm.rs` implements it with proxy-wasm
//! hostcalls, `host/fake.rs` in memory for native tests. Every call is
//! fallible and none may panic; "not there" is `Ok(None)`, not an error.

pub mod excerpt;
#[cfg(not(target_family = "wasm"))]
pub mod fake;
pub mod metric_name;
pub mod say;
#[cfg(target_family = "wasm")]
pub mod wasm;

use core::fmt;
use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use metric_name::MetricName;

/// What a plugin asks of the proxy. Calls act on the current stream or, after
/// [`Host::set_effective_context`], on the one named there.
///
/// A call that returns bytes costs 2–3 µs in Envoy, since the proxy calls back
/// into the VM to allocate them; one that does not costs 0.2–0.6 µs.
pub trait Host {
    /// The attribute at `path` (its parts may hold dots and slashes).
    ///
    /// `Ok(None)`: unknown, or not available in this phase. An empty string or message
    /// is empty.
    ///
    /// # Errors
    /// The attribute is there but has no byte form (a null, for example).
    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, HostError>;

    /// Whether reads are so cheap that many at once, by an expression, save nothing.
    fn is_near(&self) -> bool {
        false
    }

    /// Prepares reads of the attributes at these paths, of requests that are logged, by a host that is near;
    /// the token is good for this root context and its streams.
    ///
    /// # Errors
    /// The host is not near.
    fn create_list(&self, _paths: &[&'static [&'static str]]) -> Result<ListToken, HostError> {
        Err(HostError { call: "create_list", status: HostError::NOT_FOUND })
    }

    /// Reads them: a [list](crate::wire::pairs::list), with no bytes of what is not there.
    fn read_list(&self, _list: ListToken) -> Vec<u8> {
        Vec::new()
    }

    /// Stores `value` in the stream's filter state under `wasm.<key>`.
    ///
    /// # Errors
    /// There is no stream, or the key was already written.
    fn set_property(&self, key: &str, value: &[u8]) -> Result<(), HostError>;

    /// The value of a header or trailer; `Ok(None)` if it is absent or the map
    /// cannot be read in this phase. Client-controlled bytes, any of them.
    ///
    /// # Errors
    /// The host refused the call for another reason.
    fn header(&self, map: HeaderMap, name: &str) -> Result<Option<Vec<u8>>, HostError>;

    /// Sets a header, replacing every value it had.
    ///
    /// # Errors
    /// The map cannot be written in this phase.
    fn set_header(&self, map: HeaderMap, name: &str, value: &[u8]) -> Result<(), HostError>;

    /// Removes a header; a no-op if it is absent.
    ///
    /// # Errors
    /// The map cannot be written in this phase.
    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<(), HostError>;

    /// Up to `max_bytes` of a TCP connection's data that the current callback
    /// holds, from the beginning.
    ///
    /// # Errors
    /// The current callback holds no data of that direction.
    fn data(&self, direction: Data, max_bytes: usize) -> Result<Vec<u8>, HostError>;

    /// Puts `bytes` in the place of the first `length` bytes of that data.
    ///
    /// # Errors
    /// The current callback holds no data of that direction.
    fn replace_data(&self, direction: Data, length: usize, bytes: &[u8]) -> Result<(), HostError>;

    /// Defines (or finds) the metric with this name and these labels. A repeated
    /// call yields a fresh id and leaks about 35 bytes in the host: keep the id.
    ///
    /// # Errors
    /// The host refused the definition.
    fn define_metric(&self, kind: MetricKind, name: MetricName<'_>) -> Result<MetricId, HostError>;

    /// Adds to a counter (only above zero) or a gauge (also below).
    ///
    /// # Errors
    /// The host refused the id or the delta.
    fn increment_metric(&self, id: MetricId, delta: i64) -> Result<(), HostError>;

    /// Sets a gauge or adds a sample to a histogram.
    ///
    /// # Errors
    /// The host refused the id.
    fn record_metric(&self, id: MetricId, value: u64) -> Result<(), HostError>;

    /// Compiles a CEL expression; the token is good for this root context and
    /// its streams.
    ///
    /// # Errors
    /// The host does not understand it, or has no expressions at all.
    fn create_expression(&self, text: &str) -> Result<ExpressionToken, HostError>;

    /// Evaluates an expression against the stream whose callback this is; an
    /// effective context makes no difference.
    ///
    /// # Errors
    /// It cannot be evaluated here: an attribute is absent, say.
    fn evaluate_expression(&self, token: ExpressionToken) -> Result<Vec<u8>, HostError>;

    /// Whether expressions are evaluated on this side of the host: in every callback, against the
    /// stream that is in effect, and with what they are [told](Host::evaluate_told).
    fn is_told(&self) -> bool {
        false
    }

    /// Evaluates an expression with these texts for the names that it has for them.
    ///
    /// # Errors
    /// As above; or the host cannot be told.
    fn evaluate_told(&self, _token: ExpressionToken, _told: &[Option<&str>]) -> Result<Vec<u8>, HostError> {
        Err(HostError { call: "evaluate_told", status: HostError::NOT_FOUND })
    }

    /// Forgets an expression.
    fn delete_expression(&self, token: ExpressionToken);

    /// The plugin's configuration, readable while configuring only.
    ///
    /// # Errors
    /// The host refused the call.
    fn plugin_configuration(&self) -> Result<Vec<u8>, HostError>;

    /// Makes the host call the root context's tick at this period; zero stops it.
    ///
    /// # Errors
    /// The host refused the period.
    fn set_tick_period(&self, period: Duration) -> Result<(), HostError>;

    /// Directs the calls that follow, until this callback ends, to the stream
    /// with this id.
    ///
    /// # Errors
    /// There is no such stream (any more).
    fn set_effective_context(&self, context_id: u32) -> Result<(), HostError>;

    /// The time on a clock that is never set back.
    fn now(&self) -> Instant;

    /// Writes one line to the proxy's log.
    fn log(&self, level: log::Level, message: &str);

    /// A value that all VMs of the process with this vm_id share, and its version.
    ///
    /// # Errors
    /// The host refused the call.
    fn shared_data(&self, key: &str) -> Result<Shared, HostError>;

    /// Replaces a shared value, if it still has the version that was read with it.
    /// (A value that was absent has no version: of two who set it at once, both
    /// succeed.)
    ///
    /// # Errors
    /// Another VM was faster, or the host refused the call.
    fn set_shared_data(&self, key: &str, value: &[u8], version: u32) -> Result<(), HostError>;

    /// Joins the queue of this name that all VMs with this vm_id share.
    ///
    /// # Errors
    /// The host has no queues.
    fn shared_queue(&self, name: &str) -> Result<QueueId, HostError>;

    /// Appends to a shared queue.
    ///
    /// # Errors
    /// There is no such queue.
    fn enqueue(&self, queue: QueueId, item: &[u8]) -> Result<(), HostError>;

    /// Takes the first item of a shared queue; `Ok(None)` if there is none.
    ///
    /// # Errors
    /// There is no such queue.
    fn dequeue(&self, queue: QueueId) -> Result<Option<Vec<u8>>, HostError>;

    /// What the root contexts of this VM agree on.
    fn vm(&self) -> Rc<Vm>;

    /// Remembers `key` for all VMs of the process with this vm_id; true for the
    /// first to ask. (The first VM, which Envoy configures before any worker,
    /// takes part, so there is no race at start.)
    fn first_in_process(&self, key: &str) -> bool {
        let absent = self.shared_data(key).ok().filter(|shared| shared.value.is_none());
        absent.is_some_and(|shared| self.set_shared_data(key, b"", shared.version).is_ok())
    }

    /// Writes a line that every VM of a process would write, once: Envoy
    /// configures a plugin on a trial VM, the main thread and each worker.
    fn log_once(&self, level: log::Level, message: &str) {
        if self.first_in_process(message) {
            self.log(level, message);
        }
    }
}

/// Whether a host [is told](Host::is_told). That of a Wasm module never is, so that nothing of it is in one.
pub fn is_told(host: &dyn Host) -> bool {
    MAY_BE_TOLD && host.is_told()
}

/// Whether there are such hosts.
pub const MAY_BE_TOLD: bool = cfg!(not(target_family = "wasm"));

/// Which header map a call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderMap {
    /// Headers of the request.
    Request,
    /// Headers of the response.
    Response,
}

/// Which data of a TCP connection a call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Data {
    /// What the client sent.
    Downstream,
    /// What the upstream sent.
    Upstream,
}

/// What becomes of data that a callback was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flow {
    /// It goes on.
    #[default]
    Continue,
    /// It is kept back, and shown again with what follows.
    Hold,
}

/// How a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Is set.
    Gauge,
    /// Collects samples.
    Histogram,
}

/// The host's handle of a defined metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MetricId(pub u32);

/// The host's handle of a compiled expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExpressionToken(pub u32);

/// The host's handle of attributes that are read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListToken(pub u32);

/// The host's handle of a shared queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueId(pub u32);

/// A value shared by VMs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// The value; `None` if nobody set it.
    pub value: Option<Vec<u8>>,
    /// Tells whether it changed since.
    pub version: u32,
}

/// One VM, as its root contexts share it.
#[derive(Debug, Default)]
pub struct Vm {
    /// Whether a stream was ever seen here. The main thread's VM never sees one.
    pub saw_stream: Cell<bool>,
    /// Whether one of the root contexts defines series for other VMs.
    pub defines: Cell<bool>,
    /// The number under which this VM asks others to define series.
    pub number: Cell<Option<u32>>,
    /// The last request it made.
    pub last_request: Cell<u32>,
    /// How many of the metrics that were noted for later builds are defined here.
    pub noted: Cell<u32>,
}

/// A hostcall that failed: its name and the proxy-wasm status it returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError {
    /// Name of the hostcall.
    pub call: &'static str,
    /// Status as the proxy-wasm ABI numbers it.
    pub status: u32,
}

impl HostError {
    /// The ABI's "no such thing".
    pub const NOT_FOUND: u32 = 1;
    /// The ABI's "not like this, or not now".
    pub const BAD_ARGUMENT: u32 = 2;
    /// The ABI's "it has no byte form".
    pub const SERIALIZATION_FAILURE: u32 = 3;
}

// === impl HostError ===

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} returned status {}", self.call, self.status)
    }
}

impl core::error::Error for HostError {}
