//! All that the command prints. Much of it was written by others: label values that a
//! client chose, a configuration, a server's answer. None of it may steer the terminal,
//! hide something, or look like a line of the command's own.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};

use istio_stats::host::excerpt::steers;

/// Writes a text; `false` if nobody reads any more. (Standard output may be a pipe
/// whose reader leaves: `| head`.)
///
/// # Errors
/// It cannot be written for another reason.
pub(crate) fn print(text: &str) -> io::Result<bool> {
    let mut out = io::stdout();
    match out.write_all(lines(text).as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes a line, or some, to standard error.
#[expect(clippy::print_stderr, reason = "the one place")]
pub(crate) fn complain(text: &str) {
    eprintln!("{}", lines(text));
}

/// Foreign text as a part of a line.
pub(crate) fn visible(text: &str) -> String {
    escape(text, is_hidden)
}

/// Lines of the command's own, whatever is in them.
fn lines(text: &str) -> String {
    escape(text, |c| is_hidden(c) && c != '\n')
}

/// Escapes as JSON does, in which these characters are only ever in texts: so JSON
/// stays what it is.
fn escape(text: &str, is_hidden: impl Fn(char) -> bool) -> String {
    if !text.chars().any(&is_hidden) {
        return text.to_owned();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// What steers, and what nobody sees: two labels that differ in it look the same.
fn is_hidden(c: char) -> bool {
    steers(c)
        || matches!(c,
            '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_or_hides_is_shown() {
        assert_eq!(visible("a\u{1b}[2Jb\nc\u{9b}d\u{202e}e"), "a\\u001b[2Jb\\u000ac\\u009bd\\u202ee");
        assert_eq!(visible("a\u{200b}b\u{e0041}"), "a\\u200bb\\udb40\\udc41");
        assert_eq!(visible("zürich → 東京 \\ \""), "zürich → 東京 \\ \"");
        assert_eq!(lines("one\ntwo\r\n"), "one\ntwo\\u000d\n");
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({"a": "\u{1b}\u{9b}\u{202e}\u{e0041}\n"});
        let shown = lines(&format!("{value:#}"));
        assert!(!shown.contains(|c| is_hidden(c) && c != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
