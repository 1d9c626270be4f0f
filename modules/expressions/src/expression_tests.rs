use std::time::{Duration, Instant};

use istio_stats::rules::expression::TOLD;

use super::*;

/// A stream of which this is known.
fn stream(path: &[String]) -> Option<Vec<u8>> {
    Some(match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["request", "method"] => b"GET".to_vec(),
        ["request", "headers", "x"] => b"blue".to_vec(),
        ["request", "headers", "empty"] => Vec::new(),
        ["request", "headers", "long"] => vec![b'x'; MAX_TEXT_BYTES + 1],
        ["request", "headers", "binary"] => vec![0xff],
        ["response", "code"] => 200_i64.to_le_bytes().to_vec(),
        ["connection", "id"] => 7_u64.to_le_bytes().to_vec(),
        ["connection", "mtls"] => vec![0],
        ["request", "query"] => Vec::new(),
        ["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", "name"] => b"stock".to_vec(),
        [TOLD, "v0"] => b"reviews".to_vec(),
        ["filter_state", "wasm.kind"] | ["kind"] => b"read".to_vec(),
        ["filter_state", "binary"] => vec![0xff],
        _ => return None,
    })
}

fn refusal(text: &str) -> Refusal {
    Expression::compile(text).map(|_| ()).unwrap_err()
}

/// What a label shows; `None`: unknown.
fn shown(text: &str) -> Option<String> {
    let expression = Expression::compile(text).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"));
    let bytes = expression.evaluate(Purpose::Label, stream).unwrap()?;
    Some(String::from_utf8(bytes).unwrap())
}

#[test]
fn attributes_have_the_values_and_types_of_envoys() {
    for (text, value) in [
        ("request.method + request['method']", "GETGET"),
        ("request.headers['x']", "blue"),
        ("request.headers.empty", ""),
        ("type(response.code) == int && type(connection.id) == uint", "true"),
        ("connection.mtls", "false"),
        ("request.query", ""),
        ("'zürich 7'.matches('^z.rich \\\\d$')", "true"),
        ("xds.cluster_metadata.filter_metadata.istio.services[0].name", "stock"),
        ("istio_stats_told.v0 + '!'", "reviews!"),
        ("has(istio_stats_told.v1) ? 'a' : 'b'", "b"),
        ("has(request.headers.x) && !has(request.headers.y)", "true"),
        ("'x' in request.headers && !('y' in request.headers)", "true"),
        ("has(request.no_such_field) ? 'a' : 'b'", "b"),
        ("filter_state['wasm.kind']", "read"),
        ("string(kind) + '!'", "read!"),
        ("kind == b'read' ? 'yes' : 'no'", "yes"),
        ("filter_state.binary == b'\\xff'", "true"),
        // What is evaluated is what is needed.
        ("has(request.headers.y) ? request.headers.y : 'none'", "none"),
        ("request.headers.y == 'a' || response.code == 200", "true"),
        // A macro's variable is no attribute.
        ("[{'method': 'a'}].map(request, request.method)[0]", "a"),
        ("['GET', 'PUT'].exists(method, method == request.method)", "true"),
        ("request.method.matches('^G.T$') && !matches(request.method, 'P')", "true"),
        ("[1, 2].filter(n, n > 1).map(n, n * 21)[0]", "42"),
    ] {
        assert_eq!(shown(text).as_deref(), Some(value), "{text}");
    }
    for text in [
        "request.headers.y",
        "request.referer",
        // What Envoy does not have either, `check` warns of.
        "request.no_such_field",
        "no_such_thing",
        "reqest.method",
        "has(reqest.method) ? 'a' : 'b'",
        "filter_state.upstream_peer.workloat",
        "request.headers.long + ''",
        "request.headers.binary + ''",
        "kind + ''",
        "string(filter_state.binary)",
        "1 / 0",
        "'a' + 1",
        "9223372036854775807 + 1",
        "-(-9223372036854775807 - 1)",
        "null",
        "[1]",
        "{'a': 1}",
        "type(1)",
        "[1][7]",
        "[1][-1]",
        "{1: 2}[3]",
        "{1: 2, 1: 3}",
        "int('99999999999999999999')",
        "uint(-1)",
        "b'\\xff'",
    ] {
        assert_eq!(shown(text), None, "{text}");
    }
}

#[test]
fn a_text_alone_is_shown_as_it_is() {
    for (name, value) in [("long", vec![b'x'; MAX_TEXT_BYTES + 1]), ("binary", vec![0xff])] {
        let expression = Expression::compile(&format!(" request.headers.{name} ")).unwrap();
        assert_eq!(expression.evaluate(Purpose::Label, stream), Ok(Some(value)));
    }
}

#[test]
fn what_the_plugin_puts_around_is_taken_off() {
    for text in ["request.method", "", "a\n) == bool ? ((", "'zürich' // comment"] {
        assert_eq!(unwrapped(&printed(text)), (Purpose::Label, text));
        assert_eq!(unwrapped(&whole(text)), (Purpose::Value, text));
    }
    for text in ["request.method == 'GET'", "type(1) == int", "int(1)", ""] {
        assert_eq!(unwrapped(text), (Purpose::Condition, text));
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    for (text, name) in [
        ("request.headers", "request.headers"),
        ("request.headers[request.method]", "request.headers"),
        ("request.method in request.headers", "request.headers"),
        ("request.headers.exists(k, k == 'x')", "request.headers"),
        ("request.time", "request.time"),
        ("request.duration", "request.duration"),
        ("has(upstream_filter_state.mine)", "upstream_filter_state.mine"),
        ("plugin_name", "plugin_name"),
        (
            "xds.cluster_metadata.filter_metadata.istio.services[1].name",
            "xds.cluster_metadata.filter_metadata.istio.services.1.name",
        ),
        ("size(xds.node.metadata) + size(xds.node)", "xds.node"),
        ("google.protobuf.Struct{}", "the message google.protobuf.Struct"),
    ] {
        assert_eq!(refusal(text), Refusal::Beyond(format!("the native form cannot read {name}")), "{text}");
    }
    for text in ["duration('1s')", "timestamp(request.path)", "request.path.getHours()"] {
        let why = "the native form has no durations and times".to_owned();
        assert_eq!(refusal(text), Refusal::Beyond(why), "{text}");
    }
    for text in ["request.method +", "request.method.lowerAscii()", "size(1, 2)", "a.?b", "(", "'", ""] {
        assert!(matches!(refusal(text), Refusal::NoCel(_)), "{text}");
    }
}

#[test]
fn patterns_are_written_and_bounded() {
    for text in [
        "request.path.matches(request.headers['x'])",
        "request.path.matches('a' + 'b')",
        "request.path.matches('(')",
        "request.path.matches('((a{100}){100}){100}')",
        "matches('a', 'b', 'c')",
    ] {
        assert!(Expression::compile(text).is_err(), "{text}");
    }
}

/// Of what is not refused the dearest must still be cheap, in a debug build too.
#[test]
fn what_explodes_is_refused_and_what_is_not_ends_soon() {
    let list = |elements: usize| format!("[{}]", vec!["1"; elements].join(","));
    let doubled =
        |times: usize| (0..times).fold("'a'".to_owned(), |of, _| format!("[{of}].map(x,x+x+x+x+x+x)[0]"));
    let nested = |depth: usize| {
        let head: String = (0..depth).map(|level| format!("{}.all(v{level},", list(30))).collect();
        head + "true" + &")".repeat(depth)
    };
    let added = format!("{0}+{0}.map(x, {0}+{0}+{0})[0]", list(200));
    let mut taken = 0;
    for text in [
        list(1500),
        list(400) + ".map(x, x).map(x, x).map(x, x)",
        list(40) + ".map(x, " + &list(40) + ")",
        doubled(2),
        doubled(4),
        doubled(6),
        doubled(7),
        nested(1),
        nested(2),
        nested(3),
        nested(5),
        added,
        vec!["request.headers.x"; 28].join("+"),
        format!("{}.exists(x, request.headers.x.contains(string(x)))", list(300)),
    ] {
        let began = Instant::now();
        match Expression::compile(&text) {
            Ok(expression) => {
                let began = Instant::now();
                let _ = expression.evaluate(Purpose::Label, |_| Some(vec![b'x'; MAX_TEXT_BYTES])).unwrap();
                assert!(began.elapsed() < Duration::from_millis(500), "{text}: {:?}", began.elapsed());
                taken += 1;
            }
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::Beyond(_) | Refusal::NoCel(_)), "{text}: {refusal:?}")
            }
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{text}: {:?}", began.elapsed());
    }
    assert!((5..12).contains(&taken), "{taken} were taken");
    assert_eq!(refusal(&nested(3)), Refusal::Beyond("it may take longer than a millisecond".to_owned()));
}

#[test]
fn any_text_is_compiled_or_refused() {
    for text in [
        "(".repeat(4096),
        "a".to_owned() + &".b".repeat(2000),
        "[".repeat(2000),
        "!".repeat(4000),
        "\u{0}'".to_owned(),
        "r'''".to_owned(),
        "0x".to_owned(),
        "1e999".to_owned(),
        "-".repeat(4000) + "1",
        "a?".repeat(2000),
        "9".repeat(4000),
        "'\\U00110000'".to_owned(),
    ] {
        if let Ok(expression) = Expression::compile(&text) {
            let _ = expression.evaluate(Purpose::Condition, stream);
        }
    }
}
