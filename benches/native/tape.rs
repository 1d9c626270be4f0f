//! A host that answers one stream's calls as the fake Envoy did, and takes next to no
//! time for it: what is left is the plugin's own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use istio_stats::host::fake::FakeHost;
use istio_stats::host::metric_name::MetricName;
use istio_stats::host::{
    Data, ExpressionToken, HeaderMap, Host, HostError, MetricId, MetricKind, QueueId, Shared, Vm,
};

type Answer = Result<Option<Vec<u8>>, HostError>;

/// What the host answered, in the order of the calls.
pub struct Tape<'a> {
    host: &'a FakeHost,
    answers: RefCell<Vec<Answer>>,
    /// The next one to be given. `None`: it is recorded.
    next: Cell<Option<usize>>,
}

// === impl Tape ===

impl<'a> Tape<'a> {
    /// Records from now on.
    pub fn of(host: &'a FakeHost) -> Self {
        Self { host, answers: RefCell::default(), next: Cell::new(None) }
    }

    /// Plays, from the beginning.
    pub fn play(&self) {
        self.next.set(Some(0));
    }

    fn answer(&self, ask: impl FnOnce() -> Answer) -> Answer {
        if let Some(next) = self.next.get() {
            self.next.set(Some(next + 1));
            return self.answers.borrow()[next].clone();
        }
        let answer = ask();
        self.answers.borrow_mut().push(answer.clone());
        answer
    }

    fn act(&self, act: impl FnOnce() -> Result<(), HostError>) -> Result<(), HostError> {
        if self.next.get().is_some() {
            return Ok(());
        }
        act()
    }
}

/// What no usual stream asks for.
macro_rules! passed_on {
    ($(fn $name:ident(&self $(, $argument:ident: $kind:ty)*) $(-> $result:ty)?;)*) => {
        $(fn $name(&self $(, $argument: $kind)*) $(-> $result)? {
            self.host.$name($($argument),*)
        })*
    };
}

impl Host for Tape<'_> {
    fn property(&self, path: &[&str]) -> Answer {
        self.answer(|| self.host.property(path))
    }

    fn header(&self, map: HeaderMap, name: &str) -> Answer {
        self.answer(|| self.host.header(map, name))
    }

    fn evaluate_expression(&self, token: ExpressionToken) -> Result<Vec<u8>, HostError> {
        self.answer(|| self.host.evaluate_expression(token).map(Some)).map(Option::unwrap_or_default)
    }

    fn set_property(&self, key: &str, value: &[u8]) -> Result<(), HostError> {
        self.act(|| self.host.set_property(key, value))
    }

    fn set_header(&self, map: HeaderMap, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.act(|| self.host.set_header(map, name, value))
    }

    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<(), HostError> {
        self.act(|| self.host.remove_header(map, name))
    }

    fn increment_metric(&self, id: MetricId, delta: i64) -> Result<(), HostError> {
        self.act(|| self.host.increment_metric(id, delta))
    }

    fn record_metric(&self, id: MetricId, value: u64) -> Result<(), HostError> {
        self.act(|| self.host.record_metric(id, value))
    }

    passed_on! {
        fn data(&self, direction: Data, max_bytes: usize) -> Result<Vec<u8>, HostError>;
        fn replace_data(&self, direction: Data, length: usize, bytes: &[u8]) -> Result<(), HostError>;
        fn define_metric(&self, kind: MetricKind, name: MetricName<'_>) -> Result<MetricId, HostError>;
        fn create_expression(&self, text: &str) -> Result<ExpressionToken, HostError>;
        fn delete_expression(&self, token: ExpressionToken);
        fn plugin_configuration(&self) -> Result<Vec<u8>, HostError>;
        fn set_tick_period(&self, period: Duration) -> Result<(), HostError>;
        fn set_effective_context(&self, context_id: u32) -> Result<(), HostError>;
        fn now(&self) -> Instant;
        fn log(&self, level: log::Level, message: &str);
        fn shared_data(&self, key: &str) -> Result<Shared, HostError>;
        fn set_shared_data(&self, key: &str, value: &[u8], version: u32) -> Result<(), HostError>;
        fn shared_queue(&self, name: &str) -> Result<QueueId, HostError>;
        fn enqueue(&self, queue: QueueId, item: &[u8]) -> Result<(), HostError>;
        fn dequeue(&self, queue: QueueId) -> Result<Option<Vec<u8>>, HostError>;
        fn vm(&self) -> Rc<Vm>;
    }
}
