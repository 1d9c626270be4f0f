//! Keeps given bytes in the filter state of each HTTP stream or TCP connection,
//! under `wasm.<key>`, as Istio's own Wasm filters did.
//!
//! The configuration has a line for each key, in one of these forms:
//!
//! ```text
//! KEY BYTES-IN-HEX         bytes
//! KEY BYTES-IN-HEX TYPE    a protobuf message of this type URL
//! KEY < PATH/OF/ATTRIBUTE  what the host shows of another attribute
//! ```

#![cfg(target_family = "wasm")]
#![expect(missing_docs, reason = "the macro writes the entry point without")]

use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::<Root>::default());
}}

#[derive(Default)]
struct Root(Rc<Vec<Entry>>);

struct Stream(Rc<Vec<Entry>>);

struct Entry {
    key: String,
    value: Value,
}

enum Value {
    Bytes(Vec<u8>),
    Attribute(Vec<String>),
}

/// Field numbers and values of the host's DeclarePropertyArguments.
mod declaration {
    pub(super) const NAME: u8 = 1;
    pub(super) const TYPE: u8 = 3;
    pub(super) const SCHEMA: u8 = 4;
    pub(super) const PROTOBUF: u8 = 3;
}

fn parse(line: &str) -> Option<Entry> {
    let words: Vec<_> = line.split(' ').collect();
    let value = match *words.as_slice() {
        [_, "<", path] => Value::Attribute(path.split('/').map(str::to_owned).collect()),
        [_, hex] => Value::Bytes(bytes(hex)?),
        [key, hex, schema] => {
            declare(key, schema)?;
            Value::Bytes(bytes(hex)?)
        }
        _ => return None,
    };
    Some(Entry { key: (*words.first()?).to_owned(), value })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2).map(|digits| core::str::from_utf8(digits).ok());
    digits.map(|digits| u8::from_str_radix(digits?, 16).ok()).collect()
}

/// Tells the host that the key will hold messages of this type.
fn declare(key: &str, schema: &str) -> Option<()> {
    let text = |number: u8, text: &str| {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 0x80)?;
        Some([&[number << 3 | 2, length], text.as_bytes()].concat())
    };
    let kind = [declaration::TYPE << 3, declaration::PROTOBUF];
    let arguments =
        [text(declaration::NAME, key)?, kind.to_vec(), text(declaration::SCHEMA, schema)?].concat();
    hostcalls::call_foreign_function("declare_property", Some(&arguments)).ok().map(|_| ())
}

fn keep(entries: &[Entry]) {
    for Entry { key, value } in entries {
        let read;
        let bytes = match value {
            Value::Bytes(bytes) => bytes,
            Value::Attribute(path) => {
                let path = path.iter().map(String::as_str).collect();
                read = hostcalls::get_property(path).ok().flatten().unwrap_or_default();
                &read
            }
        };
        // Traps if the host refuses, which no test would overlook.
        let _ = hostcalls::set_property(vec![key], Some(bytes));
    }
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _configuration_bytes: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        let lines = core::str::from_utf8(&configuration).map(|text| text.lines().map(parse).collect());
        match lines {
            Ok(Some(entries)) => self.0 = Rc::new(entries),
            _ => return false,
        }
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        let is_http = matches!(hostcalls::get_property(vec!["request", "protocol"]), Ok(Some(_)));
        Some(if is_http { ContextType::HttpContext } else { ContextType::StreamContext })
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream(self.0.clone())))
    }

    fn create_stream_context(&self, _context_id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Stream(self.0.clone())))
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        keep(&self.0);
        Action::Continue
    }
}

impl StreamContext for Stream {
    fn on_new_connection(&mut self) -> Action {
        keep(&self.0);
        Action::Continue
    }
}
