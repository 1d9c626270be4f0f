//! Whether what passes is counted. After a trap no stat of Envoy's changes, under
//! `FAIL_OPEN` and `FAIL_CLOSED` alike: only that numbers part tells of it.

use std::collections::BTreeSet;

use istio_stats::catalogue::metric::Metric;
use istio_stats::config::Config as StatsConfig;

use crate::doctor::config::{Config, Place};
use crate::doctor::finding::Finding;
use crate::doctor::plugin::{Kind, Plugin, Role};
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::stats::Stats;
use crate::doctor::symptom::Symptom;
use crate::names::{full, under};

/// Requests or connections where all of them pass through the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally {
    /// So many were over.
    ended: u64,
    /// So many the plugin has counted.
    counted: u64,
}

/// Whether what ended was counted.
pub(crate) fn keeps_up(seen: &Seen) -> Vec<Finding> {
    let Some(admin) = &seen.admin else {
        return Vec::new();
    };
    // A plugin that never ran is another symptom.
    if admin.stats.plugin.is_empty() {
        return Vec::new();
    }
    let kinds = [Kind::Http, Kind::Tcp];
    let all = kinds.into_iter().flat_map(|kind| seen.names.prefixes().map(move |prefix| (kind, prefix)));
    all.filter_map(|(kind, prefix)| judge(admin, kind, prefix)).collect()
}

/// VMs that failed and were started again.
pub(crate) fn reloads(seen: &Seen) -> Vec<Finding> {
    let Some(Admin { config, stats, .. }) = &seen.admin else {
        return Vec::new();
    };
    let ours = config.plugins(Role::Stats).chain(config.plugins(Role::Exchange));
    let names: BTreeSet<_> = ours.map(|(_, plugin)| plugin.name.as_str()).collect();
    let facts = names.into_iter().filter_map(|name| {
        let count = |what: &str| stats.get(&format!("wasm.{name}.vm_reload_{what}")).unwrap_or_default();
        let counts =
            [("success", "started again"), ("failure", "failed to start"), ("backoff", "refused meanwhile")]
                .map(|(stat, what)| (count(stat), what));
        let shown: Vec<_> = counts
            .iter()
            .filter(|(times, _)| *times > 0)
            .map(|(times, what)| format!("{times} × {what}"))
            .collect();
        (!shown.is_empty()).then(|| format!("{name}: {}", shown.join(", ")))
    });
    let facts: Vec<_> = facts.collect();
    if facts.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(Symptom::Reloaded, facts)]
}

// === impl Tally ===

impl Tally {
    /// From the stats of the places of this kind where nothing bypasses the plugin,
    /// the first ones for what ended; `None` if there is no such place.
    fn of(config: &Config, ended: &Stats, counted: &Stats, kind: Kind, prefix: &str) -> Option<Self> {
        let scopes = covered_scopes(config, kind, prefix);
        let ended_at = |scope: &&str| {
            let stat = |name: &str| ended.get(name);
            match kind {
                // Not `downstream_rq_completed`, which counts at the response's headers.
                Kind::Http => stat(&format!("http.{scope}.downstream_rq_total"))?
                    .checked_sub(stat(&format!("http.{scope}.downstream_rq_active"))?)
                    // The overload manager answers these in front of all filters.
                    .map(|ended| {
                        let shed = stat(&format!("http.{scope}.downstream_rq_overload_close"));
                        ended.saturating_sub(shed.unwrap_or_default())
                    }),
                Kind::Tcp => stat(&format!("listener.{scope}.downstream_cx_destroy")),
            }
        };
        let ended: Vec<_> = scopes.iter().filter_map(ended_at).collect();
        (!ended.is_empty())
            .then(|| Self { ended: ended.iter().sum(), counted: counted.total(&full(prefix, counter(kind))) })
    }

    fn since(self, before: Self) -> Self {
        Self {
            ended: self.ended.saturating_sub(before.ended),
            counted: self.counted.saturating_sub(before.counted),
        }
    }

    /// Whether so many are missing that neither a stream that ended this very
    /// moment nor one that never reached a filter can be the reason.
    fn falls_short(self) -> bool {
        let missing = self.ended.saturating_sub(self.counted);
        let share = self.ended.checked_div(20).unwrap_or_default();
        (self.counted == 0 && missing >= 3) || (missing >= 10 && missing > share)
    }

    fn describe(self, kind: Kind, prefix: &str, when: &str) -> String {
        let what = match kind {
            Kind::Http => "requests",
            Kind::Tcp => "connections",
        };
        format!("{when} {} {what} ended and {} were counted{}", self.ended, self.counted, under(prefix))
    }
}

fn judge(admin: &Admin, kind: Kind, prefix: &str) -> Option<Finding> {
    let tally = |ended, counted| Tally::of(&admin.config, ended, counted, kind, prefix);
    let after = tally(&admin.ended, &admin.stats)?;
    let before = admin.before.as_ref().and_then(|stats| tally(stats, stats));
    let watched = before.map(|before| after.since(before)).filter(|watched| watched.ended > 0);
    let seconds = admin.waited.as_secs_f64();
    if let Some(watched) = watched {
        if watched.falls_short() {
            let fact = watched.describe(kind, prefix, &format!("within {seconds} s"));
            return Some(Finding::new(Symptom::StandsStill, [fact]));
        }
        // What is missing from before may have been before the plugin was there.
        if watched.counted > 0 {
            return None;
        }
    }
    if !after.falls_short() {
        return None;
    }
    let since_start = admin.config.plugins(Role::Stats).all(|(place, _)| place.is_static);
    let symptom = if since_start { Symptom::StandsStill } else { Symptom::MaybeStandsStill };
    Some(Finding::new(symptom, [after.describe(kind, prefix, "since Envoy's start")]))
}

/// Where everything of this kind passes through a plugin that counts it under this
/// prefix, by the part of the stats' names that tells the places apart.
fn covered_scopes<'a>(config: &'a Config, kind: Kind, prefix: &str) -> BTreeSet<&'a str> {
    let scope = |place: &'_ Place| match kind {
        Kind::Http => place.stat_prefix.clone(),
        Kind::Tcp => place.listener_scope.clone(),
    };
    let counts = |place: &Place| {
        let all: Vec<_> = place.plugins(Role::Stats).collect();
        place.kind == kind && !place.is_bypassed && all.iter().any(|plugin| counts(plugin, kind, prefix))
    };
    let of_kind = config.places.iter().filter(|place| kind == Kind::Tcp || place.kind == kind);
    let uncovered: BTreeSet<_> = of_kind.filter(|place| !counts(place)).map(scope).collect();
    let covered = config.places.iter().filter(|place| counts(place) && !uncovered.contains(&scope(place)));
    covered
        .map(|place| match kind {
            Kind::Http => place.stat_prefix.as_str(),
            Kind::Tcp => place.listener_scope.as_str(),
        })
        .collect()
}

/// Whether the plugin's configuration lets it count each of this kind under this prefix.
fn counts(plugin: &Plugin, kind: Kind, prefix: &str) -> bool {
    let is_it = |name: &Option<String>| name.as_deref().is_none_or(|name| name == counter(kind).name());
    let drops =
        |config: &StatsConfig| config.overrides.iter().any(|change| change.drop && is_it(&change.name));
    plugin.stats_config().is_some_and(|config| config.metric_prefix == prefix && !drops(&config))
}

/// What counts each when it is over.
fn counter(kind: Kind) -> Metric {
    match kind {
        Kind::Http => Metric::Requests,
        Kind::Tcp => Metric::TcpClosed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{json, Value};

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

    fn place(kind: Kind, configuration: &str) -> Place {
        let plugin = json!({"name": "istio_stats", "configuration": {"value": configuration}});
        Place {
            kind,
            stat_prefix: "west".to_owned(),
            listener_scope: "1.2.3.4_80".to_owned(),
            is_static: true,
            plugins: vec![Plugin::parse("istio_stats", &plugin)],
            ..Place::default()
        }
    }

    fn seen(places: Vec<Place>, before: Option<Stats>, stats: Stats) -> Seen {
        let config = Config { places, ..Config::default() };
        let names = config.names();
        let admin = Admin {
            config,
            ended: stats.clone(),
            stats,
            before,
            waited: Duration::from_secs(2),
            ..Admin::default()
        };
        Seen { admin: Some(admin), names, ..Seen::default() }
    }

    fn found(seen: &Seen) -> Option<(Symptom, String)> {
        keeps_up(seen).first().map(|finding| (finding.symptom, finding.seen[0].clone()))
    }

    #[test]
    fn what_is_still_open_is_not_missed() {
        assert_eq!(found(&seen(vec![place(Kind::Http, "{}")], None, http(50, 48, 2))), None);
        assert_eq!(
            found(&seen(vec![place(Kind::Http, "{}")], Some(http(100, 0, 100)), http(200, 2, 197))),
            None
        );
        assert_eq!(found(&seen(vec![place(Kind::Tcp, "{}")], Some(tcp(5, 5)), tcp(9, 9))), None);
    }

    #[test]
    fn what_is_counted_a_little_late_is_not_missed() {
        let mut late = seen(vec![place(Kind::Http, "{}")], Some(http(0, 0, 0)), http(9, 0, 5));
        late.admin.as_mut().unwrap().ended = http(5, 0, 0);
        assert_eq!(found(&late), None);
    }

    #[test]
    fn nothing_or_a_part_is_counted_while_doctor_watches() {
        let stands = seen(vec![place(Kind::Http, "{}")], Some(http(100, 0, 50)), http(106, 1, 50));
        let expected = "within 2 s 5 requests ended and 0 were counted".to_owned();
        assert_eq!(found(&stands), Some((Symptom::StandsStill, expected)));
        let half = seen(vec![place(Kind::Http, "{}")], Some(http(0, 0, 0)), http(100, 0, 50));
        assert_eq!(found(&half).unwrap().0, Symptom::StandsStill);
        let connections = seen(vec![place(Kind::Tcp, "{}")], Some(tcp(0, 0)), tcp(4, 0));
        let expected = "within 2 s 4 connections ended and 0 were counted".to_owned();
        assert_eq!(found(&connections), Some((Symptom::StandsStill, expected)));
    }

    #[test]
    fn while_nothing_passes_the_time_since_the_start_counts() {
        let mut places = vec![place(Kind::Http, "{}")];
        let quiet = |places: &[Place]| seen(places.to_vec(), Some(http(40, 0, 1)), http(40, 0, 1));
        let expected = "since Envoy's start 40 requests ended and 1 were counted".to_owned();
        assert_eq!(found(&quiet(&places)), Some((Symptom::StandsStill, expected)));
        // It may have come later.
        places[0].is_static = false;
        assert_eq!(found(&quiet(&places)).unwrap().0, Symptom::MaybeStandsStill);
        assert_eq!(found(&seen(places, Some(http(40, 0, 1)), http(60, 0, 21))), None);
    }

    #[test]
    fn where_requests_can_bypass_it_or_are_dropped_there_is_no_judging() {
        let bare = Place { plugins: Vec::new(), ..place(Kind::Http, "{}") };
        let upgraded = Place { is_bypassed: true, ..place(Kind::Http, "{}") };
        for places in [
            vec![place(Kind::Http, "{}"), bare],
            vec![upgraded],
            vec![place(Kind::Http, r#"{"metrics": [{"name": "requests_total", "drop": true}]}"#)],
            vec![place(Kind::Http, r#"{"metrics": [{"drop": true}]}"#)],
            vec![place(Kind::Http, "not JSON")],
        ] {
            assert_eq!(found(&seen(places, None, http(50, 0, 0))), None);
        }
        // Of a listener with both kinds nobody knows whose connections ended.
        assert_eq!(
            found(&seen(vec![place(Kind::Tcp, "{}"), place(Kind::Http, "{}")], None, tcp(50, 0))),
            None
        );
    }

    #[test]
    fn a_plugin_that_never_ran_is_another_symptom() {
        let stats = Stats::parse(
            "http.west.downstream_rq_total: 9\nhttp.west.downstream_rq_active: 0\n",
            &Names::default(),
        );
        assert_eq!(found(&seen(vec![place(Kind::Http, "{}")], None, stats)), None);
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
        let mesh = place(Kind::Http, r#"{"metric_prefix": "mesh_"}"#);
        assert_eq!(found(&seen(vec![mesh.clone()], None, stats(0, 40))), None);
        let fact = "since Envoy's start 40 requests ended and 0 were counted as mesh_…".to_owned();
        assert_eq!(found(&seen(vec![mesh.clone()], None, stats(40, 0))), Some((Symptom::StandsStill, fact)));
        // What one counts does not stand in for the other.
        let plugins = [mesh.plugins, place(Kind::Http, "{}").plugins].concat();
        let both = Place { plugins, ..place(Kind::Http, "{}") };
        assert_eq!(found(&seen(vec![both.clone()], None, stats(40, 40))), None);
        assert_eq!(found(&seen(vec![both], None, stats(80, 0))).unwrap().0, Symptom::StandsStill);
    }

    #[test]
    fn reloads_are_counted_by_plugin() {
        let stats = "wasm.istio_stats.vm_reload_success: 1\nwasm.istio_stats.vm_reload_backoff: 6\n\
                     wasm.waf.vm_reload_success: 9\n";
        let sick = seen(vec![place(Kind::Http, "{}")], None, Stats::parse(stats, &Names::default()));
        assert_eq!(reloads(&sick)[0].seen, ["istio_stats: 1 × started again, 6 × refused meanwhile"]);
        let _: Value = reloads(&sick)[0].json();
        assert_eq!(reloads(&seen(vec![place(Kind::Http, "{}")], None, http(1, 0, 1))), []);
    }
}
