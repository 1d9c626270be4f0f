//! Reads a JSON object field by field and keeps going past what is wrong.
//!
//! Every problem becomes an [`Issue`] that names the field's JSON path and the
//! value found; the field then counts as absent. Keys are written in
//! snake_case here and accepted in camelCase too, as protobuf's JSON is.

use core::time::Duration;

use serde_json::{Map, Value};

use super::duration;
use super::issue::Issue;
use super::names::{is_identifier, is_key, join, named, IDENTIFIER};
use super::notes::{Field, Notes};
use crate::host::excerpt::excerpt;

/// One JSON object being read.
#[derive(Debug)]
pub struct Object<'a> {
    path: &'a str,
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
    notes: &'a mut Notes,
}

/// It is not known to what an object applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

// === impl Object ===

impl<'a> Object<'a> {
    /// Starts reading the object at `path` (empty for the root).
    pub fn new(path: &'a str, fields: &'a Map<String, Value>, notes: &'a mut Notes) -> Self {
        Self { path, fields, known: Vec::new(), notes }
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

    /// A text that says to what this object applies; an empty one counts as absent: to
    /// all. An error if it is no text, which is reported: then it applies to nothing.
    pub fn scope(&mut self, key: &'static str) -> Result<Option<String>, Unreadable> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let Some(text) = value.as_str() else {
            let message = format!("expected a string, found {}; entry ignored", excerpt(value));
            self.report(log::Level::Warn, key, &message);
            return Err(Unreadable);
        };
        Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
    }

    /// A text that is a name of a metric, or begins one.
    pub fn identifier(&mut self, key: &'static str) -> Option<String> {
        let value = self.take(key)?;
        let read = value.as_str().filter(|text| is_identifier(text)).map(str::to_owned);
        self.expect(key, value, read, IDENTIFIER)
    }

    /// A list of objects, each read by `read`; an element that is none, and what
    /// comes after the first `most`, is reported and left out.
    pub fn objects(&mut self, key: &'static str, most: usize, read: &mut dyn FnMut(&mut Object<'_>)) {
        for (index, element) in self.elements(key, most, "a list of objects").iter().enumerate() {
            let key = format!("{key}[{index}]");
            let Some(fields) = self.expect(&key, element, element.as_object(), "an object") else {
                continue;
            };
            let path = self.path_of(&key);
            let mut nested = Object::new(&path, fields, self.notes);
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
            self.notes.issues.push(Issue { level: log::Level::Warn, path, message: message.to_owned() });
        } else {
            self.report(log::Level::Warn, key, message);
        }
    }

    /// A list of texts; an element that is none, and what comes after the first
    /// `most`, is reported and left out.
    pub fn strings(&mut self, key: &'static str, most: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for (index, element) in self.elements(key, most, "a list of strings").iter().enumerate() {
            match element.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.mismatch(&format!("{key}[{index}]"), element, "a string"),
            }
        }
        texts
    }

    /// A whole number above zero, in any form that protobuf's JSON has for it: `7`,
    /// `7.0`, `"7"`.
    pub fn positive(&mut self, key: &'static str) -> Option<u32> {
        let value = self.take(key)?;
        let text = as_text(value).unwrap_or_default();
        let whole = text.strip_suffix(".0").unwrap_or(&text).parse().ok();
        self.expect(key, value, whole.filter(|n| *n > 0), "a whole number above zero")
    }

    /// A duration such as `"5s"`, `"500ms"` or `"1m30s"`: zero, or at least so long. A
    /// shorter one is not refused, since who writes it wants something often.
    pub fn duration(&mut self, key: &'static str, least: Duration) -> Option<Duration> {
        let value = self.take(key)?;
        let read = value.as_str().and_then(duration::parse);
        let in_seconds = as_text(value).map(|text| text + "s");
        let wanted = match in_seconds.filter(|text| duration::parse(text).is_some()) {
            Some(text) => format!("a duration with its unit, \"{text}\" for seconds"),
            None => "a duration such as \"5s\" or \"500ms\"".to_owned(),
        };
        let read = self.expect(key, value, read, &wanted)?;
        if read.is_zero() || read >= least {
            return Some(read);
        }
        // Debug of a duration is 2 kB of code.
        let (found, millis) = (excerpt(value), least.subsec_millis());
        self.warn(key, &format!("{found} is less than \"{millis}ms\", which is taken instead"));
        Some(least)
    }

    /// One of the named choices, in any case, or its number, from zero on.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let chosen = self.chosen(key, &names)?;
        choices.get(chosen).map(|(_, choice)| *choice)
    }

    fn chosen(&mut self, key: &'static str, names: &[&str]) -> Option<usize> {
        let value = self.take(key)?;
        let named = |text: &str| names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let numbered = || usize::try_from(value.as_u64()?).ok().filter(|number| *number < names.len());
        let read = value.as_str().and_then(named).or_else(numbered);
        self.expect(key, value, read, &format!("one of {}", names.join(", ")))
    }

    /// A nested object, read by `read`; its unknown fields are reported too.
    pub fn object<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Object<'_>) -> T) -> Option<T> {
        let fields = self.entries(key)?;
        let path = self.path_of(key);
        let mut nested = Object::new(&path, fields, self.notes);
        let result = read(&mut nested);
        nested.finish();
        Some(result)
    }

    /// Fields of Istio's schema that have no meaning here: told, then ignored.
    pub fn ignore(&mut self, keys: &[&'static str]) {
        for key in keys {
            if self.find(key, false).is_some() {
                self.report(log::Level::Info, key, "has no effect in this plugin; ignored");
            }
        }
    }

    /// Reports every field that nobody asked for.
    pub fn finish(self) {
        for (key, value) in self.fields {
            if !self.known.iter().any(|known| is_key(known, key)) {
                self.notes.issues.push(Issue {
                    level: log::Level::Warn,
                    path: join(self.path, &named(key)),
                    message: format!("unknown field with value {}; ignored", excerpt(value)),
                });
            }
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Value> {
        self.find(key, true)
    }

    fn find(&mut self, key: &'static str, has_effect: bool) -> Option<&'a Value> {
        if cfg!(not(target_family = "wasm")) {
            self.notes.fields.push((self.path.to_owned(), Field { name: key, has_effect }));
        }
        self.known.push(key);
        let mut named = self.fields.iter().filter(|(name, _)| is_key(key, name));
        let (_, value) = named.next()?;
        if named.next().is_some() {
            self.report(log::Level::Warn, key, "given in snake_case and in camelCase; one is ignored");
        }
        (!value.is_null()).then_some(value)
    }

    fn elements(&mut self, key: &'static str, most: usize, wanted: &str) -> &'a [Value] {
        let elements = self.take(key).and_then(|value| self.expect(key, value, value.as_array(), wanted));
        let elements = elements.map_or(&[][..], Vec::as_slice);
        let Some(first) = elements.get(..most).filter(|first| first.len() < elements.len()) else {
            return elements;
        };
        let message = format!("{} entries are more than {most}; the first ones count", elements.len());
        self.report(log::Level::Warn, key, &message);
        first
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
        self.notes.issues.push(Issue { level, path, message });
    }

    fn path_of(&self, key: &str) -> String {
        join(self.path, key)
    }
}

/// A number or a text, as text.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
