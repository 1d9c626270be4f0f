//! The interface itself, from Envoy's side: the callbacks that the module looks up by name, and the hooks that it
//! exports. All the unsafe code of the fake Envoy is here; whatever it is given it hands on to safe code.
//!
//! SAFETY, for every callback: the module says by calling it that its buffers hold so many bytes until the call
//! returns, and that what is written to is its own. A sanitizer or Valgrind sees where that is a lie. For every hook:
//! [`super::super::story`] calls them as Envoy does, with what they returned, as long as it is there.
#![allow(unsafe_code, reason = "this is the interface")]
#![allow(clippy::missing_safety_doc, reason = "above")]

use core::ffi::{c_char, c_void, CStr};
use core::{ptr, slice};
use std::thread;

use super::metrics::{Call, Kind};
use super::{with, Told};

pub type Raw = *mut c_void;

/// Bytes, as both sides pass them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    ptr: *const u8,
    length: usize,
}

/// `get_timing_info` writes it.
#[repr(C)]
pub struct Timing {
    times: [i64; 19],
    are_known: [u8; 19],
    later: [u64; 32],
}

const REQUEST_COMPLETE: usize = 17;

impl Buffer {
    const NOTHING: Self = Self { ptr: ptr::null(), length: 0 };

    pub fn of(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), length: bytes.len() }
    }

    /// A copy, so that a sanitizer sees every byte read.
    unsafe fn copied(self) -> Vec<u8> {
        if self.ptr.is_null() {
            assert_eq!(self.length, 0, "null has no bytes");
            return Vec::new();
        }
        slice::from_raw_parts(self.ptr, self.length).to_vec()
    }
}

unsafe fn list(buffers: *const Buffer, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|place| buffers.add(place).read().copied()).collect()
}

/// Points to what is told.
unsafe fn point(found: *mut Buffer, told: Told) -> bool {
    let buffer = match told {
        Told::Absent => return false,
        Told::Null => Buffer::NOTHING,
        Told::Bytes(ptr, length) => Buffer { ptr, length },
    };
    found.write(buffer);
    true
}

unsafe fn write<T>(found: *mut T, value: Option<T>) -> bool {
    let is_known = value.is_some();
    if let Some(value) = value {
        found.write(value);
    }
    is_known
}

/// One callback, by each of its names.
macro_rules! callback {
    ([$($name:ident)+] $arguments:tt -> $result:ty $body:block) => {
        $(
            #[export_name = concat!("envoy_dynamic_module_callback_", stringify!($name))]
            pub unsafe extern "C" fn $name $arguments -> $result $body
        )+
    };
}

macro_rules! callbacks {
    ($([$($name:ident)+] $arguments:tt -> $result:ty $body:block)*) => {
        $(callback! { [$($name)+] $arguments -> $result $body })*

        /// Whoever names them keeps them in the program.
        pub fn all() -> Vec<*const ()> {
            vec![$($($name as *const (),)+)*]
        }
    };
}

callbacks! {
    [log] (level: u32, message: Buffer) -> () { with(|envoy| envoy.log(level, &message.copied())) }
    [http_filter_get_attribute_string network_filter_get_attribute_string]
        (stream: Raw, attribute: u32, found: *mut Buffer) -> bool {
        point(found, with(|envoy| envoy.attribute(stream.addr(), attribute)))
    }
    [http_filter_get_attribute_int network_filter_get_attribute_int]
        (stream: Raw, _attribute: u32, found: *mut u64) -> bool {
        write(found, with(|envoy| envoy.number(stream.addr())))
    }
    [http_filter_get_attribute_bool network_filter_get_attribute_bool]
        (stream: Raw, _attribute: u32, found: *mut bool) -> bool {
        write(found, with(|envoy| envoy.flag(stream.addr())))
    }
    [http_get_header]
        (stream: Raw, _of: u32, name: Buffer, found: *mut Buffer, _place: usize, _count: *mut usize) -> bool {
        point(found, with(|envoy| envoy.header(stream.addr(), &name.copied())))
    }
    [http_set_header] (stream: Raw, _of: u32, name: Buffer, value: Buffer) -> bool {
        with(|envoy| envoy.set_header(stream.addr(), &name.copied(), &value.copied()))
    }
    [http_get_metadata_string] (stream: Raw, _of: u32, space: Buffer, key: Buffer, found: *mut Buffer) -> bool {
        point(found, with(|envoy| envoy.metadata(stream.addr(), &space.copied(), &key.copied())))
    }
    [network_get_dynamic_metadata_string] (stream: Raw, space: Buffer, key: Buffer, found: *mut Buffer) -> bool {
        point(found, with(|envoy| envoy.metadata(stream.addr(), &space.copied(), &key.copied())))
    }
    [http_get_metadata_list_size] (stream: Raw, _of: u32, _space: Buffer, _key: Buffer, found: *mut usize) -> bool {
        write(found, with(|envoy| envoy.number(stream.addr())).and_then(|size| usize::try_from(size).ok()))
    }
    [http_get_metadata_bool] (stream: Raw, _of: u32, _space: Buffer, _key: Buffer, found: *mut bool) -> bool {
        write(found, with(|envoy| envoy.flag(stream.addr())))
    }
    [http_set_filter_state_bytes network_set_filter_state_bytes] (stream: Raw, key: Buffer, value: Buffer) -> bool {
        with(|envoy| envoy.set_filter_state(stream.addr(), &key.copied(), value.copied()))
    }
    [http_get_filter_state_typed network_get_filter_state_bytes network_get_filter_state_typed] (stream: Raw, key: Buffer, found: *mut Buffer) -> bool {
        point(found, with(|envoy| envoy.filter_state(stream.addr(), &key.copied())))
    }
    [http_get_timing_info] (stream: Raw, found: *mut Timing) -> () {
        if let Some(end) = with(|envoy| envoy.number(stream.addr())) {
            (*found).times[REQUEST_COMPLETE] = i64::from_ne_bytes(end.to_ne_bytes());
            (*found).are_known[REQUEST_COMPLETE] = 1;
        }
        (*found).later[31] = 0;
    }
    [http_filter_scheduler_new network_filter_scheduler_new] (stream: Raw) -> Raw {
        ptr::without_provenance_mut(with(|envoy| envoy.scheduler(stream.addr())))
    }
    [http_filter_scheduler_commit network_filter_scheduler_commit] (scheduler: Raw, _event: u64) -> () {
        with(|envoy| envoy.commit(scheduler.addr()));
    }
    [http_filter_scheduler_delete network_filter_scheduler_delete] (scheduler: Raw) -> () {
        with(|envoy| envoy.delete_scheduler(scheduler.addr()));
    }
    [network_filter_get_read_buffer_chunks_size] (stream: Raw) -> usize {
        with(|envoy| envoy.cut(stream.addr(), 0))
    }
    [network_filter_get_write_buffer_chunks_size] (stream: Raw) -> usize {
        with(|envoy| envoy.cut(stream.addr(), 1))
    }
    [network_filter_get_read_buffer_chunks network_filter_get_write_buffer_chunks]
        (stream: Raw, found: *mut Buffer) -> bool {
        let Some(chunks) = with(|envoy| envoy.chunks(stream.addr())) else {
            return false;
        };
        for (place, chunk) in chunks.into_iter().enumerate() {
            point(found.add(place), chunk);
        }
        true
    }
    [network_filter_drain_read_buffer] (stream: Raw, length: usize) -> bool {
        with(|envoy| envoy.drain(stream.addr(), 0, length))
    }
    [network_filter_drain_write_buffer] (stream: Raw, length: usize) -> bool {
        with(|envoy| envoy.drain(stream.addr(), 1, length))
    }
    [network_filter_prepend_read_buffer] (stream: Raw, bytes: Buffer) -> bool {
        with(|envoy| envoy.prepend(stream.addr(), 0, &bytes.copied()))
    }
    [network_filter_prepend_write_buffer] (stream: Raw, bytes: Buffer) -> bool {
        with(|envoy| envoy.prepend(stream.addr(), 1, &bytes.copied()))
    }
    [http_filter_config_define_counter cluster_config_define_counter]
        (owner: Raw, name: Buffer, labels: *const Buffer, count: usize, number: *mut usize) -> u32 {
        defined(owner, Kind::Counter, name, labels, count, number)
    }
    [http_filter_config_define_gauge cluster_config_define_gauge]
        (owner: Raw, name: Buffer, labels: *const Buffer, count: usize, number: *mut usize) -> u32 {
        defined(owner, Kind::Gauge, name, labels, count, number)
    }
    [http_filter_config_define_histogram cluster_config_define_histogram]
        (owner: Raw, name: Buffer, labels: *const Buffer, count: usize, number: *mut usize) -> u32 {
        defined(owner, Kind::Histogram, name, labels, count, number)
    }
    [http_filter_config_increment_counter cluster_config_increment_counter]
        (owner: Raw, number: usize, labels: *const Buffer, count: usize, value: u64) -> u32 {
        with(|envoy| envoy.record(owner.addr(), Call::Count, number, &list(labels, count), value))
    }
    [http_filter_config_set_gauge cluster_config_set_gauge]
        (owner: Raw, number: usize, labels: *const Buffer, count: usize, value: u64) -> u32 {
        with(|envoy| envoy.record(owner.addr(), Call::Set, number, &list(labels, count), value))
    }
    [http_filter_config_record_histogram_value cluster_config_record_histogram_value]
        (owner: Raw, number: usize, labels: *const Buffer, count: usize, value: u64) -> u32 {
        with(|envoy| envoy.record(owner.addr(), Call::Sample, number, &list(labels, count), value))
    }
    [cluster_pre_init_complete] (owner: Raw) -> () {
        with(|envoy| envoy.is_ready(owner.addr()));
    }
    [cluster_config_resolve_counter_vec cluster_config_resolve_gauge_vec cluster_config_resolve_histogram_vec]
        (owner: Raw, number: usize, labels: *const Buffer, count: usize, found: *mut Raw) -> u32 {
        match with(|envoy| envoy.resolve(owner.addr(), number, &list(labels, count))) {
            Ok(series) => {
                found.write(ptr::without_provenance_mut(series));
                0
            }
            Err(refusal) => refusal,
        }
    }
    [cluster_metric_counter_add cluster_metric_gauge_set cluster_metric_histogram_record] (series: Raw, value: u64) -> () {
        // What it is of may go now, if it can.
        thread::yield_now();
        with(|envoy| envoy.record_by_handle(series.addr(), value));
    }
}

unsafe fn defined(
    owner: Raw,
    kind: Kind,
    name: Buffer,
    labels: *const Buffer,
    count: usize,
    number: *mut usize,
) -> u32 {
    let (name, labels) = (name.copied(), list(labels, count));
    match with(|envoy| envoy.define(owner.addr(), kind, &name, &labels)) {
        Ok(place) => {
            number.write(place);
            0
        }
        Err(refusal) => refusal,
    }
}

/// The module's hooks, as Envoy declares them, and a safe function for each.
macro_rules! hooks {
    ($($hook:ident as $name:ident ($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        extern "C" {
            $(fn $hook($($argument: $type),*) -> $result;)*
        }
        $(
            pub fn $name($($argument: $type),*) -> $result {
                let result = unsafe { $hook($($argument),*) };
                super::check(stringify!($name));
                result
            }
        )*
    };
}

hooks! {
    envoy_dynamic_module_on_program_init as load() -> *const c_char;
    envoy_dynamic_module_on_http_filter_config_new as http_config(owner: Raw, name: Buffer, config: Buffer) -> Raw;
    envoy_dynamic_module_on_http_filter_config_destroy as http_config_destroy(config: Raw) -> ();
    envoy_dynamic_module_on_http_filter_new as http_new(config: Raw, stream: Raw) -> Raw;
    envoy_dynamic_module_on_http_filter_request_headers as request_headers(stream: Raw, part: Raw, is_end: bool) -> u32;
    envoy_dynamic_module_on_http_filter_response_headers as response_headers(stream: Raw, part: Raw, is_end: bool) -> u32;
    envoy_dynamic_module_on_http_filter_request_body as request_body(stream: Raw, part: Raw, is_end: bool) -> u32;
    envoy_dynamic_module_on_http_filter_response_body as response_body(stream: Raw, part: Raw, is_end: bool) -> u32;
    envoy_dynamic_module_on_http_filter_stream_complete as complete(stream: Raw, part: Raw) -> ();
    envoy_dynamic_module_on_http_filter_scheduled as http_scheduled(stream: Raw, part: Raw, event: u64) -> ();
    envoy_dynamic_module_on_http_filter_destroy as http_destroy(part: Raw) -> ();
    envoy_dynamic_module_on_network_filter_config_new as tcp_config(owner: Raw, name: Buffer, config: Buffer) -> Raw;
    envoy_dynamic_module_on_network_filter_config_destroy as tcp_config_destroy(config: Raw) -> ();
    envoy_dynamic_module_on_network_filter_new as tcp_new(config: Raw, stream: Raw) -> Raw;
    envoy_dynamic_module_on_network_filter_new_connection as new_connection(stream: Raw, part: Raw) -> u32;
    envoy_dynamic_module_on_network_filter_read as read(stream: Raw, part: Raw, bytes: usize, is_end: bool) -> u32;
    envoy_dynamic_module_on_network_filter_write as written(stream: Raw, part: Raw, bytes: usize, is_end: bool) -> u32;
    envoy_dynamic_module_on_network_filter_event as event(stream: Raw, part: Raw, event: u32) -> ();
    envoy_dynamic_module_on_network_filter_scheduled as tcp_scheduled(stream: Raw, part: Raw, event: u64) -> ();
    envoy_dynamic_module_on_network_filter_destroy as tcp_destroy(part: Raw) -> ();
    envoy_dynamic_module_on_cluster_config_new as cluster_config(owner: Raw, name: Buffer, config: Buffer) -> Raw;
    envoy_dynamic_module_on_cluster_config_destroy as cluster_config_destroy(config: Raw) -> ();
    envoy_dynamic_module_on_cluster_init as cluster_init(upstream_cluster: Raw, part: Raw) -> ();
}

/// The version that a loaded module says it speaks; `None`: it cannot be used.
pub fn version() -> Option<String> {
    let text = load();
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().expect("a text").to_owned())
}

/// What both sides know by its number.
pub fn raw(number: usize) -> Raw {
    ptr::without_provenance_mut(number)
}
