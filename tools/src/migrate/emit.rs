//! JSON as YAML for people: blocks, names first, quotes where they are needed.

use serde_json::Value;

/// The lines of a map or a list, so far to the right.
pub(super) fn lines(value: &Value, indent: usize) -> Vec<String> {
    let pad = " ".repeat(indent);
    let below = indent.saturating_add(2);
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key != "name");
            let entry = |(key, value): (&String, &Value)| match flat(value) {
                Some(value) => vec![format!("{pad}{}: {value}", text(key))],
                None => [vec![format!("{pad}{}:", text(key))], lines(value, below)].concat(),
            };
            fields.into_iter().flat_map(entry).collect()
        }
        Value::Array(elements) => {
            let element = |element: &Value| match flat(element) {
                Some(value) => vec![format!("{pad}- {value}")],
                None => {
                    let mut lines = lines(element, below);
                    if let Some(first) = lines.first_mut() {
                        *first = format!("{pad}- {}", first.trim_start());
                    }
                    lines
                }
            };
            elements.iter().flat_map(element).collect()
        }
        other => vec![format!("{pad}{}", flat(other).unwrap_or_default())],
    }
}

/// What fits behind a key.
fn flat(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) if fields.is_empty() => Some("{}".to_owned()),
        Value::Array(elements) if elements.is_empty() => Some("[]".to_owned()),
        Value::Object(_) | Value::Array(_) => None,
        Value::String(value) => Some(text(value)),
        other => Some(other.to_string()),
    }
}

/// A text: bare where YAML takes it for one.
pub(super) fn text(text: &str) -> String {
    const OTHERS: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"];
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    if starts && text.chars().all(is_plain) && !OTHERS.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_the_same() {
        for value in [
            json!({"a": [{"name": "x", "b": {"c": "it's: #1\n\"2\""}}, [1, [true]], "yes", null, [], {}]}),
            json!({"a-b.c/d": "1.10", "1": 1.5, "": "", "on": "off", "k: v": "- x"}),
            json!(["5s", "request.headers['x']", "zürich", "a b", "*x", "{y}"]),
        ] {
            let text = lines(&value, 2).join("\n");
            let read = crate::yaml::parse(&text).unwrap();
            assert_eq!(read[0].to_json(), value, "{text}");
        }
    }

    #[test]
    fn names_come_first_and_words_are_bare() {
        let value = json!([{"drop": true, "name": "requests_total", "match": "a == b"}]);
        assert_eq!(lines(&value, 0), ["- name: requests_total", "  drop: true", "  match: \"a == b\""]);
    }
}
