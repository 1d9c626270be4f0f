//! The stats plugin: the life of one root context and of its streams.

pub mod clock;
pub mod http;
pub mod memo;
pub mod plugin;
pub mod recorder;
pub mod report;
pub mod self_report;
pub mod stream;
pub mod streams;
pub mod tcp;
