//! Who the two sides of a request are: by the connection's certificates, the
//! listener, the chosen endpoint; and a waypoint, which is neither.

use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, UPSTREAM_PEER_KEY};
use istio_stats::host::Host;
use istio_stats::peer::metadata;
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;

use crate::story::{pick, Story, INBOUND, OUTBOUND};

#[test]
fn the_listener_decides_the_side_where_the_root_id_does_not() {
    for (direction, reporter) in [(0i64, "source"), (1, "destination"), (2, "source")] {
        let story = Story::new("my_stats", "{}");
        let id = story.open();
        story.host.set_attribute(&["xds", "listener_direction"], direction);
        story.finish(id);
        assert_eq!(pick(&story.request_labels(), ["reporter"]), [reporter]);
    }
}

#[test]
fn mutual_tls_names_principals_and_the_peers_namespace() {
    let [web, reviews] = ["spiffe://east.local/ns/shop/sa/web", "spiffe://west.local/ns/stars/sa/reviews"];
    let labels = [
        "source_principal",
        "destination_principal",
        "source_workload_namespace",
        "destination_workload_namespace",
        "destination_service_namespace",
        "connection_security_policy",
    ];
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open();
    story.host.set_attribute(&["upstream", "tls_version"], "TLSv1.3");
    story.host.set_attribute(&["upstream", "uri_san_local_certificate"], web);
    story.host.set_attribute(&["upstream", "uri_san_peer_certificate"], reviews);
    story.host.set_attribute(&["connection", "uri_san_peer_certificate"], "spiffe://x/ns/not-this/sa/app");
    story.finish(id);
    assert_eq!(pick(&story.request_labels(), labels), [web, reviews, "shop", "stars", "stars", "unknown"]);

    let story = Story::new(INBOUND, "{}");
    let id = story.open();
    story.host.set_attribute(&["connection", "mtls"], true);
    story.host.set_attribute(&["connection", "uri_san_local_certificate"], web);
    story.host.set_attribute(&["connection", "uri_san_peer_certificate"], reviews);
    story.finish(id);
    assert_eq!(pick(&story.request_labels(), labels), [reviews, web, "stars", "shop", "shop", "mutual_tls"]);
}

#[test]
fn a_peer_without_a_certificate_may_be_disbelieved() {
    let reviews = Workload::default().with(Fact::ClusterId, "west");
    let header = metadata::encode(&reviews);
    let mtls = r#"{"trust": "mtls"}"#;
    let certificate = "spiffe://td/ns/shop/sa/reviews";
    for (root_id, configuration, certified, cluster_id) in [
        (OUTBOUND, "{}", false, "west"),
        (OUTBOUND, mtls, false, "unknown"),
        (OUTBOUND, mtls, true, "west"),
        (INBOUND, "{}", false, "west"),
        (INBOUND, mtls, false, "unknown"),
        (INBOUND, mtls, true, "west"),
    ] {
        let story = Story::new(root_id, configuration);
        let id = story.open();
        for key in [UPSTREAM_PEER_KEY, DOWNSTREAM_PEER_KEY] {
            story.host.set_property(key, header.as_bytes()).unwrap();
        }
        if certified {
            story.host.set_attribute(&["upstream", "tls_version"], "TLSv1.3");
            story.host.set_attribute(&["upstream", "uri_san_peer_certificate"], certificate);
            story.host.set_attribute(&["connection", "mtls"], true);
        }
        story.finish(id);
        let peer = if root_id == OUTBOUND { "destination_cluster" } else { "source_cluster" };
        let found = pick(&story.request_labels(), [peer]);
        assert_eq!(found, [cluster_id], "{root_id} {configuration} {certified}");
    }
}

#[test]
fn endpoint_metadata_names_the_destination_without_a_response() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open();
    let endpoint = ["xds", "upstream_host_metadata", "filter_metadata", "istio", "workload"];
    story.host.set_attribute(&endpoint, "reviews-v1;stars;;;west");
    story.host.set_attribute(&["response", "code"], 503i64);
    story.host.set_attribute(&["response", "flags"], 0x8020i64);
    story.finish(id);
    let names = [
        "destination_workload",
        "destination_workload_namespace",
        "destination_canonical_service",
        "destination_canonical_revision",
        "destination_cluster",
        "destination_service_namespace",
        "destination_app",
        "response_code",
        "response_flags",
    ];
    let values = ["reviews-v1", "stars", "reviews-v1", "latest", "west", "stars", "unknown", "503", "UF,URX"];
    assert_eq!(pick(&story.request_labels(), names), values);
}

#[test]
fn a_waypoint_is_neither_side() {
    let story = Story::new(OUTBOUND, r#"{"reporter": "SERVER_GATEWAY"}"#);
    let id = story.open();
    story.host.set_attribute(&["connection", "uri_san_peer_certificate"], "spiffe://td/ns/shop/sa/web");
    story.host.set_attribute(&["connection", "uri_san_local_certificate"], "spiffe://td/ns/shop/sa/waypoint");
    story.host.set_attribute(&["connection", "mtls"], true);
    let endpoint = ["xds", "upstream_host_metadata", "filter_metadata", "istio", "workload"];
    story.host.set_attribute(&endpoint, "reviews-v1;shop;reviews;v1;west");
    story.finish(id);
    let labels = story.request_labels();
    assert!(labels.iter().all(|(_, value)| value != "east" && value != "web"), "{labels:#?}");
    let names = [
        "reporter",
        "source_principal",
        "source_workload_namespace",
        "destination_principal",
        "source_canonical_revision",
        "destination_canonical_revision",
        "destination_cluster",
        "destination_service",
        "connection_security_policy",
    ];
    let values = [
        "waypoint",
        "spiffe://td/ns/shop/sa/web",
        "shop",
        "unknown",
        "latest",
        "unknown",
        "unknown",
        "unknown",
        "mutual_tls",
    ];
    assert_eq!(pick(&labels, names), values);
}

#[test]
fn whoever_is_behind_a_tunnel_knows_whose_it_was() {
    let (peer, own) = ("spiffe://td/ns/shop/sa/web", "spiffe://td/ns/stars/sa/reviews");
    let labels = |root_id: &str, configuration: &str, certificate: Option<&str>| {
        let story = Story::new(root_id, configuration);
        let id = story.open();
        story.host.set_attribute(&["filter_state", "io.istio.peer_principal"], peer);
        story.host.set_attribute(&["filter_state", "io.istio.local_principal"], own);
        story.host.set_attribute(&["connection", "mtls"], certificate.is_some());
        if let Some(certificate) = certificate {
            story.host.set_attribute(&["connection", "uri_san_peer_certificate"], certificate);
            story.host.set_attribute(&["connection", "uri_san_local_certificate"], certificate);
        }
        story.finish(id);
        let names = [
            "source_principal",
            "source_workload_namespace",
            "destination_principal",
            "connection_security_policy",
        ];
        pick(&story.request_labels(), names)
    };
    let waypoint = r#"{"reporter": "SERVER_GATEWAY"}"#;
    assert_eq!(labels("", waypoint, None), [peer, "shop", "unknown", "mutual_tls"]);
    assert_eq!(labels(INBOUND, "{}", None), [peer, "shop", own, "mutual_tls"]);
    // What was kept goes before what the connection shows.
    assert_eq!(labels(INBOUND, "{}", Some("spiffe://td/ns/x/sa/x")), [peer, "shop", own, "mutual_tls"]);
    // The source's own connection to the client is no tunnel's end.
    assert_eq!(labels(OUTBOUND, "{}", None), ["unknown", "shop", "unknown", "unknown"]);
}

#[test]
fn who_opened_a_tunnel_has_shown_a_certificate() {
    let header = metadata::encode(&Workload::default().with(Fact::ClusterId, "west"));
    for (principal, cluster_id) in [(None, "unknown"), (Some("spiffe://td/ns/shop/sa/web"), "west")] {
        let story = Story::new(INBOUND, r#"{"trust": "mtls"}"#);
        let id = story.open();
        story.host.set_property(DOWNSTREAM_PEER_KEY, header.as_bytes()).unwrap();
        if let Some(principal) = principal {
            story.host.set_attribute(&["filter_state", "io.istio.peer_principal"], principal);
        }
        story.finish(id);
        assert_eq!(pick(&story.request_labels(), ["source_cluster"]), [cluster_id], "{principal:?}");
    }
}
