//! Numbers in the data that all VMs of a process share.

use crate::host::{Host, HostError, Shared};

/// Attempts to change a value that others change, too.
const MAX_ATTEMPTS: usize = 64;

/// The key of one of many values.
pub fn key(what: &str, number: u64) -> String {
    format!("istio_stats.{what}.{number}")
}

/// Has a number that is not there begin at zero.
///
/// # Errors
/// The host refused a call.
pub fn begin(host: &dyn Host, key: &str) -> Result<(), HostError> {
    let Shared { value, version } = host.shared_data(key)?;
    match value {
        Some(_) => Ok(()),
        None => host.set_shared_data(key, &0u32.to_le_bytes(), version),
    }
}

/// The number at this key; zero if there is none.
///
/// # Errors
/// The host refused the call.
pub fn number_at(host: &dyn Host, key: &str) -> Result<u32, HostError> {
    Ok(number_of(host.shared_data(key)?.value))
}

/// Sets a number, whatever it was.
///
/// # Errors
/// The host refused the call.
pub fn set_number(host: &dyn Host, key: &str, number: u32) -> Result<(), HostError> {
    host.set_shared_data(key, &number.to_le_bytes(), 0)
}

/// Counts up a number that others count up, too; returns what it was before.
///
/// # Errors
/// The host refused a call, or others were faster each time.
pub fn claim(host: &dyn Host, key: &str) -> Result<u32, HostError> {
    let counted = change(host, key, |value| Some(number_of(value).saturating_add(1).to_le_bytes().to_vec()))?;
    Ok(number_of(counted).saturating_sub(1))
}

/// Changes a value that others change, too, unless `to` has none; returns what it is then.
///
/// # Errors
/// The host refused a call, or others were faster each time.
pub fn change(
    host: &dyn Host,
    key: &str,
    to: impl Fn(Option<Vec<u8>>) -> Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, HostError> {
    let mut result = Ok(None);
    for _ in 0..MAX_ATTEMPTS {
        let Shared { value, version } = host.shared_data(key)?;
        let Some(new) = to(value) else {
            return Ok(None);
        };
        result = host.set_shared_data(key, &new, version).map(|()| Some(new));
        if result.is_ok() {
            break;
        }
    }
    result
}

fn number_of(value: Option<Vec<u8>>) -> u32 {
    let bytes = value.and_then(|value| value.try_into().ok());
    bytes.map_or(0, u32::from_le_bytes)
}
