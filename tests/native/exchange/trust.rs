//! Whom the metadata exchange believes, and whom it tells.

use istio_stats::exchange::http::{ID_HEADER, METADATA_HEADER};
use istio_stats::host::fake::{FakeHost, Value};
use istio_stats::host::HeaderMap::{Request, Response};

use super::proxy::{both, peer, to, Proxy, INBOUND, NOTHING, OUTBOUND, PEER, PEER_ID, UNSPECIFIED};

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

#[test]
fn external_upstreams_are_told_nothing_if_so_configured() {
    let shop = "outbound|80||shop";
    let skips = Proxy::of("east", OUTBOUND, r#"{"skip_external": true}"#);
    let tells = Proxy::of("east", OUTBOUND, "{}");
    expect_told(&skips, "PassthroughCluster", "external", None, false);
    expect_told(&tells, "PassthroughCluster", "external", None, true);
    for (mark, set) in marks() {
        expect_told(&skips, shop, "external", mark.clone(), !set);
        expect_told(&tells, shop, "external", mark, true);
    }
}

#[test]
fn an_upstream_that_istio_excludes_is_told_nothing_however_configured() {
    for configuration in ["{}", r#"{"skip_external": true}"#] {
        for direction in [OUTBOUND, UNSPECIFIED] {
            let proxy = Proxy::of("east", direction, configuration);
            for (mark, set) in marks() {
                expect_told(&proxy, "outbound|80||shop", "disable_mx", mark, !set);
            }
        }
    }
}

/// Values that a mark may have, and whether they set it.
fn marks() -> [(Option<Value>, bool); 7] {
    [
        (Some(Value::from(true)), true),
        (Some(Value::from("true")), true),
        (Some(Value::from(false)), false),
        (Some(Value::from("false")), false),
        (Some(Value::from(1.0)), false),
        (Some(Value::Null), false),
        (None, false),
    ]
}

/// Whether an upstream cluster with that mark is told who we are.
fn expect_told(proxy: &Proxy, upstream_cluster: &str, mark: &str, value: Option<Value>, told: bool) {
    let case = format!("{upstream_cluster} {mark}={value:?}");
    let mut served = proxy.serve_after(to(upstream_cluster, mark, value), &[(METADATA_HEADER, PEER)]);
    let expected = if told { both(proxy.own()) } else { NOTHING };
    assert_eq!(served.pair(Request), expected, "{case}");
    // Nor is an answer believed that was not asked for.
    served.respond(&[(METADATA_HEADER, PEER), (ID_HEADER, PEER_ID)]);
    assert_eq!(served.peers().1, told.then(|| PEER.into()), "{case}");
}

#[test]
fn a_stream_without_an_upstream_cluster_is_not_external() {
    let proxy = Proxy::of("east", OUTBOUND, r#"{"skipExternal": true}"#);
    assert_eq!(proxy.serve(&[]).pair(Request), both(proxy.own()));
}
