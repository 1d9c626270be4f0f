use super::*;
use serde_json::json;

fn first(text: &str) -> Node {
    parse(text).unwrap().into_iter().next().unwrap()
}

fn place(node: &Node) -> (usize, usize) {
    (node.position.line, node.position.column)
}

#[test]
fn yaml_becomes_json() {
    let node = first("a: 1\nb: [true, ~, 1.5, 'true', x]\nc: &c {d: \"1\"}\ne: *c\n");
    let expected = json!({"a": 1, "b": [true, null, 1.5, "true", "x"], "c": {"d": "1"}, "e": {"d": "1"}});
    assert_eq!(node.to_json(), expected);
}

#[test]
fn fields_are_found_in_either_case_and_know_their_place() {
    let node = first("typed_config:\n  vmConfig: {vm_id: x}\n");
    let found = node.at(&["typedConfig", "vm_config", "vmId"]).unwrap();
    assert_eq!((found.text(), place(found)), (Some("x"), (2, 21)));
    assert!(node.get("config").is_none());
}

#[test]
fn json_in_a_block_has_the_lines_of_the_file() {
    let node = first("value: |\n  {\n    \"labels\": [\n      \"x\"]\n  }\n");
    let nested = node.get("value").unwrap().nested().unwrap();
    assert_eq!(place(&nested.get("labels").unwrap().elements()[0]), (4, 7));
}

#[test]
fn json_in_quotes_has_the_place_of_the_quotes() {
    let node = first("a: b\nvalue: '{\"labels\": [\"x\"]}'\n");
    let nested = node.get("value").unwrap().nested().unwrap();
    assert_eq!(place(&nested.get("labels").unwrap().elements()[0]), (2, 8));
}

#[test]
fn a_path_leads_to_its_key_or_as_near_as_there_is() {
    let node = first("metrics:\n  - name: x\n    dimensions:\n      a: b\n      c.d: e\ntagsToRemove: [f]\n");
    for (path, line, column) in [
        ("", 1, 1),
        ("metrics", 1, 1),
        ("metrics[0]", 2, 5),
        ("metrics[0].dimensions.a", 4, 7),
        ("metrics[0].dimensions.\"c.d\"", 5, 7),
        ("metrics[0].match", 2, 5),
        ("metrics[1].name", 1, 1),
        ("tags_to_remove[0]", 6, 16),
    ] {
        assert_eq!(node.position_of(path), Position { line, column }, "{path}");
    }
}

#[test]
fn every_document_is_read_and_errors_say_where() {
    assert_eq!(parse("a: 1\n---\nb: 2\n").unwrap().len(), 2);
    let said = parse("a: [\n b: }").unwrap_err().to_string();
    assert!(said.starts_with("not YAML (line 3, column 1): "), "{said}");
    let said = parse("a: 1\na: 2\n").unwrap_err().to_string();
    assert_eq!(said, "not YAML (line 2, column 1): duplicated key in mapping");
}

#[test]
fn what_is_too_deep_or_too_large_is_refused_before_it_is_built() {
    let why = |text: &str| parse(text).err().map(|error| error.why);
    let nested = |levels: usize| "- ".repeat(levels) + "x\n";
    assert_eq!(why(&nested(100)), None);
    assert_eq!(why(&nested(101)).as_deref(), Some("nested more than 100 levels deep"));
    let aliased = |levels: usize| format!("- &a\n  {}- {}*a\n", nested(60), "- ".repeat(levels));
    assert_eq!(why(&aliased(39)), None);
    assert_eq!(why(&aliased(40)).as_deref(), Some("nested more than 100 levels deep, by an alias"));
    let many: String = (1..30).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)).collect();
    let many = why(&format!("a0: &a0 x\n{many}")).unwrap();
    assert!(many.starts_with("more than 4194304 values"), "{many}");
}
