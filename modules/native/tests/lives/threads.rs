//! What one thread cannot show: workers record while the main thread takes away what their handles are of, and the
//! module's own thread wakes who is silent.

use std::thread;
use std::time::{Duration, Instant};

use crate::envoy::abi::{self, raw, Buffer, Raw};
use crate::envoy::{self, with, Envoy};

const WORKERS: usize = 3;
const REQUESTS: usize = 200;
const CHANGES: usize = 40;
/// More than the slowest machine needs.
const PATIENCE: Duration = Duration::from_secs(180);

const NAME: &[u8] = b"stats_inbound";

/// A part of the module's, on the threads that Envoy uses it on.
#[derive(Clone, Copy)]
struct Part(Raw);

#[allow(unsafe_code, reason = "as Envoy does")]
// SAFETY: a configuration is for all threads.
unsafe impl Send for Part {}

impl Part {
    fn raw(self) -> Raw {
        self.0
    }
}

/// An Envoy of which nothing is known, but which does what it is asked to.
fn begin() {
    envoy::load();
    with(|envoy| {
        envoy.begin(b"");
        envoy.is_friendly = true;
    });
}

fn upstream_cluster() -> (usize, Raw) {
    let owner = with(Envoy::configure);
    let part = abi::cluster_config(raw(owner), Buffer::of(b"istio_stats"), Buffer::of(b"{}"));
    with(|envoy| envoy.is_configured(owner));
    (owner, part)
}

fn request(config: Raw) {
    let stream = with(Envoy::open);
    let part = abi::http_new(config, raw(stream));
    abi::request_headers(raw(stream), part, true);
    abi::response_headers(raw(stream), part, true);
    abi::complete(raw(stream), part);
    abi::http_destroy(part);
    with(|envoy| envoy.close(stream));
}

/// Handles go, and come again, under whoever records by them.
pub fn handles_come_and_go() {
    begin();
    let owner = with(Envoy::configure);
    let config = Part(abi::http_config(raw(owner), Buffer::of(NAME), Buffer::of(b"{}")));
    with(|envoy| envoy.is_configured(owner));
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(move || (0..REQUESTS).for_each(|_| request(config.raw())));
        }
        for _ in 0..CHANGES {
            let (owner, part) = upstream_cluster();
            thread::sleep(Duration::from_millis(1));
            abi::cluster_config_destroy(part);
            with(|envoy| envoy.forget(owner));
        }
    });
    let counted = with(|envoy| envoy.total("istio_requests_total"));
    assert_eq!(usize::try_from(counted), Ok(WORKERS * REQUESTS));
    abi::http_config_destroy(config.raw());
    with(|envoy| envoy.forget(owner));
    envoy::check("end");
}

/// A connection that says nothing after its first byte is reported while it is open.
pub fn the_silent_are_woken() {
    begin();
    let (owner, upstream_cluster) = upstream_cluster();
    let settings = Buffer::of(br#"{"tcp_reporting_duration": "0.1s"}"#);
    let config = abi::tcp_config(raw(0), Buffer::of(NAME), settings);
    let streams = [(); 2].map(|()| with(Envoy::open));
    let parts = streams.map(|stream| {
        let part = abi::tcp_new(config, raw(stream));
        abi::new_connection(raw(stream), part);
        abi::read(raw(stream), part, 7, false);
        part
    });
    let begun = Instant::now();
    while with(|envoy| envoy.total("istio_tcp_received_bytes_total")) < 14 {
        assert!(begun.elapsed() < PATIENCE, "nobody was woken");
        for (stream, part) in streams.into_iter().zip(parts) {
            if with(|envoy| envoy.is_due(stream)) {
                abi::tcp_scheduled(raw(stream), part, 0);
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    for (stream, part) in streams.into_iter().zip(parts) {
        abi::tcp_destroy(part);
        with(|envoy| envoy.close(stream));
        envoy::check("close");
    }
    abi::tcp_config_destroy(config);
    abi::cluster_config_destroy(upstream_cluster);
    with(|envoy| envoy.forget(owner));
    envoy::check("end");
}
