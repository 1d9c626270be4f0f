use std::time::Duration;

use super::*;
use crate::host::metric_name::MetricName;
use crate::host::{Data, Flow, HeaderMap, Host, HostError, MetricId, MetricKind};

fn text(read: Result<Option<Vec<u8>>, HostError>) -> Option<String> {
    read.unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

fn status<T: std::fmt::Debug>(result: Result<T, HostError>) -> u32 {
    result.unwrap_err().status
}

#[test]
fn only_the_node_is_known_without_a_stream() {
    let fake = FakeHost::new();
    fake.set_node_metadata("CLUSTER_ID", "east");
    fake.set_attribute(&["xds", "listener_direction"], 1);
    for phase in [Phase::Configure, Phase::Tick] {
        fake.enter(phase);
        let cluster_id = fake.property(&["xds", "node", "metadata", "CLUSTER_ID"]);
        assert_eq!(text(cluster_id).as_deref(), Some("east"));
        assert_eq!(fake.property(&["xds", "listener_direction"]), Ok(None));
    }
    fake.open_stream();
    let direction = fake.property(&["xds", "listener_direction"]);
    assert_eq!(direction, Ok(Some(1i64.to_le_bytes().to_vec())));
}

#[test]
fn phases_decide_what_is_readable() {
    let fake = FakeHost::new();
    fake.open_stream();
    fake.set_header_to(HeaderMap::Request, ":authority", "shop");
    fake.set_attribute(&["response", "code"], 200);
    fake.set_attribute(&["upstream", "address"], "10.0.0.1:80");
    fake.set_attribute(&["request", "duration"], Duration::from_millis(3));
    let readable = |phase| {
        fake.enter(phase);
        let has = |path: &[&str]| fake.property(path).unwrap().is_some();
        let header = fake.header(HeaderMap::Request, ":authority").unwrap().is_some();
        [
            has(&["request", "host"]),
            header,
            has(&["response", "code"]),
            has(&["upstream", "address"]),
            has(&["request", "duration"]),
        ]
    };
    assert_eq!(readable(Phase::StreamCreated), [false, false, false, false, false]);
    assert_eq!(readable(Phase::RequestHeaders), [true, true, false, false, false]);
    assert_eq!(readable(Phase::ResponseHeaders), [false, false, true, true, false]);
    assert_eq!(readable(Phase::Log), [true, true, true, true, true]);
    assert_eq!(readable(Phase::Delete), [false, false, true, true, true]);
    assert_eq!(readable(Phase::Tick), [false; 5]);
}

#[test]
fn the_header_part_of_a_size_is_there_with_the_headers() {
    let fake = FakeHost::new();
    fake.open_stream();
    fake.set_attribute(&["request", "protocol"], "HTTP/1.1");
    fake.set_attribute(&["request", "size"], 10);
    fake.set_attribute(&["request", "total_size"], 110);
    fake.enter(Phase::ResponseHeaders);
    assert_eq!(fake.property(&["request", "total_size"]), Ok(Some(10i64.to_le_bytes().to_vec())));
    fake.enter(Phase::Log);
    assert_eq!(fake.property(&["request", "total_size"]), Ok(Some(110i64.to_le_bytes().to_vec())));
}

#[test]
fn null_empty_and_missing_differ_as_in_envoy() {
    let fake = FakeHost::new();
    fake.set_node_metadata("NULL", Value::Null);
    fake.set_node_metadata("EMPTY", "");
    let read = |path: &[&str]| fake.property(path);
    assert_eq!(status(read(&["xds", "node", "metadata", "NULL"])), HostError::SERIALIZATION_FAILURE);
    assert_eq!(status(read(&["xds", "node", "metadata"])), HostError::SERIALIZATION_FAILURE);
    assert_eq!(status(read(&[])), HostError::SERIALIZATION_FAILURE);
    assert_eq!(read(&["xds", "node", "metadata", "EMPTY"]), Ok(Some(Vec::new())));
    assert_eq!(read(&["xds", "node", "metadata", "MISSING"]), Ok(None));
}

#[test]
fn an_effective_context_makes_a_stream_readable_until_the_callback_ends() {
    let fake = FakeHost::new();
    let first = fake.open_stream();
    fake.set_attribute(&["xds", "route_name"], "first");
    let second = fake.open_stream();
    fake.set_attribute(&["xds", "route_name"], "second");
    fake.set_header_to(HeaderMap::Request, ":path", "/");

    fake.enter(Phase::Tick);
    assert_eq!(fake.property(&["xds", "route_name"]), Ok(None));
    for (id, name) in [(first, "first"), (second, "second")] {
        fake.set_effective_context(id).unwrap();
        assert_eq!(text(fake.property(&["xds", "route_name"])).as_deref(), Some(name));
    }
    assert_eq!(fake.header(HeaderMap::Request, ":path"), Ok(None));
    fake.enter(Phase::Tick);
    assert_eq!(fake.property(&["xds", "route_name"]), Ok(None));
    fake.close_stream(first);
    assert_eq!(status(fake.set_effective_context(first)), HostError::BAD_ARGUMENT);
}

#[test]
fn what_a_test_sets_is_of_the_stream_last_entered() {
    let fake = FakeHost::new();
    let first = fake.open_stream();
    let second = fake.open_stream();
    fake.enter(Phase::Tick);
    fake.set_effective_context(first).unwrap();
    fake.set_attribute(&["xds", "route_name"], "set");
    fake.set_header_to(HeaderMap::Request, ":path", "/");
    for (id, name, values) in [(first, None, &[][..]), (second, Some("set"), &[b"/".to_vec()][..])] {
        fake.enter_stream(id, Phase::Log);
        assert_eq!(text(fake.property(&["xds", "route_name"])).as_deref(), name);
        assert_eq!(fake.header_values(HeaderMap::Request, ":path"), values);
    }
}

#[test]
fn headers_are_set_in_their_own_phase_only() {
    let fake = FakeHost::new();
    fake.open_stream();
    fake.add_header(HeaderMap::Request, "x", "1");
    fake.add_header(HeaderMap::Request, "x", "2");
    fake.enter(Phase::RequestHeaders);
    assert_eq!(text(fake.header(HeaderMap::Request, "x")).as_deref(), Some("1"));
    assert_eq!(status(fake.set_header(HeaderMap::Response, "y", b"")), HostError::BAD_ARGUMENT);
    fake.set_header(HeaderMap::Request, "x", b"").unwrap();
    assert_eq!(fake.header(HeaderMap::Request, "x"), Ok(Some(vec![])));
    fake.remove_header(HeaderMap::Request, "x").unwrap();
    assert!(fake.header_values(HeaderMap::Request, "x").is_empty());
    fake.enter(Phase::Log);
    assert_eq!(status(fake.remove_header(HeaderMap::Request, "x")), HostError::BAD_ARGUMENT);
}

#[test]
fn a_property_is_written_once_and_has_two_names() {
    let fake = FakeHost::new();
    assert_eq!(status(fake.set_property("a.peer", b"x")), HostError::NOT_FOUND);
    let stream = fake.open_stream();
    fake.set_property("a.peer", b"x").unwrap();
    assert_eq!(status(fake.set_property("a.peer", b"y")), HostError::BAD_ARGUMENT);
    assert_eq!(text(fake.property(&["a.peer"])).as_deref(), Some("x"));
    assert_eq!(text(fake.property(&["filter_state", "wasm.a.peer"])).as_deref(), Some("x"));
    for missing in [&["wasm.a.peer"] as &[&str], &["filter_state", "a.peer"], &["a", "peer"]] {
        assert_eq!(fake.property(missing), Ok(None), "{missing:?}");
    }
    assert_eq!(fake.filter_state(stream, "a.peer").as_deref(), Some(&b"x"[..]));
}

#[test]
fn metrics_are_shared_by_name_across_ids_and_vms() {
    let fake = FakeHost::new();
    let worker = fake.another_vm();
    let one = fake.define_metric(MetricKind::Counter, MetricName::of("n")).unwrap();
    let two = fake.define_metric(MetricKind::Counter, MetricName::of("n")).unwrap();
    let other = worker.define_metric(MetricKind::Counter, MetricName::of("n")).unwrap();
    assert_ne!(one, two);
    fake.increment_metric(one, 1).unwrap();
    fake.increment_metric(two, 2).unwrap();
    worker.increment_metric(other, 3).unwrap();
    assert_eq!((fake.counter("n"), worker.counter("n")), (Some(6), Some(6)));
    assert_eq!(fake.gauge("n"), None);
    for delta in [0, -1] {
        assert_eq!(status(fake.increment_metric(one, delta)), HostError::BAD_ARGUMENT);
    }
    let samples = fake.define_metric(MetricKind::Histogram, MetricName::of("n")).unwrap();
    fake.record_metric(samples, 7).unwrap();
    assert_eq!(status(fake.increment_metric(samples, 1)), HostError::BAD_ARGUMENT);
    assert_eq!(fake.histogram("n"), Some(vec![7]));
    let gauge = fake.define_metric(MetricKind::Gauge, MetricName::of("g")).unwrap();
    fake.record_metric(gauge, 5).unwrap();
    fake.increment_metric(gauge, -6).unwrap();
    assert_eq!(fake.gauge("g"), Some(u64::MAX));
    assert_eq!(status(fake.record_metric(MetricId(99), 1)), HostError::NOT_FOUND);
}

#[test]
fn data_is_shown_again_with_what_follows_until_it_goes_on() {
    let fake = FakeHost::new();
    fake.open_stream();
    assert_eq!(status(fake.data(Data::Downstream, 9)), HostError::BAD_ARGUMENT);
    assert_eq!(fake.arrive(Data::Downstream, b"ab"), 2);
    fake.end_data(Data::Downstream, Flow::Hold);
    assert_eq!(fake.arrive(Data::Downstream, b"cd"), 4);
    assert_eq!(fake.data(Data::Downstream, 3).unwrap(), b"abc");
    assert_eq!(fake.data(Data::Downstream, usize::MAX).unwrap(), b"abcd");
    assert_eq!(status(fake.replace_data(Data::Upstream, 0, b"x")), HostError::BAD_ARGUMENT);
    fake.replace_data(Data::Downstream, 3, b"").unwrap();
    fake.replace_data(Data::Downstream, 0, b"<").unwrap();
    fake.end_data(Data::Downstream, Flow::Continue);
    assert_eq!(fake.arrive(Data::Downstream, b"e"), 1);
    fake.replace_data(Data::Downstream, 9, b"E").unwrap();
    fake.end_data(Data::Downstream, Flow::Continue);
    assert_eq!(fake.passed_data(Data::Downstream), b"<dE");
    assert_eq!(fake.passed_data(Data::Upstream), b"");
}

#[test]
fn hostcalls_are_counted_and_fail_on_demand() {
    let fake = FakeHost::new();
    fake.set_node_metadata("NAME", "pod");
    let read = |key| fake.property(&["xds", "node", "metadata", key]);
    read("NAME").unwrap();
    read("OTHER").unwrap();
    assert_eq!((fake.calls(Hostcall::Property), fake.calls_that_returned_bytes()), (2, 1));
    fake.fail(Hostcall::Property, 10);
    assert_eq!(read("NAME").unwrap_err().to_string(), "proxy_get_property returned status 10");
    fake.recover(Hostcall::Property);
    fake.reset_calls();
    assert_eq!(text(read("NAME")).as_deref(), Some("pod"));
    assert_eq!(fake.all_calls(), 1);
}

#[test]
fn a_line_said_once_is_said_once_per_process() {
    let fake = FakeHost::new();
    for vm in [&fake, &fake.another_vm(), &fake.another_vm()] {
        vm.log_once(log::Level::Warn, "odd");
    }
    assert_eq!(fake.log_lines(), [(log::Level::Warn, "odd".to_owned())]);
}
