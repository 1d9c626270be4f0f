//! CEL as text: its words, as far as whoever changes an expression has to tell them
//! apart, and values written into one.

/// A word of an expression, by what can begin there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word<'a> {
    /// A name and what leads on from it: `a.b`, `a['b.c']`, `a[0].b`.
    Path(Path),
    /// A text, in its quotes.
    Text(&'a str),
    /// Anything else: the name of a function, an operator, space, …
    Other(&'a str),
}

/// The names that lead to a value, from the first on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    names: Vec<String>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

/// The attributes that a stream has, and nothing else.
const OF_STREAMS: [&str; 10] = [
    "connection",
    "destination",
    "filter_state",
    "metadata",
    "request",
    "response",
    "source",
    "upstream",
    "upstream_filter_state",
    "xds",
];

// === impl Path ===

impl Path {
    /// The names.
    pub fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// The length of the first names, in bytes.
    pub fn length(&self, names: usize) -> usize {
        let last = names.checked_sub(1).and_then(|last| self.ends.get(last));
        last.copied().unwrap_or_default()
    }

    fn push(&mut self, name: &str, end: usize) {
        self.names.push(name.to_owned());
        self.ends.push(end);
    }
}

/// The first word of an expression and its length in bytes; `None` at its end.
/// `after_dot`: what stands there is a field of what was before.
pub fn first_word(text: &str, after_dot: bool) -> Option<(Word<'_>, usize)> {
    let first = text.chars().next()?;
    if let Some(length) = text_length(text) {
        return Some((Word::Text(text.get(..length)?), length));
    }
    if !is_name_start(first) {
        return Some((Word::Other(text.get(..first.len_utf8())?), first.len_utf8()));
    }
    let (name, _) = split_name(text)?;
    match path(text).filter(|_| !after_dot) {
        Some(path) => {
            let length = path.length(path.names.len());
            Some((Word::Path(path), length))
        }
        None => Some((Word::Other(name), name.len())),
    }
}

/// The path of an expression that only names an attribute: `a.b`, `a['b.c']`.
pub fn plain_path(expression: &str) -> Option<Vec<String>> {
    let expression = expression.trim();
    let path = path(expression).filter(|path| path.names.len() > 1)?;
    (path.length(path.names.len()) == expression.len()).then_some(path.names)
}

/// Whether names lead to an attribute that only a stream has.
pub fn is_of_stream(names: &[&str]) -> bool {
    match names {
        [] | [_] | ["xds", "node", ..] => false,
        [first, ..] => OF_STREAMS.contains(first),
    }
}

/// Whether an expression names such an attribute.
pub fn names_stream(mut text: &str) -> bool {
    let mut after_dot = false;
    while let Some((word, length)) = first_word(text, after_dot) {
        match word {
            Word::Path(path) if is_of_stream(&path.names()) => return true,
            Word::Other(other) if other.trim().is_empty() => {}
            other => after_dot = other == Word::Other("."),
        }
        text = text.get(length..).unwrap_or_default();
    }
    false
}

/// The path that a text begins with; none if that is called, or stands for itself.
fn path(text: &str) -> Option<Path> {
    let (name, mut rest) = split_name(text)?;
    if is_called(rest) || matches!(name, "true" | "false" | "null" | "in") {
        return None;
    }
    let end_of = |rest: &str| text.len().saturating_sub(rest.len());
    let mut path = Path::default();
    path.push(name, end_of(rest));
    while let Some((name, tail)) = next_name(rest) {
        path.push(name, end_of(tail));
        rest = tail;
    }
    Some(path)
}

/// The next name of a path, and what follows it.
fn next_name(rest: &str) -> Option<(&str, &str)> {
    let rest = rest.trim_start();
    if let Some(field) = rest.strip_prefix('.') {
        let (name, tail) = split_name(field.trim_start())?;
        return (!is_called(tail)).then_some((name, tail));
    }
    let index = rest.strip_prefix('[')?.trim_start();
    let (name, tail) = match index.chars().next()? {
        quote @ ('\'' | '"') => index.get(1..)?.split_once(quote).filter(|(key, _)| !key.contains('\\'))?,
        _ => index
            .split_at_checked(index.find(|c: char| !c.is_ascii_digit())?)
            .filter(|(n, _)| !n.is_empty())?,
    };
    Some((name, tail.trim_start().strip_prefix(']')?))
}

fn is_called(rest: &str) -> bool {
    rest.trim_start().starts_with('(')
}

fn split_name(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text.starts_with(is_name_start).then(|| text.split_at_checked(length))?
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// Length of the text in quotes at the beginning, if there is one. An unterminated
/// one goes to the end: the host will refuse it anyway.
fn text_length(text: &str) -> Option<usize> {
    let prefix = text.find(|c| !matches!(c, 'r' | 'R' | 'b' | 'B'))?;
    let raw = text.get(..prefix)?.contains(['r', 'R']);
    let body = text.get(prefix..).filter(|_| prefix <= 2)?;
    let delimiter = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| body.starts_with(quote))?;
    let mut length = prefix.checked_add(delimiter.len())?;
    loop {
        let rest = text.get(length..)?;
        if rest.starts_with(delimiter) {
            return length.checked_add(delimiter.len());
        }
        let mut chars = rest.chars();
        let Some(c) = chars.next() else {
            return Some(text.len());
        };
        length = length.checked_add(c.len_utf8())?;
        if c == '\\' && !raw {
            length = length.checked_add(chars.next().map_or(0, char::len_utf8))?;
        }
    }
}

/// Appends a text in quotes, whatever it holds.
pub fn put_text(out: &mut String, text: &str) {
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\000"),
            c => out.push(c),
        }
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_an_attribute_and_nothing_else() {
        let path = |text: &str| plain_path(text).map(|path| path.join("|"));
        assert_eq!(path("request.host").as_deref(), Some("request|host"));
        assert_eq!(path(" xds.node.metadata['a.b'][\"c\"].d ").as_deref(), Some("xds|node|metadata|a.b|c|d"));
        assert_eq!(path("a . b [ 'c' ] [0].d").as_deref(), Some("a|b|c|0|d"));
        for text in [
            "'constant'",
            "1.5",
            "request.host + 'x'",
            "size(request.host)",
            "request.host.size()",
            "a",
            "a.",
            "a.b[c]",
            "a.b[]",
            "a.b['\\'']",
            "a['b",
            "true.b",
            "",
        ] {
            assert_eq!(path(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_a_stream_has_is_of_a_stream() {
        for text in
            ["upstream.port", "'a' + xds.cluster_name", "has(filter_state.x)", "xds.route_metadata.size()"]
        {
            assert!(names_stream(text), "{text}");
        }
        for text in
            ["'request.host'", "xds.node.id", "{'request': 1}.request", "plugin_name", "x.request.host"]
        {
            assert!(!names_stream(text), "{text}");
        }
    }

    #[test]
    fn a_text_stays_within_its_quotes() {
        let written = |text: &str| {
            let mut out = String::new();
            put_text(&mut out, text);
            out
        };
        assert_eq!(written("plain"), "'plain'");
        assert_eq!(written("it's\\\n\0"), r"'it\'s\\\n\000'");
        for text in ["'", "\\", "\\'", "a'b\\", "'''", "\"", "zürich"] {
            let written = written(text) + " + more";
            let quoted = written.strip_suffix(" + more").map(str::len);
            assert_eq!(first_word(&written, false).map(|(_, length)| length), quoted, "{text}");
        }
    }
}
