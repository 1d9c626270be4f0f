//! Istio's attribute generation: attributes that conditions choose among texts. Here
//! the conditions stand in the label's own expression.

use serde_json::Value;

use super::intent::Config;
use crate::yaml::Node;

/// An attribute, and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generated {
    pub(super) name: String,
    expression: String,
    pub(super) line: usize,
}

/// Whether somewhere in it attributes are generated.
pub(super) fn is_in(node: &Node) -> bool {
    let mut found = Vec::new();
    read(node, &mut found);
    !found.is_empty()
}

/// Adds the attributes that are generated somewhere in it.
pub(super) fn read(node: &Node, found: &mut Vec<Generated>) {
    const FIELD: &str = "output_attribute";
    for attribute in node.get("attributes").map(Node::elements).unwrap_or_default() {
        if let Some(name) = attribute.text_at(&[FIELD]) {
            let rules = attribute.get("match").map(Node::elements).unwrap_or_default();
            found.push(Generated {
                name: name.to_owned(),
                expression: expression(rules),
                line: attribute.position.line,
            });
        }
    }
    node.entries().iter().for_each(|entry| read(&entry.value, found));
    node.elements().iter().for_each(|element| read(element, found));
    if node.text().is_some_and(|text| text.contains(FIELD)) {
        node.nested().iter().for_each(|node| read(node, found));
    }
}

/// The first rule whose condition is true tells; as in Istio, one without a
/// condition always does.
fn expression(rules: &[Node]) -> String {
    let mut text = String::new();
    for rule in rules {
        let value = rule
            .get("value")
            .map(|value| value.text().map_or_else(|| value.to_json().to_string(), str::to_owned));
        let value = literal(&value.unwrap_or_default());
        match rule.text_at(&["condition"]).map(str::trim).filter(|condition| !condition.is_empty()) {
            Some(condition) => text.push_str(&format!("({condition}) ? {value} : ")),
            None => return text + &value,
        }
    }
    text + "'unknown'"
}

/// A text in CEL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'").replace('\n', r"\n"))
}

/// Puts the conditions where a configuration names the attributes; says which it
/// does name.
pub(super) fn inline<'a>(config: &mut Config, generated: &'a [Generated]) -> Vec<&'a str> {
    let mut used = Vec::new();
    for (list, fields) in [("metrics", &["match"][..]), ("definitions", &["value"])] {
        let elements = config.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for element in elements {
            for field in fields {
                element.get_mut(*field).into_iter().for_each(|text| inline_text(text, generated, &mut used));
            }
            let labels = element.get_mut("dimensions").and_then(Value::as_object_mut);
            labels.into_iter().flatten().for_each(|(_, text)| inline_text(text, generated, &mut used));
        }
    }
    used
}

fn inline_text<'a>(value: &mut Value, generated: &'a [Generated], used: &mut Vec<&'a str>) {
    let Some(text) = value.as_str().map(str::to_owned) else {
        return;
    };
    let mut new = text.clone();
    // Of two that make the same attribute the last one does.
    for Generated { name, expression, .. } in generated.iter().rev() {
        let before = new.clone();
        for key in [format!("'wasm.{name}'"), format!("\"wasm.{name}\"")] {
            new = new.replace(&format!("filter_state[{key}]"), name);
        }
        new = match new.trim() == name {
            true => expression.clone(),
            false => expressions::with_name_replaced(&new, name, &format!("({expression})")),
        };
        if new != before {
            used.push(name);
        }
    }
    *value = Value::from(new);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::yaml;

    fn generated(text: &str) -> Vec<Generated> {
        let mut found = Vec::new();
        read(&yaml::parse(text).unwrap()[0], &mut found);
        found
    }

    const RULES: &str = r#"
attributes:
  - outputAttribute: kind
    match:
      - { value: it's, condition: "request.path == 'kind'" }
      - { value: 2xx, condition: response.code / 100 == 2 }
  - output_attribute: always
    match: [{ value: a, condition: x }, { value: b }, { value: c }]
"#;

    #[test]
    fn the_first_rule_that_applies_tells() {
        let expressions: Vec<_> = generated(RULES).into_iter().map(|one| one.expression).collect();
        let kind = r"(request.path == 'kind') ? 'it\'s' : (response.code / 100 == 2) ? '2xx' : 'unknown'";
        assert_eq!(expressions, [kind, "(x) ? 'a' : 'b'"]);
    }

    #[test]
    fn rules_are_found_in_resources_and_in_text() {
        let json = r#"{"attributes": [{"output_attribute": "kind", "match": []}]}"#;
        for text in [
            format!("spec: {{ pluginConfig: {json} }}"),
            format!("configPatches: [{{ patch: {{ value: {{ configuration: {{ value: '{json}' }} }} }} }}]"),
        ] {
            assert_eq!(generated(&text).len(), 1, "{text}");
        }
        assert!(generated("attributes: [{ name: x }]").is_empty());
    }

    #[test]
    fn each_spelling_of_an_attribute_is_replaced() {
        let config = json!({
            "metrics": [{"match": "always != ''", "dimensions": {
                "a": "always", "b": "filter_state['wasm.always'] + '.'", "c": "string(filter_state[\"wasm.always\"])",
                "d": "'always'", "e": "request.always",
            }}],
            "definitions": [{"name": "x", "value": "size(always)"}],
        });
        let Value::Object(mut config) = config else { panic!("an object") };
        let rules = generated(RULES);
        let used = inline(&mut config, &rules);
        assert!(!used.is_empty() && used.iter().all(|name| *name == "always"));
        let own = "(x) ? 'a' : 'b'";
        let expected = json!({
            "metrics": [{"match": format!("({own}) != ''"), "dimensions": {
                "a": own, "b": format!("({own}) + '.'"), "c": format!("string(({own}))"),
                "d": "'always'", "e": "request.always",
            }}],
            "definitions": [{"name": "x", "value": format!("size(({own}))")}],
        });
        assert_eq!(Value::Object(config), expected);
    }
}
