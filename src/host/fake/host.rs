//! What Envoy answers to each hostcall.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::host::metric_name::MetricName;
use crate::host::{
    Data, ExpressionToken, HeaderMap, Host, HostError, ListToken, MetricId, MetricKind, QueueId, Shared, Vm,
};

use crate::wire::cel::names_stream;
use crate::wire::pairs;

use super::attribute;
use super::expressions::is_double;
use super::hostcall::{Hostcall, INTERNAL_FAILURE};
use super::metric::Metric;
use super::phase::Phase;
use super::stream::{Headers, Pipe};
use super::vm::FakeHost;

// === impl FakeHost ===

impl FakeHost {
    /// Counts a hostcall, and answers it unless it is one that fails.
    fn answer<T>(&self, call: Hostcall, answer: impl FnOnce() -> Result<T, u32>) -> Result<T, HostError> {
        let duration = self.calls.borrow().duration(call);
        self.process.borrow_mut().advance(duration);
        self.calls.borrow_mut().make(call)?;
        answer().map_err(|status| call.error(status))
    }

    /// Counts that these bytes are returned, if there are any.
    fn returning(&self, bytes: Option<Vec<u8>>) -> Option<Vec<u8>> {
        if bytes.as_ref().is_some_and(|bytes| !bytes.is_empty()) {
            self.calls.borrow_mut().return_bytes();
        }
        bytes
    }

    fn change_headers(
        &self,
        call: Hostcall,
        map: HeaderMap,
        change: impl FnOnce(&mut Headers),
    ) -> Result<(), HostError> {
        self.answer(call, || {
            let mut contexts = self.contexts.borrow_mut();
            if !contexts.seen_phase().can_write_headers(map) {
                return Err(HostError::BAD_ARGUMENT);
            }
            let headers = contexts.acted_on_mut().map(|stream| stream.headers_mut(map));
            headers.map(change).ok_or(HostError::BAD_ARGUMENT)
        })
    }

    /// Answers with what is made of the data that this callback is shown.
    fn with_data<T>(
        &self,
        call: Hostcall,
        direction: Data,
        answer: impl FnOnce(&mut Pipe) -> T,
    ) -> Result<T, HostError> {
        self.answer(call, || {
            let mut contexts = self.contexts.borrow_mut();
            if contexts.phase() != Phase::Data(direction) {
                return Err(HostError::BAD_ARGUMENT);
            }
            let pipe = contexts.current_mut().map(|stream| stream.pipe(direction));
            pipe.map(answer).ok_or(HostError::BAD_ARGUMENT)
        })
    }

    fn change_metric(
        &self,
        id: MetricId,
        change: impl FnOnce(&mut Metric) -> Result<(), u32>,
    ) -> Result<(), u32> {
        let place = self.metrics.borrow().get(id.0).copied();
        let mut process = self.process.borrow_mut();
        let metric = place.and_then(|place| process.metric_at(place));
        metric.map_or(Err(HostError::NOT_FOUND), change)
    }
}

// === impl Host for FakeHost ===

impl Host for FakeHost {
    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
        self.answer(Hostcall::Property, || {
            if path.is_empty() {
                return Err(HostError::SERIALIZATION_FAILURE);
            }
            let value = attribute::find(&self.contexts.borrow(), path);
            let bytes = value.map(|value| attribute::bytes(path, &value)).transpose()?;
            Ok(self.returning(bytes))
        })
    }

    fn is_near(&self) -> bool {
        self.is_near
    }

    fn create_list(&self, paths: &[&'static [&'static str]]) -> Result<ListToken, HostError> {
        let token = self.lists.borrow_mut().add(paths.to_vec());
        token.map(ListToken).map_err(|status| HostError { call: "create_list", status })
    }

    fn read_list(&self, ListToken(list): ListToken) -> Vec<u8> {
        let lists = self.lists.borrow();
        let paths = lists.get(list).map(Vec::as_slice).unwrap_or_default();
        let read = |path: &[&str], bytes: &mut Vec<u8>| {
            bytes.extend(self.property(path).ok().flatten().unwrap_or_default());
        };
        pairs::list(paths.len(), paths.iter().copied(), read)
    }

    fn set_property(&self, key: &str, value: &[u8]) -> Result<(), HostError> {
        self.answer(Hostcall::SetProperty, || {
            let mut contexts = self.contexts.borrow_mut();
            let stream = contexts.acted_on_mut().ok_or(HostError::NOT_FOUND)?;
            // Undeclared properties are read-only once written.
            if stream.filter_state.contains_key(key) {
                return Err(HostError::BAD_ARGUMENT);
            }
            stream.filter_state.insert(key.to_owned(), value.to_vec());
            Ok(())
        })
    }

    fn header(&self, map: HeaderMap, name: &str) -> Result<Option<Vec<u8>>, HostError> {
        self.answer(Hostcall::Header, || {
            let contexts = self.contexts.borrow();
            let readable = contexts.acted_on().filter(|_| contexts.seen_phase().can_read_headers(map));
            Ok(self.returning(readable.and_then(|stream| stream.headers(map).first(name))))
        })
    }

    fn set_header(&self, map: HeaderMap, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.change_headers(Hostcall::SetHeader, map, |headers| headers.set(name, value))
    }

    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<(), HostError> {
        self.change_headers(Hostcall::RemoveHeader, map, |headers| headers.remove(name))
    }

    fn data(&self, direction: Data, max_bytes: usize) -> Result<Vec<u8>, HostError> {
        let first = self.with_data(Hostcall::Data, direction, |pipe| pipe.first(max_bytes).to_vec())?;
        Ok(self.returning(Some(first)).unwrap_or_default())
    }

    fn replace_data(&self, direction: Data, length: usize, bytes: &[u8]) -> Result<(), HostError> {
        self.with_data(Hostcall::ReplaceData, direction, |pipe| pipe.replace(length, bytes))
    }

    fn define_metric(&self, kind: MetricKind, name: MetricName<'_>) -> Result<MetricId, HostError> {
        self.answer(Hostcall::DefineMetric, || {
            let place = self.process.borrow_mut().define_metric(kind, name.stat_name(), self.module);
            self.metrics.borrow_mut().add(place).map(MetricId)
        })
    }

    fn increment_metric(&self, id: MetricId, delta: i64) -> Result<(), HostError> {
        self.answer(Hostcall::IncrementMetric, || self.change_metric(id, |metric| metric.increment(delta)))
    }

    fn record_metric(&self, id: MetricId, value: u64) -> Result<(), HostError> {
        self.answer(Hostcall::RecordMetric, || {
            self.change_metric(id, |metric| {
                metric.record(value);
                Ok(())
            })
        })
    }

    fn create_expression(&self, text: &str) -> Result<ExpressionToken, HostError> {
        self.answer(Hostcall::CreateExpression, || {
            self.expressions.borrow_mut().create(text).map(ExpressionToken)
        })
    }

    fn evaluate_expression(&self, token: ExpressionToken) -> Result<Vec<u8>, HostError> {
        self.answer(Hostcall::EvaluateExpression, || {
            let expressions = self.expressions.borrow();
            let contexts = self.contexts.borrow();
            let text = expressions.text(token.0).ok_or(HostError::NOT_FOUND)?;
            let at = |path: &[&str]| attribute::find(&contexts, path);
            // The root context has no stream to look at, whichever is in effect; only the node is there.
            let sees_all = !contexts.phase().is_root() || !names_stream(text);
            let value = is_double(text, at).or_else(|| sees_all.then(|| expressions.value(text, at))?);
            let bytes = value.ok_or(INTERNAL_FAILURE)?.to_wire()?;
            Ok(self.returning(Some(bytes)).unwrap_or_default())
        })
    }

    fn delete_expression(&self, token: ExpressionToken) {
        // One that fails forgets nothing.
        let _ = self.answer(Hostcall::DeleteExpression, || {
            self.expressions.borrow_mut().delete(token.0);
            Ok(())
        });
    }

    fn plugin_configuration(&self) -> Result<Vec<u8>, HostError> {
        self.answer(Hostcall::PluginConfiguration, || {
            let readable = self.contexts.borrow().phase() == Phase::Configure;
            let configuration = readable.then(|| self.configuration.borrow().clone());
            Ok(self.returning(configuration).unwrap_or_default())
        })
    }

    fn set_tick_period(&self, period: Duration) -> Result<(), HostError> {
        self.answer(Hostcall::SetTickPeriod, || {
            // The host is told whole milliseconds.
            let period = Duration::from_millis(u64::try_from(period.as_millis()).unwrap_or(u64::MAX));
            self.tick_period.set((!period.is_zero()).then_some(period));
            Ok(())
        })
    }

    fn set_effective_context(&self, context_id: u32) -> Result<(), HostError> {
        self.answer(Hostcall::SetEffectiveContext, || self.contexts.borrow_mut().make_effective(context_id))
    }

    fn now(&self) -> Instant {
        self.process.borrow().now
    }

    fn log(&self, level: log::Level, message: &str) {
        // One that fails writes nothing.
        let _ = self.answer(Hostcall::Log, || {
            self.process.borrow_mut().log.push((level, message.to_owned()));
            Ok(())
        });
    }

    fn shared_data(&self, key: &str) -> Result<Shared, HostError> {
        self.answer(Hostcall::SharedData, || {
            let Shared { value, version } = self.process.borrow().shared_data(key);
            Ok(Shared { value: self.returning(value), version })
        })
    }

    fn set_shared_data(&self, key: &str, value: &[u8], version: u32) -> Result<(), HostError> {
        self.answer(Hostcall::SetSharedData, || {
            self.process.borrow_mut().set_shared_data(key, value, version)
        })
    }

    fn shared_queue(&self, name: &str) -> Result<QueueId, HostError> {
        self.answer(Hostcall::SharedQueue, || self.process.borrow_mut().queue_named(name))
    }

    fn enqueue(&self, queue: QueueId, item: &[u8]) -> Result<(), HostError> {
        self.answer(Hostcall::Enqueue, || {
            self.process.borrow_mut().queue(queue)?.push_back(item.to_vec());
            Ok(())
        })
    }

    fn dequeue(&self, queue: QueueId) -> Result<Option<Vec<u8>>, HostError> {
        self.answer(Hostcall::Dequeue, || {
            let item = self.process.borrow_mut().queue(queue)?.pop_front();
            Ok(self.returning(item))
        })
    }

    fn vm(&self) -> Rc<Vm> {
        Rc::clone(&self.shared_by_roots)
    }
}
