//! What network filters record by. Envoy gives them no metrics with labels, but extensions of the bootstrap have
//! some, and these are there before every filter and after it. So an extension defines what its configuration,
//! which is that of the filters, asks for, and lends it to them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::abi::metrics::Owner;
use crate::barrier;
use crate::config::Settings;
use crate::host::Definitions;
use crate::metrics::Vectors;

/// Of all extensions; `None`: there is none.
static DEFINED: Mutex<Option<Vectors>> = Mutex::new(None);

fn defined() -> MutexGuard<'static, Option<Vectors>> {
    DEFINED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Configures one, on Envoy's main thread. It never fails: a proxy that cannot report still proxies.
pub(crate) fn configure(owner: Owner, name: &[u8], configuration: &[u8]) {
    let vectors = Mutex::new(Vectors::of(owner));
    barrier::alone(|| {
        // An unusable configuration is so for its filters, too, and said.
        let _ = Settings::new(name, configuration).configure(Definitions::Open(&vectors));
    });
    let vectors = vectors.into_inner().unwrap_or_else(PoisonError::into_inner);
    match &mut *defined() {
        Some(known) => known.join(vectors),
        none => *none = Some(vectors),
    }
    owner.is_ready();
}

/// Envoy gives one up, which it does when it ends.
pub(crate) fn close() {
    *defined() = None;
}

/// Whether there is one.
pub(crate) fn is_there() -> bool {
    defined().is_some()
}

/// What was defined; `None` if the bootstrap has no such extension, or Envoy ends.
pub(crate) fn vectors() -> Option<Vectors> {
    defined().as_ref().map(Vectors::lent)
}
