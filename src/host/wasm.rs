//! [`Host`] over the hostcalls of the proxy-wasm ABI 0.2.1.
//!
//! The hostcalls are declared here and not taken from the SDK, which panics on
//! every status that it does not list (a header read in the wrong phase, for
//! example): a panic traps the VM and takes down all its streams. Here each
//! status comes back as a value. This is the only file of the core with unsafe code.
#![allow(unsafe_code)]

use core::ptr;
use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use super::metric_name::MetricName;
use super::{Data, ExpressionToken, HeaderMap, Host, HostError, MetricId, MetricKind, QueueId, Shared, Vm};

/// The proxy this module runs in.
#[derive(Clone, Copy, Debug)]
pub struct WasmHost;

const OK: u32 = 0;
const EMPTY: u32 = 7;
const PLUGIN_CONFIGURATION: u32 = 7;

#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

thread_local! {
    static VM: Rc<Vm> = Rc::default();
    /// The last path; here so that its memory is used again.
    static PATH: Cell<String> = const { Cell::new(String::new()) };
}

extern "C" {
    fn proxy_log(level: u32, message: *const u8, message_size: usize) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        buffer: u32,
        start: usize,
        length: usize,
        bytes: *const u8,
        bytes_size: usize,
    ) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
    fn proxy_register_shared_queue(name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_enqueue_shared_queue(id: u32, item: *const u8, item_size: usize) -> u32;
    fn proxy_dequeue_shared_queue(id: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_effective_context(context_id: u32) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        argument: *const u8,
        argument_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
}

/// Into the host's log: std's own hook would need standard error, and more code
/// than all our logging (`istio-stats pack` cuts it off).
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| WasmHost.log(log::Level::Error, &panic.to_string())));
}

fn check(call: &'static str, status: u32) -> Result<(), HostError> {
    match status {
        OK => Ok(()),
        status => Err(HostError { call, status }),
    }
}

/// Makes a call that returns bytes, and takes them over.
fn bytes(
    call: &'static str,
    invoke: impl FnOnce(*mut *mut u8, *mut usize) -> u32,
) -> Result<Vec<u8>, HostError> {
    let mut data: *mut u8 = ptr::null_mut();
    let mut size = 0;
    check(call, invoke(&mut data, &mut size))?;
    if data.is_null() || size == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the host got this memory from `proxy_on_memory_allocate`, which
    // leaks a boxed slice of exactly `size` initialised bytes for the caller.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// "Not there" is no error.
fn absent_if(result: Result<Vec<u8>, HostError>, statuses: &[u32]) -> Result<Option<Vec<u8>>, HostError> {
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if statuses.contains(&error.status) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A function that only Envoy has.
fn foreign(name: &'static str, argument: &[u8]) -> Result<Vec<u8>, HostError> {
    // SAFETY: as for the calls below.
    bytes(name, |data, size| unsafe {
        proxy_call_foreign_function(name.as_ptr(), name.len(), argument.as_ptr(), argument.len(), data, size)
    })
}

fn buffer_number(direction: Data) -> u32 {
    match direction {
        Data::Downstream => 2,
        Data::Upstream => 3,
    }
}

fn map_number(map: HeaderMap) -> u32 {
    match map {
        HeaderMap::Request => 0,
        HeaderMap::Response => 2,
    }
}

// SAFETY, for every call below: pointer and length come from one live slice,
// the host only reads it, and does not keep the pointer.
impl Host for WasmHost {
    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
        let mut joined = PATH.take();
        joined.clear();
        for name in path {
            if !joined.is_empty() {
                joined.push('\0');
            }
            joined.push_str(name);
        }
        let result = bytes("proxy_get_property", |data, size| unsafe {
            proxy_get_property(joined.as_ptr(), joined.len(), data, size)
        });
        PATH.set(joined);
        absent_if(result, &[HostError::NOT_FOUND])
    }

    fn set_property(&self, key: &str, value: &[u8]) -> Result<(), HostError> {
        let status = unsafe { proxy_set_property(key.as_ptr(), key.len(), value.as_ptr(), value.len()) };
        check("proxy_set_property", status)
    }

    fn header(&self, map: HeaderMap, name: &str) -> Result<Option<Vec<u8>>, HostError> {
        let result = bytes("proxy_get_header_map_value", |data, size| unsafe {
            proxy_get_header_map_value(map_number(map), name.as_ptr(), name.len(), data, size)
        });
        absent_if(result, &[HostError::NOT_FOUND, HostError::BAD_ARGUMENT])
    }

    fn set_header(&self, map: HeaderMap, name: &str, value: &[u8]) -> Result<(), HostError> {
        let map = map_number(map);
        let status = unsafe {
            proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
        };
        check("proxy_replace_header_map_value", status)
    }

    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<(), HostError> {
        let status = unsafe { proxy_remove_header_map_value(map_number(map), name.as_ptr(), name.len()) };
        check("proxy_remove_header_map_value", status)
    }

    fn data(&self, direction: Data, max_bytes: usize) -> Result<Vec<u8>, HostError> {
        bytes("proxy_get_buffer_bytes", |data, size| unsafe {
            proxy_get_buffer_bytes(buffer_number(direction), 0, max_bytes, data, size)
        })
    }

    fn replace_data(&self, direction: Data, length: usize, bytes: &[u8]) -> Result<(), HostError> {
        let buffer = buffer_number(direction);
        let status = unsafe { proxy_set_buffer_bytes(buffer, 0, length, bytes.as_ptr(), bytes.len()) };
        check("proxy_set_buffer_bytes", status)
    }

    fn define_metric(&self, kind: MetricKind, name: MetricName<'_>) -> Result<MetricId, HostError> {
        let kind = match kind {
            MetricKind::Counter => 0,
            MetricKind::Gauge => 1,
            MetricKind::Histogram => 2,
        };
        let stat_name = name.stat_name();
        let mut id = 0;
        let status = unsafe { proxy_define_metric(kind, stat_name.as_ptr(), stat_name.len(), &mut id) };
        check("proxy_define_metric", status)?;
        Ok(MetricId(id))
    }

    fn increment_metric(&self, id: MetricId, delta: i64) -> Result<(), HostError> {
        check("proxy_increment_metric", unsafe { proxy_increment_metric(id.0, delta) })
    }

    fn record_metric(&self, id: MetricId, value: u64) -> Result<(), HostError> {
        check("proxy_record_metric", unsafe { proxy_record_metric(id.0, value) })
    }

    fn create_expression(&self, text: &str) -> Result<ExpressionToken, HostError> {
        let name = "expr_create";
        let token = foreign(name, text.as_bytes())?.try_into();
        let token = token.map_err(|_| HostError { call: name, status: HostError::BAD_ARGUMENT })?;
        Ok(ExpressionToken(u32::from_le_bytes(token)))
    }

    fn evaluate_expression(&self, token: ExpressionToken) -> Result<Vec<u8>, HostError> {
        foreign("expr_evaluate", &token.0.to_le_bytes())
    }

    fn delete_expression(&self, token: ExpressionToken) {
        // It would be refused for want of such a token only.
        let _ = foreign("expr_delete", &token.0.to_le_bytes());
    }

    fn plugin_configuration(&self) -> Result<Vec<u8>, HostError> {
        let result = bytes("proxy_get_buffer_bytes", |data, size| unsafe {
            proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, usize::MAX, data, size)
        });
        Ok(absent_if(result, &[HostError::NOT_FOUND])?.unwrap_or_default())
    }

    fn set_tick_period(&self, period: Duration) -> Result<(), HostError> {
        let period = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
        let status = unsafe { proxy_set_tick_period_milliseconds(period) };
        check("proxy_set_tick_period_milliseconds", status)
    }

    fn set_effective_context(&self, context_id: u32) -> Result<(), HostError> {
        let status = unsafe { proxy_set_effective_context(context_id) };
        check("proxy_set_effective_context", status)
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn log(&self, level: log::Level, message: &str) {
        let level = match level {
            log::Level::Trace => 0,
            log::Level::Debug => 1,
            log::Level::Info => 2,
            log::Level::Warn => 3,
            log::Level::Error => 4,
        };
        // There is nowhere left to say that logging failed.
        let _ = unsafe { proxy_log(level, message.as_ptr(), message.len()) };
    }

    fn shared_data(&self, key: &str) -> Result<Shared, HostError> {
        let mut version = 0;
        let value = bytes("proxy_get_shared_data", |data, size| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut version)
        });
        Ok(Shared { value: absent_if(value, &[HostError::NOT_FOUND])?, version })
    }

    fn set_shared_data(&self, key: &str, value: &[u8], version: u32) -> Result<(), HostError> {
        let status =
            unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) };
        check("proxy_set_shared_data", status)
    }

    fn shared_queue(&self, name: &str) -> Result<QueueId, HostError> {
        let mut id = 0;
        let status = unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), &mut id) };
        check("proxy_register_shared_queue", status)?;
        Ok(QueueId(id))
    }

    fn enqueue(&self, queue: QueueId, item: &[u8]) -> Result<(), HostError> {
        let status = unsafe { proxy_enqueue_shared_queue(queue.0, item.as_ptr(), item.len()) };
        check("proxy_enqueue_shared_queue", status)
    }

    fn dequeue(&self, queue: QueueId) -> Result<Option<Vec<u8>>, HostError> {
        let item = bytes("proxy_dequeue_shared_queue", |data, size| unsafe {
            proxy_dequeue_shared_queue(queue.0, data, size)
        });
        absent_if(item, &[EMPTY])
    }

    fn vm(&self) -> Rc<Vm> {
        VM.with(Rc::clone)
    }
}
