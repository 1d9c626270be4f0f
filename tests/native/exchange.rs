//! What the metadata exchange does to headers and filter state.

use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, UPSTREAM_PEER_KEY};
use istio_stats::config::Attachment;
use istio_stats::exchange::http::{HttpExchange, ID_HEADER, METADATA_HEADER};
use istio_stats::exchange::Exchange;
use istio_stats::host::fake::{FakeHost, Hostcall, Phase, Value};
use istio_stats::host::HeaderMap::{self, Request, Response};
use istio_stats::host::HostError;
use istio_stats::peer::metadata::{decode, DecodeError, TOO_LARGE};

const UNSPECIFIED: i64 = 0;
const INBOUND: i64 = 1;
const OUTBOUND: i64 = 2;

/// A peer's header values; the exchange does not look inside.
const PEER: &str = "cGVlcg==";
const PEER_ID: &str = "sidecar~10.0.0.9~peer";

/// A proxy with a configured exchange on its only listener.
struct Proxy {
    host: FakeHost,
    exchange: Exchange,
}

/// One request that the proxy serves.
struct Served<'a> {
    host: &'a FakeHost,
    exchange: &'a Exchange,
    stream: HttpExchange,
    id: u32,
}

impl Proxy {
    /// The proxy of a workload in a Kubernetes cluster, with this configuration.
    fn of(cluster_id: &str, direction: i64, configuration: &str) -> Self {
        let host = FakeHost::new();
        host.set_attribute(&["xds", "node", "id"], format!("sidecar~10.0.0.1~{cluster_id}"));
        host.set_node_metadata("CLUSTER_ID", cluster_id);
        host.set_node_metadata("NAMESPACE", "shop");
        host.set_node_label("app", "web");
        Self::with_host(host, direction, configuration)
    }

    fn with_host(host: FakeHost, direction: i64, configuration: &str) -> Self {
        host.set_attribute(&["xds", "listener_direction"], direction);
        host.set_plugin_configuration(configuration);
        let exchange = Exchange::configure(&host);
        Self { host, exchange }
    }

    fn new(direction: i64) -> Self {
        Self::of("east", direction, "{}")
    }

    /// What the proxy of `east` says of itself: metadata and id.
    fn own(&self) -> (String, String) {
        let outbound = Proxy::of("east", OUTBOUND, "{}");
        let served = outbound.serve(&[]);
        (served.header(Request, METADATA_HEADER).unwrap(), served.header(Request, ID_HEADER).unwrap())
    }

    /// Takes a request with these headers, up to the upstream connection.
    fn serve(&self, headers: &[(&str, &str)]) -> Served<'_> {
        self.serve_after(|_| {}, headers)
    }

    /// The same, once the caller has set the stream's attributes.
    fn serve_after(&self, prepare: impl FnOnce(&FakeHost), headers: &[(&str, &str)]) -> Served<'_> {
        let id = self.host.open_stream();
        prepare(&self.host);
        self.host.set_header_to(Request, ":path", "/");
        for (name, value) in headers {
            self.host.add_header(Request, name, value);
        }
        self.host.enter(Phase::RequestHeaders);
        let mut stream = HttpExchange::default();
        stream.on_request_headers(&self.exchange, &self.host);
        Served { host: &self.host, exchange: &self.exchange, stream, id }
    }

    fn complaints(&self) -> Vec<String> {
        let lines = self.host.log_lines().into_iter();
        lines.filter(|(level, _)| *level <= log::Level::Warn).map(|(_, line)| line).collect()
    }
}

impl Served<'_> {
    /// The upstream's response arrives with these headers.
    fn respond(&mut self, headers: &[(&str, &str)]) {
        self.host.set_header_to(Response, ":status", "200");
        for (name, value) in headers {
            self.host.add_header(Response, name, value);
        }
        self.host.enter(Phase::ResponseHeaders);
        self.stream.on_response_headers(self.exchange, self.host);
    }

    /// The only value of a header as it leaves the proxy.
    fn header(&self, map: HeaderMap, name: &str) -> Option<String> {
        let mut values = self.host.header_values(map, name);
        assert!(values.len() <= 1, "{name}: {values:?}");
        values.pop().map(|value| String::from_utf8(value).unwrap())
    }

    /// Metadata and id header as they leave the proxy.
    fn pair(&self, map: HeaderMap) -> (Option<String>, Option<String>) {
        (self.header(map, METADATA_HEADER), self.header(map, ID_HEADER))
    }

    fn stored(&self, key: &str) -> Option<Vec<u8>> {
        self.host.filter_state(self.id, key)
    }

    /// What is known of the downstream and of the upstream peer.
    fn peers(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        (self.stored(DOWNSTREAM_PEER_KEY), self.stored(UPSTREAM_PEER_KEY))
    }
}

const NOTHING: (Option<String>, Option<String>) = (None, None);

fn both(own: (String, String)) -> (Option<String>, Option<String>) {
    (Some(own.0), Some(own.1))
}

fn peer() -> Option<Vec<u8>> {
    Some(PEER.into())
}

// === The protocol ===

#[test]
fn two_proxies_learn_who_the_other_is() {
    let client = Proxy::of("east", OUTBOUND, "{}");
    let server = Proxy::of("west", INBOUND, "{}");
    let mut sent = client.serve(&[]);
    let (metadata, id) = sent.pair(Request);
    let (metadata, id) = (metadata.unwrap(), id.unwrap());

    let mut received = server.serve(&[(METADATA_HEADER, &metadata), (ID_HEADER, &id)]);
    assert_eq!(received.pair(Request), NOTHING);
    received.respond(&[]);
    let (answer, answer_id) = received.pair(Response);
    let (answer, answer_id) = (answer.unwrap(), answer_id.unwrap());

    sent.respond(&[(METADATA_HEADER, &answer), (ID_HEADER, &answer_id)]);
    assert_eq!(sent.pair(Response), NOTHING);

    let seen_by_server = decode(&received.stored(DOWNSTREAM_PEER_KEY).unwrap()).unwrap();
    let seen_by_client = decode(&sent.stored(UPSTREAM_PEER_KEY).unwrap()).unwrap();
    assert_eq!(seen_by_server.cluster_id.as_deref(), Some("east"));
    assert_eq!(seen_by_client.cluster_id.as_deref(), Some("west"));
    for workload in [seen_by_server, seen_by_client] {
        assert_eq!((workload.namespace.as_deref(), workload.app.as_deref()), (Some("shop"), Some("web")));
    }
    assert_eq!((id.as_str(), answer_id.as_str()), ("sidecar~10.0.0.1~east", "sidecar~10.0.0.1~west"));
    assert_eq!((received.peers().1, sent.peers().0), (None, None));
    assert!(client.complaints().is_empty() && server.complaints().is_empty());
}

#[test]
fn inbound_answers_only_what_was_asked() {
    let proxy = Proxy::new(INBOUND);
    let (own_metadata, own_id) = proxy.own();
    let (own_metadata, own_id) = (Some(own_metadata), Some(own_id));
    let metadata = (METADATA_HEADER, PEER);
    let id = (ID_HEADER, PEER_ID);
    for (asked, answered, stored) in [
        (&[][..], (None, None), None),
        (&[id][..], (None, own_id.clone()), None),
        (&[metadata][..], (own_metadata.clone(), None), peer()),
        (&[metadata, id][..], (own_metadata, own_id), peer()),
    ] {
        let mut served = proxy.serve(asked);
        assert_eq!(served.pair(Request), NOTHING, "{asked:?}");
        served.respond(&[]);
        assert_eq!(served.pair(Response), answered, "{asked:?}");
        assert_eq!(served.peers(), (stored, None), "{asked:?}");
    }
}

#[test]
fn outbound_tells_the_upstream_and_hears_its_answer() {
    let proxy = Proxy::new(OUTBOUND);
    let mut served = proxy.serve(&[]);
    assert_eq!(served.pair(Request), both(proxy.own()));
    served.respond(&[(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)]);
    assert_eq!(served.pair(Response), NOTHING);
    assert_eq!(served.peers(), (None, peer()));
}

#[test]
fn outbound_replaces_what_an_application_claims_and_does_not_answer_it() {
    let proxy = Proxy::new(OUTBOUND);
    let mut served = proxy.serve(&[(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID), (ID_HEADER, "twice")]);
    assert_eq!(served.pair(Request), both(proxy.own()));
    served.respond(&[]);
    assert_eq!(served.pair(Response), NOTHING);
    assert_eq!(served.peers(), (peer(), None));
}

#[test]
fn an_unspecified_direction_does_both() {
    let without_direction = Proxy::new(UNSPECIFIED);
    without_direction.host.remove_attribute(&["xds", "listener_direction"]);
    for proxy in [Proxy::new(UNSPECIFIED), Proxy::new(7), without_direction] {
        let mut served = proxy.serve(&[(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)]);
        assert_eq!(served.pair(Request), both(proxy.own()));
        served.respond(&[(METADATA_HEADER, "dXBzdHJlYW0="), (ID_HEADER, "upstream")]);
        assert_eq!(served.pair(Response), both(proxy.own()));
        assert_eq!(served.peers(), (peer(), Some("dXBzdHJlYW0=".into())));
    }
}

#[test]
fn inbound_hides_what_the_application_claims_and_does_not_believe_it() {
    let proxy = Proxy::new(INBOUND);
    let mut served = proxy.serve(&[]);
    served.respond(&[(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)]);
    assert_eq!(served.pair(Response), NOTHING);
    assert_eq!(served.peers(), (None, None));
    // Nor does its claim reach a client that asked: that gets ours.
    let mut served = proxy.serve(&[(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)]);
    served.respond(&[(METADATA_HEADER, "Zm9yZ2Vk"), (ID_HEADER, "forged")]);
    assert_eq!(served.pair(Response), both(proxy.own()));
    assert_eq!(served.peers(), (peer(), None));
}

#[test]
fn empty_headers_are_removed_and_ask_for_nothing() {
    let empty = [(METADATA_HEADER, ""), (ID_HEADER, "")];
    let inbound = Proxy::new(INBOUND);
    let mut served = inbound.serve(&empty);
    assert_eq!(served.pair(Request), NOTHING);
    served.respond(&empty);
    assert_eq!(served.pair(Response), NOTHING);
    assert_eq!(served.peers(), (None, None));

    let outbound = Proxy::new(OUTBOUND);
    let mut served = outbound.serve(&empty);
    served.respond(&empty);
    assert_eq!(served.pair(Response), NOTHING);
    assert_eq!(served.peers(), (None, None));
}

#[test]
fn every_value_of_a_repeated_header_is_removed_and_the_first_counts() {
    let proxy = Proxy::new(INBOUND);
    let twice = [(METADATA_HEADER, PEER), (METADATA_HEADER, "b3RoZXI="), (ID_HEADER, ""), (ID_HEADER, "x")];
    let mut served = proxy.serve(&twice);
    assert_eq!(served.pair(Request), NOTHING);
    served.respond(&twice);
    assert_eq!(served.pair(Response), (Some(proxy.own().0), None));
    assert_eq!(served.stored(DOWNSTREAM_PEER_KEY), peer());
}

#[test]
fn other_headers_stay_as_they_are() {
    for direction in [UNSPECIFIED, INBOUND, OUTBOUND] {
        let proxy = Proxy::new(direction);
        let served = proxy.serve(&[("x-envoy-peer-metadata-other", "1"), (METADATA_HEADER, PEER)]);
        assert_eq!(served.header(Request, "x-envoy-peer-metadata-other").as_deref(), Some("1"));
        assert_eq!(served.header(Request, ":path").as_deref(), Some("/"));
    }
}

#[test]
fn a_plain_request_keeps_its_route() {
    // Any change of the request's headers makes Envoy look the route up again.
    let proxy = Proxy::new(INBOUND);
    proxy.host.reset_calls();
    proxy.serve(&[]);
    assert_eq!(proxy.host.calls(Hostcall::SetHeader) + proxy.host.calls(Hostcall::RemoveHeader), 0);
}

#[test]
fn a_response_without_a_request_is_cleaned() {
    let proxy = Proxy::new(OUTBOUND);
    let id = proxy.host.open_stream();
    let mut served =
        Served { host: &proxy.host, exchange: &proxy.exchange, stream: HttpExchange::default(), id };
    served.respond(&[(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)]);
    assert_eq!(served.pair(Response), NOTHING);
    assert_eq!(served.peers(), (None, None));
}

// === Bad peers ===

#[test]
fn what_a_peer_sends_is_stored_as_it_came_up_to_the_cap() {
    let proxy = Proxy::new(INBOUND);
    let of = |length: usize| "A".repeat(length);
    for (sent, stored, error) in [
        ("not base64!".to_owned(), b"not base64!".to_vec(), DecodeError::Base64),
        ("AAAA".to_owned(), b"AAAA".to_vec(), DecodeError::Protobuf),
        (of(8192), of(8192).into_bytes(), DecodeError::Protobuf),
        (of(8193), TOO_LARGE.to_vec(), DecodeError::TooLarge),
        (of(60_000), TOO_LARGE.to_vec(), DecodeError::TooLarge),
    ] {
        let mut served = proxy.serve(&[(METADATA_HEADER, &sent)]);
        assert_eq!(served.pair(Request), NOTHING);
        served.respond(&[]);
        assert_eq!(served.header(Response, METADATA_HEADER), Some(proxy.own().0));
        let kept = served.stored(DOWNSTREAM_PEER_KEY).unwrap();
        assert_eq!(kept, stored);
        assert_eq!(decode(&kept), Err(error));
    }
    assert!(proxy.complaints().is_empty());
}

#[test]
fn header_values_need_not_be_text() {
    let proxy = Proxy::new(INBOUND);
    let id = proxy.host.open_stream();
    proxy.host.set_header_to(Request, METADATA_HEADER, b"\xff\x80;.;");
    proxy.host.set_header_to(Request, ID_HEADER, b"\xff");
    proxy.host.enter(Phase::RequestHeaders);
    HttpExchange::default().on_request_headers(&proxy.exchange, &proxy.host);
    assert!(proxy.host.header_values(Request, METADATA_HEADER).is_empty());
    assert_eq!(proxy.host.filter_state(id, DOWNSTREAM_PEER_KEY).unwrap(), b"\xff\x80;.;");
}

// === Trust ===

#[test]
fn mtls_trust_hears_and_answers_only_clients_with_a_certificate() {
    let claims = [(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)];
    for direction in [UNSPECIFIED, INBOUND] {
        let proxy = Proxy::of("east", direction, r#"{"trust": "mtls"}"#);
        for mtls in [Some(false), None] {
            let prepare = |host: &FakeHost| {
                if let Some(mtls) = mtls {
                    host.set_attribute(&["connection", "mtls"], mtls);
                }
            };
            let mut served = proxy.serve_after(prepare, &claims);
            assert_ne!(served.header(Request, METADATA_HEADER).as_deref(), Some(PEER));
            assert_ne!(served.header(Request, ID_HEADER).as_deref(), Some(PEER_ID));
            served.respond(&[]);
            assert_eq!(served.pair(Response), NOTHING, "{mtls:?}");
            assert_eq!(served.peers(), (None, None));
        }
        let certified = |host: &FakeHost| host.set_attribute(&["connection", "mtls"], true);
        let mut served = proxy.serve_after(certified, &claims);
        served.respond(&[]);
        assert_eq!(served.pair(Response), both(proxy.own()));
        assert_eq!(served.peers(), (peer(), None));
    }
}

#[test]
fn mtls_trust_hears_only_upstreams_with_a_certificate() {
    let proxy = Proxy::of("east", OUTBOUND, r#"{"trust": "mtls"}"#);
    for (certificate, stored) in [
        (None, None),
        (Some(("subject_peer_certificate", "")), None),
        (Some(("uri_san_peer_certificate", "spiffe://cluster.local/ns/a/sa/b")), peer()),
        (Some(("subject_peer_certificate", "CN=server")), peer()),
    ] {
        let prepare = |host: &FakeHost| {
            if let Some((field, value)) = certificate {
                host.set_attribute(&["upstream", field], value);
            }
        };
        let mut served = proxy.serve_after(prepare, &[]);
        // Who the upstream is cannot be known before it is told.
        assert_eq!(served.pair(Request), both(proxy.own()));
        served.respond(&[(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)]);
        assert_eq!(served.pair(Response), NOTHING);
        assert_eq!(served.peers(), (None, stored), "{certificate:?}");
    }
}

#[test]
fn without_mtls_trust_no_certificate_is_needed() {
    let proxy = Proxy::of("east", UNSPECIFIED, r#"{"trust": "always"}"#);
    let prepare = |host: &FakeHost| host.set_attribute(&["connection", "mtls"], false);
    let mut served = proxy.serve_after(prepare, &[(METADATA_HEADER, PEER)]);
    served.respond(&[(METADATA_HEADER, PEER)]);
    assert_eq!(served.peers(), (peer(), peer()));
}

// === Traffic that leaves the mesh ===

fn to(upstream_cluster: &str, external: Option<Value>) -> impl Fn(&FakeHost) + '_ {
    move |host| {
        host.set_attribute(&["xds", "cluster_name"], upstream_cluster);
        if let Some(external) = &external {
            let path = ["xds", "cluster_metadata", "filter_metadata", "istio", "external"];
            host.set_attribute(&path, external.clone());
        }
    }
}

#[test]
fn external_upstreams_are_told_nothing_if_so_configured() {
    let shop = "outbound|80||shop";
    let skips = Proxy::of("east", OUTBOUND, r#"{"skip_external": true}"#);
    let tells = Proxy::of("east", OUTBOUND, "{}");
    for (upstream_cluster, external, told) in [
        ("PassthroughCluster", None, false),
        (shop, Some(Value::from(true)), false),
        (shop, Some(Value::from("true")), false),
        (shop, Some(Value::from(false)), true),
        (shop, Some(Value::from("false")), true),
        (shop, Some(Value::from(1.0)), true),
        (shop, Some(Value::Null), true),
        (shop, None, true),
    ] {
        let case = format!("{upstream_cluster} {external:?}");
        for (proxy, told) in [(&skips, told), (&tells, true)] {
            let mut served =
                proxy.serve_after(to(upstream_cluster, external.clone()), &[(METADATA_HEADER, PEER)]);
            let expected = if told { both(proxy.own()) } else { NOTHING };
            assert_eq!(served.pair(Request), expected, "{case}");
            // Nor is an answer believed that was not asked for.
            served.respond(&[(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)]);
            assert_eq!(served.pair(Response), NOTHING, "{case}");
            assert_eq!(served.peers(), (peer(), told.then(|| PEER.into())), "{case}");
        }
    }
}

#[test]
fn a_stream_without_an_upstream_cluster_is_not_external() {
    let proxy = Proxy::of("east", OUTBOUND, r#"{"skipExternal": true}"#);
    assert_eq!(proxy.serve(&[]).pair(Request), both(proxy.own()));
}

// === Configuration and node ===

#[test]
fn configured_facts_are_what_peers_are_told() {
    let configuration = r#"{"local": {"cluster_id": "north", "workload_name": "w", "app": "a"}}"#;
    let proxy = Proxy::of("east", OUTBOUND, configuration);
    let metadata = proxy.serve(&[]).header(Request, METADATA_HEADER).unwrap();
    let workload = decode(metadata.as_bytes()).unwrap();
    assert_eq!(workload.cluster_id.as_deref(), Some("north"));
    assert_eq!(workload.workload_name.as_deref(), Some("w"));
    assert_eq!(workload.app.as_deref(), Some("a"));
    assert_eq!(workload.namespace.as_deref(), Some("shop"));
}

#[test]
fn the_root_id_decides_the_direction_before_the_listener() {
    for (root_id, listener, tells) in
        [("stats_outbound", INBOUND, true), ("stats_inbound", OUTBOUND, false), ("other", OUTBOUND, true)]
    {
        let host = FakeHost::new();
        host.set_node_metadata("CLUSTER_ID", "east");
        host.set_attribute(&["plugin_root_id"], root_id);
        let proxy = Proxy::with_host(host, listener, "{}");
        assert_eq!(proxy.serve(&[]).header(Request, METADATA_HEADER).is_some(), tells, "{root_id}");
    }
}

#[test]
fn the_kind_of_stream_is_found_out_or_configured() {
    for (configuration, protocol, attachment) in [
        ("{}", Some("HTTP/2"), Attachment::Http),
        ("{}", None, Attachment::Tcp),
        (r#"{"attachment": "http"}"#, None, Attachment::Http),
        (r#"{"attachment": "tcp"}"#, Some("HTTP/2"), Attachment::Tcp),
        ("unusable", Some("HTTP/1.1"), Attachment::Http),
    ] {
        let proxy = Proxy::of("east", OUTBOUND, configuration);
        proxy.host.open_stream();
        if let Some(protocol) = protocol {
            proxy.host.set_attribute(&["request", "protocol"], protocol);
        }
        assert_eq!(proxy.exchange.attachment(&proxy.host), attachment, "{configuration} {protocol:?}");
    }
}

#[test]
fn no_configuration_is_the_default() {
    for configuration in ["", " ", "{}"] {
        let proxy = Proxy::of("east", OUTBOUND, configuration);
        assert_eq!(proxy.serve(&[]).pair(Request), both(proxy.own()));
        assert!(proxy.complaints().is_empty());
    }
}

#[test]
fn bad_fields_are_named_and_the_rest_is_followed() {
    let configuration = r#"{"trust": 1, "skip_external": true, "colour": "red", "local": {"app": []}}"#;
    let proxy = Proxy::of("east", OUTBOUND, configuration);
    assert_eq!(
        proxy.complaints(),
        [
            "metadata-exchange: configuration: trust: expected one of always, mtls, found 1; ignored",
            "metadata-exchange: configuration: local.app: expected a string, found []; ignored",
            "metadata-exchange: configuration: colour: unknown field with value \"red\"; ignored",
        ]
    );
    let served = proxy.serve_after(to("PassthroughCluster", None), &[]);
    assert_eq!(served.pair(Request), NOTHING);
}

#[test]
fn an_unusable_configuration_exchanges_nothing_and_lets_nothing_through() {
    for configuration in ["{\"trust\": ", "[]", "\u{1}\u{2}"] {
        let proxy = Proxy::of("east", UNSPECIFIED, configuration);
        let complaints = proxy.complaints();
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].ends_with("; nothing is exchanged"), "{complaints:?}");
        let claims = [(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)];
        let mut served = proxy.serve(&claims);
        assert_eq!(served.pair(Request), NOTHING);
        served.respond(&claims);
        assert_eq!(served.pair(Response), NOTHING);
        assert_eq!(served.peers(), (None, None));
    }
}

#[test]
fn a_line_is_written_once_per_process() {
    let proxy = Proxy::of("east", OUTBOUND, r#"{"colour": "red"}"#);
    for _ in 0..3 {
        Exchange::configure(&proxy.host.another_vm());
    }
    assert_eq!(proxy.complaints().len(), 1);
}

#[test]
fn a_node_tells_only_what_it_knows() {
    let nothing = Proxy::with_host(FakeHost::new(), UNSPECIFIED, "{}");
    let claims = [(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)];
    let mut served = nothing.serve(&claims);
    assert_eq!(served.pair(Request), NOTHING);
    served.respond(&claims);
    assert_eq!(served.pair(Response), NOTHING);

    let host = FakeHost::new();
    host.set_attribute(&["xds", "node", "id"], "an-id");
    let only_id = Proxy::with_host(host, OUTBOUND, "{}");
    assert_eq!(only_id.serve(&claims).pair(Request), (None, Some("an-id".to_owned())));

    let host = FakeHost::new();
    host.set_node_metadata("CLUSTER_ID", "east");
    let only_metadata = Proxy::with_host(host, OUTBOUND, "{}");
    let (metadata, id) = only_metadata.serve(&claims).pair(Request);
    assert_eq!(decode(metadata.unwrap().as_bytes()).unwrap().cluster_id.as_deref(), Some("east"));
    assert_eq!(id, None);
}

#[test]
fn odd_node_values_are_complained_about_and_not_sent() {
    let host = FakeHost::new();
    host.set_attribute(&["xds", "node", "id"], "an\r\nid: x");
    host.set_node_metadata("CLUSTER_ID", 3.0);
    host.set_node_metadata("NAMESPACE", "shop");
    let proxy = Proxy::with_host(host, OUTBOUND, "{}");
    assert_eq!(
        proxy.complaints(),
        [
            r#"metadata-exchange: node metadata CLUSTER_ID: expected a text, found 8 bytes, "\u0000\u0000\u0000\u0000\u0000\u0000\b@"; ignored"#,
            r#"metadata-exchange: node id "an\r\nid: x" cannot be a header's value; not sent"#,
        ]
    );
    let (metadata, id) = proxy.serve(&[]).pair(Request);
    let workload = decode(metadata.unwrap().as_bytes()).unwrap();
    assert_eq!((workload.cluster_id, workload.namespace.as_deref()), (None, Some("shop")));
    assert_eq!(id, None);
}

#[test]
fn envoys_before_1_33_are_understood() {
    let host = FakeHost::new();
    host.set_attribute(&["node", "id"], "old");
    host.set_attribute(&["node", "metadata", "CLUSTER_ID"], "east");
    host.set_attribute(&["listener_direction"], INBOUND);
    host.set_plugin_configuration("{}");
    let exchange = Exchange::configure(&host);
    let proxy = Proxy { host, exchange };
    let mut served = proxy.serve(&[(ID_HEADER, PEER_ID)]);
    assert_eq!(served.pair(Request), NOTHING);
    served.respond(&[]);
    assert_eq!(served.pair(Response), (None, Some("old".to_owned())));
}

// === A host that does not play along ===

#[test]
fn the_first_peer_stays_over_an_internal_redirect() {
    let proxy = Proxy::new(INBOUND);
    let served = proxy.serve(&[(METADATA_HEADER, PEER)]);
    proxy.host.add_header(Request, METADATA_HEADER, "b3RoZXI=");
    HttpExchange::default().on_request_headers(&proxy.exchange, &proxy.host);
    assert_eq!(served.peers(), (peer(), None));
    assert_eq!(served.pair(Request), NOTHING);
    assert!(proxy.complaints().is_empty());
}

#[test]
fn any_hostcall_may_fail_with_any_status() {
    let calls = [
        Hostcall::Property,
        Hostcall::SetProperty,
        Hostcall::Header,
        Hostcall::SetHeader,
        Hostcall::RemoveHeader,
        Hostcall::PluginConfiguration,
        Hostcall::Log,
        Hostcall::SharedData,
        Hostcall::SetSharedData,
    ];
    let claims = [(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)];
    for call in calls {
        for status in
            [HostError::NOT_FOUND, HostError::BAD_ARGUMENT, HostError::SERIALIZATION_FAILURE, 10, 12, 99]
        {
            let host = FakeHost::new();
            host.set_node_metadata("CLUSTER_ID", "east");
            host.fail(call, status);
            let proxy =
                Proxy::with_host(host, UNSPECIFIED, r#"{"trust": "mtls", "skip_external": true, "x": 1}"#);
            let certified = |host: &FakeHost| host.set_attribute(&["connection", "mtls"], true);
            let mut served = proxy.serve_after(certified, &claims);
            served.respond(&claims);
            if !matches!(call, Hostcall::RemoveHeader | Hostcall::SetHeader) {
                assert_ne!(served.header(Request, METADATA_HEADER).as_deref(), Some(PEER), "{call:?}");
                assert_ne!(served.header(Response, METADATA_HEADER).as_deref(), Some(PEER), "{call:?}");
            }
        }
    }
}

#[test]
fn an_unreadable_configuration_is_one_warning() {
    let host = FakeHost::new();
    host.fail(Hostcall::PluginConfiguration, 10);
    let proxy = Proxy::with_host(host, INBOUND, "{}");
    assert_eq!(
        proxy.complaints(),
        ["metadata-exchange: configuration: proxy_get_buffer_bytes returned status 10; using the defaults"]
    );
}

// === Cost ===

/// Hostcalls of a request and its response, and how many returned bytes.
fn cost(proxy: &Proxy, request: &[(&str, &str)], response: &[(&str, &str)]) -> (usize, usize) {
    proxy.host.reset_calls();
    let mut served = proxy.serve(request);
    served.respond(response);
    (proxy.host.all_calls(), proxy.host.calls_that_returned_bytes())
}

#[test]
fn hostcalls_stay_within_their_budget() {
    let exchanged = [(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)];
    let inbound = Proxy::new(INBOUND);
    let outbound = Proxy::new(OUTBOUND);
    // The direction; four headers looked for.
    assert_eq!(cost(&inbound, &[], &[]), (5, 1));
    // And two taken, one kept, two set.
    assert_eq!(cost(&inbound, &exchanged, &[]), (10, 3));
    // The direction; four headers looked for, two set.
    assert_eq!(cost(&outbound, &[], &[]), (7, 1));
    // And two taken, one kept.
    assert_eq!(cost(&outbound, &[], &exchanged), (10, 3));
    let careful = Proxy::of("east", OUTBOUND, r#"{"trust": "mtls", "skip_external": true}"#);
    // And two questions about the upstream cluster, two about its certificate.
    assert_eq!(cost(&careful, &[], &exchanged), (13, 3));
}
