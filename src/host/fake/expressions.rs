//! The expressions of a VM. CEL itself is not modelled: a test says what a text
//! evaluates to; only lists of attributes are evaluated here.

use std::collections::BTreeMap;

use crate::host::HostError;
use crate::wire::cel::plain_path;

use super::numbered::Numbered;
use super::value::Value;

#[derive(Debug, Default)]
pub(super) struct Expressions {
    /// Texts of those that were created, by token; `None`: deleted.
    texts: Numbered<Option<String>>,
    /// What they evaluate to, by text.
    values: BTreeMap<String, Value>,
}

// === impl Expressions ===

impl Expressions {
    /// Makes a text evaluate to this.
    pub(super) fn set(&mut self, text: &str, value: Value) {
        self.values.insert(text.to_owned(), value);
    }

    /// Compiles a text; returns its token.
    ///
    /// # Errors
    /// The status for an empty one, or one whose brackets are not balanced.
    pub(super) fn create(&mut self, text: &str) -> Result<u32, u32> {
        if text.trim().is_empty() || !is_balanced(text) {
            return Err(HostError::BAD_ARGUMENT);
        }
        self.texts.add(Some(text.to_owned()))
    }

    /// The text of an expression that was created and not deleted.
    pub(super) fn text(&self, token: u32) -> Option<&str> {
        self.texts.get(token)?.as_deref()
    }

    /// What a text evaluates to, where `at` finds attributes.
    pub(super) fn value(&self, text: &str, at: impl Fn(&[&str]) -> Option<Value>) -> Option<Value> {
        self.values.get(text).cloned().or_else(|| list_of_attributes(text, at))
    }

    pub(super) fn delete(&mut self, token: u32) {
        if let Some(text) = self.texts.get_mut(token) {
            *text = None;
        }
    }
}

/// What a list of attributes, and of tests whether one is there, evaluates to:
/// all or nothing.
fn list_of_attributes(text: &str, at: impl Fn(&[&str]) -> Option<Value>) -> Option<Value> {
    let at = |path: &[String]| at(&path.iter().map(String::as_str).collect::<Vec<_>>());
    let items = text.strip_prefix('[')?.strip_suffix(']')?.split(',').map(|item| {
        if item.starts_with("has(") || item.starts_with('"') {
            // What comes after one that does not hold is not looked at.
            let holds = item.split(" && ").map(|test| holds(test, at)).find(|holds| *holds != Some(true));
            return Some(holds.unwrap_or(Some(true))?.into());
        }
        at(&plain_path(item)?)
    });
    items.collect::<Option<Vec<_>>>().map(Value::List)
}

/// Whether a test of an attribute holds; `None`: it fails.
fn holds(test: &str, at: impl Fn(&[String]) -> Option<Value>) -> Option<bool> {
    if let Some(name) = test.strip_prefix("has(").and_then(|test| test.strip_suffix(')')) {
        let path = plain_path(name)?;
        // No field of a null can be looked for.
        let is_null = |length: usize| path.get(..length).and_then(&at) == Some(Value::Null);
        return if (1..path.len()).any(is_null) { None } else { Some(at(&path).is_some()) };
    }
    if let Some((key, map)) = test.strip_prefix('"').and_then(|test| test.split_once("\" in ")) {
        return Some(at(&plain_path(&format!("{map}['{key}']"))?).is_some());
    }
    let name = test.strip_suffix(" != null")?;
    Some(at(&plain_path(name)?)? != Value::Null)
}

/// What the question for an attribute's type evaluates to: `type(a.b) == double`.
pub(super) fn is_double(text: &str, at: impl Fn(&[&str]) -> Option<Value>) -> Option<Value> {
    let path = plain_path(text.strip_prefix("type(")?.strip_suffix(") == double")?)?;
    let value = at(&path.iter().map(String::as_str).collect::<Vec<_>>())?;
    Some(matches!(value, Value::Double(_)).into())
}

fn is_balanced(text: &str) -> bool {
    let mut depth = 0i32;
    for c in text.chars() {
        depth = match c {
            '(' | '[' | '{' => depth.saturating_add(1),
            ')' | ']' | '}' => depth.saturating_sub(1),
            _ => depth,
        };
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}
