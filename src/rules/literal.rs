//! Attributes as they would be written in an expression.

use serde_json::Number;

use crate::wire::cel::put_text;
use crate::wire::text::printable;

/// The value of an attribute. The wire does not tell its type, but its form and its
/// name do.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A text.
    Text(String),
    /// A truth value.
    Flag(bool),
    /// A whole number.
    Int(i64),
    /// What only the host can print, as it is written.
    Other(String),
}

/// Longest text that is written into an expression.
const MAX_TEXT_BYTES: usize = 1024;

// === impl Literal ===

impl Literal {
    /// Reads what was found at a path; `None` if it is no value of a simple type.
    ///
    /// Text is text; what cannot be one is a truth value of one byte or a number of eight.
    pub fn read(names: &[&str], bytes: &[u8]) -> Option<Self> {
        if let Some(text) = printable(bytes) {
            return (text.len() <= MAX_TEXT_BYTES).then(|| Self::Text(text.to_owned()));
        }
        if let [flag @ (0 | 1)] = bytes {
            return Some(Self::Flag(*flag == 1));
        }
        let bytes: [u8; 8] = bytes.try_into().ok()?;
        let number = i64::from_le_bytes(bytes);
        Some(match names {
            ["request", "time"] => {
                Self::Other(format!("timestamp('1970-01-01T00:00:00Z')+duration('{number}ns')"))
            }
            ["request", "duration"]
            | ["response", "backend_latency"]
            | ["upstream", "cx_pool_ready_duration"] => Self::Other(format!("duration('{number}ns')")),
            ["connection", "id"] | ["upstream", "num_endpoints" | "request_attempt_count"] => {
                Self::Other(format!("{}u", u64::from_le_bytes(bytes)))
            }
            // Protobuf's Struct has no other numbers.
            [_, .., _] if names.iter().take(2).any(|name| name.ends_with("metadata")) => {
                let double = f64::from_le_bytes(bytes);
                Self::Other(Number::from_f64(double)?.to_string())
            }
            _ => Self::Int(number),
        })
    }

    /// Appends it to an expression.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => put_text(out, text),
            Self::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Int(number) => out.push_str(&number.to_string()),
            Self::Other(text) => out.push_str(text),
        }
    }

    /// Its text as a label has it; `None`: ask the host.
    pub fn printed(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Flag(_) | Self::Int(_) => {
                let mut text = String::new();
                self.write(&mut text);
                Some(text)
            }
            Self::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &str, bytes: &[u8]) -> Option<String> {
        let names: Vec<_> = path.split('.').collect();
        let literal = Literal::read(&names, bytes)?;
        let mut text = String::new();
        literal.write(&mut text);
        Some(text)
    }

    #[test]
    fn attributes_are_written_by_their_form_and_name() {
        for (path, bytes, text) in [
            ("upstream.address", &b"10.0.0.1:80"[..], "'10.0.0.1:80'"),
            ("connection.requested_server_name", b"", "''"),
            ("connection.mtls", &[1], "true"),
            ("connection.mtls", &[0], "false"),
            ("upstream.port", &8080i64.to_le_bytes(), "8080"),
            ("response.code", &(-1i64).to_le_bytes(), "-1"),
            ("connection.id", &7i64.to_le_bytes(), "7u"),
            ("request.duration", &1500i64.to_le_bytes(), "duration('1500ns')"),
            ("request.time", &9i64.to_le_bytes(), "timestamp('1970-01-01T00:00:00Z')+duration('9ns')"),
            ("xds.cluster_metadata.filter_metadata.x.y", &1.5f64.to_le_bytes(), "1.5"),
            ("metadata.filter_metadata.x.y", &2f64.to_le_bytes(), "2.0"),
        ] {
            assert_eq!(written(path, bytes).as_deref(), Some(text), "{path}");
        }
        for (path, bytes) in [
            ("request.headers", &[0, 0, 0, 0][..]),
            ("xds.cluster_metadata", b"\x0a\x05istio"),
            ("metadata.filter_metadata.x.y", &f64::NAN.to_le_bytes()),
            ("connection.subject_peer_certificate", &[b'x'; MAX_TEXT_BYTES + 1]),
        ] {
            assert_eq!(written(path, bytes), None, "{path}");
        }
    }

    #[test]
    fn what_needs_no_host_is_printed_here() {
        let printed =
            |path: &[&str], bytes: &[u8]| Literal::read(path, bytes).and_then(|value| value.printed());
        assert_eq!(printed(&["upstream", "address"], b"a").as_deref(), Some("a"));
        assert_eq!(printed(&["connection", "mtls"], &[1]).as_deref(), Some("true"));
        assert_eq!(printed(&["upstream", "port"], &80i64.to_le_bytes()).as_deref(), Some("80"));
        assert_eq!(printed(&["request", "duration"], &80i64.to_le_bytes()), None);
    }
}
