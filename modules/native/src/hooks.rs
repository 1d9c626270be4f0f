//! What Envoy calls. Each hook hands on at once to code that `barrier` surrounds: no panic leaves it.
#![allow(unsafe_code)]

macro_rules! unused {
    ($($hook:ident)*) => {
        $(
            /// Envoy wants it to be there. Whatever it is given, it touches nothing.
            #[no_mangle]
            extern "C" fn $hook() -> u32 {
                CONTINUE
            }
        )*
    };
}

#[cfg(test)]
mod budget;
mod network;
mod upstream_cluster;

use core::ffi::{c_char, c_void};
use core::ptr;

use crate::abi::metrics::Owner;
use crate::abi::{self, Buffer, Filter};
use crate::barrier;
use crate::config::Config;
use crate::stream::Stream;

type Raw = *mut c_void;

/// Envoy's word for "go on", of headers, bodies and trailers.
const CONTINUE: u32 = 0;

/// The module was loaded. Without a version it is not used.
#[no_mangle]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    barrier::raise();
    match abi::load() {
        Ok(()) => abi::VERSION.as_ptr(),
        Err(missing) => {
            barrier::too_old(missing);
            ptr::null()
        }
    }
}

/// A filter is configured.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    envoy: Raw,
    name: Buffer,
    configuration: Buffer,
) -> *mut Config {
    // SAFETY: both texts are there until this returns, and copied before.
    let (name, configuration) = unsafe { (name.bytes(), configuration.bytes()) };
    let config = barrier::within(|| Config::new(Some(Owner::of(envoy)), name, configuration));
    config.map_or(ptr::null_mut(), |config| Box::into_raw(Box::new(config)))
}

/// A configuration goes; its streams are gone.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(config: *mut Config) {
    // SAFETY: it is what configuring returned, and Envoy uses it no more.
    unsafe { close(config) }
}

/// A configuration goes.
///
/// # Safety
/// It is what configuring returned, and used no more.
unsafe fn close(config: *mut Config) {
    if !config.is_null() {
        // SAFETY: as the caller says.
        let config = unsafe { Box::from_raw(config) };
        barrier::alone(|| config.close());
    }
}

/// A stream opens.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(
    config: *const Config,
    envoy: Raw,
) -> *mut Stream {
    // SAFETY: it is what configuring returned, and lives longer than its streams; threads only read it.
    let Some(config) = (unsafe { config.as_ref() }) else {
        return ptr::null_mut();
    };
    Box::into_raw(Box::new(Stream::new(&config.0, Filter::of(envoy))))
}

/// A stream is gone.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(stream: *mut Stream) {
    if !stream.is_null() {
        // SAFETY: it is what opening it returned, and Envoy uses it no more.
        let stream = unsafe { Box::from_raw(stream) };
        barrier::alone(|| drop(stream));
    }
}

/// Hands an event of a stream on.
///
/// # Safety
/// The stream is what opening it returned; it is not gone, this is its thread, and no other of its hooks
/// runs.
unsafe fn tell(stream: *mut Stream, event: fn(&mut Stream)) {
    // SAFETY: as the caller says.
    if let Some(stream) = unsafe { stream.as_mut() } {
        event(stream);
    }
}

macro_rules! events {
    ($($hook:ident($($argument:ty),*) $event:expr;)*) => {
        $(
            #[no_mangle]
            unsafe extern "C" fn $hook(_envoy: Raw, stream: *mut Stream $(, _: $argument)*) -> u32 {
                // SAFETY: Envoy calls a filter's hooks so.
                unsafe { tell(stream, $event) };
                CONTINUE
            }
        )*
    };
}

events! {
    envoy_dynamic_module_on_http_filter_request_headers(bool) Stream::on_request_headers;
    envoy_dynamic_module_on_http_filter_response_headers(bool) Stream::on_response_headers;
    envoy_dynamic_module_on_http_filter_stream_complete() Stream::on_complete;
    envoy_dynamic_module_on_http_filter_scheduled(u64) Stream::on_wake;
}

unused! {
    envoy_dynamic_module_on_cluster_destroy
    envoy_dynamic_module_on_cluster_lb_destroy
    envoy_dynamic_module_on_cluster_lb_choose_host
    envoy_dynamic_module_on_http_filter_request_body
    envoy_dynamic_module_on_http_filter_request_trailers
    envoy_dynamic_module_on_http_filter_response_body
    envoy_dynamic_module_on_http_filter_response_trailers
    envoy_dynamic_module_on_http_filter_http_callout_done
    envoy_dynamic_module_on_http_filter_http_stream_headers
    envoy_dynamic_module_on_http_filter_http_stream_data
    envoy_dynamic_module_on_http_filter_http_stream_trailers
    envoy_dynamic_module_on_http_filter_http_stream_complete
    envoy_dynamic_module_on_http_filter_http_stream_reset
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark
}
