//! The Prometheus text format, as Envoy writes it: read line by line, in order,
//! so that what stands there twice is there twice.

use std::fmt;

/// A page of samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Page {
    /// The name in each `# TYPE` line.
    pub(crate) families: Vec<String>,
    /// Every sample.
    pub(crate) samples: Vec<Sample>,
    /// Samples that were left out, since no counter is below zero, endless or no number.
    pub(crate) unusable: usize,
}

/// One line: a name with labels, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

/// Labels in the order of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Labels(pub(crate) Vec<(String, String)>);

/// The line that is no sample.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotPrometheus {
    line: usize,
    text: String,
}

// === impl Page ===

impl Page {
    /// Reads the families whose name `wanted` accepts; Envoy's own thousands
    /// cost no more than a look at their names.
    ///
    /// # Errors
    /// A line is neither a comment nor a sample.
    pub(crate) fn parse(text: &str, wanted: impl Fn(&str) -> bool) -> Result<Self, NotPrometheus> {
        let mut page = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(comment) = line.strip_prefix('#') {
                let mut words = comment.split_whitespace();
                if words.next() == Some("TYPE") {
                    page.families.extend(words.next().filter(|name| wanted(name)).map(str::to_owned));
                }
                continue;
            }
            if line.is_empty() {
                continue;
            }
            let error =
                || NotPrometheus { line: index.saturating_add(1), text: line.chars().take(60).collect() };
            let name_end = line.find(['{', ' ', '\t']).ok_or_else(error)?;
            let (name, rest) = line.split_at_checked(name_end).ok_or_else(error)?;
            if !is_name(name) {
                return Err(error());
            }
            if wanted(name) {
                let (labels, value) = parse_rest(rest).ok_or_else(error)?;
                if value.is_finite() && value >= 0.0 {
                    page.samples.push(Sample { name: name.to_owned(), labels, value });
                } else {
                    page.unusable = page.unusable.saturating_add(1);
                }
            }
        }
        Ok(page)
    }

    /// The samples of this name.
    pub(crate) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }

    /// The sum over all series of this name; `None` if there is none.
    pub(crate) fn total(&self, name: &str) -> Option<f64> {
        self.named(name).map(|sample| sample.value).reduce(|sum, value| sum + value)
    }
}

// === impl Labels ===

impl Labels {
    /// The value of a label.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }

    /// The labels' names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(label, _)| label.as_str())
    }
}

// === impl NotPrometheus ===

impl fmt::Display for NotPrometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is not of the Prometheus text format: {:?}", self.line, self.text)
    }
}

impl std::error::Error for NotPrometheus {}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.'))
}

/// `{label="value",…} value [timestamp]`, without the name.
fn parse_rest(rest: &str) -> Option<(Labels, f64)> {
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (Labels::default(), rest),
    };
    let value = rest.split_whitespace().next()?;
    Some((labels, value.parse().ok()?))
}

/// Up to the closing brace; returns what follows it.
fn parse_labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((Labels(labels), rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = parse_value(quoted)?;
        labels.push((name.to_owned(), value));
        rest = after;
    }
}

/// Up to the closing quote; returns what follows it.
fn parse_value(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                c => value.push(c),
            },
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Page {
        Page::parse(text, |_| true).unwrap()
    }

    #[test]
    fn names_labels_and_values() {
        let page =
            parse("# TYPE a counter\na{} 1\na{x=\"1\",y=\"\"} 2.5\n\nb 3 1700000000000\n# HELP b no\n");
        assert_eq!(page.families, ["a"]);
        let shown: Vec<_> =
            page.samples.iter().map(|s| format!("{} {:?} {}", s.name, s.labels.0, s.value)).collect();
        assert_eq!(shown, [r#"a [] 1"#, r#"a [("x", "1"), ("y", "")] 2.5"#, "b [] 3"]);
        assert_eq!((page.total("a"), page.total("c")), (Some(3.5), None));
    }

    #[test]
    fn values_hold_anything() {
        let page = parse(r#"a{x="q\" b\\ n\n } , ; =\"",y="ü"} 1e3"#);
        let [sample] = page.samples.as_slice() else { panic!("{page:?}") };
        assert_eq!(sample.labels.get("x"), Some("q\" b\\ n\n } , ; =\""));
        assert_eq!(sample.labels.get("y"), Some("ü"));
        assert_eq!(sample.value, 1000.0);
    }

    #[test]
    fn what_no_counter_has_is_left_out() {
        let page = parse("a NaN\na -1\na +Inf\na 2\n");
        assert_eq!((page.samples.len(), page.unusable, page.total("a")), (1, 3, Some(2.0)));
    }

    #[test]
    fn what_is_not_wanted_is_not_read() {
        let page =
            Page::parse("# TYPE envoy_a counter\nenvoy_a{oops\nistio_b 1\n", |n| n.starts_with("istio_"));
        let page = page.unwrap();
        assert_eq!((page.families.len(), page.samples.len()), (0, 1));
    }

    #[test]
    fn other_pages_are_refused_with_their_line() {
        let error = |text| Page::parse(text, |_| true).unwrap_err().to_string();
        assert_eq!(
            error("a 1\n<html><body>Not Found"),
            "line 2 is not of the Prometheus text format: \"<html><body>Not Found\""
        );
        for text in ["a", "a{x=\"1\"", "a{x=\"1} 2", "a{x} 2", "a one", "{x=\"1\"} 2", "a{x=\"1\"}"] {
            assert!(Page::parse(text, |_| true).is_err(), "{text}");
        }
    }
}
