//! The proxies that were named, and how looking at each of them ended.

use std::panic::resume_unwind;
use std::thread;

use anyhow::Result;

use super::diagnosis::Diagnosis;
use crate::endpoint::Endpoint;

/// One of them.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    /// What was found, or why nothing could be read.
    pub(crate) outcome: Result<Diagnosis>,
}

/// A dump and three pages of stats are held of each while it is looked at.
const AT_ONCE: usize = 8;

/// Looks at all of them, a few at the same time; they stay in their order.
pub(crate) fn look_at(
    endpoints: &[Endpoint],
    look: impl Fn(&Endpoint) -> Result<Diagnosis> + Sync,
) -> Vec<Proxy> {
    let mut proxies = Vec::with_capacity(endpoints.len());
    for some in endpoints.chunks(AT_ONCE) {
        let look = |endpoint: &Endpoint| Proxy { url: endpoint.url().to_owned(), outcome: look(endpoint) };
        thread::scope(|scope| {
            let looking: Vec<_> = some.iter().map(|endpoint| scope.spawn(|| look(endpoint))).collect();
            proxies.extend(
                looking.into_iter().map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic))),
            );
        });
    }
    proxies
}
