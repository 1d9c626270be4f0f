//! `dist/metadata_exchange.wasm`: the entry points of the proxy-wasm ABI 0.2.1, and nothing
//! else, so that each module holds only the code of its own plugin.
//!
//! Written out, and not by the SDK: that has to be told when a stream is over, which costs each
//! a callback (see [`istio_stats::exchange::contexts`]).

#![cfg(target_family = "wasm")]
#![allow(unsafe_code, reason = "what the host calls has to have its name")]

use std::cell::RefCell;

use istio_stats::exchange::contexts::Contexts;
use istio_stats::host::wasm::{report_panics, WasmHost};
use istio_stats::host::Flow;

thread_local! {
    static CONTEXTS: RefCell<Contexts> = RefCell::default();
}

/// Nothing that a callback asks of the host leads to another one here.
fn with_contexts<T: Default>(act: impl FnOnce(&mut Contexts) -> T) -> T {
    CONTEXTS.with(|contexts| contexts.try_borrow_mut().map_or_else(|_| T::default(), |mut all| act(&mut all)))
}

/// The ABI's numbers for what becomes of data.
fn action(flow: Flow) -> u32 {
    match flow {
        Flow::Continue => CONTINUE,
        Flow::Hold => PAUSE,
    }
}

const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;

extern "C" {
    fn __wasm_call_ctors();
}

/// Called once, when a VM starts.
#[no_mangle]
pub extern "C" fn _initialize() {
    // SAFETY: the linker made it, for this one call.
    unsafe { __wasm_call_ctors() };
    report_panics();
}

/// Says which version of the ABI this is.
#[no_mangle]
pub extern "C" fn proxy_abi_version_0_2_1() {}

/// Memory for bytes that a hostcall returns, which takes it over.
#[no_mangle]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::leak(vec![0; size].into_boxed_slice()).as_mut_ptr()
}

/// The VM starts.
#[no_mangle]
pub extern "C" fn proxy_on_vm_start(_id: u32, _configuration_bytes: usize) -> bool {
    true
}

/// A root context is configured. False would keep Envoy from starting.
#[no_mangle]
pub extern "C" fn proxy_on_configure(id: u32, _configuration_bytes: usize) -> bool {
    with_contexts(|contexts| contexts.on_configure(&WasmHost, id));
    true
}

/// There is a new root context, or a new stream below one.
#[no_mangle]
pub extern "C" fn proxy_on_context_create(id: u32, parent: u32) {
    with_contexts(|contexts| contexts.on_create(&WasmHost, id, parent));
}

/// A request passes.
#[no_mangle]
pub extern "C" fn proxy_on_request_headers(id: u32, _headers: usize, _is_end: bool) -> u32 {
    with_contexts(|contexts| contexts.on_request_headers(&WasmHost, id));
    CONTINUE
}

/// A response passes.
#[no_mangle]
pub extern "C" fn proxy_on_response_headers(id: u32, _headers: usize, _is_end: bool) -> u32 {
    with_contexts(|contexts| contexts.on_response_headers(&WasmHost, id));
    CONTINUE
}

/// The client of a connection sent something.
#[no_mangle]
pub extern "C" fn proxy_on_downstream_data(id: u32, len_bytes: usize, is_end: bool) -> u32 {
    action(with_contexts(|contexts| contexts.on_downstream_data(&WasmHost, id, len_bytes, is_end)))
}

/// The upstream of one did.
#[no_mangle]
pub extern "C" fn proxy_on_upstream_data(id: u32, len_bytes: usize, is_end: bool) -> u32 {
    action(with_contexts(|contexts| contexts.on_upstream_data(&WasmHost, id, len_bytes, is_end)))
}
