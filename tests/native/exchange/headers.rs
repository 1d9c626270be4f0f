//! What the metadata exchange does to headers and filter state.

use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, UPSTREAM_PEER_KEY};
use istio_stats::exchange::http::{HttpExchange, ID_HEADER, METADATA_HEADER};
use istio_stats::host::fake::{FakeHost, Hostcall, Phase};
use istio_stats::host::HeaderMap::{Request, Response};
use istio_stats::host::HostError;
use istio_stats::peer::metadata::{decode, DecodeError, TOO_LARGE};
use istio_stats::peer::told;
use istio_stats::workload::fact::Fact;

use super::proxy::{both, peer, Proxy, Served, INBOUND, NOTHING, OUTBOUND, PEER, PEER_ID, UNSPECIFIED};

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
    assert_eq!(seen_by_server.get(Fact::ClusterId), Some("east"));
    assert_eq!(seen_by_client.get(Fact::ClusterId), Some("west"));
    for workload in [seen_by_server, seen_by_client] {
        assert_eq!((workload.get(Fact::Namespace), workload.get(Fact::App)), (Some("shop"), Some("web")));
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
fn outbound_replaces_what_an_application_claims_and_neither_believes_nor_answers_it() {
    let proxy = Proxy::new(OUTBOUND);
    let mut served = proxy.serve(&[(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID), (ID_HEADER, "twice")]);
    assert_eq!(served.pair(Request), both(proxy.own()));
    served.respond(&[]);
    assert_eq!(served.pair(Response), NOTHING);
    assert_eq!(served.peers(), (None, None));
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
    let stored = proxy.host.filter_state(id, DOWNSTREAM_PEER_KEY).unwrap();
    assert_eq!(told::split(&stored).0, b"\xff\x80;.;");
}

// === A host that does not play along ===

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

/// The size of the exchange's headers, as they leave the proxy.
fn size_of(headers: (Option<String>, Option<String>)) -> u64 {
    let size = |name: &str, value: Option<String>| value.map_or(0, |value| name.len() + value.len());
    (size(METADATA_HEADER, headers.0) + size(ID_HEADER, headers.1)) as u64
}

#[test]
fn what_is_added_to_a_message_is_said_beside_what_its_peer_tells() {
    let proxy = Proxy::new(OUTBOUND);
    let mut served = proxy.serve(&[]);
    let sent = size_of(served.pair(Request));
    served.respond(&[(METADATA_HEADER, PEER)]);
    assert_eq!((served.added(UPSTREAM_PEER_KEY), sent > 100), (sent, true));

    for asked in [&[(METADATA_HEADER, PEER)][..], &[(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)][..]] {
        let proxy = Proxy::new(INBOUND);
        let mut served = proxy.serve(asked);
        served.respond(&[]);
        assert_eq!(served.added(DOWNSTREAM_PEER_KEY), size_of(served.pair(Response)), "{asked:?}");
    }
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
    // The direction; two headers looked for, two taken from the response unseen.
    assert_eq!(cost(&inbound, &[], &[]), (5, 1));
    // Two taken, one kept; two set.
    assert_eq!(cost(&inbound, &exchanged, &[]), (8, 3));
    // The direction, whether the upstream cluster is excluded; two set, one looked for, one taken unseen.
    assert_eq!(cost(&outbound, &[], &[]), (6, 1));
    // And one taken and kept. What an application claims costs nothing more.
    assert_eq!(cost(&outbound, &[], &exchanged), (8, 2));
    assert_eq!(cost(&outbound, &exchanged, &exchanged), (8, 2));
    // Root ids that say the direction save its read.
    for (root_id, request, calls) in
        [("stats_inbound", &exchanged[..], (7, 2)), ("stats_outbound", &[], (7, 1))]
    {
        let host = FakeHost::new();
        host.set_node_metadata("CLUSTER_ID", "east");
        host.set_attribute(&["xds", "node", "id"], "sidecar~10.0.0.1~east");
        host.set_attribute(&["plugin_root_id"], root_id);
        let proxy = Proxy::with_host(host, UNSPECIFIED, "{}");
        assert_eq!(cost(&proxy, request, &exchanged), calls, "{root_id}");
    }
    let careful = Proxy::of("east", OUTBOUND, r#"{"trust": "mtls", "skip_external": true}"#);
    // And two questions about the upstream cluster, two about its certificate.
    assert_eq!(cost(&careful, &[], &exchanged), (11, 2));
}
