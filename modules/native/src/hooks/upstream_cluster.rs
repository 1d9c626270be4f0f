//! What Envoy calls for an upstream cluster of this module, which is there for its metrics and has no endpoint.

use core::ptr;

use super::Raw;
use crate::abi::handles::{self as abi, UpstreamCluster};
use crate::abi::Buffer;
use crate::{barrier, config, handles};

/// What Envoy is given where it wants a pointer and nobody reads it: it takes none for a failure.
const NOTHING: Raw = ptr::without_provenance_mut(1);

/// An upstream cluster is configured.
#[no_mangle]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_cluster_config_new(
    envoy: Raw,
    _name: Buffer,
    configuration: Buffer,
) -> *mut u64 {
    // SAFETY: it is there until this returns, and read before.
    let configuration = unsafe { configuration.bytes() };
    let mut id = 0;
    barrier::alone(|| id = handles::open(UpstreamCluster::of(envoy), config::metrics(configuration)));
    // Also where that failed: a proxy that cannot report still proxies.
    Box::into_raw(Box::new(id))
}

/// A configuration goes; its metrics are there until this returns.
#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_cluster_config_destroy(id: *mut u64) {
    if !id.is_null() {
        // SAFETY: it is what configuring returned, and Envoy uses it no more.
        let id = unsafe { Box::from_raw(id) };
        barrier::alone(|| handles::close(*id));
    }
}

/// An upstream cluster of a configuration.
#[no_mangle]
extern "C" fn envoy_dynamic_module_on_cluster_new(_configuration: Raw, _envoy: Raw) -> Raw {
    NOTHING
}

/// Its endpoints are asked for.
#[no_mangle]
extern "C" fn envoy_dynamic_module_on_cluster_init(envoy: Raw, _upstream_cluster: Raw) {
    abi::has_no_endpoints(envoy);
}

/// A worker balances its load.
#[no_mangle]
extern "C" fn envoy_dynamic_module_on_cluster_lb_new(_upstream_cluster: Raw, _envoy: Raw) -> Raw {
    NOTHING
}
