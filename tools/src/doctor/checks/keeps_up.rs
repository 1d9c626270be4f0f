//! Whether what passes is counted. After a trap no stat of Envoy's changes, under
//! `FAIL_OPEN` and `FAIL_CLOSED` alike: only that numbers part tells of it.

use std::collections::BTreeSet;

use istio_stats::attachment::Attachment;
use istio_stats::catalogue::metric::Metric;
use istio_stats::config::Config;

use crate::artefact::Artefact;
use crate::doctor::attached::Attached;
use crate::doctor::calls;
use crate::doctor::chain::Chain;
use crate::doctor::dump::Dump;
use crate::doctor::finding::Finding;
use crate::doctor::seen::{Admin, Seen};
use crate::doctor::stats::Stats;
use crate::doctor::symptom::{Severity, Symptom};
use crate::names::{full, under};

pub(crate) const SYMPTOMS: &[&Symptom] = &[&STANDS_STILL, &MAYBE_STANDS_STILL];

const STANDS_STILL: Symptom = Symptom {
    code: "not-counting",
    severity: Severity::Problem,
    title: "Traffic passes and is not counted",
    why: "More requests or connections end than the plugin reports. Its VM died of a trap, on one worker \
         thread or on all: with `FAIL_OPEN` traffic then passes without the plugin for ever. Envoy has no \
         stat that tells this; its log has a line `Function: proxy_on_… failed`.",
    remedy:
        "Restart Envoy to count again, and report the trap with that line and the backtrace after it: the \
         plugin must never trap.",
};

const MAYBE_STANDS_STILL: Symptom = Symptom {
    code: "fewer-counted",
    severity: Severity::Hint,
    title: "Fewer requests were counted than ended",
    why: "Since Envoy's start more requests or connections ended at the plugin's place than it reported. \
         Either it was put there, or replaced, while Envoy was running, or its VM died of a trap.",
    remedy: "Send requests while `istio-stats doctor --seconds 10` is running: then it can tell.",
};

/// Requests or connections where all of them pass through the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally {
    /// So many were over.
    ended: u64,
    /// So many the plugin has counted.
    counted: u64,
}

/// Whether what ended was counted.
pub(crate) fn find(seen: &Seen) -> Vec<Finding> {
    let Some(admin) = &seen.admin else {
        return Vec::new();
    };
    // A plugin that never ran is another symptom.
    if admin.stats.plugin.is_empty() {
        return Vec::new();
    }
    calls::kinds(seen).filter_map(|(attachment, prefix)| judge(admin, attachment, prefix)).collect()
}

// === impl Tally ===

impl Tally {
    /// From the stats of the chains of this kind where nothing bypasses the plugin,
    /// the first ones for what ended; `None` if there is no such chain.
    fn of(dump: &Dump, ended: &Stats, counted: &Stats, attachment: Attachment, prefix: &str) -> Option<Self> {
        let scopes = covered_scopes(dump, attachment, prefix);
        let ended_at = |scope: &&str| {
            let stat = |name: &str| ended.get(name);
            match attachment {
                // Not `downstream_rq_completed`, which counts at the response's headers.
                Attachment::Http => stat(&format!("http.{scope}.downstream_rq_total"))?
                    .checked_sub(stat(&format!("http.{scope}.downstream_rq_active"))?)
                    // The overload manager answers these in front of all filters.
                    .map(|ended| {
                        let shed = stat(&format!("http.{scope}.downstream_rq_overload_close"));
                        ended.saturating_sub(shed.unwrap_or_default())
                    }),
                Attachment::Tcp => stat(&format!("listener.{scope}.downstream_cx_destroy")),
            }
        };
        let ended: Vec<_> = scopes.iter().filter_map(ended_at).collect();
        (!ended.is_empty()).then(|| Self {
            ended: ended.into_iter().fold(0, u64::saturating_add),
            counted: counted.total(&full(prefix, counter(attachment))),
        })
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

    fn describe(self, attachment: Attachment, prefix: &str, when: &str) -> String {
        let what = match attachment {
            Attachment::Http => "requests",
            Attachment::Tcp => "connections",
        };
        format!("{when} {} {what} ended and {} were counted{}", self.ended, self.counted, under(prefix))
    }
}

fn judge(admin: &Admin, attachment: Attachment, prefix: &str) -> Option<Finding> {
    let tally = |ended, counted| Tally::of(&admin.dump, ended, counted, attachment, prefix);
    let after = tally(&admin.ended, &admin.stats)?;
    let before = admin.before.as_ref().and_then(|stats| tally(stats, stats));
    let watched = before.map(|before| after.since(before)).filter(|watched| watched.ended > 0);
    let seconds = admin.waited.as_secs_f64();
    if let Some(watched) = watched {
        if watched.falls_short() {
            let fact = watched.describe(attachment, prefix, &format!("within {seconds} s"));
            return Some(Finding::new(&STANDS_STILL, [fact]));
        }
        // What is missing from before may have been before the plugin was there.
        if watched.counted > 0 {
            return None;
        }
    }
    if !after.falls_short() {
        return None;
    }
    let since_start = admin.dump.plugins(Artefact::IstioStats).all(|(chain, _)| chain.is_static);
    let symptom = if since_start { &STANDS_STILL } else { &MAYBE_STANDS_STILL };
    Some(Finding::new(symptom, [after.describe(attachment, prefix, "since Envoy's start")]))
}

/// Where everything of this kind passes through a plugin that counts it under this
/// prefix, by the part of the stats' names that tells the chains apart.
fn covered_scopes<'a>(dump: &'a Dump, attachment: Attachment, prefix: &str) -> BTreeSet<&'a str> {
    let covers = |chain: &Chain| {
        let mut plugins = chain.plugins(Artefact::IstioStats);
        chain.attachment == attachment
            && !chain.is_bypassed
            && plugins.any(|plugin| counts(plugin, attachment, prefix))
    };
    let scope = |chain: &'a Chain| match attachment {
        Attachment::Http => chain.stat_prefix.as_str(),
        Attachment::Tcp => chain.listener_scope.as_str(),
    };
    // A listener's stats are of all its chains.
    let judged =
        dump.chains.iter().filter(|chain| attachment == Attachment::Tcp || chain.attachment == attachment);
    let (covered, others): (Vec<_>, Vec<_>) = judged.partition(|chain| covers(chain));
    let others: BTreeSet<_> = others.into_iter().map(scope).collect();
    covered.into_iter().map(scope).filter(|scope| !others.contains(scope)).collect()
}

/// Whether the plugin's configuration lets it count each of this kind under this prefix.
fn counts(plugin: &Attached, attachment: Attachment, prefix: &str) -> bool {
    let is_it = |name: &Option<String>| name.as_deref().is_none_or(|name| name == counter(attachment).name());
    let drops = |config: &Config| config.overrides.iter().any(|change| change.drop && is_it(&change.name));
    plugin.stats_config().is_some_and(|config| config.metric_prefix == prefix && !drops(&config))
}

/// What counts each when it is over.
fn counter(attachment: Attachment) -> Metric {
    match attachment {
        Attachment::Http => Metric::Requests,
        Attachment::Tcp => Metric::TcpClosed,
    }
}

#[cfg(test)]
mod tests;
