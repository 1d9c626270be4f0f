use super::*;

fn positions_of(configuration: &str) -> Vec<(String, Option<usize>)> {
    let (config, issues) = Config::compile(configuration.as_bytes());
    assert_eq!(issues, []);
    let names = of_config(&config.unwrap());
    positions(&names).into_iter().map(|label| (label.label, label.position)).collect()
}

fn position(configuration: &str, label: &str) -> Option<usize> {
    let positions = positions_of(configuration);
    positions.into_iter().find(|(known, _)| known == label).unwrap().1
}

#[test]
fn standard_labels_stand_where_they_are_listed() {
    let expected: Vec<_> =
        Dimension::ALL.iter().enumerate().map(|(index, d)| (d.name().to_owned(), Some(index))).collect();
    assert_eq!(positions_of("{}"), expected);
    assert_eq!(of_config(&Config::default()).len(), 3);
}

#[test]
fn a_label_that_is_gone_moves_all_behind_it() {
    let everywhere = r#"{"metrics": [{"tags_to_remove": ["source_app"]}]}"#;
    assert_eq!(position(everywhere, "source_version"), Some(4));
    let labels = r#"{"labels": ["reporter", "source_cluster", "response_code"]}"#;
    assert_eq!(position(labels, "source_cluster"), Some(1));
    // Gone from one metric or for some streams: several positions.
    let from_one = r#"{"metrics": [{"name": "request_bytes", "tags_to_remove": ["source_app"]}]}"#;
    let for_some = r#"{"metrics": [{"match": "request.method == 'GET'", "tags_to_remove": ["source_app"]}]}"#;
    for configuration in [from_one, for_some] {
        assert_eq!(position(configuration, "source_principal"), Some(3));
        assert_eq!(position(configuration, "source_version"), None);
    }
}

#[test]
fn a_new_label_stands_behind_the_others() {
    let dimensions = r#""dimensions": {"a": "request.method", "b": "request.path"}"#;
    let on_one = format!(r#"{{"metrics": [{{"name": "requests_total", {dimensions}}}]}}"#);
    assert_eq!((position(&on_one, "a"), position(&on_one, "b")), (Some(25), Some(26)));
    let on_all = format!(r#"{{"metrics": [{{{dimensions}}}]}}"#);
    assert_eq!((position(&on_all, "a"), position(&on_all, "b")), (None, None));
}

#[test]
fn what_an_envoy_might_refuse_makes_positions_unsure() {
    let of =
        |expression: &str| format!(r#"{{"metrics": [{{"dimensions": {{"source_app": "{expression}"}}}}]}}"#);
    for (expression, app, version) in [
        ("request.method", Some(4), Some(5)),
        ("upstream_peer.app", Some(4), Some(5)),
        ("string(response.code)", Some(4), None),
    ] {
        let configuration = of(expression);
        assert_eq!(position(&configuration, "source_app"), app, "{expression}");
        assert_eq!(position(&configuration, "source_version"), version, "{expression}");
    }
    // Refused for sure: not there.
    let positions = positions_of(&of("request.method.lowerAscii()"));
    assert!(positions.contains(&("source_version".to_owned(), Some(4))));
    assert!(!positions.iter().any(|(label, _)| label == "source_app"));
}

#[test]
fn a_defined_metric_has_only_what_is_set_for_it() {
    let configuration = r#"{
            "definitions": [{"name": "n", "value": "1"}],
            "metrics": [{"name": "n", "dimensions": {"reporter": "'me'", "response_code": "request.id"}}]
        }"#;
    assert_eq!(position(configuration, "reporter"), Some(0));
    assert_eq!(position(configuration, "response_code"), None);
}

#[test]
fn ends_of_other_labels_are_found() {
    let of = |label: &str| LabelPosition { label: label.to_owned(), position: None };
    let positions = ["source_app", "reporter", "app", "my_reporter"].map(of);
    assert_eq!(suffixes(&positions), [("reporter", "my_reporter"), ("app", "source_app")]);
    let (config, _) = Config::compile(b"{}");
    assert_eq!(suffixes(&super::positions(&of_config(&config.unwrap()))), []);
}
