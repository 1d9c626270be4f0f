//! What clients leave behind in the proxy's log and in shared data: as much after many
//! requests as after few, whatever they send and whichever hostcall fails.

use istio_stats::attribute::keys::DOWNSTREAM_PEER_KEY;
use istio_stats::exchange::http::{ID_HEADER, METADATA_HEADER};
use istio_stats::host::fake::{FakeHost, Hostcall};
use istio_stats::peer::metadata;
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;

use crate::exchange::proxy::{self, Proxy};
use crate::story::{Story, INBOUND};

const FEW: usize = 60;
const MANY: usize = 240;

/// Lines of the log, and keys of shared data.
type Traces = (usize, usize);

fn traces(host: &FakeHost) -> Traces {
    (host.log_lines().len(), host.shared_keys().len())
}

/// What the n-th client says of itself.
fn claim(n: usize) -> String {
    match n % 6 {
        0 => metadata::encode(&Workload::default().with(Fact::Workload, &format!("w{n}"))),
        1 => format!("%%%{n}"),
        2 => format!("{n:0>8}"),
        3 => "A".repeat(8192 + n),
        4 => format!("\u{1b}[2J{n}"),
        _ => String::new(),
    }
}

/// The stats plugin meets so many clients, while a hostcall fails.
fn counted(requests: usize, fails: Option<(Hostcall, u32)>) -> Traces {
    let configuration = r#"{"max_series": 5, "metrics": [{"dimensions": {"path": "request.path", "peer": "upstream_peer.name"}}]}"#;
    let main = Story::of_web(FakeHost::new().with_queues(), INBOUND, configuration);
    let worker = main.another_vm();
    if let Some((call, status)) = fails {
        worker.host.fail(call, status);
    }
    for n in 0..requests {
        let id = worker.open();
        worker.host.set_attribute(&["request", "host"], format!("{n}.example"));
        worker.host.set_attribute(&[DOWNSTREAM_PEER_KEY], claim(n).as_str());
        worker.host.set_attribute(&["request", "path"], format!("/{n}"));
        worker.finish(id);
        if n % 10 == 9 {
            main.tick();
            worker.tick();
        }
    }
    traces(&main.host)
}

/// The same of the exchange.
fn exchanged(requests: usize, direction: i64, fails: Option<(Hostcall, u32)>) -> Traces {
    let proxy = Proxy::new(direction);
    if let Some((call, status)) = fails {
        proxy.host.fail(call, status);
    }
    for n in 0..requests {
        let claim = claim(n);
        let headers = [(METADATA_HEADER, claim.as_str()), (ID_HEADER, &claim)];
        proxy.serve(&headers).respond(&headers);
    }
    traces(&proxy.host)
}

#[test]
fn clients_leave_a_bounded_number_of_lines_and_keys() {
    use Hostcall::*;
    let calls = [
        Property,
        SetProperty,
        Header,
        SetHeader,
        RemoveHeader,
        DefineMetric,
        IncrementMetric,
        RecordMetric,
        CreateExpression,
        EvaluateExpression,
        SetTickPeriod,
        SharedData,
        SetSharedData,
        Enqueue,
        Dequeue,
    ];
    let fails = calls.into_iter().flat_map(|call| [1, 2, 10].map(|status| Some((call, status))));
    for fails in fails.chain([None]) {
        let (lines, keys) = counted(MANY, fails);
        assert_eq!((lines, keys), counted(FEW, fails), "{fails:?}");
        assert!(lines <= 10 && keys <= 100, "{lines} lines, {keys} keys: {fails:?}");
        for direction in [proxy::INBOUND, proxy::OUTBOUND] {
            let (lines, keys) = exchanged(MANY, direction, fails);
            assert_eq!((lines, keys), exchanged(FEW, direction, fails), "{fails:?}");
            assert!(lines <= 10 && keys <= 10, "{lines} lines, {keys} keys: {fails:?}");
        }
    }
}
