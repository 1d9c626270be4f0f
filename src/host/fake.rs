//! [`Host`](super::Host) in memory, for native tests: it answers as Envoy does, which is
//! mostly "not there", and keeps what the plugin did to it.
//!
//! A test sets attributes and headers, enters the phases of a stream in order
//! and calls the plugin in between; then it asks for headers, metrics, log
//! lines and the number of hostcalls.
//!
//! ```
//! use istio_stats::host::fake::{FakeHost, Phase};
//! use istio_stats::host::{HeaderMap, Host};
//!
//! let fake = FakeHost::new();
//! fake.set_node_metadata("CLUSTER_ID", "east");
//! fake.open_stream();
//! fake.set_attribute(&["response", "code"], 200);
//! fake.set_header_to(HeaderMap::Request, "content-type", "application/grpc");
//!
//! fake.enter(Phase::RequestHeaders);
//! assert_eq!(fake.property(&["response", "code"]), Ok(None)); // not yet
//! fake.enter(Phase::Log);
//! assert_eq!(fake.property(&["response", "code"]), Ok(Some(200i64.to_le_bytes().to_vec())));
//! ```

mod attribute;
mod calls;
mod contexts;
mod expressions;
mod host;
mod hostcall;
mod metric;
mod numbered;
mod phase;
mod process;
mod seen;
mod story;
mod stream;
mod value;
mod vm;

pub use contexts::ROOT_CONTEXT_ID;
pub use hostcall::Hostcall;
pub use phase::Phase;
pub use value::{pairs, Value};
pub use vm::FakeHost;

#[cfg(test)]
mod tests;
