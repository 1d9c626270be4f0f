use std::time::Duration;

use serde_json::json;

use super::*;
use crate::names::Names;

fn http(total: u64, active: u64, counted: u64) -> Stats {
    Stats::parse(
        &format!(
            "http.west.downstream_rq_total: {total}\nhttp.west.downstream_rq_active: {active}\n\
             wasmcustom.istio_build: 1\nwasmcustom.reporter=.=x;.;istio_requests_total: {counted}\n"
        ),
        &Names::default(),
    )
}

fn tcp(destroyed: u64, counted: u64) -> Stats {
    Stats::parse(&format!(
            "listener.1.2.3.4_80.downstream_cx_destroy: {destroyed}\n\
             wasmcustom.istio_build: 1\nwasmcustom.reporter=.=x;.;istio_tcp_connections_closed_total: {counted}\n"
        ), &Names::default())
}

fn chain(attachment: Attachment, configuration: &str) -> Chain {
    let plugin = json!({"name": "istio_stats", "configuration": {"value": configuration}});
    Chain {
        stat_prefix: "west".to_owned(),
        listener_scope: "1.2.3.4_80".to_owned(),
        is_static: true,
        plugins: vec![Attached::parse("istio_stats", &plugin)],
        ..Chain::new(attachment)
    }
}

fn seen(chains: Vec<Chain>, before: Option<Stats>, stats: Stats) -> Seen {
    let dump = Dump { chains, ..Dump::default() };
    let names = dump.names();
    let admin = Admin {
        dump,
        ended: stats.clone(),
        stats,
        before,
        waited: Duration::from_secs(2),
        ..Admin::default()
    };
    Seen { admin: Some(admin), names, ..Seen::default() }
}

fn found(seen: &Seen) -> Option<(&'static Symptom, String)> {
    find(seen).first().map(|finding| (finding.symptom, finding.seen[0].clone()))
}

#[test]
fn what_is_still_open_is_not_missed() {
    assert_eq!(found(&seen(vec![chain(Attachment::Http, "{}")], None, http(50, 48, 2))), None);
    assert_eq!(
        found(&seen(vec![chain(Attachment::Http, "{}")], Some(http(100, 0, 100)), http(200, 2, 197))),
        None
    );
    assert_eq!(found(&seen(vec![chain(Attachment::Tcp, "{}")], Some(tcp(5, 5)), tcp(9, 9))), None);
}

#[test]
fn what_is_counted_a_little_late_is_not_missed() {
    let mut late = seen(vec![chain(Attachment::Http, "{}")], Some(http(0, 0, 0)), http(9, 0, 5));
    late.admin.as_mut().unwrap().ended = http(5, 0, 0);
    assert_eq!(found(&late), None);
}

#[test]
fn nothing_or_a_part_is_counted_while_doctor_watches() {
    let stands = seen(vec![chain(Attachment::Http, "{}")], Some(http(100, 0, 50)), http(106, 1, 50));
    let expected = "within 2 s 5 requests ended and 0 were counted".to_owned();
    assert_eq!(found(&stands), Some((&STANDS_STILL, expected)));
    let half = seen(vec![chain(Attachment::Http, "{}")], Some(http(0, 0, 0)), http(100, 0, 50));
    assert_eq!(found(&half).unwrap().0, &STANDS_STILL);
    let connections = seen(vec![chain(Attachment::Tcp, "{}")], Some(tcp(0, 0)), tcp(4, 0));
    let expected = "within 2 s 4 connections ended and 0 were counted".to_owned();
    assert_eq!(found(&connections), Some((&STANDS_STILL, expected)));
}

#[test]
fn while_nothing_passes_the_time_since_the_start_counts() {
    let mut chains = vec![chain(Attachment::Http, "{}")];
    let quiet = |chains: &[Chain]| seen(chains.to_vec(), Some(http(40, 0, 1)), http(40, 0, 1));
    let expected = "since Envoy's start 40 requests ended and 1 were counted".to_owned();
    assert_eq!(found(&quiet(&chains)), Some((&STANDS_STILL, expected)));
    // It may have come later.
    chains[0].is_static = false;
    assert_eq!(found(&quiet(&chains)).unwrap().0, &MAYBE_STANDS_STILL);
    assert_eq!(found(&seen(chains, Some(http(40, 0, 1)), http(60, 0, 21))), None);
}

#[test]
fn where_requests_can_bypass_it_or_are_dropped_there_is_no_judging() {
    let bare = Chain { plugins: Vec::new(), ..chain(Attachment::Http, "{}") };
    let upgraded = Chain { is_bypassed: true, ..chain(Attachment::Http, "{}") };
    for chains in [
        vec![chain(Attachment::Http, "{}"), bare],
        vec![upgraded],
        vec![chain(Attachment::Http, r#"{"metrics": [{"name": "requests_total", "drop": true}]}"#)],
        vec![chain(Attachment::Http, r#"{"metrics": [{"drop": true}]}"#)],
        vec![chain(Attachment::Http, "not JSON")],
    ] {
        assert_eq!(found(&seen(chains, None, http(50, 0, 0))), None);
    }
    // Of a listener with both kinds nobody knows whose connections ended.
    assert_eq!(
        found(&seen(vec![chain(Attachment::Tcp, "{}"), chain(Attachment::Http, "{}")], None, tcp(50, 0))),
        None
    );
}

#[test]
fn a_plugin_that_never_ran_is_another_symptom() {
    let stats = Stats::parse(
        "http.west.downstream_rq_total: 9\nhttp.west.downstream_rq_active: 0\n",
        &Names::default(),
    );
    assert_eq!(found(&seen(vec![chain(Attachment::Http, "{}")], None, stats)), None);
}

#[test]
fn each_prefix_is_counted_by_itself() {
    let stats = |istio: u64, mesh: u64| {
        let text = format!(
            "http.west.downstream_rq_total: 40\nhttp.west.downstream_rq_active: 0\n\
                 wasmcustom.istio_requests_total: {istio}\nwasmcustom.mesh_requests_total: {mesh}\n"
        );
        Stats::parse(&text, &Names::with_prefixes(["istio_".to_owned(), "mesh_".to_owned()]))
    };
    let mesh = chain(Attachment::Http, r#"{"metric_prefix": "mesh_"}"#);
    assert_eq!(found(&seen(vec![mesh.clone()], None, stats(0, 40))), None);
    let fact = "since Envoy's start 40 requests ended and 0 were counted as mesh_…".to_owned();
    assert_eq!(found(&seen(vec![mesh.clone()], None, stats(40, 0))), Some((&STANDS_STILL, fact)));
    // What one counts does not stand in for the other.
    let plugins = [mesh.plugins, chain(Attachment::Http, "{}").plugins].concat();
    let both = Chain { plugins, ..chain(Attachment::Http, "{}") };
    assert_eq!(found(&seen(vec![both.clone()], None, stats(40, 40))), None);
    assert_eq!(found(&seen(vec![both], None, stats(80, 0))).unwrap().0, &STANDS_STILL);
}
