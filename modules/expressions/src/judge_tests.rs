use istio_stats::config::bounds::MAX_EXPRESSION_BYTES as MAX_BYTES;

use super::*;
use crate::inspect::too_deep;

fn refused(text: &str) -> Option<String> {
    judge(text, Purpose::Label).refused
}

#[test]
fn what_envoy_understands_is_fine() {
    for text in [
        "request.method",
        "has(request.headers.x) ? request.headers['x'] : 'none'",
        "request.headers.exists(k, k.startsWith('x-'))",
        "size(request.method) + request.path.size()",
        "node.metadata['CLUSTER_ID'] + string(response.code)",
        "upstream_peer.cluster_id",
        "type(1) == int",
    ] {
        let opinion = judge(text, Purpose::Label);
        assert_eq!((opinion.refused, opinion.unknown_names), (None, vec![]), "{text}");
    }
}

#[test]
fn what_envoy_refuses_is_named() {
    for (text, why) in [
        ("request.method.lowerAscii()", "Envoy has no function lowerAscii"),
        ("math.greatest(1, 2)", "Envoy has no function greatest"),
        ("[1].existsOne(x, x > 0)", "Envoy has no function existsOne"),
        ("{'a': 1}.all(k, v, v > 0)", "Envoy's macro all does not take 3 arguments"),
        ("size(request.method, 1)", "Envoy's size does not take 2 arguments as a function"),
        ("request.path.int()", "Envoy's int does not take 0 arguments as a method"),
        ("request.method +", "syntax error at column 17: mismatched input its end"),
        ("a b", "syntax error at column 3: extraneous input 'b'"),
        ("a.?b", "syntax error at column 2: unsupported syntax '.?'"),
    ] {
        assert_eq!(refused(text).as_deref(), Some(why), "{text}");
    }
}

#[test]
fn depth_counts_with_what_the_plugin_puts_around() {
    let sum = |terms: usize| vec!["request.size"; terms].join(" + ");
    assert_eq!(refused(&sum(28)), None);
    assert_eq!(refused(&sum(29)), Some(too_deep()));
    assert_eq!(judge(&sum(29), Purpose::Condition).refused, None);
    let brackets = |depth: usize| "(".repeat(depth) + "1" + &")".repeat(depth);
    assert_eq!(refused(&brackets(30)), None);
    assert_eq!(refused(&brackets(31)), Some(too_deep()));
    assert!(refused(&"(".repeat(MAX_BYTES)).is_some());
    assert!(refused(&"a".repeat(MAX_BYTES + 1)).unwrap().contains("longer than 4096 bytes"));
    assert!(refused(&("a".to_owned() + &".b".repeat(MAX_BYTES / 2 - 1))).is_some());
}

#[test]
fn macros_in_one_another_are_counted() {
    let loops = |text| judge(text, Purpose::Condition).loops;
    assert_eq!(loops("request.method == 'GET'"), 0);
    assert_eq!(loops("[1].all(x, x > 0) && [1].exists(y, y > 0)"), 1);
    assert_eq!(loops("[1].map(x, [2].map(y, x + y)).size() > 0"), 2);
}

#[test]
fn names_that_envoy_does_not_have_are_unknown() {
    let unknown = |text| judge(text, Purpose::Label).unknown_names;
    assert_eq!(unknown("reqest.method + mine + reqest.path"), ["reqest", "mine"]);
    assert_eq!(unknown("[1].map(x, x + y)"), ["y"]);
    assert_eq!(
        unknown("upstream_peer.app + upstream_peer.labels['role'] + upstream_peer.ap"),
        ["upstream_peer.ap"]
    );
    assert_eq!(unknown("upstream_peer"), ["upstream_peer"]);
}

#[test]
fn what_no_peer_has_is_unknown_however_the_peer_is_called() {
    let unknown = |text| judge(text, Purpose::Label).unknown_names;
    for (text, expected) in [
        ("filter_state.upstream_peer.workloat", "filter_state.upstream_peer.workloat"),
        ("filter_state['downstream_peer']['nam'] + 'x'", "filter_state.downstream_peer.nam"),
        ("filter_state['wasm.upstream_peer'].namspace", "filter_state.upstream_peer.namspace"),
        ("upstream_filter_state.upstream_peer.ap", "upstream_filter_state.upstream_peer.ap"),
        ("has(filter_state.upstream_peer.ap) ? 'a' : 'b'", "filter_state.upstream_peer.ap"),
        // By every spelling, and what only Istio's own object has.
        ("filter_state.upstream_peer.workload + filter_state['wasm.downstream_peer'].mesh_id", ""),
        ("filter_state.downstream_peer.labels['role'] + upstream_peer.labels.role.value", ""),
        ("filter_state.upstream_peer.locality.zone + filter_state.upstream_peer_obj.cluster_id", ""),
        ("has(filter_state.upstream_peer) ? filter_state.upstream_peer.type : '-'", ""),
        ("filter_state.upstream_peer.labels.exists(l, l == 'role')", ""),
        // Whatever else is in the filter state, somebody put it there.
        ("filter_state.mine.workloat + filter_state['wasm.x']", ""),
    ] {
        assert_eq!(unknown(text).join(" "), expected, "{text}");
    }
}

#[test]
fn fields_that_an_attribute_does_not_have_are_unknown() {
    let unknown = |text| judge(text, Purpose::Label).unknown_names;
    for (text, expected) in [
        ("request.metod", "request.metod"),
        ("request['metod']", "request.metod"),
        ("has(.response.cod) ? 'a' : 'b'", "response.cod"),
        ("node.idd", ""),
        ("cluster_names", "cluster_names"),
        ("xds.cluster_names", "xds.cluster_names"),
        ("source.workload.name", "source.workload"),
        ("connection.tls_versio", "connection.tls_versio"),
        ("upstream.uri_san_peer_certificate + string(upstream.port)", ""),
        ("[{'metod': 1}].map(request, request.metod)", ""),
        ("metadata.filter_metadata.x + filter_state['y']", ""),
    ] {
        assert_eq!(unknown(text).join(" "), expected, "{text}");
    }
    assert!(instead_of("request.metod").contains(&"method"));
    assert!(instead_of("reqest").contains(&"request"));
}

#[test]
fn only_what_calls_nothing_is_plain() {
    for text in ["request.method", "'a' + request.path", "has(request.id) ? 'a' : 'b'", "upstream_peer.app"] {
        assert!(judge(text, Purpose::Label).is_plain, "{text}");
    }
    for text in ["size(request.method)", "google.protobuf.Struct{}", "request.method.lowerAscii()", "a b"] {
        assert!(!judge(text, Purpose::Label).is_plain, "{text}");
    }
}

#[test]
fn a_name_is_replaced_where_it_stands_as_one() {
    let replaced = |text| with_name_replaced(text, "kind", "(x)");
    for (text, expected) in [
        ("kind", "(x)"),
        ("'zürich kind' + kind + request.kind + kind", "'zürich kind' + (x) + request.kind + (x)"),
        ("[kind].map(k, k + kind)", "[(x)].map(k, k + (x))"),
        ("kind.exists(k, k) && kinds", "(x).exists(k, k) && kinds"),
        ("kind +", "kind +"),
    ] {
        assert_eq!(replaced(text), expected);
    }
}
