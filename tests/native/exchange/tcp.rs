//! What the metadata exchange does to the data of TCP connections: two proxies
//! in a row, with their data cut at every point.

use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, FRAME_BEGUN_KEY, NO_PEER, RECEIVED_FRAME_BYTES_KEY};
use istio_stats::attribute::keys::{SENT_FRAME_BYTES_KEY, UPSTREAM_PEER_KEY};
use istio_stats::exchange::tcp::TcpExchange;
use istio_stats::exchange::Exchange;
use istio_stats::host::fake::{FakeHost, Hostcall};
use istio_stats::host::Data::{self, Downstream, Upstream};
use istio_stats::peer::frame::MAGIC;
use istio_stats::peer::metadata;
use istio_stats::workload::fact::Fact;

const INBOUND: i64 = 1;
const OUTBOUND: i64 = 2;
const OPTED_IN: [&str; 5] = ["xds", "cluster_metadata", "filter_metadata", "istio-stats", "tcp_exchange"];

/// A proxy with one connection through it.
struct Proxy {
    host: FakeHost,
    exchange: Exchange,
    stream: TcpExchange,
    id: u32,
}

impl Proxy {
    fn new(cluster_id: &str, direction: i64, configuration: &str) -> Self {
        let host = FakeHost::new();
        host.set_attribute(&["xds", "node", "id"], format!("sidecar~10.0.0.1~{cluster_id}"));
        host.set_node_metadata("CLUSTER_ID", cluster_id);
        host.set_attribute(&["xds", "listener_direction"], direction);
        host.set_plugin_configuration(configuration);
        let exchange = Exchange::configure(&host);
        let id = host.open_stream();
        Self { host, exchange, stream: TcpExchange::default(), id }
    }

    /// Outbound to an upstream cluster that expects the exchange.
    fn east() -> Self {
        let proxy = Self::new("east", OUTBOUND, "{}");
        proxy.host.set_attribute(&OPTED_IN, true);
        proxy
    }

    fn west() -> Self {
        Self::new("west", INBOUND, "{}")
    }

    /// Data arrives; returns what goes on now.
    fn arrive(&mut self, direction: Data, bytes: &[u8], end: bool) -> Vec<u8> {
        let before = self.host.passed_data(direction).len();
        let size = self.host.arrive(direction, bytes);
        let (exchange, host) = (&self.exchange, &self.host);
        let flow = match direction {
            Downstream => self.stream.on_downstream_data(exchange, host, size, end),
            Upstream => self.stream.on_upstream_data(exchange, host, size, end),
        };
        self.host.end_data(direction, flow);
        self.host.passed_data(direction)[before..].to_vec()
    }

    fn state(&self, key: &str) -> Option<Vec<u8>> {
        self.host.filter_state(self.id, key)
    }

    /// The Kubernetes cluster that a peer said it is in.
    fn peer(&self, key: &str) -> Option<String> {
        metadata::decode(&self.state(key)?).unwrap().get(Fact::ClusterId).map(str::to_owned)
    }

    fn frame_bytes(&self, key: &str) -> usize {
        self.state(key).map_or(0, |text| String::from_utf8(text).unwrap().parse().unwrap())
    }
}

#[test]
fn both_sides_learn_the_other_and_the_data_is_as_it_was() {
    let (mut east, mut west) = (Proxy::east(), Proxy::west());
    let sent = east.arrive(Downstream, b"world\n", false);
    assert!(sent.starts_with(&MAGIC) && sent.ends_with(b"world\n"));
    assert_eq!(west.arrive(Downstream, &sent, false), b"world\n");
    assert_eq!(west.frame_bytes(RECEIVED_FRAME_BYTES_KEY), sent.len() - 6);
    let answer = west.arrive(Upstream, b"hello, world", false);
    assert!(answer.starts_with(&MAGIC) && answer.ends_with(b"hello, world"));
    assert_eq!(east.arrive(Upstream, &answer, false), b"hello, world");
    assert_eq!(west.frame_bytes(SENT_FRAME_BYTES_KEY), answer.len() - 12);
    for key in [RECEIVED_FRAME_BYTES_KEY, SENT_FRAME_BYTES_KEY] {
        assert_eq!(east.state(key), None, "its client sees no frames");
    }
    assert_eq!(east.peer(UPSTREAM_PEER_KEY).as_deref(), Some("west"));
    assert_eq!(west.peer(DOWNSTREAM_PEER_KEY).as_deref(), Some("east"));
    // From now on nothing is looked at.
    for proxy in [&mut east, &mut west] {
        proxy.host.reset_calls();
        for direction in [Downstream, Upstream] {
            assert_eq!(proxy.arrive(direction, &MAGIC, false), MAGIC);
        }
        assert_eq!(proxy.host.all_calls(), 0);
    }
}

#[test]
fn a_frame_may_be_cut_anywhere() {
    let whole = Proxy::east().arrive(Downstream, b"ab", false);
    for first in 0..=whole.len() {
        for second in [first, first + 1, first + 9, whole.len()] {
            let second = second.min(whole.len());
            let mut west = Proxy::west();
            let mut passed = west.arrive(Downstream, &whole[..first], false);
            passed.extend(west.arrive(Downstream, &whole[first..second], false));
            passed.extend(west.arrive(Downstream, &whole[second..], false));
            assert_eq!(passed, b"ab", "cut at {first} and {second}");
            assert_eq!(west.peer(DOWNSTREAM_PEER_KEY).as_deref(), Some("east"));
            let answer = west.arrive(Upstream, b"x", false);
            let mut east = Proxy::east();
            east.arrive(Downstream, b"ab", false);
            let cut = first.min(answer.len());
            let mut passed = east.arrive(Upstream, &answer[..cut], false);
            passed.extend(east.arrive(Upstream, &answer[cut..], false));
            assert_eq!(passed, b"x", "answer cut at {cut}");
        }
    }
}

/// Envoy adds a buffer's whole length whenever it hands the buffer in, also for
/// the part that was held before.
#[test]
fn what_is_counted_beyond_the_clients_data_is_told() {
    let frame_and_data = Proxy::east().arrive(Downstream, b"ab", false);
    let frame_bytes = frame_and_data.len() - 2;
    let cases: [(&[u8], &[usize], bool, usize); 6] = [
        (&frame_and_data, &[], false, frame_bytes),
        (&frame_and_data, &[2], false, frame_bytes + 2),
        (&frame_and_data, &[2, 7, 100], false, frame_bytes + 2 + 7 + 100),
        (b"plain", &[2], false, 0),
        (&frame_and_data[..50], &[3], true, 3 + 50),
        (b"=#\x04 no frame", &[1, 3], false, 1 + 3),
    ];
    for (data, cuts, ends, told) in cases {
        let mut west = Proxy::west();
        let mut counted = 0;
        let mut passed = 0;
        let mut begin = 0;
        for end in cuts.iter().copied().chain([data.len()]) {
            counted += end - passed;
            passed += west.arrive(Downstream, &data[begin..end], false).len();
            begin = end;
        }
        if ends {
            counted += data.len() - passed;
            passed += west.arrive(Downstream, b"", true).len();
        }
        let found = west.frame_bytes(RECEIVED_FRAME_BYTES_KEY);
        assert_eq!(found, told, "{data:?} cut at {cuts:?}");
        assert_eq!(counted - found, passed, "{data:?} cut at {cuts:?}");
    }
}

#[test]
fn a_plain_client_passes_unchanged_and_gets_no_answer() {
    for data in [&b"GET / HTTP/1.1\r\n"[..], b"=", b"=#\x04", b"\0", &MAGIC] {
        let mut west = Proxy::west();
        let mut passed = west.arrive(Downstream, data, false);
        passed.extend(west.arrive(Downstream, b"", true));
        assert_eq!(passed, data);
        assert_eq!(west.state(DOWNSTREAM_PEER_KEY).as_deref(), Some(NO_PEER));
        assert_eq!(west.arrive(Upstream, b"reply", false), b"reply");
    }
}

#[test]
fn a_plain_server_passes_unchanged() {
    for data in [&b"HTTP/1.1 200 OK\r\n"[..], b"=", &MAGIC] {
        let mut east = Proxy::east();
        east.arrive(Downstream, b"ask", false);
        let mut passed = east.arrive(Upstream, data, false);
        passed.extend(east.arrive(Upstream, b"", true));
        assert_eq!(passed, data);
        assert_eq!(east.state(UPSTREAM_PEER_KEY).as_deref(), Some(NO_PEER));
    }
}

#[test]
fn a_server_that_speaks_first_loses_the_exchange_only() {
    let mut east = Proxy::east();
    assert_eq!(east.arrive(Upstream, b"5.7.0 greeting", false), b"5.7.0 greeting");
    assert_eq!(east.arrive(Downstream, b"login", false), b"login");
    assert_eq!(east.state(UPSTREAM_PEER_KEY).as_deref(), Some(NO_PEER));

    let mut west = Proxy::west();
    west.arrive(Upstream, b"greeting", false);
    let frame = Proxy::east().arrive(Downstream, b"login", false);
    assert_eq!(west.arrive(Downstream, &frame, false), b"login");
    assert_eq!(west.peer(DOWNSTREAM_PEER_KEY).as_deref(), Some("east"));
    assert_eq!(west.arrive(Upstream, b"ok", false), b"ok", "too late for an answer");
}

#[test]
fn only_upstream_clusters_that_expect_a_frame_get_one() {
    let begins = |configuration: &str, direction, upstream_cluster: &str, mark: Option<bool>| {
        let mut proxy = Proxy::new("east", direction, configuration);
        proxy.host.set_attribute(&["xds", "cluster_name"], upstream_cluster);
        if let Some(mark) = mark {
            proxy.host.set_attribute(&OPTED_IN, mark);
        }
        let sent = proxy.arrive(Downstream, b"data", false);
        assert!(sent.ends_with(b"data"));
        sent.starts_with(&MAGIC)
    };
    let listing = r#"{"tcp_upstream_clusters": ["outbound|3306||db"]}"#;
    let (db, web) = ("outbound|3306||db", "outbound|80||web");
    assert!(begins("{}", OUTBOUND, db, Some(true)));
    assert!(begins("{}", 0, db, Some(true)), "unspecified direction");
    assert!(begins(listing, OUTBOUND, db, None));
    assert!(!begins(listing, OUTBOUND, web, None));
    assert!(!begins("{}", OUTBOUND, db, None));
    assert!(!begins("{}", OUTBOUND, db, Some(false)));
    assert!(!begins(listing, INBOUND, db, Some(true)));
    assert!(!begins("{oops", OUTBOUND, db, Some(true)), "an unusable configuration tells nothing");
}

#[test]
fn outbound_traffic_is_not_searched_for_frames() {
    let frame = Proxy::east().arrive(Downstream, b"x", false);
    let mut proxy = Proxy::new("north", OUTBOUND, "{}");
    assert_eq!(proxy.arrive(Downstream, &frame, false), frame);
}

#[test]
fn without_a_certificate_a_peer_is_neither_heard_nor_answered() {
    let frame = Proxy::east().arrive(Downstream, b"x", false);
    for (mtls, heard) in [(false, false), (true, true)] {
        let mut west = Proxy::new("west", INBOUND, r#"{"trust": "mtls"}"#);
        west.host.set_attribute(&["connection", "mtls"], mtls);
        assert_eq!(west.arrive(Downstream, &frame, false), b"x");
        assert_eq!(west.state(DOWNSTREAM_PEER_KEY).as_deref() != Some(NO_PEER), heard);
        assert_eq!(west.arrive(Upstream, b"y", false).starts_with(&MAGIC), heard);
    }
}

#[test]
fn a_silent_connection_stays_silent() {
    let mut east = Proxy::east();
    assert_eq!(east.arrive(Downstream, b"", true), b"");
    assert_eq!(east.arrive(Upstream, b"", true), b"");
}

#[test]
fn a_malformed_payload_is_taken_off_and_told() {
    let mut west = Proxy::west();
    let data = [&MAGIC[..], &3u32.to_be_bytes(), b"\xff\xff\xff", b"data"].concat();
    assert_eq!(west.arrive(Downstream, &data, false), b"data");
    assert_eq!(west.state(DOWNSTREAM_PEER_KEY).as_deref(), Some(metadata::MALFORMED));
}

#[test]
fn a_length_beyond_the_bound_is_data() {
    let mut west = Proxy::west();
    let data = [&MAGIC[..], &u32::MAX.to_be_bytes(), b"data"].concat();
    assert_eq!(west.arrive(Downstream, &data, false), data);
}

#[test]
fn what_the_host_refuses_to_change_passes_as_it_came() {
    let mut west = Proxy::west();
    west.host.fail(Hostcall::ReplaceData, 10);
    let frame = Proxy::east().arrive(Downstream, b"data", false);
    assert!(frame.starts_with(&MAGIC) && frame.ends_with(b"data"));
    assert_eq!(west.arrive(Downstream, &frame, false), frame);
    assert_eq!(west.arrive(Upstream, b"answer", true), b"answer");
    assert_eq!(west.state(DOWNSTREAM_PEER_KEY).as_deref(), Some(NO_PEER));
    let lines = west.host.log_lines();
    assert!(lines.iter().any(|(_, line)| line.contains("frame")), "{lines:?}");
}

#[test]
fn who_ends_without_a_word_will_not_tell() {
    for (direction, key) in [(Downstream, DOWNSTREAM_PEER_KEY), (Upstream, UPSTREAM_PEER_KEY)] {
        let mut proxy = Proxy::new("mid", 0, "{}");
        proxy.host.set_attribute(&OPTED_IN, true);
        if direction == Upstream {
            proxy.arrive(Downstream, b"hello", false);
        }
        proxy.arrive(direction, b"", false);
        assert_eq!(proxy.state(key), None, "{direction:?}: no word yet");
        proxy.arrive(direction, b"", true);
        assert_eq!(proxy.state(key).as_deref(), Some(NO_PEER), "{direction:?}");
    }
}

#[test]
fn a_frame_that_has_begun_is_told_at_once() {
    let frame = Proxy::east().arrive(Downstream, b"data", false);
    let mut west = Proxy::west();
    assert_eq!(west.arrive(Downstream, &frame[..2], false), b"");
    assert_eq!(west.state(FRAME_BEGUN_KEY).as_deref(), Some(&b"1"[..]));
}
