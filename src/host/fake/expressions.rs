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
        if let Some((name, values)) = item.strip_prefix("has(").and_then(|item| item.split_once(") && (")) {
            let value = at(&plain_path(name)?);
            let is_it = |text: &str| value == Some(text.into());
            return Some(values.split('"').skip(1).step_by(2).any(is_it).into());
        }
        if let Some(name) = item.strip_prefix("has(").and_then(|item| item.strip_suffix(')')) {
            return Some(at(&plain_path(name)?).is_some().into());
        }
        if let Some((key, map)) = item.strip_prefix('"').and_then(|item| item.split_once("\" in ")) {
            return Some(at(&plain_path(&format!("{map}['{key}']"))?).is_some().into());
        }
        at(&plain_path(item)?)
    });
    items.collect::<Option<Vec<_>>>().map(Value::List)
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
