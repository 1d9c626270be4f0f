//! What Envoy makes of a stat name: the labels that `stats_tags` take out of it.

use regex::Regex;

use crate::yaml::Node;

/// The `stats_tags` of a bootstrap.
#[derive(Debug)]
pub(crate) struct StatsTags {
    tags: Vec<Tag>,
}

#[derive(Debug)]
struct Tag {
    name: String,
    /// `None`: a fixed value, or an expression in a dialect of its own.
    regex: Option<Regex>,
}

/// A stat name after the extraction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Extracted {
    /// The metric's name, with the labels that nothing took out.
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
}

// === impl StatsTags ===

impl StatsTags {
    /// Reads the list.
    pub(crate) fn read(list: &Node) -> Self {
        let tag = |node: &Node| {
            let name = node.text_at(&["tag_name"])?.to_owned();
            let regex = node.text_at(&["regex"]).and_then(|text| Regex::new(text).ok());
            Some(Tag { name, regex })
        };
        Self { tags: list.elements().iter().filter_map(tag).collect() }
    }

    /// Whether there is an entry of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tags.iter().any(|tag| tag.name == name)
    }

    /// Takes the labels out, as Envoy does: every expression sees the whole name;
    /// of two with one tag name the first that matches counts.
    pub(crate) fn extract(&self, stat_name: &str) -> Extracted {
        let mut labels: Vec<(String, String)> = Vec::new();
        let mut is_removed = vec![false; stat_name.len()];
        for tag in &self.tags {
            if labels.iter().any(|(name, _)| *name == tag.name) {
                continue;
            }
            let Some(captures) = tag.regex.as_ref().and_then(|regex| regex.captures(stat_name)) else {
                continue;
            };
            let Some(removed) = captures.get(1) else {
                continue;
            };
            let value = captures.get(2).unwrap_or(removed);
            labels.push((tag.name.clone(), value.as_str().to_owned()));
            if let Some(part) = is_removed.get_mut(removed.range()) {
                part.fill(true);
            }
        }
        let kept = stat_name.char_indices().filter(|(at, _)| is_removed.get(*at) == Some(&false));
        Extracted { name: kept.map(|(_, c)| c).collect(), labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extract(tags: &str, stat_name: &str) -> (String, Vec<(String, String)>) {
        let list = crate::yaml::parse(tags).unwrap();
        let Extracted { name, labels } = StatsTags::read(&list[0]).extract(stat_name);
        (name, labels)
    }

    fn labels(labels: &[(&str, &str)]) -> Vec<(String, String)> {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_first_group_goes_and_the_second_is_the_value() {
        let tags = r"[{tag_name: a, regex: '(a=\.=(.*?);\.;)'}, {tag_name: n, fixed_value: x}]";
        assert_eq!(extract(tags, "a=.=1;.;b=.=2;.;name"), ("b=.=2;.;name".to_owned(), labels(&[("a", "1")])));
    }

    #[test]
    fn an_unanchored_expression_finds_the_end_of_another_label() {
        let tags = r"[{tag_name: app, regex: '(app=\.=(.*?);\.;)'}]";
        let expected = ("source_app=.=2;.;n".to_owned(), labels(&[("app", "1")]));
        assert_eq!(extract(tags, "source_app=.=1;.;app=.=2;.;n"), expected);
    }

    #[test]
    fn of_two_entries_with_one_name_the_first_that_matches_counts() {
        let tags = r"[{tag_name: c, regex: '_rq(_(\d{3}))$'}, {tag_name: c, regex: '(c=\.=(.*?);\.;)'}]";
        assert_eq!(extract(tags, "c=.=7;.;n"), ("n".to_owned(), labels(&[("c", "7")])));
        assert_eq!(extract(tags, "c=.=7;.;n_rq_200"), ("c=.=7;.;n_rq".to_owned(), labels(&[("c", "200")])));
    }
}
