//! The local workload, from node metadata of every kind.

use istio_stats::host::fake::{FakeHost, Hostcall, Value};
use istio_stats::workload::fact::Fact;
use istio_stats::workload::local::LocalOverrides;
use istio_stats::workload::node::istio_version;
use istio_stats::workload::{node, Workload};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A node as Istio's injection describes it.
fn istio_node() -> FakeHost {
    let fake = FakeHost::new();
    for (key, value) in [
        ("NAME", "web-1"),
        ("NAMESPACE", "shop"),
        ("WORKLOAD_NAME", "web"),
        ("CLUSTER_ID", "east"),
        ("MESH_ID", "mesh1"),
        ("OWNER", "kubernetes://apis/apps/v1/namespaces/shop/deployments/web"),
        ("ISTIO_VERSION", "1.29.2"),
    ] {
        fake.set_node_metadata(key, value);
    }
    for (label, value) in [
        ("app", "web-app"),
        ("version", "v3"),
        ("service.istio.io/canonical-name", "web-canonical"),
        ("service.istio.io/canonical-revision", "r3"),
        ("pod-template-hash", "54c8f7"),
    ] {
        fake.set_node_label(label, value);
    }
    fake
}

/// The workload of a node, which must not be complained about.
fn read(fake: &FakeHost) -> Workload {
    let (workload, warnings) = node::read(fake);
    assert!(warnings.is_empty(), "{warnings:?}");
    workload
}

#[test]
fn istios_node_metadata_is_read() {
    let fake = istio_node();
    let expected = Workload::default()
        .with(Fact::Name, "web-1")
        .with(Fact::Namespace, "shop")
        .with(Fact::Workload, "web")
        .with(Fact::ClusterId, "east")
        .with(Fact::MeshId, "mesh1")
        .with(Fact::Owner, "kubernetes://apis/apps/v1/namespaces/shop/deployments/web")
        .with(Fact::App, "web-app")
        .with(Fact::AppVersion, "v3")
        .with(Fact::CanonicalService, "web-canonical")
        .with(Fact::CanonicalRevision, "r3");
    assert_eq!(read(&fake), expected);
    assert_eq!(istio_version(&fake), some("1.29.2"));
}

#[test]
fn envoys_before_1_33_have_it_at_the_top_level() {
    let fake = FakeHost::new();
    fake.set_attribute(&["node", "metadata", "CLUSTER_ID"], "east");
    fake.set_attribute(&["node", "metadata", "LABELS", "app"], "web");
    fake.set_attribute(&["node", "metadata", "ISTIO_VERSION"], "1.17.8");
    let workload = read(&fake);
    assert_eq!((workload.get(Fact::ClusterId), workload.get(Fact::App)), (Some("east"), Some("web")));
    assert_eq!(istio_version(&fake), some("1.17.8"));
}

#[test]
fn nothing_is_made_up_for_a_node_without_metadata() {
    let fake = FakeHost::new();
    assert_eq!(read(&fake), Workload::default());
    assert_eq!(istio_version(&fake), None);
    fake.set_node_metadata("WORKLOAD_NAME", "web");
    fake.set_node_metadata("CLUSTER_ID", "");
    let expected = Workload::default().with(Fact::Workload, "web");
    assert_eq!(read(&fake), expected);
}

#[test]
fn recommended_labels_win_over_short_ones() {
    let fake = istio_node();
    fake.set_node_label("app.kubernetes.io/name", "shop-web");
    fake.set_node_label("app.kubernetes.io/version", "2.0");
    let workload = read(&fake);
    assert_eq!((workload.get(Fact::App), workload.get(Fact::AppVersion)), (Some("shop-web"), Some("2.0")));
    // Whoever is told of the workload gets all of them.
    let told = |key| workload.entries().find(|(_, known, _)| *known == key).map(|(.., text)| text);
    assert_eq!((told("app"), told("version")), (Some("web-app"), Some("v3")));
    let recommended = (told("app.kubernetes.io/name"), told("app.kubernetes.io/version"));
    assert_eq!(recommended, (Some("shop-web"), Some("2.0")));
}

#[test]
fn numbers_and_booleans_are_what_a_person_would_have_written() {
    let fake = istio_node();
    fake.set_node_metadata("CLUSTER_ID", 7.0);
    fake.set_node_metadata("MESH_ID", true);
    fake.set_node_metadata("OWNER", 123_456_789_012.0);
    fake.set_node_metadata("ISTIO_VERSION", 1.5);
    fake.set_node_label("version", 1.1);
    fake.set_node_label("app.kubernetes.io/name", false);
    let workload = read(&fake);
    for (fact, text) in [
        (Fact::ClusterId, "7"),
        (Fact::MeshId, "true"),
        (Fact::Owner, "123456789012"),
        (Fact::AppVersion, "1.1"),
        (Fact::App, "false"),
    ] {
        assert_eq!(workload.get(fact), Some(text), "{fact:?}");
    }
    assert_eq!(istio_version(&fake), some("1.5"));
}

#[test]
fn a_text_of_eight_bytes_is_no_number_nor_the_other_way_round() {
    let fake = istio_node();
    fake.set_node_metadata("CLUSTER_ID", "east-eu1");
    read(&fake);
    assert_eq!(fake.calls(Hostcall::CreateExpression), 0, "of a name the host is not asked");
    let readable = 10.2f64;
    let same = core::str::from_utf8(&readable.to_le_bytes()).unwrap().to_owned();
    fake.set_node_metadata("NAME", readable);
    fake.set_node_label("app.kubernetes.io/name", same.as_str());
    let workload = read(&fake);
    assert_eq!(workload.get(Fact::ClusterId), Some("east-eu1"));
    assert_eq!(workload.get(Fact::App), Some(same.as_str()));
    assert_eq!(workload.get(Fact::Name).and_then(|name| name.parse().ok()), Some(readable));
    // A host without expressions: what can be read is a text.
    fake.set_node_metadata("MESH_ID", 7.0);
    fake.fail(Hostcall::CreateExpression, 10);
    let workload = read(&fake);
    assert_eq!((workload.get(Fact::ClusterId), workload.get(Fact::MeshId)), (Some("east-eu1"), Some("7")));
}

#[test]
fn values_that_are_no_scalar_are_absent_and_named() {
    let fake = istio_node();
    fake.set_node_metadata("CLUSTER_ID", "eight\nbs");
    fake.set_node_metadata("MESH_ID", Value::List(vec![]));
    fake.set_node_metadata("NAMESPACE", Value::map([("a", "b")]));
    fake.set_node_metadata("WORKLOAD_NAME", Value::Null);
    fake.set_node_metadata("OWNER", b"\xff\xfe");
    fake.set_node_metadata("NAME", "two\nlines");
    fake.set_node_label("version", Value::map::<&str, &str>([]));
    fake.set_node_label("app", Value::List(vec!["x".into()]));
    let (workload, warnings) = node::read(&fake);
    let expected =
        Workload::default().with(Fact::CanonicalService, "web-canonical").with(Fact::CanonicalRevision, "r3");
    assert_eq!(workload, expected);
    assert_eq!(
        warnings,
        [
            r#"node metadata LABELS.app: expected a text, found 15 bytes, "\u0001\u0000\u0000\u0000\u0001\u0000\u0000\u0000\u0000\u0000\u0000\u0000x\u0000…; ignored"#,
            r#"node metadata LABELS.version: expected a text, found 4 bytes, "\u0000\u0000\u0000\u0000"; ignored"#,
            r#"node metadata NAME: expected a text, found 9 bytes, "two\nlines"; ignored"#,
            r#"node metadata NAMESPACE: expected a text, found 16 bytes, "\u0001\u0000\u0000\u0000\u0001\u0000\u0000\u0000\u0001\u0000\u0000\u0000a\u0000…; ignored"#,
            "node metadata WORKLOAD_NAME: expected a text, found nothing readable (proxy_get_property returned status 3); ignored",
            r#"node metadata CLUSTER_ID: expected a text, found 8 bytes, "eight\nbs"; ignored"#,
            r#"node metadata MESH_ID: expected a text, found 4 bytes, "\u0000\u0000\u0000\u0000"; ignored"#,
            r#"node metadata OWNER: expected a text, found 2 bytes, "��"; ignored"#,
        ]
    );
}

#[test]
fn metadata_of_the_wrong_shape_is_absent() {
    let fake = FakeHost::new();
    fake.set_node_metadata("LABELS", "app=web");
    assert_eq!(read(&fake), Workload::default());
    fake.set_attribute(&["xds", "node", "metadata"], Value::Null);
    assert_eq!(read(&fake), Workload::default());
    fake.set_node_metadata("CLUSTER_ID", "east");
    fake.fail(Hostcall::Property, 10);
    let (workload, warnings) = node::read(&fake);
    assert_eq!((workload, warnings.len()), (Workload::default(), 12));
}

#[test]
fn long_facts_are_cut_between_characters() {
    let fake = FakeHost::new();
    for (lead, bytes) in [("", 255), ("a", 256), ("aa", 254)] {
        let long = lead.to_owned() + &"€".repeat(3000);
        fake.set_node_metadata("CLUSTER_ID", long.as_str());
        let workload = read(&fake);
        let cluster_id = workload.get(Fact::ClusterId).unwrap();
        assert!(long.starts_with(cluster_id));
        assert_eq!(cluster_id.len() - lead.len(), (bytes - lead.len()) / 3 * 3, "{lead}");
    }
    fake.set_node_metadata("CLUSTER_ID", "x".repeat(256));
    assert_eq!(read(&fake).get(Fact::ClusterId), Some(&*"x".repeat(256)));
}

#[test]
fn the_configuration_replaces_facts_and_what_would_win_over_them() {
    let fake = istio_node();
    fake.set_node_label("app.kubernetes.io/name", "from-node");
    fake.set_node_label("app.kubernetes.io/version", "from-node");
    let given = [
        (Fact::Workload, "w"),
        (Fact::Namespace, "n"),
        (Fact::ClusterId, "c"),
        (Fact::App, "a"),
        (Fact::AppVersion, "v"),
        (Fact::CanonicalService, "s"),
        (Fact::CanonicalRevision, "r"),
    ];
    let mut overrides = LocalOverrides::default();
    for (fact, text) in given {
        overrides.set(fact, some(text));
    }
    let workload = read(&fake).overridden(&overrides);
    for (fact, text) in given {
        assert_eq!(workload.get(fact), Some(text), "{fact:?}");
    }
    for fact in [Fact::Name, Fact::MeshId, Fact::Owner] {
        assert_eq!(workload.get(fact), read(&fake).get(fact), "{fact:?}");
    }
    let keys: Vec<_> = workload.entries().map(|(_, key, _)| key).collect();
    assert!(!keys.iter().any(|key| key.starts_with("app.kubernetes.io/")), "{keys:?}");
}

#[test]
fn no_override_changes_nothing_and_an_empty_one_takes_away() {
    let fake = istio_node();
    assert_eq!(read(&fake).overridden(&LocalOverrides::default()), read(&fake));
    let mut overrides = LocalOverrides::default();
    overrides.set(Fact::ClusterId, some(""));
    overrides.set(Fact::App, some(""));
    let workload = read(&fake).overridden(&overrides);
    assert_eq!((workload.get(Fact::ClusterId), workload.get(Fact::App)), (None, None));
    assert_eq!(workload.get(Fact::AppVersion), Some("v3"));
}
