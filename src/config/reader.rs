//! Reads a JSON object field by field and keeps going past what is wrong.
//!
//! Every problem becomes an [`Issue`] that names the field's JSON path and the
//! value found; the field then counts as absent. Keys are written in
//! snake_case here and accepted in camelCase too, as protobuf's JSON is.

use core::fmt;
use core::time::Duration;

use serde_json::{Map, Value};

use crate::host::excerpt::{excerpt, quoted, quoted_bytes, EXCERPT_CHARS};

/// Something a configuration says that the plugin cannot follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is: errors make the plugin inert, warnings make it skip the
    /// field, infos are only told.
    pub level: log::Level,
    /// Path of the field, `local.cluster_id` for example; empty for the whole.
    pub path: String,
    /// What is wrong, with the value, and what is done about it.
    pub message: String,
}

/// One JSON object being read.
#[derive(Debug)]
pub struct Object<'a> {
    path: &'a str,
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
    issues: &'a mut Vec<Issue>,
}

// === impl Issue ===

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    /// Starts reading the object at `path` (empty for the root).
    pub fn new(path: &'a str, fields: &'a Map<String, Value>, issues: &'a mut Vec<Issue>) -> Self {
        Self { path, fields, known: Vec::new(), issues }
    }

    /// A boolean; the texts `"true"` and `"false"` count, as they did for
    /// Istio's Wasm plugin.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        let read = match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        self.expect(key, value, read, "true or false")
    }

    /// A text.
    pub fn string(&mut self, key: &'static str) -> Option<String> {
        let value = self.take(key)?;
        self.expect(key, value, value.as_str().map(str::to_owned), "a string")
    }

    /// A text; an empty one counts as absent.
    pub fn filled(&mut self, key: &'static str) -> Option<String> {
        self.string(key).filter(|text| !text.is_empty())
    }

    /// A text that is a name of a metric, or begins one.
    pub fn identifier(&mut self, key: &'static str) -> Option<String> {
        let value = self.take(key)?;
        let read = value.as_str().filter(|text| is_identifier(text)).map(str::to_owned);
        self.expect(key, value, read, "letters, digits and _")
    }

    /// A list of objects, each read by `read`; an element that is none is
    /// reported and left out.
    pub fn objects(&mut self, key: &'static str, read: &mut dyn FnMut(&mut Object<'_>)) {
        for (index, element) in self.elements(key, "a list of objects").iter().enumerate() {
            let key = format!("{key}[{index}]");
            let Some(fields) = self.expect(&key, element, element.as_object(), "an object") else {
                continue;
            };
            let path = self.path_of(&key);
            let mut nested = Object::new(&path, fields, self.issues);
            read(&mut nested);
            nested.finish();
        }
    }

    /// An object whose values are texts, sorted by key; another value is reported
    /// and left out.
    pub fn texts(&mut self, key: &'static str) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for (name, value) in self.entries(key).into_iter().flatten() {
            match value.as_str() {
                Some(text) => texts.push((name.clone(), text.to_owned())),
                None => self.mismatch(&join(key, &named(name)), value, "a string"),
            }
        }
        texts
    }

    /// Adds an issue of this object's field `key`; the path of the object itself
    /// if there is none.
    pub fn warn(&mut self, key: &str, message: &str) {
        if key.is_empty() {
            let path = self.path.to_owned();
            self.issues.push(Issue { level: log::Level::Warn, path, message: message.to_owned() });
        } else {
            self.report(log::Level::Warn, key, message);
        }
    }

    /// A list of texts; an element that is none is reported and left out.
    pub fn strings(&mut self, key: &'static str) -> Vec<String> {
        let mut texts = Vec::new();
        for (index, element) in self.elements(key, "a list of strings").iter().enumerate() {
            match element.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.mismatch(&format!("{key}[{index}]"), element, "a string"),
            }
        }
        texts
    }

    /// A whole number above zero; protobuf's doubles, `7.0`, count too.
    pub fn positive(&mut self, key: &'static str) -> Option<u32> {
        let value = self.take(key)?;
        let text = value.as_number().map(ToString::to_string).unwrap_or_default();
        let whole = text.strip_suffix(".0").unwrap_or(&text).parse().ok();
        self.expect(key, value, whole.filter(|n| *n > 0), "a whole number above zero")
    }

    /// A duration such as `"5s"`, `"500ms"` or `"1m30s"`.
    pub fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let value = self.take(key)?;
        let read = value.as_str().and_then(parse_duration);
        self.expect(key, value, read, "a duration such as \"5s\" or \"500ms\"")
    }

    /// One of the named choices, in any case.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let chosen = self.chosen(key, &names)?;
        choices.get(chosen).map(|(_, choice)| *choice)
    }

    fn chosen(&mut self, key: &'static str, names: &[&str]) -> Option<usize> {
        let value = self.take(key)?;
        let read =
            value.as_str().and_then(|text| names.iter().position(|name| name.eq_ignore_ascii_case(text)));
        self.expect(key, value, read, &format!("one of {}", names.join(", ")))
    }

    /// A nested object, read by `read`; its unknown fields are reported too.
    pub fn object<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Object<'_>) -> T) -> Option<T> {
        let fields = self.entries(key)?;
        let path = self.path_of(key);
        let mut nested = Object::new(&path, fields, self.issues);
        let result = read(&mut nested);
        nested.finish();
        Some(result)
    }

    /// Fields of Istio's schema that have no meaning here: told, then ignored.
    pub fn ignore(&mut self, keys: &[&'static str]) {
        for key in keys {
            if self.take(key).is_some() {
                self.report(log::Level::Info, key, "has no effect in this plugin; ignored");
            }
        }
    }

    /// Reports every field that nobody asked for.
    pub fn finish(self) {
        for (key, value) in self.fields {
            if !self.known.iter().any(|known| is_key(known, key)) {
                self.issues.push(Issue {
                    level: log::Level::Warn,
                    path: join(self.path, &named(key)),
                    message: format!("unknown field with value {}; ignored", excerpt(value)),
                });
            }
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        let mut named = self.fields.iter().filter(|(name, _)| is_key(key, name));
        let (_, value) = named.next()?;
        if named.next().is_some() {
            self.report(log::Level::Warn, key, "given in snake_case and in camelCase; one is ignored");
        }
        (!value.is_null()).then_some(value)
    }

    fn elements(&mut self, key: &'static str, wanted: &str) -> &'a [Value] {
        let elements = self.take(key).and_then(|value| self.expect(key, value, value.as_array(), wanted));
        elements.map_or(&[], Vec::as_slice)
    }

    fn entries(&mut self, key: &'static str) -> Option<&'a Map<String, Value>> {
        let value = self.take(key)?;
        self.expect(key, value, value.as_object(), "an object")
    }

    fn expect<T>(&mut self, key: &str, value: &Value, read: Option<T>, wanted: &str) -> Option<T> {
        if read.is_none() {
            self.mismatch(key, value, wanted);
        }
        read
    }

    fn mismatch(&mut self, key: &str, value: &Value, wanted: &str) {
        let message = format!("expected {wanted}, found {}; ignored", excerpt(value));
        self.report(log::Level::Warn, key, &message);
    }

    fn report(&mut self, level: log::Level, key: &str, message: &str) {
        let path = self.path_of(key);
        let message = message.to_owned();
        self.issues.push(Issue { level, path, message });
    }

    fn path_of(&self, key: &str) -> String {
        join(self.path, key)
    }
}

/// Parses a configuration: JSON whose root is an object, or a serialised
/// `google.protobuf.Struct` (no JSON is one). Nothing at all counts as `{}`,
/// since an Envoy user may leave the configuration out.
///
/// # Errors
/// The issue to report when the bytes are anything else.
pub fn parse_root(bytes: &[u8]) -> Result<Map<String, Value>, Issue> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    let parsed = match core::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
        Err(_) => Err("not UTF-8".to_owned()),
    };
    let message = match parsed {
        Ok(Value::Object(fields)) => return Ok(fields),
        Ok(other) => format!("expected a JSON object, found {}", excerpt(&other)),
        Err(error) => match super::structs::decode(bytes) {
            Ok(fields) => return Ok(fields),
            Err(_) => format!("not JSON ({error}): {}", quoted_bytes(bytes)),
        },
    };
    Err(Issue { level: log::Level::Error, path: String::new(), message })
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Whether `name` is the snake_case `key` or its camelCase form.
fn is_key(key: &str, name: &str) -> bool {
    let mut camel = String::with_capacity(key.len());
    let mut upper = false;
    for c in key.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                camel.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => camel.push(c),
        }
    }
    name == key || name == camel
}

/// Names that Prometheus takes as they are and that cannot break a stat name.
pub fn is_identifier(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A key that anybody chose, in a path: in quotes unless it is a plain name.
fn named(key: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=EXCERPT_CHARS).contains(&key.len()) && key.chars().all(is_plain) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// Go's and Abseil's duration syntax: decimal numbers, each with its unit, in
/// whole nanoseconds. `"0"` alone needs no unit. Longer than a day is refused:
/// it is a mistake, and the host's timer counts 32 bits of milliseconds.
fn parse_duration(text: &str) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(86_400);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = text;
    let mut nanos = 0u64;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at_checked(rest.find(|c| !is_number(c))?)?;
        let (unit, tail) = tail.split_at_checked(tail.find(is_number).unwrap_or(tail.len()))?;
        let unit_nanos = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" => 1000,
            "ns" => 1,
            _ => return None,
        };
        nanos = nanos.checked_add(decimal_times(number, unit_nanos)?)?;
        rest = tail;
    }
    let duration = Duration::from_nanos(nanos);
    (!text.is_empty() && duration <= DAY).then_some(duration)
}

/// `"1.5"` times a whole number, rounded down.
fn decimal_times(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_decimal = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.len().checked_add(fraction.len())? == 0 || !is_decimal(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut product = whole.checked_mul(factor)?;
    let mut place = factor;
    for digit in fraction.bytes() {
        place /= 10;
        product = product.checked_add(place.checked_mul(u64::from(digit.checked_sub(b'0')?))?)?;
    }
    Some(product)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn issues_of(value: Value, read: impl FnOnce(&mut Object<'_>)) -> Vec<String> {
        let mut issues = Vec::new();
        let mut object = Object::new("", value.as_object().unwrap(), &mut issues);
        read(&mut object);
        object.finish();
        issues.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn durations_follow_go_syntax() {
        for (text, millis) in [
            ("5s", 5000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("0.5s", 500),
            ("0", 0),
            ("0s", 0),
            (".25s", 250),
            ("1.s", 1000),
            ("24h", 86_400_000),
            ("1500us", 1),
        ] {
            let parsed = parse_duration(text).map(|duration| duration.as_millis());
            assert_eq!(parsed, Some(millis), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "5 s",
            "5x",
            "1e3s",
            "..s",
            ".s",
            "1.2.3s",
            "999999h",
            "24h1ns",
            "99999999999999999999s",
            "5s3",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn wrong_types_name_path_and_value() {
        let said = issues_of(json!({"a_b": 7, "local": {"x": [1]}}), |o| {
            assert_eq!(o.boolean("a_b"), None);
            o.object("local", |local| assert_eq!(local.string("x"), None));
        });
        assert_eq!(
            said,
            [
                "a_b: expected true or false, found 7; ignored",
                "local.x: expected a string, found [1]; ignored",
            ]
        );
    }

    #[test]
    fn odd_keys_and_values_stay_on_one_line() {
        let long = "x".repeat(EXCERPT_CHARS + 1);
        let said = issues_of(json!({"": 1, "a\nb": "\u{7f}\u{9b}", "texts": {"c.d": 2}, &long: 3}), |o| {
            assert_eq!(o.texts("texts"), []);
        });
        assert_eq!(
            said,
            [
                "texts.\"c.d\": expected a string, found 2; ignored",
                "\"\": unknown field with value 1; ignored",
                "\"a\\nb\": unknown field with value \"__\"; ignored",
                &format!("\"{}…: unknown field with value 3; ignored", "x".repeat(EXCERPT_CHARS - 1)),
            ]
        );
    }

    #[test]
    fn lists_name_the_bad_element() {
        let said = issues_of(json!({"list": ["a", 1, "b"], "text": "a"}), |o| {
            assert_eq!(o.strings("list"), ["a", "b"]);
            assert_eq!(o.strings("text"), [""; 0]);
            assert_eq!(o.strings("absent"), [""; 0]);
        });
        assert_eq!(
            said,
            [
                "list[1]: expected a string, found 1; ignored",
                "text: expected a list of strings, found \"a\"; ignored",
            ]
        );
    }

    #[test]
    fn whole_numbers_may_be_doubles() {
        for (text, read) in
            [("7", Some(7)), ("7.0", Some(7)), ("0", None), ("-1", None), ("1.5", None), ("1e3", None)]
        {
            let value = serde_json::from_str(&format!("{{\"n\": {text}}}")).unwrap();
            let said = issues_of(value, |o| assert_eq!(o.positive("n"), read, "{text}"));
            assert_eq!(said.is_empty(), read.is_some(), "{said:?}");
        }
    }

    #[test]
    fn unknown_fields_are_named_with_their_value() {
        let said = issues_of(json!({"known": null, "other": {"deep": "x".repeat(200)}}), |o| {
            assert_eq!(o.string("known"), None);
        });
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("other: unknown field with value {\"deep\":\"xxx"), "{}", said[0]);
        assert!(said[0].len() < 160);
    }

    #[test]
    fn both_cases_are_accepted() {
        assert!(issues_of(json!({"aB": "true"}), |o| assert_eq!(o.boolean("a_b"), Some(true))).is_empty());
        let said = issues_of(json!({"aB": true, "a_b": true}), |o| {
            o.boolean("a_b");
        });
        assert_eq!(said, ["a_b: given in snake_case and in camelCase; one is ignored"]);
    }

    #[test]
    fn a_root_that_is_no_object_is_an_error() {
        assert!(parse_root(b" \n").unwrap().is_empty());
        assert_eq!(parse_root(b"[1]").unwrap_err().to_string(), "expected a JSON object, found [1]");
        let said = parse_root(b"{oops").unwrap_err().to_string();
        assert!(said.starts_with("not JSON (") && said.contains("{oops"), "{said}");
        let said = parse_root(b"{\xff").unwrap_err().message;
        assert_eq!(said, "not JSON (not UTF-8): \"{\u{fffd}\"");
        assert!(parse_root("[".repeat(100_000).as_bytes()).is_err());
    }
}
