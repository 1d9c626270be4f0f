//! How findings are shown.

use std::fmt::Write as _;

use serde_json::{json, Map, Value};

use super::diagnosis::Diagnosis;
use super::finding::Finding;
use super::proxy::Proxy;
use super::symptom::Severity;
use crate::output::visible;

const WIDTH: usize = 100;

/// For people. Of several proxies one after the other, and all of them in a few lines at the end.
pub(crate) fn text(proxies: &[Proxy]) -> String {
    let mut out = String::new();
    for proxy in proxies {
        let _ = writeln!(out, "{}", proxy.url);
        match &proxy.outcome {
            Ok(diagnosis) => tell(&mut out, diagnosis),
            Err(error) => {
                let _ = writeln!(out, "  error: {}", visible(&format!("{error:#}")));
            }
        }
        if proxies.len() > 1 {
            out.push('\n');
        }
    }
    if proxies.len() > 1 {
        sum_up(&mut out, proxies);
    }
    out
}

/// For scripts. What is said of the only proxy stands at the top, too.
pub(crate) fn json(proxies: &[Proxy]) -> Value {
    let healthy = |proxy: &Proxy| proxy.outcome.as_ref().is_ok_and(Diagnosis::is_healthy);
    let told: Vec<_> = proxies.iter().map(proxy_json).collect();
    let mut json = match told.as_slice() {
        [Value::Object(only)] => only.clone(),
        _ => Map::new(),
    };
    json.insert("healthy".to_owned(), json!(proxies.iter().all(healthy)));
    json.insert("proxies".to_owned(), json!(told));
    Value::Object(json)
}

fn proxy_json(proxy: &Proxy) -> Value {
    match &proxy.outcome {
        Ok(diagnosis) => json!({
            "url": proxy.url,
            "healthy": diagnosis.is_healthy(),
            "envoy": diagnosis.envoy,
            "findings": diagnosis.findings.iter().map(Finding::json).collect::<Vec<_>>(),
        }),
        Err(error) => json!({"url": proxy.url, "healthy": null, "error": format!("{error:#}")}),
    }
}

fn tell(out: &mut String, diagnosis: &Diagnosis) {
    for fact in &diagnosis.facts {
        let _ = writeln!(out, "  {}", visible(fact));
    }
    for finding in &diagnosis.findings {
        out.push('\n');
        describe(out, finding);
    }
    let _ = match (diagnosis.count(Severity::Problem), diagnosis.count(Severity::Hint)) {
        (0, 0) => writeln!(out, "\nNothing is wrong."),
        (problems, hints) => writeln!(out, "\nproblems: {problems}, hints: {hints}"),
    };
}

/// A line for each proxy, under how many there are of each kind.
fn sum_up(out: &mut String, proxies: &[Proxy]) {
    let count = |is: &dyn Fn(&Proxy) -> bool| proxies.iter().filter(|proxy| is(proxy)).count();
    let wrong = count(&|proxy| proxy.outcome.as_ref().is_ok_and(|diagnosis| !diagnosis.is_healthy()));
    let unread = count(&|proxy| proxy.outcome.is_err());
    let _ = writeln!(out, "proxies: {}, with problems: {wrong}, not read: {unread}", proxies.len());
    let width = proxies.iter().map(|proxy| proxy.url.chars().count()).max().unwrap_or_default();
    for Proxy { url, outcome } in proxies {
        let (mark, words) = match outcome {
            Err(_) => ('?', "not read".to_owned()),
            Ok(diagnosis) => in_short(&diagnosis.findings),
        };
        let _ = writeln!(out, "{mark} {url:<width$}  {words}");
    }
}

/// The mark of the worst of them, and the code of each.
fn in_short(findings: &[Finding]) -> (char, String) {
    let Some(worst) = findings.iter().map(|finding| finding.symptom.severity).min() else {
        return ('✓', "nothing is wrong".to_owned());
    };
    let codes: Vec<_> = findings.iter().map(|finding| finding.symptom.code).collect();
    (mark(worst), codes.join(", "))
}

fn mark(severity: Severity) -> char {
    match severity {
        Severity::Problem => '✗',
        Severity::Hint => '·',
    }
}

fn describe(out: &mut String, finding: &Finding) {
    let symptom = finding.symptom;
    let _ = writeln!(out, "{} {} [{}]", mark(symptom.severity), symptom.title, symptom.code);
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
    use anyhow::anyhow;

    use super::*;
    use crate::doctor::seen::Seen;
    use crate::doctor::symptom::Symptom;

    const SYMPTOM: Symptom = Symptom {
        code: "it-hurts",
        severity: Severity::Problem,
        title: "It hurts",
        why: "Long words follow, so that lines are broken: one two three four five six seven eight nine ten.",
        remedy: "Rest.",
    };
    const HINT: Symptom = Symptom { code: "it-itches", severity: Severity::Hint, ..SYMPTOM };

    fn proxy(url: &str, findings: &[Finding]) -> Proxy {
        Proxy { url: url.to_owned(), outcome: Ok(Diagnosis::new(&Seen::default(), findings.to_vec())) }
    }

    #[test]
    fn lines_are_broken_at_blanks() {
        assert_eq!(wrap("a bb ccc dddd", "  ", 8), "  a bb\n  ccc\n  dddd");
    }

    #[test]
    fn a_finding_is_shown_whole() {
        let finding = Finding::new(&SYMPTOM, ["seen so".to_owned()]).paste("the bootstrap", "a:\n  b: c");
        let shown = text(&[proxy("http://x", &[finding])]);
        assert!(shown.starts_with("http://x\n  no admin interface"), "{shown}");
        for part in ["✗ It hurts", "[it-hurts]\n    seen so\n", "    a:\n      b: c\n"] {
            assert!(shown.contains(part), "{part:?} in {shown}");
        }
        assert!(shown.ends_with("\nproblems: 1, hints: 0\n"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
    }

    #[test]
    fn nothing_wrong_is_said() {
        let healthy = [proxy("http://x", &[])];
        assert!(text(&healthy).ends_with("\nNothing is wrong.\n"));
        let json = json(&healthy);
        assert_eq!((json["healthy"].clone(), json["findings"].clone()), (Value::Bool(true), json!([])));
        assert_eq!(json["proxies"][0]["url"], json["url"]);
    }

    #[test]
    fn several_are_summed_up() {
        let hurts = Finding::new(&SYMPTOM, []);
        let itches = Finding::new(&HINT, []);
        let gone = Proxy { url: "http://gone".to_owned(), outcome: Err(anyhow!("cannot \u{1b} read")) };
        let proxies = [
            proxy("http://a", &[hurts, itches.clone()]),
            proxy("http://b", &[itches]),
            gone,
            proxy("http://c", &[]),
        ];
        let shown = text(&proxies);
        assert!(shown.contains("\n\nhttp://gone\n  error: cannot \\u001b read\n\n"), "{shown}");
        let end = "\n\nproxies: 4, with problems: 1, not read: 1\n\
                   ✗ http://a     it-hurts, it-itches\n\
                   · http://b     it-itches\n\
                   ? http://gone  not read\n\
                   ✓ http://c     nothing is wrong\n";
        assert!(shown.ends_with(end), "{shown}");
        let json = json(&proxies);
        assert_eq!((json["healthy"].clone(), json.get("url")), (Value::Bool(false), None));
        let healthy: Vec<_> = (0..4).map(|index| json["proxies"][index]["healthy"].clone()).collect();
        assert_eq!(json!(healthy), json!([false, true, null, true]));
    }
}
