//! The paths of attributes as the texts of CEL expressions.

/// The path of an expression that only names an attribute: `a.b`, `a['b.c']`.
pub fn plain_path(expression: &str) -> Option<Vec<String>> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = expression.trim();
    let mut path = Vec::new();
    loop {
        let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, tail) = rest.split_at_checked(length)?;
        if name.is_empty()
            || name.starts_with(|c: char| c.is_ascii_digit())
            || matches!(name, "true" | "false" | "null")
        {
            return None;
        }
        path.push(name.to_owned());
        rest = tail;
        while let Some(index) = rest.strip_prefix('[') {
            let quote = index.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            let (key, tail) = index.get(1..)?.split_once(quote)?;
            if key.contains('\\') {
                return None;
            }
            path.push(key.to_owned());
            rest = tail.strip_prefix(']')?;
        }
        if rest.is_empty() {
            return (path.len() > 1).then_some(path);
        }
        rest = rest.strip_prefix('.')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_an_attribute_and_nothing_else() {
        let path = |text: &str| plain_path(text).map(|path| path.join("|"));
        assert_eq!(path("request.host").as_deref(), Some("request|host"));
        assert_eq!(path(" xds.node.metadata['a.b'][\"c\"].d ").as_deref(), Some("xds|node|metadata|a.b|c|d"));
        for text in
            ["'constant'", "1.5", "request.host + 'x'", "size(request.host)", "a", "a.", "a.b[0]", "a['b", ""]
        {
            assert_eq!(path(text), None, "{text}");
        }
    }
}
