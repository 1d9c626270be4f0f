use super::*;
use crate::doctor::fixture::{only, page_only};
use crate::names::Names;

#[test]
fn names_with_all_labels_or_one() {
    let all = page_only("reporter___source___grpc_response_status______istio_requests_total{} 3\n");
    let finding = only(find(&all));
    assert_eq!(finding.seen[1], "labels: grpc_response_status, reporter");
    assert!(finding.paste[0].lines.contains("tag_name: reporter, regex: '^wasmcustom"), "{finding:?}");
    assert!(finding.paste[1].lines.starts_with("sidecar.istio.io/extraStatTags: reporter,source_workload,"));

    let new = page_only("zone___Z1___istio_requests_total{reporter=\"source\"} 3\n");
    let finding = only(find(&new));
    assert_eq!(finding.seen[1], "labels: zone");
    assert!(finding.paste[0].lines.contains("(zone=\\.=([^;]*);\\.;)"));
}

#[test]
fn names_begin_with_any_prefix() {
    let text = "zone___Z1___mesh_requests_total{reporter=\"source\"} 3\n";
    assert_eq!(find(&page_only(text)), []);
    let seen = Seen { names: Names::with_prefixes(["mesh_".to_owned()]), ..page_only(text) };
    assert_eq!(only(find(&seen)).seen[1], "labels: zone");
}

#[test]
fn histograms_count_once() {
    let seen = page_only(
        "# TYPE zone___a___istio_request_bytes histogram\n\
             zone___a___istio_request_bytes_bucket{le=\"1\"} 0\nzone___a___istio_request_bytes_count{} 0\n",
    );
    assert_eq!(only(find(&seen)).seen[0], "metrics: 1, for example zone___a___istio_request_bytes");
}

#[test]
fn build_labels_stay_in_names_in_their_own_form() {
    let both = page_only("component_proxy_tag_1_25_0__istio_build{} 1\n");
    assert_eq!(only(find(&both)).seen[1], "labels: component, tag");
    let one = page_only("tag_1_25_0__istio_build{component=\"proxy\"} 1\n");
    assert_eq!(only(find(&one)).seen[1], "labels: tag");
}

#[test]
fn other_names_are_no_labels() {
    let seen = page_only("my_istio_metric{} 1\nistio_agent_startup{} 1\npilot_x{} 1\n");
    assert_eq!(find(&seen), []);
}

#[test]
fn a_label_that_is_also_a_label_was_swallowed() {
    let seen = page_only("app___mine___istio_requests_total{source_app=\"shop\",app=\"shop\"} 3\n");
    let finding = only(find(&seen));
    assert_eq!(finding.symptom, &SWALLOWED);
    assert_eq!(finding.seen[1], "app=\"shop\" is the value of source_app");
    assert!(finding.paste[0].lines.contains("tag_name: app,"));
}
