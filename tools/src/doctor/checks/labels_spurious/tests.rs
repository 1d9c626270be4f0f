use super::*;
use crate::doctor::fixture::{only, page_only};
use crate::doctor::stats::Stats;
use crate::names::Names;

fn with_stats(text: &str, stats: &str) -> Seen {
    let admin = Admin { stats: Stats::parse(stats, &Names::default()), ..Admin::default() };
    Seen { admin: Some(admin), ..page_only(text) }
}

const GOOD: &str = "# TYPE istio_requests_total counter\n\
        istio_requests_total{reporter=\"source\",source_app=\"shop\",response_code=\"200\"} 3\n\
        # TYPE istio_request_bytes histogram\n\
        istio_request_bytes_bucket{reporter=\"source\",source_app=\"shop\",le=\"+Inf\"} 3\n\
        istio_build{component=\"proxy\",tag=\"1.25.0\"} 1\n";

const GOOD_STATS: &str = "\
        wasmcustom.reporter=.=source;.;source_app=.=shop;.;response_code=.=200;.;istio_requests_total: 3\n\
        wasmcustom.reporter=.=source;.;source_app=.=shop;.;istio_request_bytes: P0(1,1)\n\
        wasmcustom.component.proxy.tag.1.25.0;.istio_build: 1\n";

#[test]
fn nothing_is_wrong_with_a_good_page() {
    for seen in [page_only(GOOD), with_stats(GOOD, GOOD_STATS)] {
        assert_eq!(find(&seen), []);
    }
}

#[test]
fn under_another_prefix_istios_own_are_none_of_the_plugins() {
    let names = Names::with_prefixes(["mesh_".to_owned()]);
    let text = "mesh_requests_total{} 3\nistio_requests_total{cache=\"x\"} 3\n";
    assert_eq!(find(&Seen { names, ..page_only(text) }), []);
}

#[test]
fn labels_that_the_plugin_did_not_write() {
    let text = GOOD.replace("source_app=\"shop\"", "source_app=\"a.cache.x.b\",cache=\"x\"");
    for seen in [page_only(&text), with_stats(&text, GOOD_STATS)] {
        let finding = only(find(&seen));
        assert_eq!(finding.seen, ["cache=\"x\" on istio_requests_total, out of source_app=\"a.cache.x.b\""]);
        assert!(finding.paste[0].lines.contains("regex: cache"));
    }
    // Only the stats tell that nobody set this one.
    let text = GOOD.replace("source_app=\"shop\"", "source_app=\"shop\",app=\"shop\"");
    assert_eq!(find(&page_only(&text)), []);
    assert_eq!(only(find(&with_stats(&text, GOOD_STATS))).symptom, &SPURIOUS);
}

#[test]
fn fixed_labels_are_meant() {
    let text = GOOD.replace("source_app=\"shop\"", "source_app=\"shop\",zone=\"z1\"");
    let mut seen = with_stats(&text, GOOD_STATS);
    seen.admin.as_mut().unwrap().fixed_labels.push("zone".to_owned());
    assert_eq!(find(&seen), []);
}
