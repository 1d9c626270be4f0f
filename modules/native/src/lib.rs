//! `dist/libistio_stats.so`: both plugins as a native module of Envoy 1.40 and later, without a VM and
//! without `stats_tags`. The core is that of the Wasm modules; here is only what Envoy's interface for
//! dynamic modules asks for:
//!
//! * `abi` is Envoy's side of that interface, `hooks` ours: all the unsafe code there is.
//! * `barrier` keeps panics out of Envoy.
//! * `config` is a configured filter, `worker` what one thread has of it, `stream` one request, `connection`
//!   one TCP connection, `subject` either.
//! * `host` is the core's [`istio_stats::host::Host`]: `properties` reads what Wasm's attributes are read
//!   for, `node` and `service` what this interface does not show; `expressions` evaluates, `metrics` records,
//!   `shared` is what all threads know.
//! * `handles` records without looking up, where an upstream cluster of this module is there; for network
//!   filters there is no other way.
//! * `ticker` wakes workers whose streams are open and silent.

mod abi;
mod barrier;
mod config;
mod connection;
mod expressions;
mod handles;
mod hooks;
mod host;
mod metrics;
mod node;
mod properties;
mod service;
mod shared;
mod stream;
mod subject;
mod ticker;
mod worker;
