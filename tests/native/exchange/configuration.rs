//! What the metadata exchange makes of its configuration and of the node it is on.

use istio_stats::exchange::http::{ID_HEADER, METADATA_HEADER};
use istio_stats::exchange::{Exchange, MAX_ID_BYTES, MAX_SENT_BYTES};
use istio_stats::host::fake::{FakeHost, Hostcall, Value};
use istio_stats::host::HeaderMap::{Request, Response};
use istio_stats::peer::forms::decode_into;
use istio_stats::peer::metadata::decode;
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;

use super::proxy::{both, to, Proxy, INBOUND, NOTHING, OUTBOUND, PEER, PEER_ID, UNSPECIFIED};

#[test]
fn configured_facts_are_what_peers_are_told() {
    let configuration = r#"{"local": {"cluster_id": "north", "workload_name": "w", "app": "a"}}"#;
    let proxy = Proxy::of("east", OUTBOUND, configuration);
    let metadata = proxy.serve(&[]).header(Request, METADATA_HEADER).unwrap();
    let workload = decode(metadata.as_bytes()).unwrap();
    assert_eq!(workload.get(Fact::ClusterId), Some("north"));
    assert_eq!(workload.get(Fact::Workload), Some("w"));
    assert_eq!(workload.get(Fact::App), Some("a"));
    assert_eq!(workload.get(Fact::Namespace), Some("shop"));
}

#[test]
fn peers_are_told_the_labels_that_are_asked_for_and_where_it_is() {
    let labels = ["role".to_owned(), "app".to_owned(), "absent".to_owned()];
    let serve = |configuration: &str, length: usize| {
        let host = FakeHost::new();
        host.set_node_metadata("CLUSTER_ID", "east");
        for (label, value) in
            [("role", "r".repeat(length)), ("app", "web".to_owned()), ("secret", "s".to_owned())]
        {
            host.set_node_label(label, value);
        }
        host.set_attribute(&["xds", "node", "locality", "region"], "eu");
        host.set_attribute(&["xds", "node", "locality", "zone"], "eu-1");
        let proxy = Proxy::with_host(host, OUTBOUND, configuration);
        let header = proxy.serve(&[]).header(Request, METADATA_HEADER).unwrap();
        let asking = Workload::default().asking(&[&labels[..], &["secret".to_owned()]].concat());
        (decode_into(asking, header.as_bytes()).unwrap(), proxy.complaints())
    };
    let told = |workload: &Workload| {
        let further = workload.further().map(|(name, text)| (name.to_owned(), text.to_owned()));
        further.collect::<Vec<_>>()
    };
    let (workload, complaints) = serve(r#"{"additional_labels": ["role", "app", "absent"]}"#, 3);
    assert_eq!(told(&workload), [("role".to_owned(), "rrr".to_owned())]);
    for (fact, text) in
        [(Fact::App, "web"), (Fact::Region, "eu"), (Fact::Zone, "eu-1"), (Fact::ClusterId, "east")]
    {
        assert_eq!(workload.get(fact), Some(text), "{fact:?}");
    }
    assert!(complaints.is_empty(), "{complaints:?}");
    assert_eq!(told(&serve("{}", 3).0), [], "only what is asked for");
}

#[test]
fn what_is_sent_is_bounded_and_additional_labels_go_first() {
    let host = FakeHost::new();
    host.set_node_metadata("CLUSTER_ID", "east");
    host.set_attribute(&["xds", "node", "id"], "i".repeat(MAX_ID_BYTES + 1));
    let names: Vec<_> = (0..32).map(|n| format!("{n:0>100}")).collect();
    for name in &names {
        host.set_node_label(name, "v".repeat(256));
    }
    let configuration = format!(r#"{{"additional_labels": {names:?}}}"#);
    let proxy = Proxy::with_host(host, OUTBOUND, &configuration);
    let served = proxy.serve(&[]);
    let header = served.header(Request, METADATA_HEADER).unwrap();
    let workload = decode_into(Workload::default().asking(&names), header.as_bytes()).unwrap();
    assert_eq!(workload.get(Fact::ClusterId), Some("east"));
    let kept = workload.further().count();
    assert!(workload.further().map(|(name, _)| name).eq(&names[..kept]), "the first ones");
    // One more would have been too much.
    assert!((MAX_SENT_BYTES - 600..=MAX_SENT_BYTES).contains(&header.len()), "{}", header.len());
    assert_eq!(served.header(Request, ID_HEADER), None);
    let [id, labels] = &proxy.complaints()[..] else { panic!("{:?}", proxy.complaints()) };
    assert!(id.contains("not sent"), "{id}");
    let left_out = names.len() - kept;
    let expected = format!(
        "metadata-exchange: additional_labels: more than 4096 bytes to send; the last {left_out} of them are left out"
    );
    assert_eq!(*labels, expected);
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
fn no_configuration_is_the_default() {
    for configuration in ["", " ", "{}"] {
        let proxy = Proxy::of("east", OUTBOUND, configuration);
        assert_eq!(proxy.serve(&[]).pair(Request), both(proxy.own()));
        assert!(proxy.complaints().is_empty());
    }
}

#[test]
fn bad_fields_are_named_and_the_rest_is_followed() {
    let configuration = r#"{"trust": [], "skip_external": true, "colour": "red", "local": {"app": []}}"#;
    let proxy = Proxy::of("east", OUTBOUND, configuration);
    assert_eq!(
        proxy.complaints(),
        [
            "metadata-exchange: configuration: trust: expected one of always, mtls, found []; ignored",
            "metadata-exchange: configuration: local.app: expected a string, found []; ignored",
            "metadata-exchange: configuration: colour: unknown field with value \"red\"; ignored",
        ]
    );
    let served = proxy.serve_after(to("PassthroughCluster", "external", None), &[]);
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
    assert_eq!(decode(metadata.unwrap().as_bytes()).unwrap().get(Fact::ClusterId), Some("east"));
    assert_eq!(id, None);
}

#[test]
fn odd_node_values_are_complained_about_and_not_sent() {
    let host = FakeHost::new();
    host.set_attribute(&["xds", "node", "id"], "an\r\nid: x");
    host.set_node_metadata("CLUSTER_ID", Value::List(vec![]));
    host.set_node_metadata("NAMESPACE", "shop");
    host.set_node_metadata("WORKLOAD_NAME", 3.0);
    let proxy = Proxy::with_host(host, OUTBOUND, "{}");
    assert_eq!(
        proxy.complaints(),
        [
            r#"metadata-exchange: node metadata CLUSTER_ID: expected a text, found 4 bytes, "\u0000\u0000\u0000\u0000"; ignored"#,
            r#"metadata-exchange: node id "an\r\nid: x" cannot be a header's value; not sent"#,
        ]
    );
    let (metadata, id) = proxy.serve(&[]).pair(Request);
    let workload = decode(metadata.unwrap().as_bytes()).unwrap();
    assert_eq!((workload.get(Fact::ClusterId), workload.get(Fact::Namespace)), (None, Some("shop")));
    assert_eq!(workload.get(Fact::Workload), Some("3"));
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
