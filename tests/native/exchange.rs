//! What the metadata exchange does to what passes through a proxy.

mod configuration;
mod headers;
pub mod proxy;
mod tcp;
mod trust;
