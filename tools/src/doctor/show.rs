//! How findings are shown.

use std::fmt::Write as _;

use istio_stats::catalogue::metric::Metric;
use serde_json::{json, Value};

use super::chain::Chain;
use super::finding::Finding;
use super::seen::Seen;
use super::symptom::Severity;
use crate::artefact::Artefact;
use crate::names::{full, under};
use crate::output::visible;

const WIDTH: usize = 100;

/// For people.
pub(crate) fn text(url: &str, seen: &Seen, findings: &[Finding]) -> String {
    let mut out = format!("{url}\n");
    for fact in facts(seen) {
        let _ = writeln!(out, "  {}", visible(&fact));
    }
    for finding in findings {
        out.push('\n');
        describe(&mut out, finding);
    }
    let count = |severity| findings.iter().filter(|finding| finding.symptom.severity == severity).count();
    let _ = match (count(Severity::Problem), count(Severity::Hint)) {
        (0, 0) => writeln!(out, "\nNothing is wrong."),
        (problems, hints) => writeln!(out, "\nproblems: {problems}, hints: {hints}"),
    };
    out
}

/// For scripts.
pub(crate) fn json(url: &str, seen: &Seen, findings: &[Finding], healthy: bool) -> Value {
    json!({
        "url": url,
        "healthy": healthy,
        "envoy": seen.admin.as_ref().map(|admin| json!({
            "version": admin.version,
            "state": admin.state,
            "node_id": admin.dump.node_id,
            "cluster_id": admin.dump.cluster_id,
        })),
        "findings": findings.iter().map(Finding::json).collect::<Vec<_>>(),
    })
}

fn describe(out: &mut String, finding: &Finding) {
    let symptom = finding.symptom;
    let mark = match symptom.severity {
        Severity::Problem => '✗',
        Severity::Hint => '·',
    };
    let _ = writeln!(out, "{mark} {} [{}]", symptom.title, symptom.code);
    for fact in &finding.seen {
        let _ = writeln!(out, "    {}", visible(fact));
    }
    for paragraph in [symptom.why, symptom.remedy] {
        let _ = writeln!(out, "\n{}", wrap(paragraph, "  ", WIDTH));
    }
    for paste in &finding.paste {
        let _ = writeln!(out, "\n  Into {}:\n", paste.place);
        for line in paste.lines.lines() {
            let _ = writeln!(out, "    {line}");
        }
    }
}

/// What was looked at.
fn facts(seen: &Seen) -> Vec<String> {
    let mut facts = Vec::new();
    match &seen.admin {
        Some(admin) => {
            let dump = &admin.dump;
            let cluster = dump.cluster_id.as_deref().unwrap_or("(none)");
            let version = format!("Envoy {}, {}", admin.version, admin.state);
            facts.push(format!("{version}; node {:?}, Kubernetes cluster {cluster}", dump.node_id));
            let chains = dump.chains.iter().filter(|chain| chain.has(Artefact::IstioStats));
            let chains: Vec<_> = chains.map(Chain::describe).collect();
            facts.push(match chains.as_slice() {
                [] => "stats plugin: nowhere".to_owned(),
                chains => format!("stats plugin: {}", chains.join(", ")),
            });
        }
        None => facts.push("no admin interface: only labels and peers are checked".to_owned()),
    }
    for prefix in seen.names.prefixes() {
        let [requests, connections] = [Metric::Requests, Metric::TcpOpened].map(|metric| {
            let name = full(prefix, metric);
            let counted = seen.page.samples.iter().filter(|sample| sample.name.ends_with(&name));
            counted.fold(0.0, |total, sample| total + sample.value)
        });
        let names = under(prefix);
        facts.push(format!("counted{names}: {requests} requests, {connections} TCP connections"));
    }
    for build in seen.page.named("istio_stats_build") {
        facts.push(format!("istio-stats {}", build.labels.get("tag").unwrap_or_default()));
    }
    facts
}

/// Breaks lines at blanks.
fn wrap(text: &str, indent: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count().saturating_add(word.chars().count()) < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::symptom::Symptom;

    const SYMPTOM: Symptom = Symptom {
        code: "it-hurts",
        severity: Severity::Problem,
        title: "It hurts",
        why: "Long words follow, so that lines are broken: one two three four five six seven eight nine ten.",
        remedy: "Rest.",
    };

    #[test]
    fn lines_are_broken_at_blanks() {
        assert_eq!(wrap("a bb ccc dddd", "  ", 8), "  a bb\n  ccc\n  dddd");
    }

    #[test]
    fn a_finding_is_shown_whole() {
        let finding = Finding::new(&SYMPTOM, ["seen so".to_owned()]).paste("the bootstrap", "a:\n  b: c");
        let shown = text("http://x", &Seen::default(), &[finding]);
        assert!(shown.starts_with("http://x\n  no admin interface"), "{shown}");
        for part in ["✗ It hurts", "[it-hurts]\n    seen so\n", "    a:\n      b: c\n"] {
            assert!(shown.contains(part), "{part:?} in {shown}");
        }
        assert!(shown.ends_with("\nproblems: 1, hints: 0\n"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
    }

    #[test]
    fn nothing_wrong_is_said() {
        assert!(text("http://x", &Seen::default(), &[]).ends_with("\nNothing is wrong.\n"));
        let json = json("http://x", &Seen::default(), &[], true);
        assert_eq!((json["healthy"].clone(), json["findings"].clone()), (Value::Bool(true), json!([])));
    }
}
