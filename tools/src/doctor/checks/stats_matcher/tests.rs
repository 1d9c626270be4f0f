use serde_json::json;

use super::*;

fn excluded_by(matcher: &Value) -> Vec<Finding> {
    let mut admin = Admin::default();
    admin.dump.stats_matcher = matcher.clone();
    let all = excludes_all(&admin, &Names::default());
    let findings = find(&Seen { admin: Some(admin), ..Seen::default() });
    assert_eq!(all, findings.iter().any(|finding| finding.seen[0].starts_with("all metrics")));
    findings
}

fn inclusion(pattern: &Value) -> Value {
    json!({"inclusion_list": {"patterns": [{"prefix": "cluster."}, pattern]}})
}

#[test]
fn these_let_everything_through() {
    for matcher in [
        Value::Null,
        json!({"reject_all": false}),
        json!({"exclusion_list": {"patterns": [{"prefix": "cluster."}, {"exact": "istio"}]}}),
        inclusion(&json!({"prefix": "wasmcustom"})),
        inclusion(&json!({"prefix": "WASMcustom", "ignore_case": true})),
        inclusion(&json!({"contains": "istio_"})),
        inclusion(&json!({"safe_regex": {"regex": "wasmcustom\\..*istio_.*"}})),
    ] {
        assert_eq!(excluded_by(&matcher), [], "{matcher}");
    }
}

#[test]
fn these_throw_all_away() {
    for matcher in [
        json!({"reject_all": true}),
        json!({"exclusion_list": {"patterns": [{"prefix": "wasm"}]}}),
        inclusion(&json!({"prefix": "istio"})),
        inclusion(&json!({"prefix": "reporter="})),
        inclusion(&json!({"prefix": "WASMCUSTOM"})),
        // Not the whole name.
        inclusion(&json!({"safe_regex": {"regex": "wasmcustom"}})),
    ] {
        assert_eq!(excluded_by(&matcher).len(), 1, "{matcher}");
    }
}

#[test]
fn some_metrics_are_named() {
    let matcher = inclusion(&json!({"suffix": "_total"}));
    let [finding] = excluded_by(&matcher).try_into().unwrap();
    assert!(finding.seen[0].starts_with("istio_request_duration_milliseconds, istio_request_bytes, "));
    assert_eq!(finding.paste[0].lines, "- prefix: wasmcustom");
}

#[test]
fn names_have_the_configured_prefix() {
    let mut admin = Admin::default();
    admin.dump.stats_matcher = inclusion(&json!({"contains": "mesh_"}));
    let names = Names::with_prefixes(["mesh_".to_owned(), "istio_".to_owned()]);
    assert!(!excludes_all(&admin, &names) && excludes_all(&admin, &Names::default()));
    let findings = find(&Seen { admin: Some(admin), names, ..Seen::default() });
    assert!(findings[0].seen[0].starts_with("istio_requests_total, "), "{findings:?}");
}
