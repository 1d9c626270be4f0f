//! What Envoy calls for TCP connections.

use core::ptr;

use istio_stats::host::Flow;

use super::{Raw, CONTINUE};
use crate::abi::{network, Buffer};
use crate::barrier;
use crate::config::Config;
use crate::connection::Connection;

/// Envoy's word for "not yet", of data.
const STOP: u32 = 1;
/// Envoy's numbers of events that end a connection: its remote end closed it, or its local one.
const ENDS: [u32; 2] = [0, 1];

/// A filter is configured.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_network_filter_config_new(
    _envoy: Raw,
    name: Buffer,
    configuration: Buffer,
) -> *mut Config {
    // SAFETY: both texts are there until this returns, and copied before.
    let (name, configuration) = unsafe { (name.bytes(), configuration.bytes()) };
    let config = barrier::within(|| Config::new(None, name, configuration));
    config.map_or(ptr::null_mut(), |config| Box::into_raw(Box::new(config)))
}

/// A configuration goes; its connections are gone.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_network_filter_config_destroy(config: *mut Config) {
    // SAFETY: it is what configuring returned, and Envoy uses it no more.
    unsafe { super::close(config) }
}

/// A connection was accepted.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_network_filter_new(
    config: *const Config,
    envoy: Raw,
) -> *mut Connection {
    // SAFETY: it is what configuring returned, and lives longer than its connections; threads only read it.
    let Some(config) = (unsafe { config.as_ref() }) else {
        return ptr::null_mut();
    };
    Box::into_raw(Box::new(Connection::new(&config.0, network::Connection::of(envoy))))
}

/// A connection is gone.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_network_filter_destroy(connection: *mut Connection) {
    if !connection.is_null() {
        // SAFETY: it is what opening it returned, and Envoy uses it no more.
        let connection = unsafe { Box::from_raw(connection) };
        barrier::alone(|| drop(connection));
    }
}

/// Hands an event of a connection on.
///
/// # Safety
/// The connection is what opening it returned; it is not gone, this is its thread, and no other of its hooks
/// runs.
unsafe fn tell<T>(connection: *mut Connection, event: impl FnOnce(&mut Connection) -> T) -> Option<T> {
    // SAFETY: as the caller says.
    unsafe { connection.as_mut() }.map(event)
}

/// What becomes of data, in Envoy's words.
fn word(flow: Option<Flow>) -> u32 {
    match flow {
        Some(Flow::Hold) => STOP,
        Some(Flow::Continue) | None => CONTINUE,
    }
}

/// The filters in front of this one let a connection through.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_network_filter_new_connection(
    _envoy: Raw,
    connection: *mut Connection,
) -> u32 {
    // SAFETY: Envoy calls a filter's hooks so.
    unsafe { tell(connection, Connection::on_open) };
    CONTINUE
}

/// The client sent something.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_network_filter_read(
    _envoy: Raw,
    connection: *mut Connection,
    bytes: usize,
    is_end: bool,
) -> u32 {
    // SAFETY: the same.
    word(unsafe { tell(connection, |connection| connection.on_read(bytes, is_end)) })
}

/// The upstream sent something.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_network_filter_write(
    _envoy: Raw,
    connection: *mut Connection,
    bytes: usize,
    is_end: bool,
) -> u32 {
    // SAFETY: the same.
    word(unsafe { tell(connection, |connection| connection.on_write(bytes, is_end)) })
}

/// Something happened to the connection.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_network_filter_event(
    _envoy: Raw,
    connection: *mut Connection,
    event: u32,
) {
    if ENDS.contains(&event) {
        // SAFETY: the same.
        unsafe { tell(connection, Connection::on_over) };
    }
}

/// Someone asked for it.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_network_filter_scheduled(
    _envoy: Raw,
    connection: *mut Connection,
    _event: u64,
) {
    // SAFETY: the same.
    unsafe { tell(connection, Connection::on_wake) };
}
