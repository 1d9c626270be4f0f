//! What belongs to one stream: attributes, filter state, headers and data.

use std::collections::BTreeMap;

use crate::host::{Data, HeaderMap};

use super::value::Value;

/// An HTTP stream or a TCP connection.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) attributes: Value,
    pub(super) filter_state: BTreeMap<String, Vec<u8>>,
    request_headers: Headers,
    response_headers: Headers,
    downstream_data: Pipe,
    upstream_data: Pipe,
}

/// One header map.
#[derive(Debug, Default)]
pub(super) struct Headers(Vec<(String, Vec<u8>)>);

/// One direction of a TCP connection.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// What the current callback is shown, and what was held back before.
    shown: Vec<u8>,
    /// What went on.
    passed: Vec<u8>,
}

// === impl Stream ===

impl Stream {
    pub(super) fn headers(&self, map: HeaderMap) -> &Headers {
        match map {
            HeaderMap::Request => &self.request_headers,
            HeaderMap::Response => &self.response_headers,
        }
    }

    pub(super) fn headers_mut(&mut self, map: HeaderMap) -> &mut Headers {
        match map {
            HeaderMap::Request => &mut self.request_headers,
            HeaderMap::Response => &mut self.response_headers,
        }
    }

    pub(super) fn pipe(&mut self, direction: Data) -> &mut Pipe {
        match direction {
            Data::Downstream => &mut self.downstream_data,
            Data::Upstream => &mut self.upstream_data,
        }
    }
}

// === impl Headers ===

impl Headers {
    /// Every value of a header.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Vec<u8>> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value)
    }

    /// The first value of a header.
    pub(super) fn first(&self, name: &str) -> Option<Vec<u8>> {
        self.values(name).next().cloned()
    }

    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_owned(), value.to_vec()));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// Replaces every value of a header.
    pub(super) fn set(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }
}

// === impl Pipe ===

impl Pipe {
    /// More bytes arrive; returns how many are shown.
    pub(super) fn arrive(&mut self, bytes: &[u8]) -> usize {
        self.shown.extend(bytes);
        self.shown.len()
    }

    /// What is shown goes on.
    pub(super) fn pass(&mut self) {
        self.passed.append(&mut self.shown);
    }

    /// What went on.
    pub(super) fn passed(&self) -> &[u8] {
        &self.passed
    }

    /// The first bytes of what is shown.
    pub(super) fn first(&self, max_bytes: usize) -> &[u8] {
        self.shown.get(..max_bytes).unwrap_or(&self.shown)
    }

    /// Puts `bytes` in the place of the first `length` bytes shown.
    pub(super) fn replace(&mut self, length: usize, bytes: &[u8]) {
        let length = length.min(self.shown.len());
        self.shown.splice(..length, bytes.iter().copied());
    }
}
