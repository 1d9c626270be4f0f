//! A bench-only native module: an HTTP filter that has every hook that Envoy wants, and does nothing in any.
//! What it adds to a request is Envoy's own part of such a filter, which no module can do without.
#![allow(unsafe_code, reason = "what Envoy calls has a name of its own")]

use core::ffi::{c_char, CStr};
use core::ptr;

/// The version of the interface.
const VERSION: &CStr = c"v0.2.0";
/// Where Envoy wants a pointer and takes none for a failure.
static MARK: u8 = 0;

/// The module was loaded.
#[no_mangle]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    VERSION.as_ptr()
}

/// Hooks that return the same whatever they are given, which they do not look at.
macro_rules! hooks {
    ($kind:ty, $result:expr; $($hook:ident)*) => {
        $(
            #[no_mangle]
            extern "C" fn $hook() -> $kind {
                $result
            }
        )*
    };
}

hooks! { *const u8, ptr::from_ref(&MARK);
    envoy_dynamic_module_on_http_filter_config_new
    envoy_dynamic_module_on_http_filter_new
}

// "Go on", of what has an answer.
hooks! { u32, 0;
    envoy_dynamic_module_on_http_filter_config_destroy
    envoy_dynamic_module_on_http_filter_destroy
    envoy_dynamic_module_on_http_filter_request_headers
    envoy_dynamic_module_on_http_filter_request_body
    envoy_dynamic_module_on_http_filter_request_trailers
    envoy_dynamic_module_on_http_filter_response_headers
    envoy_dynamic_module_on_http_filter_response_body
    envoy_dynamic_module_on_http_filter_response_trailers
    envoy_dynamic_module_on_http_filter_stream_complete
    envoy_dynamic_module_on_http_filter_scheduled
    envoy_dynamic_module_on_http_filter_http_callout_done
    envoy_dynamic_module_on_http_filter_http_stream_headers
    envoy_dynamic_module_on_http_filter_http_stream_data
    envoy_dynamic_module_on_http_filter_http_stream_trailers
    envoy_dynamic_module_on_http_filter_http_stream_complete
    envoy_dynamic_module_on_http_filter_http_stream_reset
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark
}
