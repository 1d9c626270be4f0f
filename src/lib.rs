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
//! host ── attribute ── peer, facts ── rules, report ── series ── host
//!         (reads)      (known)        (pure)           (ids)     (records)
//! ```
//!
//! The folders are the stages, each knows only those before it, and
//! `tests/native/house.rs` fails on an arrow that leads back or in a circle:
//!
//! * [`collections`], [`wire`]: bounded containers; codecs of what others wrote.
//! * [`host`]: all that is known of the proxy, as a trait; what is told in its log.
//! * [`catalogue`]: which labels and metrics there are, and the forms of names and values.
//! * [`attribute`]: reads of the proxy's attributes, singly or as one list;
//!   [`attachment`]: to what kind of stream.
//! * [`workload`]: the one table of what a workload is, and who we are.
//! * [`config`]: what we were told to do.
//! * [`peer`]: who is at the other end.
//! * [`facts`]: what is known of one stream.
//! * [`rules`]: what the configuration makes of that.
//! * [`series`]: from labels to the host's ids for them, defined here or elsewhere.
//! * [`stats`]: the life cycle of the one plugin, [`exchange`]: the other plugin.
//!
//! # Invariants
//!
//! * Only the modules' entry points and `host::wasm` know the ABI; everything else sees
//!   [`host::Host`] and runs natively in tests against `host::fake`.
//! * Nothing panics: a trap takes down every stream of the VM. Lints deny the
//!   ways to.
//! * Whatever a peer or client sends is bounded: in size before it is decoded,
//!   in number by [`peer::cache`] and [`series::registry`], in form by
//!   [`catalogue::label_value`].

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
