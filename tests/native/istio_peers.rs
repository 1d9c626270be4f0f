//! Peers where Istio's own filters leave them, era by era, and what it costs to
//! look for them.

use std::time::Duration;

use istio_stats::attribute::keys::{DOWNSTREAM_PEER_KEY, NO_PEER, UPSTREAM_PEER_KEY};
use istio_stats::host::fake::{Hostcall, Value};
use istio_stats::host::Host;
use istio_stats::peer::forms::{decode, gather};
use istio_stats::peer::metadata::{self, DecodeError, MAX_ENCODED_BYTES};
use istio_stats::peer::side::Side;
use istio_stats::workload::fact::Fact;
use istio_stats::workload::further::Further;
use istio_stats::workload::Workload;

use crate::flatbuffer;
use crate::mutation::each_mutation;
use crate::story::{pick, Labels, Story, INBOUND, OUTBOUND};

const UNKNOWN_MARK: &str = "envoy.wasm.metadata_exchange.peer_unknown";
const ENDPOINT: [&str; 5] = ["xds", "upstream_host_metadata", "filter_metadata", "istio", "workload"];

/// What the object of Istio 1.24 and later knows, by its fields.
const FIELDS: [(&str, &str); 11] = [
    ("app", "reviews-app"),
    ("cluster", "west"),
    ("identity", "spiffe://td/ns/stars/sa/reviews"),
    ("name", "reviews-v1-abc"),
    ("namespace", "stars"),
    ("region", "eu"),
    ("revision", "r1"),
    ("service", "reviews"),
    ("type", "deployment"),
    ("version", "v1"),
    ("workload", "reviews-v1"),
];

/// The labels of a peer that was understood.
const UNDERSTOOD: [(&str, &str); 7] = [
    ("app", "reviews-app"),
    ("version", "v1"),
    ("workload", "reviews-v1"),
    ("workload_namespace", "stars"),
    ("canonical_service", "reviews"),
    ("canonical_revision", "r1"),
    ("cluster", "west"),
];

fn object() -> Value {
    let labels = Value::map([("role", "worker"), ("app", "reviews-app"), ("cluster", "not-this")]);
    let fields = FIELDS.map(|(field, text)| (field, Value::from(text)));
    Value::map(fields.into_iter().chain([("labels", labels)]))
}

fn header() -> String {
    metadata::encode(&flatbuffer::reviews().1)
}

/// Every place and form, by the era that used it, and its path on each side.
fn eras() -> Vec<(&'static str, Vec<&'static str>, Vec<&'static str>, Value)> {
    let (flat_node, workload) = flatbuffer::reviews();
    let node_metadata = Value::from(metadata::encode_struct(&workload));
    let fields = Value::object(FIELDS);
    let of_metadata = |key| vec!["metadata", "filter_metadata", "istio_stats", key];
    vec![
        ("ours", vec![DOWNSTREAM_PEER_KEY], vec![UPSTREAM_PEER_KEY], header().into()),
        (
            "1.4",
            vec!["envoy.wasm.metadata_exchange.downstream"],
            vec!["envoy.wasm.metadata_exchange.upstream"],
            node_metadata,
        ),
        ("1.6", vec!["downstream_peer"], vec!["upstream_peer"], flat_node.into()),
        (
            "1.24",
            vec!["filter_state", "downstream_peer"],
            vec!["filter_state", "upstream_peer"],
            fields.clone(),
        ),
        ("1.25", vec!["filter_state", "downstream_peer"], vec!["filter_state", "upstream_peer"], object()),
        ("1.24 TCP client", vec![], vec!["upstream_filter_state", "upstream_peer"], fields),
        ("1.25 TCP client", vec![], vec!["upstream_filter_state", "upstream_peer"], object()),
        ("stock filters", of_metadata("downstream_peer"), of_metadata("upstream_peer"), header().into()),
    ]
}

fn check_understood(labels: &Labels, side: &str, what: &str) {
    for (label, value) in UNDERSTOOD {
        assert_eq!(labels[&format!("{side}_{label}")], value, "{side}_{label} of {what}");
    }
}

/// A request through `story`, with this attribute if it has a path.
fn request(story: &Story, path: &[&str], value: impl Into<Value>) {
    let id = story.open();
    if !path.is_empty() {
        story.host.set_attribute(path, value);
    }
    story.finish(id);
}

#[test]
fn http_peers_of_every_era_are_understood_on_both_sides() {
    for (era, downstream, upstream, value) in eras() {
        for (root_id, path, side) in [(INBOUND, &downstream, "source"), (OUTBOUND, &upstream, "destination")]
        {
            if path.is_empty() {
                continue;
            }
            let story = Story::new(root_id, "{}");
            for _ in 0..3 {
                request(&story, path, value.clone());
            }
            check_understood(&story.request_labels(), side, era);
            assert_eq!(story.complaints(), [""; 0], "{era}");
        }
    }
}

#[test]
fn tcp_peers_of_every_era_are_understood_on_both_sides() {
    for (era, downstream, upstream, value) in eras() {
        for (root_id, path, side) in [(INBOUND, &downstream, "source"), (OUTBOUND, &upstream, "destination")]
        {
            if path.is_empty() {
                continue;
            }
            let story = Story::new(root_id, "{}");
            let id = story.connect();
            story.tick();
            story.host.set_effective_context(id).unwrap();
            story.host.set_attribute(path, value.clone());
            story.transferred(6, 12);
            story.tick();
            story.transferred(7, 14);
            story.disconnect(id, 0);
            let [(labels, received)] = &story.series("tcp_received_bytes_total")[..] else {
                panic!("{era}: not one series")
            };
            check_understood(labels, side, era);
            assert_eq!(*received, 7, "{era}");
        }
    }
}

/// Who the destination is, by whatever tells it: principal and namespace.
fn destination(labels: &Labels) -> [String; 2] {
    pick(labels, ["destination_principal", "destination_workload_namespace"])
}

#[test]
fn istios_identity_is_the_destinations_principal_where_no_certificate_tells() {
    // Of the moon, unlike the object's namespace, which is Istio's own doing.
    let identity = "spiffe://td/ns/moon/sa/reviews";
    let object = |value: Value| match value {
        Value::Map(mut entries) => {
            entries.insert("identity".to_owned(), identity.into());
            Value::Map(entries)
        }
        Value::Fields(mut fields) => {
            fields.insert("identity".to_owned(), identity.into());
            Value::Fields(fields)
        }
        other => other,
    };
    for (era, downstream, upstream, value) in eras() {
        let value = object(value);
        let expected = if era.starts_with("1.2") { [identity, "moon"] } else { ["unknown", UNDERSTOOD[3].1] };
        for (root_id, configuration) in [(OUTBOUND, "{}"), ("", r#"{"reporter": "SERVER_GATEWAY"}"#)] {
            let story = Story::new(root_id, configuration);
            request(&story, &upstream, value.clone());
            assert_eq!(destination(&story.request_labels()), expected, "{era} {configuration}");

            let story = Story::new(root_id, configuration);
            let id = story.connect();
            story.host.set_attribute(&upstream, value.clone());
            story.transferred(1, 1);
            story.disconnect(id, 0);
            let (labels, _) = &story.series("tcp_connections_closed_total")[0];
            assert_eq!(destination(labels), expected, "{era} {configuration} TCP");
        }
        // It is asked for by this label alone, too.
        let story = Story::new(OUTBOUND, r#"{"labels": ["destination_principal"]}"#);
        request(&story, &upstream, value.clone());
        assert_eq!(story.request_labels()["destination_principal"], expected[0], "{era}");
        // Who called is told by certificates alone.
        if !downstream.is_empty() {
            let story = Story::new(INBOUND, "{}");
            request(&story, &downstream, value);
            assert_eq!(pick(&story.request_labels(), ["source_principal"]), ["unknown"], "{era}");
        }
    }
}

#[test]
fn a_certificate_goes_before_istios_identity_and_trust_before_both() {
    let labels = |configuration: &str, certificate: &str| {
        let story = Story::new(OUTBOUND, configuration);
        let id = story.open();
        story.host.set_attribute(&["filter_state", "upstream_peer"], object());
        if !certificate.is_empty() {
            story.host.set_attribute(&["upstream", "tls_version"], "TLSv1.3");
            story.host.set_attribute(&["upstream", "uri_san_peer_certificate"], certificate);
        }
        story.finish(id);
        destination(&story.request_labels())
    };
    let certificate = "spiffe://td/ns/sun/sa/reviews";
    assert_eq!(labels("{}", certificate), [certificate, "sun"]);
    // Its namespace is not that of somebody else's identity.
    assert_eq!(labels("{}", "spiffe://td/reviews"), ["spiffe://td/reviews", "stars"]);
    assert_eq!(labels(r#"{"trust": "mtls"}"#, ""), ["unknown", "unknown"]);
}

/// Our exchange does not send it, and nobody may claim it there.
#[test]
fn an_identity_that_a_peer_claims_is_none() {
    let mut claimed = metadata::encode_struct(&flatbuffer::reviews().1);
    istio_stats::wire::structs::put_text(&mut claimed, "identity", "spiffe://td/ns/moon/sa/king");
    let story = Story::new(OUTBOUND, "{}");
    request(&story, &[UPSTREAM_PEER_KEY], metadata::to_header(&claimed).as_str());
    assert_eq!(destination(&story.request_labels()), ["unknown", UNDERSTOOD[3].1]);
}

#[test]
fn a_waypoint_understands_both_of_its_peers() {
    for (era, downstream, upstream, value) in eras() {
        if downstream.is_empty() {
            continue;
        }
        let story = Story::new("", r#"{"reporter": "SERVER_GATEWAY"}"#);
        let id = story.open();
        for path in [downstream, upstream] {
            story.host.set_attribute(&path, value.clone());
        }
        story.finish(id);
        for side in ["source", "destination"] {
            check_understood(&story.request_labels(), side, era);
        }
    }
}

/// A connection with one attribute: how many were reported opened at the next
/// tick, which waits for a peer that may still come.
fn opened_at_the_first_tick(root_id: &str, path: &[&str], value: impl Into<Value>) -> u64 {
    let story = Story::new(root_id, "{}");
    story.connect();
    story.host.set_attribute(path, value);
    story.transferred(1, 1);
    story.tick();
    story.series("tcp_connections_opened_total").iter().map(|(_, count)| count).sum()
}

#[test]
fn no_report_waits_for_a_peer_of_whom_istio_says_that_nobody_will_tell() {
    let markers: [(&[&str], &[&str], &str); 3] = [
        (&["downstream_peer_id"], &["upstream_peer_id"], UNKNOWN_MARK),
        (&[UNKNOWN_MARK], &[UNKNOWN_MARK], UNKNOWN_MARK),
        (&["filter_state", "peer_not_found"], &["upstream_filter_state", "peer_not_found"], "true"),
    ];
    for (downstream, upstream, value) in markers {
        assert_eq!(opened_at_the_first_tick(INBOUND, downstream, value), 1, "{downstream:?}");
        assert_eq!(opened_at_the_first_tick(OUTBOUND, upstream, value), 1, "{upstream:?}");
    }
    // The id of a node that did tell who it is, or will.
    let id = "sidecar~10.0.0.2~reviews-v1-abc.stars~stars.svc.cluster.local";
    assert_eq!(opened_at_the_first_tick(OUTBOUND, &["upstream_peer_id"], id), 0);
    assert_eq!(opened_at_the_first_tick(OUTBOUND, &["upstream_filter_state", "peer_not_found"], "false"), 0);
    assert_eq!(opened_at_the_first_tick(OUTBOUND, &["other"], "true"), 0);
}

#[test]
fn a_peer_that_will_not_tell_is_no_error() {
    for value in [UNKNOWN_MARK.as_bytes(), NO_PEER] {
        let story = Story::new(INBOUND, "{}");
        let id = story.open();
        story.host.set_attribute(&[DOWNSTREAM_PEER_KEY], value.to_vec());
        story.finish(id);
        assert_eq!(pick(&story.request_labels(), ["source_workload"]), ["unknown"]);
        assert!(story.series("stats_peer_decode_errors_total").is_empty(), "{value:?}");
    }
}

#[test]
fn a_marker_leaves_the_endpoints_metadata_to_speak() {
    let story = Story::new(OUTBOUND, "{}");
    let id = story.open();
    story.host.set_attribute(&["upstream_peer_id"], UNKNOWN_MARK);
    story.host.set_attribute(&ENDPOINT, "reviews-v1;stars;reviews;r1;north");
    story.finish(id);
    assert_eq!(pick(&story.request_labels(), ["destination_cluster"]), ["north"]);
}

#[test]
fn of_several_sources_the_first_counts() {
    let of = |cluster_id: &str| Workload::default().with(Fact::ClusterId, cluster_id);
    let header = |cluster_id| Value::from(metadata::encode(&of(cluster_id)));
    let sources: [(&[&str], Value); 5] = [
        (&[UPSTREAM_PEER_KEY], header("ours")),
        (&["filter_state", "upstream_peer"], Value::map([("cluster", "istio's")])),
        (&["upstream_peer"], metadata::encode_struct(&of("older")).into()),
        (&["metadata", "filter_metadata", "istio_stats", "upstream_peer"], header("stock")),
        (&ENDPOINT, "w;ns;s;r;endpoint".into()),
    ];
    let expected = ["ours", "istio's", "older", "stock", "endpoint", "unknown"];
    for (skipped, expected) in expected.into_iter().enumerate() {
        let story = Story::new(OUTBOUND, "{}");
        for _ in 0..2 {
            let id = story.open();
            for (path, value) in sources.iter().skip(skipped) {
                story.host.set_attribute(path, value.clone());
            }
            story.finish(id);
        }
        assert_eq!(pick(&story.request_labels(), ["destination_cluster"]), [expected]);
    }
}

#[test]
fn istios_peers_are_believed_as_far_as_trust_goes() {
    for (mtls, cluster_id) in [(false, "unknown"), (true, "west")] {
        let story = Story::new(INBOUND, r#"{"trust": "mtls"}"#);
        let id = story.open();
        story.host.set_attribute(&["connection", "mtls"], mtls);
        story.host.set_attribute(&["filter_state", "downstream_peer"], object());
        story.finish(id);
        assert_eq!(pick(&story.request_labels(), ["source_cluster"]), [cluster_id]);
    }
}

// === What it costs ===

/// Property reads of one more request.
fn reads(story: &Story, path: &[&str], value: impl Into<Value>) -> usize {
    let id = story.open();
    if !path.is_empty() {
        story.host.set_attribute(path, value);
    }
    story.host.reset_calls();
    story.finish(id);
    story.host.calls(Hostcall::Property)
}

#[test]
fn a_place_that_held_a_peer_is_the_only_one_to_be_read() {
    for (era, _, upstream, value) in eras() {
        let story = Story::new(OUTBOUND, "{}");
        let first = reads(&story, &upstream, value.clone());
        let second = reads(&story, &upstream, value.clone());
        assert_eq!(reads(&story, &upstream, value.clone()), second, "{era}");
        // Of an object, seven fields and the identity are read, too.
        let fields = if era.starts_with("1.24") { 8 } else { 0 };
        let places = ["ours", "1.25", "1.25 TCP client", "1.6", "1.4", "stock filters"];
        let known = era.replace("1.24", "1.25");
        let skipped = places.iter().position(|place| *place == known).unwrap();
        assert_eq!(first - second, skipped, "{era}");

        let ours = Story::new(OUTBOUND, "{}");
        reads(&ours, &[UPSTREAM_PEER_KEY], header());
        assert_eq!(second, reads(&ours, &[UPSTREAM_PEER_KEY], header()) + fields, "{era}");
    }
}

#[test]
fn looking_for_peers_in_the_places_of_old_proxies_is_rare() {
    let story = Story::new(OUTBOUND, "{}");
    // All reads are single ones.
    story.host.fail(Hostcall::CreateExpression, 2);
    reads(&story, &[UPSTREAM_PEER_KEY], header());
    let least = reads(&story, &[UPSTREAM_PEER_KEY], header());
    let everywhere = 6 - 1;
    // Where proxies of today keep peers, besides ours.
    let always = 2;
    // The endpoint's metadata is asked for whenever a peer is silent.
    let expected = |looks: usize| 160 * (least + 1) + looks * everywhere + (160 - looks) * always;
    // The first 16, one of which had a peer; 16 after the first report, then once a minute.
    for (round, looks) in [15, 16, 0, 0].into_iter().enumerate() {
        let all: usize = (0..160).map(|_| reads(&story, &[], "")).sum();
        assert_eq!(all, expected(looks), "{round}");
        story.tick();
    }
    story.host.advance(Duration::from_secs(60));
    story.tick();
    let all: usize = (0..160).map(|_| reads(&story, &[], "")).sum();
    assert_eq!(all, expected(16));
    // Where peers are, they cost nothing all the while.
    assert_eq!(reads(&story, &[UPSTREAM_PEER_KEY], header()), least);
}

#[test]
fn a_form_that_shows_up_late_is_found() {
    let story = Story::new(INBOUND, "{}");
    let silent = |requests: usize| (0..requests).for_each(|_| request(&story, &[], ""));
    let found = || {
        let series = story.series("requests_total");
        let found = series.iter().filter(|(labels, _)| labels["source_cluster"] == "west");
        found.map(|(_, count)| *count).sum::<u64>()
    };
    // A health check or two for hours, then the first peer: the very first
    // request counts.
    for _ in 0..100 {
        silent(2);
        story.tick();
    }
    request(&story, &["filter_state", "downstream_peer"], object());
    assert_eq!(found(), 1);

    // Another form after a flood: a minute later.
    silent(1000);
    story.host.advance(Duration::from_secs(60));
    story.tick();
    for _ in 0..16 {
        request(&story, &["downstream_peer"], flatbuffer::reviews().0);
    }
    assert!(found() > 1, "{}", found());
    // Both are known from now on, in whatever order.
    let before = found();
    for _ in 0..8 {
        request(&story, &["filter_state", "downstream_peer"], object());
        request(&story, &["downstream_peer"], flatbuffer::reviews().0);
    }
    assert_eq!(found(), before + 16);
}

// === Bytes that are no peer ===

#[test]
fn each_form_is_told_by_its_first_bytes() {
    let (flat_node, workload) = flatbuffer::reviews();
    // The object knows neither owner nor mesh nor version, but more of the rest.
    let of_object = |workload: Workload| {
        let without = [Fact::Owner, Fact::MeshId, Fact::IstioVersion];
        without.into_iter().fold(workload, |workload, fact| workload.with(fact, ""))
    };
    let identity = "spiffe://td/ns/stars/sa/reviews";
    let whole = of_object(workload.clone()).with(Fact::Identity, identity).with(Fact::Region, "eu");
    assert_eq!(decode(&flat_node), Ok(workload.clone()));
    assert_eq!(decode(header().as_bytes()), Ok(workload.clone()));
    assert_eq!(decode(&metadata::encode_struct(&workload)), Ok(workload.clone()));
    assert_eq!(decode(&object().to_wire().unwrap()), Ok(whole));
    let read = |field: &str| {
        let (_, text) = FIELDS.into_iter().find(|(known, _)| *known == field)?;
        Some(text.as_bytes().to_vec())
    };
    let gathered = decode(&gather(Side::Upstream, &Further::default(), read)).unwrap();
    assert_eq!(gathered, of_object(workload).with(Fact::Name, "").with(Fact::Identity, identity));
    let none = |_: &str| None;
    assert_eq!(decode(&gather(Side::Upstream, &Further::default(), none)), Err(DecodeError::Empty));
    let no_text = |_: &str| Some(vec![0xff]);
    assert_eq!(decode(&gather(Side::Upstream, &Further::default(), no_text)), Err(DecodeError::Empty));
}

#[test]
fn a_pods_own_labels_are_no_facts_of_its_proxy() {
    let labels = Value::map([("cluster", "forged"), ("namespace", "forged"), ("NAME", "forged")]);
    let object = Value::map([("labels", labels), ("workload", "w".into())]).to_wire().unwrap();
    let expected = Workload::default().with(Fact::Workload, "w");
    assert_eq!(decode(&object), Ok(expected));
    let node = flatbuffer::flat_node(&[(4, "w")], &[("CLUSTER_ID", "forged"), ("cluster", "forged")]);
    assert_eq!(decode(&node).unwrap().get(Fact::ClusterId), None);
}

#[test]
fn what_holds_no_peer_has_a_reason() {
    let story = Story::new(OUTBOUND, "{}");
    let cases: [(Vec<u8>, DecodeError); 7] = [
        (vec![4, 0, 0, 0], DecodeError::FlatBuffer),
        (vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], DecodeError::Empty),
        (vec![0; 16], DecodeError::Empty),
        (b"\n\x04oops".to_vec(), DecodeError::Protobuf),
        (b"text".to_vec(), DecodeError::Protobuf),
        (b"no text".to_vec(), DecodeError::Base64),
        (vec![1; MAX_ENCODED_BYTES + 1], DecodeError::TooLarge),
    ];
    for (bytes, reason) in cases {
        assert_eq!(decode(&bytes), Err(reason), "b\"{}\"", bytes.escape_ascii());
        let path = ["filter_state", "upstream_peer"];
        request(&story, &path, bytes);
        let counted = story.series("stats_peer_decode_errors_total");
        let counted = counted.iter().find(|(labels, _)| labels["reason"] == reason.reason());
        assert!(counted.is_some(), "{reason:?}");
    }
    assert_eq!(pick(&story.request_labels(), ["destination_cluster"]), ["unknown"]);
}

/// Cut at every length, and with every bit and every byte changed.
#[test]
fn mutated_objects_and_structs_decode_or_not() {
    let (_, workload) = flatbuffer::reviews();
    for bytes in [object().to_wire().unwrap(), metadata::encode_struct(&workload)] {
        let mut decoded = 0;
        each_mutation(&bytes, |bytes| decoded += usize::from(decode(bytes).is_ok()));
        assert!(decoded > bytes.len(), "only {decoded}");
    }
}
