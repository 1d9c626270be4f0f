//! The data of connections: what is in hand while a hook runs, in pieces.

use super::{Envoy, Told};

/// What one end sent and a filter has not let pass; `None`: no data is passing.
pub type Data = Option<Vec<u8>>;

impl Envoy {
    /// Data is passing, until it is taken.
    pub fn pass(&mut self, stream: usize, direction: usize, data: Vec<u8>) {
        self.stream(stream).data[direction] = Some(data);
    }

    /// What became of it.
    pub fn passed(&mut self, stream: usize, direction: usize) -> Vec<u8> {
        let stream = self.stream(stream);
        stream.chunks.clear();
        stream.data[direction].take().unwrap_or_default()
    }

    /// Cuts it, also where nothing is; the number of pieces.
    pub(super) fn cut(&mut self, stream: usize, direction: usize) -> usize {
        let mut rest = self.stream(stream).data[direction].clone().unwrap_or_default();
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let length = self.take(|input| usize::from(input.byte()));
            // Zeros, of an input that is over, are one piece.
            let length = if length == 0 && !chunks.is_empty() { rest.len() } else { length.min(rest.len()) };
            chunks.push(rest.drain(..length).collect());
        }
        self.stream(stream).chunks = chunks;
        self.stream(stream).chunks.len()
    }

    /// The pieces of the last cut.
    pub(super) fn chunks(&mut self, stream: usize) -> Option<Vec<Told>> {
        let stream = self.stream(stream);
        stream
            .data
            .iter()
            .any(Option::is_some)
            .then(|| stream.chunks.iter().map(|chunk| told(chunk)).collect())
    }

    pub(super) fn drain(&mut self, stream: usize, direction: usize, length: usize) -> bool {
        let Some(data) = &mut self.stream(stream).data[direction] else {
            return false;
        };
        if length == 0 || length > data.len() {
            self.wrong(format!("{length} bytes are drained, which are not there"));
            return false;
        }
        data.drain(..length);
        true
    }

    pub(super) fn prepend(&mut self, stream: usize, direction: usize, bytes: &[u8]) -> bool {
        let Some(data) = &mut self.stream(stream).data[direction] else {
            return false;
        };
        data.splice(..0, bytes.iter().copied());
        true
    }
}

/// Where bytes are that stay; nothing is nowhere.
pub(super) fn told(bytes: &[u8]) -> Told {
    if bytes.is_empty() {
        Told::Null
    } else {
        Told::Bytes(bytes.as_ptr(), bytes.len())
    }
}
