//! Standard output that may be a pipe whose reader leaves (`| head`).

use std::io::{self, ErrorKind, Write as _};

/// Writes a text; `false` if nobody reads any more.
///
/// # Errors
/// It cannot be written for another reason.
pub(crate) fn print(text: &str) -> io::Result<bool> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}
