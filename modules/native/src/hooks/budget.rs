//! What a usual request costs, counted exactly: what Envoy is asked, and heap allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use super::*;
use crate::abi::fake::{self, Asked};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting.
struct Counting;

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get().saturating_add(1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Whatever Envoy points to.
const ENVOY: Raw = ptr::without_provenance_mut(1);
/// After so many the plugin knows what such requests have.
const WARM_UP: usize = 20;

/// A request passes the filter.
fn request(config: *const Config) {
    // SAFETY: Envoy calls a filter's hooks so.
    unsafe {
        let stream = envoy_dynamic_module_on_http_filter_new(config, ENVOY);
        envoy_dynamic_module_on_http_filter_request_headers(ENVOY, stream, true);
        envoy_dynamic_module_on_http_filter_response_headers(ENVOY, stream, false);
        envoy_dynamic_module_on_http_filter_stream_complete(ENVOY, stream);
        envoy_dynamic_module_on_http_filter_destroy(stream);
    }
}

#[test]
fn a_usual_request_asks_little_of_envoy_and_allocates_two_times() {
    abi::load().unwrap();
    let configuration = br#"{"node": {"id": "a-client"}}"#;
    // SAFETY: Envoy calls these hooks so.
    let config = unsafe {
        upstream_cluster::envoy_dynamic_module_on_cluster_config_new(ENVOY, Buffer::of(b""), Buffer::of(b""));
        let name = Buffer::of(b"stats_outbound");
        envoy_dynamic_module_on_http_filter_config_new(ENVOY, name, Buffer::of(configuration))
    };
    (0..WARM_UP).for_each(|_| request(config));
    fake::asked();
    let before = ALLOCATIONS.get();
    request(config);
    // The filter, and what Envoy says of the request.
    assert_eq!(ALLOCATIONS.get() - before, 2);
    assert_eq!(fake::asked(), Asked { reads: 14, by_handle: 4, by_labels: 0 });
}
