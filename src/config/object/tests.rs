use serde_json::json;

use super::*;
use crate::host::excerpt::EXCERPT_CHARS;

fn issues_of(value: Value, read: impl FnOnce(&mut Object<'_>)) -> Vec<String> {
    let mut notes = Notes::default();
    let mut object = Object::new("", value.as_object().unwrap(), &mut notes);
    read(&mut object);
    object.finish();
    notes.issues.iter().map(ToString::to_string).collect()
}

#[test]
fn wrong_types_name_path_and_value() {
    let said = issues_of(json!({"a_b": 7, "local": {"x": [1]}}), |o| {
        assert_eq!(o.boolean("a_b"), None);
        o.object("local", |local| assert_eq!(local.string("x"), None));
    });
    assert_eq!(
        said,
        ["a_b: expected true or false, found 7; ignored", "local.x: expected a string, found [1]; ignored",]
    );
}

#[test]
fn odd_keys_and_values_stay_on_one_line() {
    let long = "x".repeat(EXCERPT_CHARS + 1);
    let said = issues_of(json!({"": 1, "a\nb": "\u{7f}\u{9b}", "texts": {"c.d": 2}, &long: 3}), |o| {
        assert_eq!(o.texts("texts"), []);
    });
    assert_eq!(
        said,
        [
            "texts.\"c.d\": expected a string, found 2; ignored",
            "\"\": unknown field with value 1; ignored",
            "\"a\\nb\": unknown field with value \"__\"; ignored",
            &format!("\"{}…: unknown field with value 3; ignored", "x".repeat(EXCERPT_CHARS - 1)),
        ]
    );
}

#[test]
fn lists_name_the_bad_element() {
    let said = issues_of(json!({"list": ["a", 1, "b"], "text": "a"}), |o| {
        assert_eq!(o.strings("list", 9), ["a", "b"]);
        assert_eq!(o.strings("text", 9), [""; 0]);
        assert_eq!(o.strings("absent", 9), [""; 0]);
    });
    assert_eq!(
        said,
        [
            "list[1]: expected a string, found 1; ignored",
            "text: expected a list of strings, found \"a\"; ignored",
        ]
    );
}

#[test]
fn whole_numbers_may_be_doubles_or_texts() {
    for (text, read) in [
        ("7", Some(7)),
        ("7.0", Some(7)),
        ("\"500\"", Some(500)),
        ("0", None),
        ("-1", None),
        ("1.5", None),
        ("\"\"", None),
        ("\"7x\"", None),
        ("true", None),
    ] {
        let value = serde_json::from_str(&format!("{{\"n\": {text}}}")).unwrap();
        let said = issues_of(value, |o| assert_eq!(o.positive("n"), read, "{text}"));
        assert_eq!(said.is_empty(), read.is_some(), "{said:?}");
    }
}

#[test]
fn choices_may_be_numbers() {
    for (value, read, said) in [
        (json!("two"), Some(2), None),
        (json!(0), Some(1), None),
        (json!(1), Some(2), None),
        (json!(2), None, Some("c: expected one of ONE, TWO, found 2; ignored")),
        (json!(-1), None, Some("c: expected one of ONE, TWO, found -1; ignored")),
        (json!("1"), None, Some("c: expected one of ONE, TWO, found \"1\"; ignored")),
    ] {
        let issues =
            issues_of(json!({"c": value}), |o| assert_eq!(o.choice("c", &[("ONE", 1), ("TWO", 2)]), read));
        assert_eq!(issues.first().map(String::as_str), said);
    }
}

#[test]
fn a_duration_without_a_unit_is_told_how_to_be_written() {
    let said =
        |value: Value| issues_of(json!({"d": value}), |o| assert_eq!(o.duration("d", Duration::ZERO), None));
    for (value, hint) in [
        (json!(5), "a duration with its unit, \"5s\" for seconds, found 5"),
        (json!(0.5), "a duration with its unit, \"0.5s\" for seconds, found 0.5"),
        (json!("5"), "a duration with its unit, \"5s\" for seconds, found \"5\""),
        (json!("soon"), "a duration such as \"5s\" or \"500ms\", found \"soon\""),
        (json!(true), "a duration such as \"5s\" or \"500ms\", found true"),
    ] {
        assert_eq!(said(value), [format!("d: expected {hint}; ignored")]);
    }
}

#[test]
fn unknown_fields_are_named_with_their_value() {
    let said = issues_of(json!({"known": null, "other": {"deep": "x".repeat(200)}}), |o| {
        assert_eq!(o.string("known"), None);
    });
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("other: unknown field with value {\"deep\":\"xxx"), "{}", said[0]);
    assert!(said[0].len() < 160);
}

#[test]
fn both_cases_are_accepted() {
    assert!(issues_of(json!({"aB": "true"}), |o| assert_eq!(o.boolean("a_b"), Some(true))).is_empty());
    let said = issues_of(json!({"aB": true, "a_b": true}), |o| {
        o.boolean("a_b");
    });
    assert_eq!(said, ["a_b: given in snake_case and in camelCase; one is ignored"]);
}
