//! The contexts of a VM: whose configuration each stream goes by, and how far its exchange is.
//!
//! Each callback of a stream costs it a microsecond, so the host is not made to tell what is
//! over: an HTTP stream is forgotten with the response's headers, a connection once both sides
//! have spoken, and who never got so far is found by asking the host, now and then.

use std::rc::Rc;

use hashbrown::HashMap;

use super::http::HttpExchange;
use super::tcp::TcpExchange;
use super::Exchange;
use crate::host::{Flow, Host};

/// All contexts of one VM that are known to be open.
#[derive(Debug, Default)]
pub struct Contexts {
    roots: HashMap<u32, Rc<Exchange>>,
    streams: HashMap<u32, Stream>,
    /// With as many streams as this the host is asked.
    crowded: usize,
}

/// A stream of either kind; which, its first callback says.
#[derive(Debug, Default)]
struct Stream {
    exchange: Rc<Exchange>,
    http: HttpExchange,
    tcp: TcpExchange,
}

/// Too few to ask about.
const FEW: usize = 256;

// === impl Contexts ===

impl Contexts {
    /// The host made a context: a root context, whose parent is 0, or a stream below one.
    pub fn on_create(&mut self, host: &dyn Host, id: u32, parent: u32) {
        if parent == 0 {
            self.roots.insert(id, Rc::default());
            return;
        }
        if self.streams.len() >= self.crowded.max(FEW) {
            self.forget_closed(host, id);
            self.crowded = self.streams.len().saturating_mul(2);
        }
        let exchange = self.roots.get(&parent).cloned().unwrap_or_default();
        self.streams.insert(id, Stream { exchange, ..Stream::default() });
    }

    /// A root context is configured, perhaps in the place of another.
    pub fn on_configure(&mut self, host: &dyn Host, id: u32) {
        self.forget_closed(host, id);
        self.roots.insert(id, Rc::new(Exchange::configure(host)));
    }

    /// A request passes.
    pub fn on_request_headers(&mut self, host: &dyn Host, id: u32) {
        let stream = self.streams.entry(id).or_default();
        stream.http.on_request_headers(&stream.exchange, host);
    }

    /// Its response passes.
    pub fn on_response_headers(&mut self, host: &dyn Host, id: u32) {
        let mut stream = self.streams.remove(&id).unwrap_or_default();
        stream.http.on_response_headers(&stream.exchange, host);
    }

    /// The client of a connection sent something.
    pub fn on_downstream_data(&mut self, host: &dyn Host, id: u32, len_bytes: usize, end: bool) -> Flow {
        self.on_data(id, |tcp, exchange| tcp.on_downstream_data(exchange, host, len_bytes, end))
    }

    /// Its upstream did.
    pub fn on_upstream_data(&mut self, host: &dyn Host, id: u32, len_bytes: usize, end: bool) -> Flow {
        self.on_data(id, |tcp, exchange| tcp.on_upstream_data(exchange, host, len_bytes, end))
    }

    fn on_data(&mut self, id: u32, act: impl FnOnce(&mut TcpExchange, &Exchange) -> Flow) -> Flow {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Flow::Continue;
        };
        let flow = act(&mut stream.tcp, &stream.exchange);
        if stream.tcp.is_over() {
            self.streams.remove(&id);
        }
        flow
    }

    /// Asks the host about every context, in a callback of this one.
    fn forget_closed(&mut self, host: &dyn Host, current: u32) {
        let is_open = |id: &u32| host.set_effective_context(*id).is_ok();
        self.streams.retain(|id, _| is_open(id));
        self.roots.retain(|id, _| is_open(id));
        // It is open: this is its callback.
        let _ = host.set_effective_context(current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::http::{ID_HEADER, METADATA_HEADER};
    use crate::host::fake::{FakeHost, Hostcall, Phase, ROOT_CONTEXT_ID};
    use crate::host::HeaderMap::{self, Request, Response};
    use crate::host::{Data, HostError};

    /// A VM with one root context, towards upstreams.
    fn configured() -> (FakeHost, Contexts) {
        let host = FakeHost::new();
        host.set_node_metadata("CLUSTER_ID", "east");
        host.set_attribute(&["xds", "listener_direction"], 2);
        let mut contexts = Contexts::default();
        contexts.on_create(&host, ROOT_CONTEXT_ID, 0);
        contexts.on_configure(&host, ROOT_CONTEXT_ID);
        (host, contexts)
    }

    fn request(host: &FakeHost, contexts: &mut Contexts) -> u32 {
        let id = host.open_stream();
        contexts.on_create(host, id, ROOT_CONTEXT_ID);
        host.enter_stream(id, Phase::RequestHeaders);
        contexts.on_request_headers(host, id);
        id
    }

    fn respond(host: &FakeHost, contexts: &mut Contexts, id: u32) {
        host.enter_stream(id, Phase::ResponseHeaders);
        host.add_header(Response, METADATA_HEADER, "cGVlcg==");
        contexts.on_response_headers(host, id);
        assert_eq!(host.header_values(Response, METADATA_HEADER), Vec::<Vec<u8>>::new());
    }

    fn has(host: &FakeHost, map: HeaderMap) -> bool {
        [METADATA_HEADER, ID_HEADER].iter().any(|name| !host.header_values(map, name).is_empty())
    }

    #[test]
    fn a_stream_is_known_until_its_response() {
        let (host, mut contexts) = configured();
        let id = request(&host, &mut contexts);
        assert!(has(&host, Request));
        let other = request(&host, &mut contexts);
        assert_eq!(contexts.streams.len(), 2);
        for id in [id, other] {
            respond(&host, &mut contexts, id);
            assert!(host.filter_state(id, "istio_stats.upstream_peer").is_some());
        }
        assert_eq!(contexts.streams.len(), 0);
        assert_eq!(host.calls(Hostcall::SetEffectiveContext), 2, "on configuring, of the root context");
    }

    #[test]
    fn what_got_no_response_does_not_pile_up() {
        let (host, mut contexts) = configured();
        let open = request(&host, &mut contexts);
        for _ in 0..10 * FEW {
            let id = request(&host, &mut contexts);
            host.close_stream(id);
            assert!(contexts.streams.len() <= FEW, "{}", contexts.streams.len());
        }
        assert!(host.calls(Hostcall::SetEffectiveContext) < 12 * FEW);
        // Who is still open has kept its place.
        respond(&host, &mut contexts, open);
        assert!(host.filter_state(open, "istio_stats.upstream_peer").is_some());
    }

    #[test]
    fn many_open_streams_are_asked_about_seldom() {
        let (host, mut contexts) = configured();
        let open: Vec<_> = (0..8 * FEW).map(|_| request(&host, &mut contexts)).collect();
        assert_eq!(contexts.streams.len(), open.len());
        assert!(host.calls(Hostcall::SetEffectiveContext) <= 2 * open.len());
    }

    #[test]
    fn a_root_context_that_is_gone_is_forgotten_with_the_next() {
        let (host, mut contexts) = configured();
        for id in 100..110 {
            contexts.on_create(&host, id, 0);
            contexts.on_configure(&host, id);
            // Of this host's, the first is the only one that stays.
            assert_eq!(contexts.roots.len(), 2, "{id}");
        }
    }

    #[test]
    fn nothing_passes_through_a_context_that_nobody_knows() {
        for call in [Hostcall::SetEffectiveContext, Hostcall::PluginConfiguration] {
            let (host, mut contexts) = configured();
            host.fail(call, HostError::BAD_ARGUMENT);
            contexts.on_configure(&host, ROOT_CONTEXT_ID);
            let id = host.open_stream();
            host.add_header(Request, METADATA_HEADER, "cGVlcg==");
            host.enter_stream(id, Phase::RequestHeaders);
            contexts.on_request_headers(&host, id);
            assert!(!has(&host, Request), "{call:?}");
            respond(&host, &mut contexts, id);
            host.enter_stream(id, Phase::Data(Data::Downstream));
            assert_eq!(contexts.on_downstream_data(&host, id, 5, false), Flow::Continue);
        }
    }

    #[test]
    fn a_connection_is_known_until_both_sides_have_spoken() {
        let (host, mut contexts) = configured();
        let id = host.open_stream();
        contexts.on_create(&host, id, ROOT_CONTEXT_ID);
        for (phase, left) in [(Data::Downstream, 1), (Data::Upstream, 0), (Data::Downstream, 0)] {
            host.enter_stream(id, Phase::Data(phase));
            let flow = match phase {
                Data::Downstream => contexts.on_downstream_data(&host, id, 5, false),
                Data::Upstream => contexts.on_upstream_data(&host, id, 5, false),
            };
            assert_eq!((flow, contexts.streams.len()), (Flow::Continue, left), "{phase:?}");
        }
    }
}
