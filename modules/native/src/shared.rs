//! What all threads of the process know, as Wasm's shared data is.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use istio_stats::host::{HostError, Shared};

static DATA: Mutex<Option<HashMap<String, Shared>>> = Mutex::new(None);

/// Keys are messages that are logged once, and every update of a configuration may bring new ones: from
/// this many on they are forgotten, and logged once more.
const MAX_KEYS: usize = 4096;

/// A value and its version.
pub(crate) fn get(key: &str) -> Shared {
    with(|data| data.get(key).cloned().unwrap_or_default())
}

/// Replaces a value that has still this version.
///
/// # Errors
/// Another thread was faster.
pub(crate) fn set(key: &str, value: &[u8], version: u32) -> Result<(), HostError> {
    with(|data| {
        if data.get(key).map_or(0, |shared| shared.version) != version {
            return Err(HostError { call: "set_shared_data", status: HostError::BAD_ARGUMENT });
        }
        if data.len() >= MAX_KEYS {
            data.clear();
        }
        let shared = Shared { value: Some(value.to_vec()), version: version.wrapping_add(1).max(1) };
        data.insert(key.to_owned(), shared);
        Ok(())
    })
}

fn with<T>(act: impl FnOnce(&mut HashMap<String, Shared>) -> T) -> T {
    let mut data = DATA.lock().unwrap_or_else(PoisonError::into_inner);
    act(data.get_or_insert_with(HashMap::default))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_who_sets_a_value_wins() {
        assert_eq!(get("a key"), Shared::default());
        assert_eq!(set("a key", b"mine", 0), Ok(()));
        assert!(set("a key", b"yours", 0).is_err());
        let shared = get("a key");
        assert_eq!(shared.value.as_deref(), Some(&b"mine"[..]));
        assert_eq!(set("a key", b"yours", shared.version), Ok(()));
    }
}
