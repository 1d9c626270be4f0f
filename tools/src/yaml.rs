//! YAML (and so JSON) as a tree that knows where in the file each value stands.

mod bounds;

use std::fmt;

use istio_stats::host::excerpt::quoted;
use saphyr::{MarkedYaml, Marker, Scalar, ScalarStyle, YamlData, YamlLoader};
use saphyr_parser::Parser;
use serde_json::{Map, Number, Value};

/// Where a value begins in its file, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) position: Position,
    pub(crate) content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Null, a boolean or a number; and how it is written.
    Plain(Value, String),
    Text(Text),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key begins.
    pub(crate) position: Position,
    pub(crate) value: Node,
}

/// A text.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    style: ScalarStyle,
}

/// A text that is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) position: Position,
    pub(crate) why: String,
}

/// Parses every document of a file.
///
/// # Errors
/// The text is no YAML, or too deep or too large.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, Malformed> {
    let refused = |(place, why)| Malformed { position: Position::of(&place), why };
    bounds::ensure(text).map_err(refused)?;
    let mut loader = YamlLoader::<MarkedYaml<'_>>::default();
    loader.early_parse(false);
    let result = Parser::new_from_str(without_mark(text)).load(&mut loader, true);
    if let Some(error) = result.err().or_else(|| loader.error().cloned()) {
        return Err(Malformed { position: Position::of(error.marker()), why: error.info().to_owned() });
    }
    Ok(loader.into_documents().iter().map(Node::new).collect())
}

/// A text without the byte order mark that some editors put before it.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Whether two keys are the same field of a protobuf message: its JSON form
/// takes `snake_case` and `camelCase`.
pub(crate) fn is_same_field(one: &str, other: &str) -> bool {
    let letters =
        |key: &str| key.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect::<Vec<_>>();
    one == other || letters(one) == letters(other)
}

// === impl Position ===

impl Position {
    /// Where a file begins.
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    fn of(marker: &Marker) -> Self {
        Self { line: marker.line(), column: marker.col().saturating_add(1) }
    }
}

// === impl Malformed ===

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position: Position { line, column }, why } = self;
        write!(f, "not YAML (line {line}, column {column}): {why}")
    }
}

impl std::error::Error for Malformed {}

// === impl Node ===

impl Node {
    fn new(node: &MarkedYaml<'_>) -> Self {
        Self { position: Position::of(&node.span.start), content: Content::new(&node.data) }
    }

    /// The field of a map, in either case.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| is_same_field(&entry.key, key))
    }

    /// Where the field at a JSON path begins, such as `metrics[0].name`; where
    /// the nearest one above it does, if it is not there.
    pub(crate) fn position_of(&self, path: &str) -> Position {
        let (mut node, mut position) = (self, self.position);
        let mut rest = path;
        while !rest.is_empty() {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            if let Some((index, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                let element = index.parse().ok().and_then(|index: usize| node.elements().get(index));
                let Some(element) = element else {
                    return position;
                };
                (node, position, rest) = (element, element.position, after);
                continue;
            }
            // A key that is no plain word is in quotes.
            let in_quotes = node.entries().iter().find_map(|entry| {
                let after = rest.strip_prefix(&quoted(&entry.key))?;
                Some((entry, after))
            });
            let key = rest.split(['.', '[']).next().unwrap_or(rest);
            let plain = || node.entry(key).zip(rest.get(key.len()..));
            let Some((entry, after)) = in_quotes.or_else(plain) else {
                return position;
            };
            (node, position, rest) = (&entry.value, entry.position, after);
        }
        position
    }

    /// The value below this one at a path of fields.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text of this value.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    /// How a value is written that stands there without quotes.
    pub(crate) fn unquoted(&self) -> Option<&str> {
        match &self.content {
            Content::Plain(_, written) => Some(written),
            Content::Text(Text { text, style: ScalarStyle::Plain }) => Some(text),
            _ => None,
        }
    }

    /// The text of a field.
    pub(crate) fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.text()
    }

    /// The entries, if this is a map.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The elements, if this is a list.
    pub(crate) fn elements(&self) -> &[Node] {
        match &self.content {
            Content::List(elements) => elements,
            _ => &[],
        }
    }

    /// The same as JSON.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Plain(value, _) => value.clone(),
            Content::Text(text) => Value::String(text.text.clone()),
            Content::List(elements) => elements.iter().map(Self::to_json).collect(),
            Content::Map(entries) => {
                let entries = entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// The JSON that is this value's text, with positions in the file: exact
    /// where the text stands there line by line, else those of the text itself.
    pub(crate) fn nested(&self) -> Option<Node> {
        let Content::Text(text) = &self.content else {
            return None;
        };
        let mut nested = parse(&text.text).ok()?.into_iter().next()?;
        // Then each of its lines is a line of the file.
        nested.shift(self.position, text.style == ScalarStyle::Literal);
        Some(nested)
    }

    fn shift(&mut self, start: Position, is_block: bool) {
        let shifted = |position: Position| {
            let line = start.line.saturating_add(position.line).saturating_sub(1);
            let column = start.column.saturating_add(position.column).saturating_sub(1);
            if is_block {
                Position { line, column }
            } else {
                start
            }
        };
        self.position = shifted(self.position);
        match &mut self.content {
            Content::List(elements) => elements.iter_mut().for_each(|node| node.shift(start, is_block)),
            Content::Map(entries) => entries.iter_mut().for_each(|entry| {
                entry.position = shifted(entry.position);
                entry.value.shift(start, is_block);
            }),
            Content::Plain(..) | Content::Text(_) => {}
        }
    }
}

// === impl Content ===

impl Content {
    fn new<'a>(data: &YamlData<'a, MarkedYaml<'a>>) -> Self {
        match data {
            YamlData::Representation(text, style, tag) => {
                let plain = |value| Self::Plain(value, text.to_string());
                match Scalar::parse_from_cow_and_metadata(text.clone(), *style, tag.as_ref()) {
                    Some(Scalar::Null) => plain(Value::Null),
                    Some(Scalar::Boolean(flag)) => plain(Value::Bool(flag)),
                    Some(Scalar::Integer(number)) => plain(Value::from(number)),
                    Some(Scalar::FloatingPoint(number)) => {
                        plain(Number::from_f64(number.into_inner()).map_or(Value::Null, Value::Number))
                    }
                    Some(Scalar::String(_)) | None => {
                        Self::Text(Text { text: text.to_string(), style: *style })
                    }
                }
            }
            YamlData::Sequence(elements) => Self::List(elements.iter().map(Node::new).collect()),
            YamlData::Mapping(entries) => {
                let entry = |(key, value): (&MarkedYaml<'_>, &MarkedYaml<'_>)| {
                    let text = match &key.data {
                        YamlData::Representation(text, ..) => text.to_string(),
                        _ => String::new(),
                    };
                    Entry { key: text, position: Position::of(&key.span.start), value: Node::new(value) }
                };
                Self::Map(entries.iter().map(entry).collect())
            }
            YamlData::Tagged(_, node) => Self::new(&node.data),
            YamlData::Value(_) | YamlData::Alias(_) | YamlData::BadValue => {
                Self::Plain(Value::Null, String::new())
            }
        }
    }
}

#[cfg(test)]
mod tests;
