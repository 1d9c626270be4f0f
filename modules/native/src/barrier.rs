//! Where panics end. There should be none; but one that unwinds into Envoy would end the process, not
//! only a VM as in Wasm.

use core::cell::RefCell;
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};

use crate::abi;

thread_local! {
    /// What the last panic of this thread said.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Has panics kept for [`within`] instead of printed. Called once, when the module is loaded.
pub(crate) fn raise() {
    panic::set_hook(Box::new(|panic| SAID.with(|said| *said.borrow_mut() = panic.to_string())));
}

/// Runs this module's code for Envoy.
///
/// # Errors
/// What a panic said.
pub(crate) fn within<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(act)).map_err(|payload| {
        // Dropping it might panic, too.
        core::mem::forget(payload);
        SAID.with(RefCell::take)
    })
}

/// The same for what nobody waits for: a panic is logged.
pub(crate) fn alone(act: impl FnOnce()) {
    if let Err(panic) = within(act) {
        abi::log(log::Level::Error, &format!("istio-stats: internal error: {panic}"));
    }
}

/// What was read, in a build for tests: some text is an internal error to that.
#[cfg(feature = "panics")]
#[allow(clippy::panic, reason = "to see one in a real Envoy")]
pub(crate) fn provoke(read: &[u8]) {
    if read == b"istio-stats panics here" {
        panic!("as it was told to");
    }
}

/// This Envoy cannot use the module. Its log cannot be written to: that is a callback, too.
pub(crate) fn too_old(missing: &str) {
    let _ = writeln!(
        io::stderr(),
        "istio-stats: libistio_stats.so needs Envoy 1.40 or later; this one has no {missing}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_here_and_tells_where_it_was() {
        assert_eq!(within(|| 7), Ok(7));
        raise();
        let said = within(|| -> u8 { panic!("out of cheese") }).unwrap_err();
        let _ = panic::take_hook();
        assert!(said.contains("out of cheese") && said.contains("barrier.rs"), "{said}");
    }
}
