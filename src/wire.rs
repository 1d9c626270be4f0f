//! Codecs for what other processes serialised: total, bounded, never panicking,
//! whatever the bytes are.

pub mod cel;
pub mod flatbuffer;
pub mod pairs;
pub mod proto;
pub mod structs;
pub mod text;
