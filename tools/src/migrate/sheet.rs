//! A sample as lines that are changed one by one, so that its comments stay.

use std::ops::Range;

use serde_json::Value;

use super::emit;
use super::intent::Config;
use crate::yaml;

/// Some lines of YAML.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    pub(super) lines: Vec<String>,
}

// === impl Sheet ===

impl Sheet {
    /// Each document of a file, without the comments in front.
    pub(super) fn documents(text: &str) -> Vec<Self> {
        let document = |text: &str| {
            let lines = text.lines().skip_while(|line| line.starts_with('#') || line.is_empty());
            Self { lines: lines.map(str::to_owned).collect() }
        };
        text.split("\n---\n").map(document).collect()
    }

    /// The lines as they stand in a file.
    pub(super) fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    pub(super) fn replace(&mut self, from: &str, to: &str) {
        self.lines.iter_mut().for_each(|line| *line = line.replace(from, to));
    }

    /// The lines that are the value of the key in this line.
    pub(super) fn below(&self, at: usize) -> Range<usize> {
        let depth = |line: &String| line.len().saturating_sub(line.trim_start().len());
        let own = self.lines.get(at).map(depth).unwrap_or_default();
        let start = at.saturating_add(1);
        let rest = self.lines.iter().skip(start);
        let length = rest.take_while(|line| line.is_empty() || depth(line) > own).count();
        start..start.saturating_add(length)
    }

    /// Replaces the value of a line that is this key and nothing else.
    pub(super) fn set_block(&mut self, key: &str, change: impl FnOnce(Config) -> Config) {
        let key = format!("{key}:");
        let Some(at) = self.lines.iter().position(|line| line.trim() == key) else {
            return;
        };
        let range = self.below(at);
        let text = self.lines.get(range.clone()).unwrap_or_default().join("\n");
        let old = yaml::parse(&text).ok().and_then(|mut roots| roots.pop()).map(|root| root.to_json());
        let old = match old {
            Some(Value::Object(fields)) => fields,
            _ => Config::default(),
        };
        let depth = self.lines.get(at).map(|line| line.len().saturating_sub(key.len())).unwrap_or_default();
        let new = emit::lines(&Value::Object(change(old)), depth.saturating_add(2));
        self.lines.splice(range, new);
    }

    /// Takes out a line that begins so, with its value.
    pub(super) fn remove(&mut self, start: &str) {
        if let Some(at) = self.lines.iter().position(|line| line.trim_start().starts_with(start)) {
            let range = at..self.below(at).end;
            self.lines.drain(range);
        }
    }

    /// Puts lines behind the first one that is this.
    pub(super) fn insert_after(&mut self, line: &str, new: Vec<String>) {
        if let Some(at) = self.lines.iter().position(|known| known == line) {
            let after = at.saturating_add(1);
            self.lines.splice(after..after, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str =
        "# about\n\na: 1\nb:\n  # why\n  c:\n    d: 1\n\n    e: 2\n  f: g\n---\n# more\nh: i\n";

    #[test]
    fn documents_lose_what_stands_in_front() {
        let documents = Sheet::documents(TEXT);
        let starts: Vec<_> = documents.iter().map(|sheet| sheet.lines[0].as_str()).collect();
        assert_eq!(starts, ["a: 1", "h: i"]);
    }

    #[test]
    fn a_block_is_replaced_and_everything_around_stays() {
        let [sheet, _] = &mut Sheet::documents(TEXT)[..] else { panic!("two documents") };
        sheet.set_block("c", |mut old| {
            old.insert("d".to_owned(), json!([3]));
            old
        });
        assert_eq!(sheet.text(), "a: 1\nb:\n  # why\n  c:\n    d:\n      - 3\n    e: 2\n  f: g\n");
        sheet.remove("c:");
        sheet.insert_after("a: 1", vec!["new: 2".to_owned()]);
        assert_eq!(sheet.text(), "a: 1\nnew: 2\nb:\n  # why\n  f: g\n");
    }
}
