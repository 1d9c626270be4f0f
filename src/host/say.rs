//! What a plugin tells in the proxy's log.

use core::fmt;

use super::{Host, HostError};

/// One line in the log, once per process.
pub fn say(host: &dyn Host, level: log::Level, message: fmt::Arguments<'_>) {
    host.log_once(level, &format!("istio-stats: {message}"));
}

/// One line for a hostcall that should not fail: the proxy goes on, but somebody
/// should know.
pub fn log_failure(host: &dyn Host, doing: &str, result: Result<(), HostError>) {
    if let Err(error) = result {
        say(host, log::Level::Error, format_args!("{doing} failed: {error}"));
    }
}
