//! The exchange in front of TCP data: the application's bytes come through
//! unchanged however they are cut; frames, and nothing else, are added and taken
//! off.

use istio_stats::attribute::keys::{
    DOWNSTREAM_PEER_KEY, NO_PEER, RECEIVED_FRAME_BYTES_KEY, SENT_FRAME_BYTES_KEY,
};
use istio_stats::exchange::tcp::TcpExchange;
use istio_stats::exchange::Exchange;
use istio_stats::host::fake::FakeHost;
use istio_stats::host::Data::{self, Downstream, Upstream};
use istio_stats::host::Flow;
use istio_stats::peer::frame::{self, Parsed, HEADER_BYTES, MAGIC, MAX_PAYLOAD_BYTES};
use istio_stats::peer::metadata;
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;

use super::input::Input;

const INBOUND: u8 = 1;
const OUTBOUND: u8 = 2;
const OPTED_IN: [&str; 5] = ["xds", "cluster_metadata", "filter_metadata", "istio-stats", "tcp_exchange"];
const NODE_ID: &str = "sidecar~10.0.0.1";
const CLUSTER_ID: &str = "east";

/// More would only cut the same bytes again.
const MAX_STEPS: usize = 64;

thread_local! {
    /// Configured once: believing every peer, and only those with a certificate.
    static EXCHANGES: [Exchange; 2] = [configured("{}"), configured(r#"{"trust": "mtls"}"#)];
    static OWN_FRAME: Vec<u8> = own_frame();
}

pub fn run(data: &[u8]) {
    check_frame(data);
    check_connection(Input(data));
}

/// What is said of one frame.
fn check_frame(data: &[u8]) {
    assert_eq!(frame::parse(data), reference(data));
    let _ = frame::metadata_of(data);
    if let Parsed::Frame { frame_bytes, payload } = frame::parse(data) {
        assert_eq!(frame_bytes, HEADER_BYTES + payload.len());
        assert_eq!(frame::parse(&data[..frame_bytes - 1]), Parsed::Incomplete);
        let _ = frame::metadata_of(payload);
    }
    if let Some(frame) = frame::encode(data, Some(NODE_ID)) {
        let Parsed::Frame { frame_bytes, payload } = frame::parse(&frame) else {
            panic!("an encoded frame is one");
        };
        assert_eq!((frame_bytes, frame::metadata_of(payload)), (frame.len(), Ok(Some(data))));
    }
}

/// A reader written from the format alone.
fn reference(data: &[u8]) -> Parsed<'_> {
    let length = match data {
        [a, b, c, d, w, x, y, z, ..] if [*a, *b, *c, *d] == MAGIC => [*w, *x, *y, *z],
        short
            if short.len() < HEADER_BYTES
                && short.iter().zip(MAGIC).all(|(found, magic)| *found == magic) =>
        {
            return Parsed::Incomplete
        }
        _ => return Parsed::NotAFrame,
    };
    let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let rest = &data[HEADER_BYTES..];
    if length > MAX_PAYLOAD_BYTES {
        Parsed::NotAFrame
    } else if length > rest.len() {
        Parsed::Incomplete
    } else {
        Parsed::Frame { frame_bytes: HEADER_BYTES + length, payload: &rest[..length] }
    }
}

/// One connection through a proxy, its data cut and mixed as the input says.
fn check_connection(mut input: Input<'_>) {
    let settings = input.byte();
    let direction = settings & 3;
    let [opted_in, only_mtls, mtls] = [4, 8, 16].map(|bit| settings & bit != 0);
    let mut proxy = Proxy::new(direction, opted_in, mtls);
    proxy.client.sent = read_data(&mut input);
    proxy.server.sent = read_data(&mut input);
    EXCHANGES.with(|exchanges| proxy.live(&exchanges[usize::from(only_mtls)], input, settings & 32 != 0));

    let own_length = OWN_FRAME.with(Vec::len);
    let (client, server) = (&proxy.client.sent, &proxy.server.sent);
    let searched = direction != OUTBOUND;
    let for_server = if searched { without_frame(client) } else { client };
    let asked = proxy.passes(Downstream, for_server);
    let for_client = if asked { without_frame(server) } else { server };
    let answered = proxy.passes(Upstream, for_client);

    let told = for_server.len() < client.len();
    let trusted = mtls || !only_mtls;
    assert!(!asked || (opted_in && direction != INBOUND && !client.is_empty()));
    assert!(!answered || (told && trusted));
    let state = |key| proxy.host.filter_state(proxy.id, key);
    let count = |key| state(key).map(|text| String::from_utf8(text).expect("a text").parse::<usize>());
    let frame_bytes = client.len() - for_server.len();
    // With what Envoy counts again, since it was held back.
    let not_the_clients = Some(Ok(frame_bytes + proxy.held_again)).filter(|bytes| *bytes != Ok(0));
    assert_eq!(count(RECEIVED_FRAME_BYTES_KEY), not_the_clients);
    assert_eq!(count(SENT_FRAME_BYTES_KEY), answered.then_some(Ok(own_length)));
    let learnt = state(DOWNSTREAM_PEER_KEY).filter(|peer| peer != NO_PEER);
    assert!(learnt.is_none() || (told && trusted));
}

/// Application data, perhaps with a frame in front, or with what begins like one.
fn read_data(input: &mut Input<'_>) -> Vec<u8> {
    let frame = match input.below(4) {
        0 => Vec::new(),
        1 => OWN_FRAME.with(Clone::clone),
        2 => {
            let metadata = input.long_bytes();
            let id = core::str::from_utf8(input.bytes()).ok();
            frame::encode(metadata, id).unwrap_or_default()
        }
        _ => [&MAGIC[..], &u32::from(input.number()).to_be_bytes()].concat(),
    };
    [&frame, input.long_bytes()].concat()
}

fn without_frame(data: &[u8]) -> &[u8] {
    match reference(data) {
        Parsed::Frame { frame_bytes, .. } => &data[frame_bytes..],
        _ => data,
    }
}

struct Proxy {
    host: FakeHost,
    id: u32,
    stream: TcpExchange,
    /// Lengths of what of the client's was held back, each time that it was.
    held_again: usize,
    client: End,
    server: End,
}

/// One end of the connection.
#[derive(Default)]
struct End {
    sent: Vec<u8>,
    arrived: usize,
    ended: bool,
}

// === impl Proxy ===

impl Proxy {
    fn new(direction: u8, opted_in: bool, mtls: bool) -> Self {
        let host = FakeHost::new();
        let id = host.open_stream();
        host.set_attribute(&["xds", "listener_direction"], i64::from(direction));
        host.set_attribute(&OPTED_IN, opted_in);
        host.set_attribute(&["connection", "mtls"], mtls);
        if mtls {
            host.set_attribute(&["upstream", "uri_san_peer_certificate"], "spiffe://td/ns/shop/sa/web");
        }
        let stream = TcpExchange::default();
        Self { host, id, stream, held_again: 0, client: End::default(), server: End::default() }
    }

    /// Data arrives bit by bit, then whatever is left of it.
    fn live(&mut self, exchange: &Exchange, mut input: Input<'_>, server_last: bool) {
        for _ in 0..MAX_STEPS {
            if input.is_empty() {
                break;
            }
            let step = input.byte();
            let direction = if step & 1 == 0 { Downstream } else { Upstream };
            // Mostly few bytes, where a header is cut; sometimes many.
            let length = usize::from(step >> 1);
            self.arrive(exchange, direction, if length > 64 { (length - 64) * 32 } else { length });
        }
        let order = if server_last { [Downstream, Upstream] } else { [Upstream, Downstream] };
        for direction in order {
            for length in [usize::MAX, 0] {
                self.arrive(exchange, direction, length);
            }
        }
    }

    /// The next bytes arrive; nothing, when all have, is the end.
    fn arrive(&mut self, exchange: &Exchange, direction: Data, length: usize) {
        let end = match direction {
            Downstream => &mut self.client,
            Upstream => &mut self.server,
        };
        if end.ended {
            return;
        }
        let left = &end.sent[end.arrived..];
        end.ended = left.is_empty() && length == 0;
        let bytes = &left[..length.min(left.len())];
        end.arrived += bytes.len();
        let size = self.host.arrive(direction, bytes);
        let flow = match direction {
            Downstream => self.stream.on_downstream_data(exchange, &self.host, size, end.ended),
            Upstream => self.stream.on_upstream_data(exchange, &self.host, size, end.ended),
        };
        if (direction, flow) == (Downstream, Flow::Hold) {
            self.held_again += size;
        }
        self.host.end_data(direction, flow);
    }

    /// Checks that exactly these bytes went on, and tells whether our own frame
    /// went before them.
    fn passes(&self, direction: Data, expected: &[u8]) -> bool {
        let passed = self.host.passed_data(direction);
        let with_frame = passed.len() != expected.len();
        let data = if with_frame {
            let data = OWN_FRAME.with(|own| passed.strip_prefix(&own[..]).map(<[u8]>::to_vec));
            data.expect("what is too much is our frame")
        } else {
            passed
        };
        assert!(data == expected, "{direction:?}: passed {data:?}, expected {expected:?}");
        with_frame
    }
}

fn configured(configuration: &str) -> Exchange {
    let host = FakeHost::new();
    host.set_attribute(&["xds", "node", "id"], NODE_ID);
    host.set_node_metadata("CLUSTER_ID", CLUSTER_ID);
    host.set_plugin_configuration(configuration);
    Exchange::configure(&host)
}

fn own_frame() -> Vec<u8> {
    let own = Workload::default().with(Fact::ClusterId, CLUSTER_ID);
    frame::encode(&metadata::encode_struct(&own), Some(NODE_ID)).expect("a short frame")
}
