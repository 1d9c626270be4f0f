//! What Envoy calls for extensions of its bootstrap.

use core::ptr;

use super::Raw;
use crate::abi::metrics::Owner;
use crate::abi::Buffer;
use crate::{barrier, extension};

/// Stands for what the module has of an extension: what there is belongs to the process.
static MARK: u8 = 0;

/// An extension is configured.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_bootstrap_extension_config_new(
    envoy: Raw,
    name: Buffer,
    configuration: Buffer,
) -> *const u8 {
    // SAFETY: both texts are there until this returns, and copied before.
    let (name, configuration) = unsafe { (name.bytes(), configuration.bytes()) };
    barrier::alone(|| extension::configure(Owner::of_extension(envoy), name, configuration));
    ptr::from_ref(&MARK)
}

/// It begins.
#[no_mangle]
extern "C" fn envoy_dynamic_module_on_bootstrap_extension_new() -> *const u8 {
    ptr::from_ref(&MARK)
}

/// It goes; all filters are gone.
#[no_mangle]
extern "C" fn envoy_dynamic_module_on_bootstrap_extension_config_destroy() {
    barrier::alone(extension::close);
}

/// Envoy ends, and waits until it is told that it may.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_bootstrap_extension_shutdown(
    _envoy: Raw,
    _extension: *const u8,
    may: Option<unsafe extern "C" fn(Raw)>,
    context: Raw,
) {
    if let Some(may) = may {
        // SAFETY: it is Envoy's, and wants to be called with this, once.
        unsafe { may(context) }
    }
}

super::unused! {
    envoy_dynamic_module_on_bootstrap_extension_server_initialized
    envoy_dynamic_module_on_bootstrap_extension_worker_thread_initialized
    envoy_dynamic_module_on_bootstrap_extension_destroy
    envoy_dynamic_module_on_bootstrap_extension_drain_started
    envoy_dynamic_module_on_bootstrap_extension_config_scheduled
    envoy_dynamic_module_on_bootstrap_extension_http_callout_done
    envoy_dynamic_module_on_bootstrap_extension_timer_fired
    envoy_dynamic_module_on_bootstrap_extension_file_changed
    envoy_dynamic_module_on_bootstrap_extension_admin_request
    envoy_dynamic_module_on_bootstrap_extension_cluster_add_or_update
    envoy_dynamic_module_on_bootstrap_extension_cluster_removal
    envoy_dynamic_module_on_bootstrap_extension_listener_add_or_update
    envoy_dynamic_module_on_bootstrap_extension_listener_removal
}
