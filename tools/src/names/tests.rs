use super::*;

fn mesh() -> Names {
    Names::with_prefixes(["mesh_".to_owned()])
}

#[test]
fn names_begin_with_the_prefix_except_for_those_about_the_plugin() {
    let names = mesh();
    for (name, has) in [
        ("mesh_requests_total", true),
        ("istio_stats_series", true),
        ("istio_requests_total", false),
        ("zone___a___mesh_requests_total", false),
    ] {
        assert_eq!(names.has(name), has, "{name}");
    }
    assert!(names.is_build("mesh_build") && names.is_build("istio_stats_build"));
    assert!(!names.is_build("istio_build"));
    assert_eq!(Names::with_prefixes([]), Names::default());
    assert!(Names::default().has("istio_requests_total"));
}

#[test]
fn a_name_is_split_behind_the_labels_that_stayed_in_it() {
    let names = mesh();
    for (name, split) in [
        ("mesh_requests_total", Some(("", "mesh_requests_total"))),
        ("app___mesh_x___mesh_requests_total", Some(("app___mesh_x___", "mesh_requests_total"))),
        ("tag_1_25_0__mesh_build", Some(("tag_1_25_0__", "mesh_build"))),
        ("reason___a___istio_stats_x", Some(("reason___a___", "istio_stats_x"))),
        ("my_mesh_metric", None),
    ] {
        assert_eq!(names.split(name), split, "{name}");
    }
    // The prefix may be part of a metric's own name.
    let tcp = Names::with_prefixes(["tcp_".to_owned()]);
    assert_eq!(tcp.split("tcp_tcp_sent_bytes_total"), Some(("", "tcp_tcp_sent_bytes_total")));
}

#[test]
fn the_prefix_that_is_there_is_advised() {
    let advice = |text: &str| super::advice("istio_", &Page::parse(text, |_| true).unwrap());
    let series = |name: &str| format!("{name}{{source_cluster=\"east\",destination_cluster=\"west\"}} 1\n");
    assert_eq!(
        advice(&series("mesh_requests_total")).unwrap(),
        "no metric begins with istio_, but there is mesh_requests_total: try --metric-prefix mesh_"
    );
    let both = series("mesh_tcp_connections_opened_total") + &series("workload:istio_requests_total");
    assert!(advice(&both).unwrap().ends_with("try --metric-prefix mesh_ or --metric-prefix workload:istio_"));
    // Somebody else's.
    assert_eq!(advice("http_requests_total{code=\"200\"} 1\n"), None);
    assert_eq!(advice(&series("requests_total")), None);
}

#[test]
fn prefixes_can_begin_a_name() {
    for good in ["istio_", "mesh", "_", "workload:istio_"] {
        assert_eq!(parse_prefix(good).as_deref(), Ok(good));
    }
    for bad in ["", "1_", "a-b", "a b", ".*"] {
        assert!(parse_prefix(bad).is_err(), "{bad}");
    }
}
