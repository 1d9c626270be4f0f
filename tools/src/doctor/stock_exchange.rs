//! The metadata exchange by filters of Envoy's own: `header_mutation`, or the routes,
//! tell the peer who we are, `header_to_metadata` keeps what it tells.

use istio_stats::attribute::keys::{DYNAMIC_METADATA_KEYS, DYNAMIC_METADATA_NAMESPACE};
use istio_stats::exchange::http::METADATA_HEADER;
use istio_stats::peer::side::Side;
use serde_json::Value;

use super::json::{list, text};

/// Which parts of it are configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StockExchange {
    asks_upstream: bool,
    keeps_upstream: bool,
    keeps_downstream: bool,
}

// === impl StockExchange ===

impl StockExchange {
    /// Whether this peer can become known. A downstream one tells unasked.
    pub(crate) fn reaches(self, peer: Side) -> bool {
        match peer {
            Side::Downstream => self.keeps_downstream,
            Side::Upstream => self.asks_upstream && self.keeps_upstream,
        }
    }

    /// Whether there is any part of it.
    pub(crate) fn is_begun(self) -> bool {
        self != Self::default()
    }

    /// Reads a part of a configuration; filters may be wrapped into others.
    pub(crate) fn add(&mut self, configuration: &Value) {
        let [downstream, upstream] = DYNAMIC_METADATA_KEYS;
        match configuration {
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            Value::Object(fields) => {
                for (field, value) in fields {
                    match field.as_str() {
                        "request_mutations" => self.asks_upstream |= adds_header(value, "/append/header/key"),
                        "request_headers_to_add" => self.asks_upstream |= adds_header(value, "/header/key"),
                        "request_rules" => self.keeps_downstream |= keeps_header(value, downstream),
                        "response_rules" => self.keeps_upstream |= keeps_header(value, upstream),
                        _ => self.add(value),
                    }
                }
            }
            _ => {}
        }
    }
}

fn adds_header(changes: &Value, path: &str) -> bool {
    list(changes, "").iter().any(|change| is_header(text(change, path)))
}

/// Whether the header goes where the plugin looks for it.
fn keeps_header(rules: &Value, key: &str) -> bool {
    list(rules, "").iter().any(|rule| {
        is_header(text(rule, "/header"))
            && text(rule, "/on_header_present/metadata_namespace") == DYNAMIC_METADATA_NAMESPACE
            && text(rule, "/on_header_present/key") == key
    })
}

fn is_header(name: &str) -> bool {
    name.eq_ignore_ascii_case(METADATA_HEADER)
}

#[cfg(test)]
mod tests;
