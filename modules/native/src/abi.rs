//! Envoy's side of its interface for dynamic modules, as far as this module uses it: version 0.2, which
//! Envoy 1.40 has. The other side, which Envoy calls, is `hooks`.
//!
//! Every callback is looked up by its name when the module is loaded, so that an Envoy which lacks one
//! gives a message instead of ending in the linker. Of metrics the callbacks of a configuration are used,
//! never those of a filter: a filter keeps a copy of every label that it was ever given.
#![allow(unsafe_code)]

use core::ffi::{c_char, c_void, CStr};
use core::mem::MaybeUninit;
use core::{mem, ptr, slice};
use std::sync::OnceLock;

/// The version of the interface that this module speaks. Of another one Envoy warns.
pub(crate) const VERSION: &CStr = c"v0.2.0";

/// Bytes of Envoy's or of this module's, as both pass them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    ptr: *const u8,
    length: usize,
}

/// Envoy's filter of one HTTP stream. It is there as long as this module's part of it: `stream` keeps none
/// longer, and none is used on another thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter(Raw);

/// Envoy's means to call a filter's hook on its thread, from any thread.
#[derive(Debug)]
pub(crate) struct Scheduler {
    raw: Raw,
    commit: unsafe extern "C" fn(Raw, u64),
    delete: unsafe extern "C" fn(Raw),
}

// SAFETY: that is what it is for.
unsafe impl Send for Scheduler {}

/// Whose headers are meant, by Envoy's numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Headers {
    Request = 0,
    Response = 2,
    ResponseTrailers = 3,
}

/// Whose metadata is meant, by Envoy's numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Metadata {
    Dynamic = 0,
    Route = 1,
    UpstreamCluster = 2,
    Endpoint = 3,
}

/// When things happened to a request, in nanoseconds since it began, and which of them did.
#[repr(C)]
struct Timing {
    times: [i64; 19],
    are_known: [u8; 19],
    /// For what later versions may add; nobody reads it.
    _later: MaybeUninit<[u64; 32]>,
}

/// Which of them is its end.
const REQUEST_COMPLETE: usize = 17;

type Raw = *mut c_void;

/// A table of Envoy's callbacks, and what finds them.
macro_rules! callbacks {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        static CALLBACKS: OnceLock<Callbacks> = OnceLock::new();

        /// Finds them.
        ///
        /// # Errors
        /// The name of one that this Envoy lacks.
        pub(super) fn find_callbacks() -> Result<(), &'static str> {
            let found = Callbacks::find()?;
            CALLBACKS.get_or_init(|| found);
            Ok(())
        }

        struct Callbacks {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Callbacks {
            /// All of them, or the name of the first that is missing.
            fn find() -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: {
                        type Callback = unsafe extern "C" fn($($argument),*) $(-> $result)?;
                        let symbol = concat!("envoy_dynamic_module_callback_", stringify!($name), "\0");
                        // SAFETY: a text that ends in a NUL is read.
                        let found = unsafe { dlsym(ptr::null_mut(), symbol.as_ptr().cast()) };
                        if found.is_null() {
                            return Err(symbol.trim_end_matches('\0'));
                        }
                        // SAFETY: what has this name in Envoy has this form, and keeps it.
                        unsafe { mem::transmute::<Raw, Callback>(found) }
                    },)*
                })
            }
        }
    };
}

#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod handles;
pub(crate) mod metrics;
pub(crate) mod network;

callbacks! {
    log(u32, Buffer);
    http_get_header(Raw, u32, Buffer, *mut Buffer, usize, *mut usize) -> bool;
    http_set_header(Raw, u32, Buffer, Buffer) -> bool;
    http_get_metadata_string(Raw, u32, Buffer, Buffer, *mut Buffer) -> bool;
    http_get_metadata_list_size(Raw, u32, Buffer, Buffer, *mut usize) -> bool;
    http_get_metadata_bool(Raw, u32, Buffer, Buffer, *mut bool) -> bool;
    http_set_filter_state_bytes(Raw, Buffer, Buffer) -> bool;
    http_get_filter_state_typed(Raw, Buffer, *mut Buffer) -> bool;
    http_filter_get_attribute_string(Raw, u32, *mut Buffer) -> bool;
    http_filter_get_attribute_int(Raw, u32, *mut u64) -> bool;
    http_filter_get_attribute_bool(Raw, u32, *mut bool) -> bool;
    http_get_timing_info(Raw, *mut Timing);
    http_filter_scheduler_new(Raw) -> Raw;
    http_filter_scheduler_commit(Raw, u64);
    http_filter_scheduler_delete(Raw);
}

#[cfg(test)]
use fake::dlsym;
#[cfg(not(test))]
extern "C" {
    fn dlsym(library: Raw, symbol: *const c_char) -> Raw;
}

/// Finds Envoy's callbacks.
///
/// # Errors
/// The name of one that this Envoy lacks.
pub(crate) fn load() -> Result<(), &'static str> {
    find_callbacks()?;
    handles::find_callbacks()?;
    metrics::find_callbacks()?;
    network::find_callbacks()
}

/// Writes a line into Envoy's log.
pub(crate) fn log(level: log::Level, message: &str) {
    let number = match level {
        log::Level::Trace => 0,
        log::Level::Debug => 1,
        log::Level::Info => 2,
        log::Level::Warn => 3,
        log::Level::Error => 4,
    };
    if let Some(envoy) = CALLBACKS.get() {
        // SAFETY: the message lives until the call returns, which is all that Envoy needs.
        unsafe { (envoy.log)(number, Buffer::of(message.as_bytes())) }
    }
}

/// What `append` appends, if it does.
pub(crate) fn owned(append: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    append(&mut bytes).then_some(bytes)
}

/// What Envoy points to for one of its filters.
fn copied(call: impl FnOnce(*mut Buffer) -> bool) -> Option<Vec<u8>> {
    let mut found = Buffer::NONE;
    // SAFETY: Envoy keeps the bytes until the hook ends or something is set, and they are copied here.
    call(&mut found).then(|| unsafe { found.bytes() }.to_vec())
}

/// Once, not in each place where something is read: a worker that slept has little of its code in the caches.
#[inline(never)]
fn extend(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(bytes);
}

// === impl Buffer ===

impl Buffer {
    const NONE: Self = Self { ptr: ptr::null(), length: 0 };

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), length: bytes.len() }
    }

    /// The bytes.
    ///
    /// # Safety
    /// They are not changed or freed as long as the result is used.
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() || self.length == 0 {
            return &[];
        }
        // SAFETY: whoever made the buffer says that so many bytes are there, and the caller that they stay.
        let bytes = unsafe { slice::from_raw_parts(self.ptr, self.length) };
        #[cfg(feature = "panics")]
        crate::barrier::provoke(bytes);
        bytes
    }
}

// === impl Filter ===

// SAFETY, for every call below: the filter is there (see its description) and the hook is one of its own
// thread; names are there until the call returns, and so is what Envoy writes to. What it points to is
// copied before anything else is asked of it.
impl Filter {
    /// Of a hook that Envoy calls with it.
    pub(crate) fn of(raw: Raw) -> Self {
        Self(raw)
    }

    /// Appends an attribute that is a text; false if it is absent.
    pub(crate) fn text(self, attribute: u32, to: &mut Vec<u8>) -> bool {
        self.append(to, |envoy, raw, found| unsafe {
            (envoy.http_filter_get_attribute_string)(raw, attribute, found)
        })
    }

    /// An attribute that is a number.
    pub(crate) fn number(self, attribute: u32) -> Option<u64> {
        let mut number = 0;
        let call = CALLBACKS.get()?.http_filter_get_attribute_int;
        unsafe { call(self.0, attribute, &mut number) }.then_some(number)
    }

    /// An attribute that is a truth.
    pub(crate) fn flag(self, attribute: u32) -> Option<bool> {
        let mut flag = false;
        let call = CALLBACKS.get()?.http_filter_get_attribute_bool;
        unsafe { call(self.0, attribute, &mut flag) }.then_some(flag)
    }

    /// How long the request took, in nanoseconds, if it is over.
    pub(crate) fn duration(self) -> Option<i64> {
        let mut timing = Timing { times: [0; 19], are_known: [0; 19], _later: MaybeUninit::uninit() };
        unsafe { (CALLBACKS.get()?.http_get_timing_info)(self.0, &mut timing) };
        let is_known = timing.are_known.get(REQUEST_COMPLETE) == Some(&1);
        timing.times.get(REQUEST_COMPLETE).copied().filter(|_| is_known)
    }

    /// Appends the first value of a header or trailer; false if it is absent.
    pub(crate) fn header(self, headers: Headers, name: &str, to: &mut Vec<u8>) -> bool {
        self.find_header(headers, name, |value| extend(to, value)).is_some()
    }

    /// Whether that begins so.
    pub(crate) fn header_begins_with(self, headers: Headers, name: &str, begin: &[u8]) -> bool {
        self.find_header(headers, name, |value| value.starts_with(begin)) == Some(true)
    }

    fn find_header<T>(self, headers: Headers, name: &str, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let name = Buffer::of(name.as_bytes());
        self.find(look, |envoy, raw, found| unsafe {
            (envoy.http_get_header)(raw, headers as u32, name, found, 0, ptr::null_mut())
        })
    }

    /// Gives a header a value, or takes it away; false if that is not possible now.
    pub(crate) fn set_header(self, headers: Headers, name: &str, value: Option<&[u8]>) -> bool {
        let name = Buffer::of(name.as_bytes());
        let value = value.map_or(Buffer::NONE, Buffer::of);
        let set = |envoy: &Callbacks| unsafe { (envoy.http_set_header)(self.0, headers as u32, name, value) };
        CALLBACKS.get().is_some_and(set)
    }

    /// Appends a text in some metadata; false if it is absent.
    pub(crate) fn metadata_text(self, of: Metadata, namespace: &str, key: &str, to: &mut Vec<u8>) -> bool {
        let (namespace, key) = (Buffer::of(namespace.as_bytes()), Buffer::of(key.as_bytes()));
        self.append(to, |envoy, raw, found| unsafe {
            (envoy.http_get_metadata_string)(raw, of as u32, namespace, key, found)
        })
    }

    /// How many values a list in some metadata has.
    pub(crate) fn metadata_length(self, of: Metadata, namespace: &str, key: &str) -> usize {
        let mut length = 0;
        let (namespace, key) = (Buffer::of(namespace.as_bytes()), Buffer::of(key.as_bytes()));
        let call = CALLBACKS.get().map(|envoy| envoy.http_get_metadata_list_size);
        let read = call.map(|call| unsafe { call(self.0, of as u32, namespace, key, &mut length) });
        if read == Some(true) {
            length
        } else {
            0
        }
    }

    /// A truth in some metadata.
    pub(crate) fn metadata_flag(self, of: Metadata, namespace: &str, key: &str) -> Option<bool> {
        let mut flag = false;
        let call = CALLBACKS.get()?.http_get_metadata_bool;
        let (namespace, key) = (Buffer::of(namespace.as_bytes()), Buffer::of(key.as_bytes()));
        unsafe { call(self.0, of as u32, namespace, key, &mut flag) }.then_some(flag)
    }

    /// Appends what is in the filter state, in the object's own form: of what a module kept, its bytes. False if
    /// there is nothing.
    pub(crate) fn filter_state(self, key: &str, to: &mut Vec<u8>) -> bool {
        let key = Buffer::of(key.as_bytes());
        self.append(to, |envoy, raw, found| unsafe { (envoy.http_get_filter_state_typed)(raw, key, found) })
    }

    /// Keeps bytes in the filter state; false if that is not possible.
    pub(crate) fn set_filter_state(self, key: &str, value: &[u8]) -> bool {
        let (key, value) = (Buffer::of(key.as_bytes()), Buffer::of(value));
        let set = |envoy: &Callbacks| unsafe { (envoy.http_set_filter_state_bytes)(self.0, key, value) };
        CALLBACKS.get().is_some_and(set)
    }

    /// A means to have a hook of this filter called.
    pub(crate) fn scheduler(self) -> Option<Scheduler> {
        let envoy = CALLBACKS.get()?;
        let raw = unsafe { (envoy.http_filter_scheduler_new)(self.0) };
        let (commit, delete) = (envoy.http_filter_scheduler_commit, envoy.http_filter_scheduler_delete);
        (!raw.is_null()).then(|| Scheduler { raw, commit, delete })
    }

    /// Appends what Envoy points to.
    fn append(self, to: &mut Vec<u8>, call: impl FnOnce(&Callbacks, Raw, *mut Buffer) -> bool) -> bool {
        self.find(|bytes| extend(to, bytes), call).is_some()
    }

    /// Has a look at what Envoy points to, by which Envoy must not be called.
    fn find<T>(
        self,
        look: impl FnOnce(&[u8]) -> T,
        call: impl FnOnce(&Callbacks, Raw, *mut Buffer) -> bool,
    ) -> Option<T> {
        let mut found = Buffer::NONE;
        // SAFETY: Envoy keeps the bytes until it is called again.
        call(CALLBACKS.get()?, self.0, &mut found).then(|| look(unsafe { found.bytes() }))
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Has the hook called soon.
    pub(crate) fn schedule(&self) {
        // SAFETY: Envoy's part lives until it is deleted below, and may be used on any thread.
        unsafe { (self.commit)(self.raw, 0) }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // SAFETY: nobody else has it, and it is not used any more.
        unsafe { (self.delete)(self.raw) }
    }
}
