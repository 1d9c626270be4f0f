//! Istio's standard metrics, with the Kubernetes cluster of both sides, for any
//! Envoy: the core of two WebAssembly modules.
//!
//! * `istio_stats.wasm` observes. When a stream is over (and, for long ones,
//!   at intervals) it reads the stream's facts and records metrics. It touches
//!   no header and no byte.
//! * `metadata_exchange.wasm` tells the peer's proxy who we are and learns who
//!   it is, where the proxy has no exchange of its own.
//!
//! # Data flow
//!
//! ```text
//! host ── attribute ── facts, peer, service ── report ── registry ── host
//!         (reads)      (what is known)         (pure)    (ids)       (records)
//! ```
//!
//! At configure time [`config`] and [`workload`] say what to do and who we are.
//! Per stream [`facts`], [`peer`] and [`facts::service`] gather what is known,
//! [`stats::report`] turns it into values of the labels in [`catalogue::dimension`] and samples of
//! the metrics in [`catalogue::metric`], and [`series::registry`] finds the host's ids for them,
//! or encodes a [`catalogue::stat_name`] and defines them. [`stats::plugin`], [`stats::http`] and [`stats::tcp`]
//! are the life cycle; [`exchange`] is the other module.
//!
//! # Invariants
//!
//! * Only `abi` and `host::wasm` know the SDK; everything else sees
//!   [`host::Host`] and runs natively in tests against `host::fake`.
//! * Nothing panics: a trap takes down every stream of the VM. Lints deny the
//!   ways to.
//! * Whatever a peer or client sends is bounded: in size before it is decoded,
//!   in number by [`peer::cache`] and [`series::registry`], in form by [`catalogue::label_value`].

#[cfg(target_family = "wasm")]
pub mod abi;
pub mod attachment;
pub mod attribute;
pub mod catalogue;
pub mod collections;
pub mod config;
pub mod exchange;
pub mod facts;
pub mod host;
pub mod peer;
pub mod rules;
pub mod series;
pub mod stats;
pub mod version;
pub mod wire;
pub mod workload;
