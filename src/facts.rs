//! What is known of one stream: everything that the labels and values of its
//! metrics need, read from the proxy in one place. What follows is pure.

pub mod bytes;
pub mod call;
pub mod connections;
pub mod identity;
pub mod messages;
pub mod needs;
pub mod outcome;
pub mod protocol;
pub mod reader;
pub mod service;
