//! An Envoy that answers from memory, for tests: of one request, whose upstream's endpoint tells who the peer is.
//! It counts what it is asked while requests pass.

use core::cell::Cell;
use core::ffi::CStr;

use super::{c_char, Buffer, Raw, Timing, REQUEST_COMPLETE};

/// What was asked on this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// What a request has.
    pub(crate) reads: usize,
    /// To record a sample by handle.
    pub(crate) by_handle: usize,
    /// To record one by the values of its labels.
    pub(crate) by_labels: usize,
}

thread_local! {
    static ASKED: Cell<Asked> = const { Cell::new(Asked { reads: 0, by_handle: 0, by_labels: 0 }) };
}

/// Since this was asked last.
pub(crate) fn asked() -> Asked {
    ASKED.take()
}

/// Finds its callbacks; of those that it lacks there is one for all, which says that there is nothing.
///
/// # Safety
/// The symbol is a text that ends in a NUL.
pub(crate) unsafe fn dlsym(_library: Raw, symbol: *const c_char) -> Raw {
    // SAFETY: as the caller says.
    let symbol = unsafe { CStr::from_ptr(symbol) }.to_str().unwrap();
    match symbol.strip_prefix("envoy_dynamic_module_callback_").unwrap() {
        "http_filter_get_attribute_string" => text as Raw,
        "http_filter_get_attribute_int" => number as Raw,
        "http_get_header" | "http_get_filter_state_typed" => absent as Raw,
        "http_get_metadata_string" => metadata as Raw,
        "http_get_metadata_list_size" => list_size as Raw,
        "http_get_timing_info" => timing as Raw,
        name if name.contains("_define_") => define as Raw,
        name if name.contains("_resolve_") => resolve as Raw,
        "cluster_metric_counter_add" | "cluster_metric_histogram_record" => by_handle as Raw,
        name if name.starts_with("http_filter_config_") => by_labels as Raw,
        _ => nothing as Raw,
    }
}

fn count(one: impl FnOnce(&mut Asked) -> &mut usize) {
    let mut asked = ASKED.get();
    let count = one(&mut asked);
    *count = count.saturating_add(1);
    ASKED.set(asked);
}

fn tell(text: &'static str, found: *mut Buffer) -> bool {
    // SAFETY: the module gives a place for it.
    unsafe { *found = Buffer::of(text.as_bytes()) };
    true
}

extern "C" fn text(_: Raw, attribute: u32, found: *mut Buffer) -> bool {
    count(|asked| &mut asked.reads);
    match attribute {
        57 => tell("outbound|80||reviews.shop.svc.cluster.local", found),
        61 => tell("default", found),
        _ => false,
    }
}

extern "C" fn number(_: Raw, attribute: u32, found: *mut u64) -> bool {
    count(|asked| &mut asked.reads);
    let number = match attribute {
        15 => 200,
        14 | 22 => 1000,
        _ => 0,
    };
    // SAFETY: as above.
    unsafe { *found = number };
    true
}

extern "C" fn absent() -> bool {
    count(|asked| &mut asked.reads);
    false
}

extern "C" fn metadata(_: Raw, _of: u32, _namespace: Buffer, key: Buffer, found: *mut Buffer) -> bool {
    count(|asked| &mut asked.reads);
    // SAFETY: the module's text is there until this returns.
    let is_of_endpoint = unsafe { key.bytes() } == b"workload";
    is_of_endpoint && tell("reviews-v1;shop;reviews;v1;west", found)
}

extern "C" fn list_size(_: Raw, _of: u32, _namespace: Buffer, _key: Buffer, size: *mut usize) -> bool {
    count(|asked| &mut asked.reads);
    // SAFETY: as above.
    unsafe { *size = 1 };
    true
}

extern "C" fn timing(_: Raw, timing: *mut Timing) {
    count(|asked| &mut asked.reads);
    // SAFETY: as above.
    let timing = unsafe { &mut *timing };
    timing.times[REQUEST_COMPLETE] = 5_000_000;
    timing.are_known[REQUEST_COMPLETE] = 1;
}

extern "C" fn define(_: Raw, _name: Buffer, _labels: Raw, _count: usize, number: *mut usize) -> u32 {
    // SAFETY: as above.
    unsafe { *number = 0 };
    0
}

extern "C" fn resolve(_: Raw, _number: usize, _values: Raw, _count: usize, series: *mut Raw) -> u32 {
    // SAFETY: as above. Nobody looks at what it points to.
    unsafe { *series = core::ptr::without_provenance_mut(1) };
    0
}

extern "C" fn by_handle(_: Raw, _value: u64) {
    count(|asked| &mut asked.by_handle);
}

extern "C" fn by_labels() -> u32 {
    count(|asked| &mut asked.by_labels);
    0
}

extern "C" fn nothing() -> usize {
    0
}
