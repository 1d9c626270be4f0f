//! The stats plugin: the life of one root context and of its streams.

pub mod clock;
pub mod http;
pub mod plugin;
pub mod report;
pub mod tcp;
