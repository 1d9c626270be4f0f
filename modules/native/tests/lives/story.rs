//! A story: what an input makes of the module's life, in an order that Envoy has. Filters are configured and given up,
//! streams open, pass and end in between, upstream clusters with handles come and go.

use istio_stats::peer::frame::{self, Parsed, MAGIC};

use crate::envoy::abi::{self, raw, Buffer, Raw};
use crate::envoy::{self, with};
use crate::input::Input;

const MAX_STEPS: usize = 64;
const MAX_CONFIGS: usize = 6;
const MAX_STREAMS: usize = 8;

const EXCHANGE: &[u8] = b"metadata_exchange";
const NAMES: [&[u8]; 6] = [b"stats_inbound", EXCHANGE, b"stats_outbound", b"", b"\xff", EXCHANGE];
const CONFIGURATIONS: [&str; 8] = [
    "{}",
    r#"{"tcp_reporting_duration": "0.1s", "node": {"id": "me", "metadata": {"CLUSTER_ID": "west", "NAME": 7}}}"#,
    r#"{"max_series": 1, "tcp_reporting_duration": "0.1s"}"#,
    r#"{"metrics": [{"dimensions": {"a": "request.headers['a']", "b": "string(response.code + 1)"}}]}"#,
    r#"{"metrics": [{"match": "upstream_peer.name == 'x' || has(request.headers.b)"}], "metric_prefix": "a"}"#,
    r#"{"definitions": [{"name": "d", "value": "request.size / response.code", "type": "HISTOGRAM"}]}"#,
    r#"{"trust": "mtls", "tcp_upstream_clusters": ["inbound|6000||ledger.shop.svc.cluster.local"]}"#,
    r#"{"labels": [], "reporter": "SERVER_GATEWAY", "node": 0}"#,
];
const STOP: u32 = 1;

/// A configured filter.
struct Config {
    part: Raw,
    /// What its metrics belong to; `None`: it is for TCP.
    owner: Option<usize>,
    is_stats: bool,
}

/// A request or a connection.
struct Life {
    part: Raw,
    stream: usize,
    config: usize,
    /// Headers of the request and of the response went by, or the connection is open.
    went: [bool; 2],
    is_over: bool,
    /// Of a connection: what its ends sent, what was let pass of it, and what is held; whether they ended.
    sent: [Vec<u8>; 2],
    passed: [Vec<u8>; 2],
    held: [Vec<u8>; 2],
    ended: [bool; 2],
}

#[derive(Default)]
struct Proxy {
    /// Nobody is hostile, and every configuration is the default one: then everything is counted.
    is_plain: bool,
    configs: Vec<Option<Config>>,
    lives: Vec<Life>,
    /// From beginning to end: connections are counted by them only.
    has_handles: bool,
    upstream_clusters: Vec<(usize, Raw)>,
    requests: u128,
    connections: u128,
}

/// Lives it.
pub fn run(bytes: &[u8]) {
    envoy::load();
    with(|envoy| envoy.begin(bytes));
    let mut proxy = Proxy::begin();
    for _ in 0..MAX_STEPS {
        if take(|input| input.is_empty()) {
            break;
        }
        proxy.step();
    }
    proxy.end();
}

fn take<T>(read: impl FnOnce(&mut Input<'_>) -> T) -> T {
    with(|envoy| envoy.take(read))
}

fn flag() -> bool {
    take(|input| input.flag())
}

fn below(choices: usize) -> usize {
    take(|input| input.below(choices))
}

// === impl Proxy ===

impl Proxy {
    fn begin() -> Self {
        let settings = take(|input| input.byte());
        let [is_plain, has_handles] = [1, 2].map(|bit| settings & bit != 0);
        with(|envoy| envoy.is_friendly = is_plain);
        let mut proxy = Self { is_plain, has_handles, ..Self::default() };
        if has_handles {
            proxy.open_upstream_cluster();
        }
        proxy.configure();
        proxy
    }

    fn step(&mut self) {
        match below(16) {
            0 => self.configure(),
            1 => self.give_up(),
            2 => self.open_upstream_cluster(),
            3 => self.close_upstream_cluster(),
            4..=6 => self.open(),
            _ if self.lives.is_empty() => self.open(),
            action => {
                let life = below(self.lives.len());
                let config = self.configs[self.lives[life].config].as_ref().expect("it has streams");
                let is_http = config.owner.is_some();
                match (action, is_http) {
                    (7, _) => self.wake(life, is_http),
                    (8 | 9, true) => self.complete(life),
                    (8, false) => self.over(life),
                    (10, _) => self.destroy(life),
                    (_, true) => self.lives[life].headers(),
                    (_, false) => self.lives[life].data(),
                }
            }
        }
    }

    fn configuration(&self) -> Vec<u8> {
        if self.is_plain {
            return b"{}".to_vec();
        }
        take(|input| match input.below(4) {
            0 => input.long_bytes().to_vec(),
            _ => CONFIGURATIONS[input.below(CONFIGURATIONS.len())].into(),
        })
    }

    fn configure(&mut self) {
        if self.configs.len() == MAX_CONFIGS {
            return;
        }
        let name = NAMES[below(NAMES.len())];
        let is_http = flag();
        let configuration = self.configuration();
        let (named, told) = (Buffer::of(name), Buffer::of(&configuration));
        let owner = is_http.then(|| with(envoy::Envoy::configure));
        let part = match owner {
            Some(owner) => abi::http_config(raw(owner), named, told),
            None => abi::tcp_config(raw(0), named, told),
        };
        assert!(!part.is_null(), "Envoy refuses the bootstrap");
        if let Some(owner) = owner {
            with(|envoy| envoy.is_configured(owner));
        }
        self.configs.push(Some(Config { part, owner, is_stats: name != EXCHANGE }));
    }

    /// Envoy gives a configuration up whose streams are gone.
    fn give_up(&mut self) {
        let place = below(MAX_CONFIGS);
        if self.lives.iter().all(|life| life.config != place) {
            self.give_up_this(place);
        }
    }

    fn give_up_this(&mut self, place: usize) {
        let Some(Config { part, owner, .. }) = self.configs.get_mut(place).and_then(Option::take) else {
            return;
        };
        let Some(owner) = owner else {
            return abi::tcp_config_destroy(part);
        };
        abi::http_config_destroy(part);
        with(|envoy| envoy.forget(owner));
    }

    fn open_upstream_cluster(&mut self) {
        let owner = with(envoy::Envoy::configure);
        let configuration = self.configuration();
        let part = abi::cluster_config(raw(owner), Buffer::of(b"istio_stats"), Buffer::of(&configuration));
        with(|envoy| envoy.is_configured(owner));
        assert!(!part.is_null(), "Envoy refuses the bootstrap");
        abi::cluster_init(raw(owner), raw(1));
        assert!(with(|envoy| envoy.said_ready(owner)), "Envoy waits for ever");
        self.upstream_clusters.push((owner, part));
    }

    /// Any but the first, if it has to stay.
    fn close_upstream_cluster(&mut self) {
        let first = usize::from(self.has_handles);
        if self.upstream_clusters.len() > first {
            let place = first + below(self.upstream_clusters.len() - first);
            self.close_this(place);
        }
    }

    fn close_this(&mut self, place: usize) {
        let (owner, part) = self.upstream_clusters.remove(place);
        abi::cluster_config_destroy(part);
        with(|envoy| envoy.forget(owner));
    }

    fn open(&mut self) {
        let place = below(self.configs.len());
        let Some(config) = self.configs[place].as_ref().filter(|_| self.lives.len() < MAX_STREAMS) else {
            return;
        };
        let stream = with(envoy::Envoy::open);
        let part = if config.owner.is_some() {
            abi::http_new(config.part, raw(stream))
        } else {
            abi::tcp_new(config.part, raw(stream))
        };
        assert!(!part.is_null(), "Envoy refuses the stream");
        self.lives.push(Life {
            part,
            stream,
            config: place,
            went: [false; 2],
            is_over: false,
            sent: Default::default(),
            passed: Default::default(),
            held: Default::default(),
            ended: [false; 2],
        });
    }

    /// A hook that was asked for, or, as if time had passed, could be.
    fn wake(&self, life: usize, is_http: bool) {
        let Life { part, stream, is_over, .. } = self.lives[life];
        let is_due = with(|envoy| envoy.is_due(stream) || envoy.has_scheduler(stream));
        if is_due && !is_over {
            let scheduled = if is_http { abi::http_scheduled } else { abi::tcp_scheduled };
            scheduled(raw(stream), part, 0);
        }
    }

    fn complete(&mut self, place: usize) {
        let life = &mut self.lives[place];
        if !life.is_over {
            life.is_over = true;
            abi::complete(raw(life.stream), life.part);
            let config = self.configs[life.config].as_ref();
            self.requests += u128::from(config.is_some_and(|config| config.is_stats));
        }
        self.destroy(place);
    }

    fn over(&mut self, place: usize) {
        let life = &mut self.lives[place];
        if !life.is_over && life.went[0] {
            life.is_over = true;
            abi::event(raw(life.stream), life.part, flag().into());
            let is_stats = self.configs[life.config].as_ref().is_some_and(|config| config.is_stats);
            self.connections += u128::from(is_stats && self.has_handles);
        }
        self.destroy(place);
    }

    fn destroy(&mut self, place: usize) {
        let life = self.lives.swap_remove(place);
        let config = self.configs[life.config].as_ref().expect("it has streams");
        if config.owner.is_some() {
            abi::http_destroy(life.part);
        } else {
            life.check(config.is_stats);
            abi::tcp_destroy(life.part);
        }
        with(|envoy| envoy.close(life.stream));
        envoy::check("close");
    }

    /// Envoy ends: streams first.
    fn end(mut self) {
        while let Some(last) = self.lives.len().checked_sub(1) {
            let config = self.configs[self.lives[last].config].as_ref().expect("it has streams");
            match config.owner {
                Some(_) => self.complete(last),
                None => self.over(last),
            }
        }
        for place in 0..self.configs.len() {
            self.give_up_this(place);
        }
        let counted = |name: &str| with(|envoy| envoy.total(name));
        if self.is_plain {
            assert_eq!(counted("istio_requests_total"), self.requests, "requests");
        }
        if self.is_plain && self.has_handles {
            assert_eq!(counted("istio_tcp_connections_opened_total"), self.connections, "opened");
            assert_eq!(counted("istio_tcp_connections_closed_total"), self.connections, "closed");
            assert_eq!(with(|envoy| envoy.gauge("istio_stats_series")), 0, "series of what is gone");
        }
        while !self.upstream_clusters.is_empty() {
            self.close_this(0);
        }
        envoy::check("end");
    }
}

// === impl Life ===

impl Life {
    /// The next headers or bodies of a request.
    fn headers(&mut self) {
        let (stream, is_end) = (raw(self.stream), flag());
        // A filter in front that answers itself lets no request's headers pass.
        let is_response = flag();
        let part = usize::from(is_response);
        let is_first = !core::mem::replace(&mut self.went[part], true);
        let hook = match (is_response, is_first) {
            // Its time is over.
            (false, true) if self.went[1] => return,
            (false, true) => abi::request_headers,
            (false, false) => abi::request_body,
            (true, true) => abi::response_headers,
            (true, false) => abi::response_body,
        };
        assert_eq!(hook(stream, self.part, is_end), 0, "traffic stops");
    }

    /// A connection opens, or more data of it passes.
    fn data(&mut self) {
        let stream = raw(self.stream);
        if !core::mem::replace(&mut self.went[0], true) {
            assert_eq!(abi::new_connection(stream, self.part), 0, "traffic stops");
            return;
        }
        let direction = usize::from(flag());
        if self.ended[direction] {
            return;
        }
        let more = take(|input| match input.below(4) {
            0 => frame::encode(input.bytes(), core::str::from_utf8(input.bytes()).ok()).unwrap_or_default(),
            1 => [&MAGIC, input.bytes()].concat(),
            _ => input.long_bytes().to_vec(),
        });
        let is_end = more.is_empty();
        self.pass(direction, &more, is_end);
    }

    fn pass(&mut self, direction: usize, more: &[u8], is_end: bool) {
        self.ended[direction] = is_end;
        self.sent[direction].extend_from_slice(more);
        let data = [&core::mem::take(&mut self.held[direction]), more].concat();
        let length = data.len();
        with(|envoy| envoy.pass(self.stream, direction, data));
        let hook = if direction == 0 { abi::read } else { abi::written };
        let word = hook(raw(self.stream), self.part, length, is_end);
        let left = with(|envoy| envoy.passed(self.stream, direction));
        if word == STOP {
            assert!(!is_end, "{} bytes are held for ever", left.len());
            self.held[direction] = left;
        } else {
            self.passed[direction].extend(left);
        }
    }

    /// Every byte passed, but for frames.
    fn check(&self, is_stats: bool) {
        for direction in 0..2 {
            let passed = [&*self.passed[direction], &*self.held[direction]].concat();
            let sent = &self.sent[direction];
            let is_same = passed == *sent
                || (!is_stats && either(&passed).iter().any(|passed| either(sent).contains(passed)));
            assert!(is_same, "{} became {}", sent.escape_ascii(), passed.escape_ascii());
        }
    }
}

/// Data, and what of it is behind a frame.
fn either(data: &[u8]) -> [&[u8]; 2] {
    let rest = match frame::parse(data) {
        Parsed::Frame { frame_bytes, .. } => &data[frame_bytes..],
        _ => data,
    };
    [data, rest]
}
