//! The list that most attributes of a request are read by.

use std::fs;

use istio_stats::attribute::keys::ENDPOINT;
use istio_stats::host::fake::{FakeHost, Hostcall, Value};
use istio_stats::host::{HeaderMap, MetricKind};

use crate::story::{Story, OUTBOUND, SERVICE};

/// As many as it takes for the list to follow.
const MANY: usize = 20;

/// Requests that the list follows at a time.
const WINDOW: usize = 8;

/// What the list is then.
const LIST: &str =
    "[response.code,response.flags,xds.cluster_name,request.headers[\"content-type\"],request.host,\
    has(xds.route_name),\
    \"wasm.istio_stats.upstream_peer\" in filter_state,\"upstream_peer\" in filter_state,\
    has(metadata.filter_metadata.istio_stats),\
    has(xds.upstream_host_metadata) && xds.upstream_host_metadata != null && \
    has(xds.upstream_host_metadata.filter_metadata.istio),has(upstream.tls_version),\
    request.duration,request.total_size,response.total_size]";

fn warm_up(story: &Story) {
    for _ in 0..MANY {
        serve(story, &[]);
    }
}

/// Serves a request without these attributes; returns how often an expression was
/// created, evaluated and deleted.
fn serve(story: &Story, absent: &[&[&str]]) -> [usize; 3] {
    let id = story.open();
    story.host.set_attribute(&["xds", "cluster_name"], "outbound|80||web");
    for path in absent {
        story.host.remove_attribute(path);
    }
    story.host.reset_calls();
    story.finish(id);
    [Hostcall::CreateExpression, Hostcall::EvaluateExpression, Hostcall::DeleteExpression]
        .map(|call| story.host.calls(call))
}

#[test]
fn labels_and_values_are_the_same_however_they_are_read() {
    let metrics = |fails: Option<Hostcall>| {
        let story = Story::new(OUTBOUND, "{}");
        if let Some(call) = fails {
            story.host.fail(call, 2);
        }
        for _ in 0..MANY {
            serve(&story, &[]);
            serve(&story, &[&["response", "code"]]);
        }
        let durations =
            story.host.stat_names().into_iter().filter(|(kind, _)| *kind == MetricKind::Histogram);
        let samples: Vec<_> = durations.map(|(_, name)| (story.host.histogram(&name), name)).collect();
        (story.series("requests_total"), samples)
    };
    let singly = metrics(Some(Hostcall::CreateExpression));
    assert_eq!(metrics(None), singly);
    assert_eq!(metrics(Some(Hostcall::EvaluateExpression)), singly);
}

/// A list is made of single reads there, which tell the next request like it by itself.
#[test]
fn a_host_that_is_near_is_asked_for_no_expression() {
    let series = |host: FakeHost| {
        let story = Story::of_web(host, OUTBOUND, "{}");
        let mut expressions = [0; 3];
        let kinds: [&[&[&str]]; 4] = [&[], &[&["response", "code"]], &[&["xds", "cluster_name"]], &[]];
        for absent in kinds {
            for _ in 0..MANY {
                expressions = serve(&story, absent);
            }
        }
        let reads = story.host.calls(Hostcall::Property);
        (expressions, reads, story.series("requests_total"))
    };
    let (expressions, reads, near) = series(FakeHost::near());
    let (by_list, _, far) = series(FakeHost::new());
    assert_eq!((expressions, by_list), ([0, 0, 0], [0, 1, 0]));
    assert_eq!(near, far);
    // Those that a request of this kind was ever asked for, each once, and no other.
    assert_eq!(reads, 14);
}

/// A stream of gRPC without messages is not taken for one with some.
#[test]
fn messages_count_on_a_host_that_is_near() {
    let story = Story::of_web(FakeHost::near(), OUTBOUND, "{}");
    for counts in [None, Some((2, 3)), None, Some((5, 7))] {
        for _ in 0..MANY {
            let id = story.open();
            story.host.set_header_to(HeaderMap::Request, "content-type", "application/grpc");
            if let Some((requests, responses)) = counts {
                story.grpc_messages(requests, responses);
            }
            story.finish(id);
        }
    }
    let total = |metric| story.series(metric).into_iter().map(|(_, count)| count).sum::<u64>();
    let totals = ["requests_total", "request_messages_total", "response_messages_total"].map(total);
    assert_eq!(totals, [4, 7, 10].map(|each| each * MANY as u64));
}

#[test]
fn a_list_that_fails_though_nothing_is_missing_is_not_tried_again() {
    let story = Story::new(OUTBOUND, "{}");
    story.host.fail(Hostcall::EvaluateExpression, 2);
    let evaluations: usize = (0..MANY).map(|_| serve(&story, &[])[1]).sum();
    // Once with tests, once without.
    assert_eq!(evaluations, 2);
}

#[test]
fn a_host_without_expressions_is_asked_for_them_once() {
    let story = Story::new(OUTBOUND, "{}");
    story.host.fail(Hostcall::CreateExpression, 2);
    let creations: usize = (0..MANY).map(|_| serve(&story, &[])[0]).sum();
    // Once with tests, once without.
    assert_eq!(creations, 2);
}

#[test]
fn what_is_empty_is_there() {
    let story = Story::new(OUTBOUND, "{}");
    warm_up(&story);
    let outcome = [200i64, 0].map(Value::from);
    let texts = ["", "text/plain", "web.example.com"].map(Value::from);
    let tests = [false; 6].map(Value::from);
    let measured = [1_000_000i64, 5, 7].map(Value::from);
    let list = outcome.into_iter().chain(texts).chain(tests).chain(measured);
    story.host.set_expression(LIST, Value::List(list.collect()));
    // The list goes on with it.
    for _ in 0..MANY {
        assert_eq!(serve(&story, &[]), [0, 1, 0]);
    }
}

#[test]
fn a_list_of_the_wrong_length_is_not_believed() {
    let story = Story::new(OUTBOUND, "{}");
    warm_up(&story);
    story.host.set_expression(LIST, Value::List([500i64, 4].map(Value::from).into()));
    serve(&story, &[]);
    assert!(story.series("requests_total").iter().all(|(labels, _)| labels["response_code"] == "200"));
}

/// `make bench` measures it apart.
#[test]
fn the_list_that_is_measured_is_the_one_that_is_read() {
    let bench = fs::read_to_string("benches/load/request_cpu.py").unwrap();
    let (_, measured) = bench.split_once("OWN_LIST = \"\"\"\\\ncel ").unwrap();
    let (measured, _) = measured.split_once("\nrecords").unwrap();
    let measured = measured.replace("\\\n", "").replace(", ", ",");
    let story = Story::new(OUTBOUND, "{}");
    let serve = || {
        let id = story.open();
        story.host.set_attribute(&["xds", "cluster_name"], "outbound|80||web");
        story.host.set_attribute(&["xds", "route_name"], "default");
        story.host.set_attribute(&SERVICE, Value::map([("host", "web.shop")]));
        story.host.set_attribute(&ENDPOINT, "web-v1;shop;web;v1;west");
        story.finish(id);
    };
    (0..MANY).for_each(|_| serve());
    story.host.set_expression(&measured, Value::List([500i64; 13].map(Value::from).into()));
    serve();
    let codes = story.series("requests_total");
    assert!(codes.iter().any(|(labels, _)| labels["response_code"] == "500"), "{measured}");
}

/// Fewer values are cheaper read singly.
#[test]
fn five_values_are_worth_a_list() {
    let five: &[&[&str]] = &[&["xds", "cluster_name"], &["request", "duration"], &["request", "host"]];
    let four = [five, &[&["response", "flags"]]].concat();
    for (absent, evaluations) in [(five, 1), (&four, 0)] {
        let story = Story::new(OUTBOUND, "{}");
        for _ in 0..MANY {
            serve(&story, absent);
        }
        assert_eq!(serve(&story, absent), [0, evaluations, 0], "without {absent:?}");
    }
}

#[test]
fn what_only_the_last_of_many_had_is_not_in_the_list() {
    let story = Story::new(OUTBOUND, "{}");
    let lacking: &[&[&str]] = &[&["xds", "cluster_name"]];
    for _ in 0..3 {
        for _ in 1..WINDOW {
            serve(&story, lacking);
        }
        serve(&story, &[]);
    }
    assert_eq!(serve(&story, lacking), [0, 1, 0]);
}

/// Whoever changes what its requests have, again and again, must not have lists
/// pile up in the host.
#[test]
fn few_lists_are_kept() {
    let story = Story::new(OUTBOUND, "{}");
    let optional: [&[&str]; 4] =
        [&["response", "code"], &["response", "flags"], &["request", "duration"], &["xds", "cluster_name"]];
    // The list needs five, and there are two more.
    story.host.set_attribute(&["upstream", "tls_version"], "TLSv1.3");
    story.host.set_attribute(&["upstream", "uri_san_local_certificate"], "spiffe://td/ns/shop/sa/web");
    story.host.set_attribute(&["upstream", "uri_san_peer_certificate"], "spiffe://td/ns/shop/sa/reviews");
    let mut live = 0;
    for round in 0..3 {
        for kind in 0..16 {
            let absent: Vec<_> = (0..4).filter(|bit| kind >> bit & 1 == 1).map(|bit| optional[bit]).collect();
            for _ in 0..MANY {
                let [created, _, deleted] = serve(&story, &absent);
                live = live + created - deleted;
                assert!(live <= 4, "round {round}");
            }
        }
    }
    assert_eq!(live, 4);
}
