//! `istio-stats doctor` on several proxies, or what answers like one.

#![allow(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

mod server;

use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use server::Server;

const HEALTHY: &str = r#"istio_requests_total{reporter="source",source_cluster="east",destination_cluster="west"} 3
"#;
/// A label that stayed in the name.
const WRONG: &str = "team___blue___istio_requests_total{reporter=\"source\",source_cluster=\"east\",\
                     destination_cluster=\"west\"} 3\n";

/// A page like that of Istio's proxies at port 15090.
fn page(text: &'static str) -> Server {
    Server::pages(move |path| (path == "/stats/prometheus").then(|| text.to_owned()))
}

/// A server that has no such page.
fn gone() -> Server {
    Server::pages(|_| None)
}

fn doctor(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_istio-stats"));
    command.args(["doctor", "--seconds", "0"]).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn each_proxy_has_its_findings_under_its_url() {
    let (healthy, wrong, gone) = (page(HEALTHY), page(WRONG), gone());
    let output = doctor(&[&wrong.url, &gone.url, &healthy.url]);
    let shown = text(&output.stdout);
    let part = |from: &str, to: &str| {
        let begin = shown.find(&format!("{from}\n")).unwrap_or_else(|| panic!("{from} in {shown}"));
        shown[begin..].split(to).next().unwrap().to_owned()
    };
    assert!(part(&wrong.url, &gone.url).contains("[label-in-name]"), "{shown}");
    assert!(part(&gone.url, &healthy.url).contains("  error: cannot read "), "{shown}");
    assert!(part(&healthy.url, "proxies: ").ends_with("\nNothing is wrong.\n\n"), "{shown}");
    let (_, sum) = shown.split_once("\nproxies: 3, with problems: 1, not read: 1\n").unwrap();
    for (line, (mark, server, words)) in sum.lines().zip([
        ("✗", &wrong, "label-in-name"),
        ("?", &gone, "not read"),
        ("✓", &healthy, "nothing is wrong"),
    ]) {
        let words_of_line: Vec<_> = line.splitn(3, ' ').map(str::trim).collect();
        assert_eq!(words_of_line, [mark, &server.url, words], "{shown}");
    }
    assert_eq!(sum.lines().count(), 3, "{shown}");
}

#[test]
fn the_worst_decides_the_exit_status() {
    let (healthy, wrong, gone) = (page(HEALTHY), page(WRONG), gone());
    for (status, servers) in [
        (0, &[&healthy, &healthy][..]),
        (1, &[&wrong, &healthy]),
        (1, &[&gone, &wrong]),
        (2, &[&healthy, &gone]),
        (2, &[&gone, &gone]),
    ] {
        let urls: Vec<_> = servers.iter().map(|server| server.url.as_str()).collect();
        for arguments in [urls.clone(), [&["--json"][..], &urls].concat()] {
            let output = doctor(&arguments);
            assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", text(&output.stdout));
            let says_where_to_look = text(&output.stderr).contains("says why in its log");
            assert_eq!(says_where_to_look, servers.iter().any(|server| server.url == gone.url));
        }
    }
}

#[test]
fn json_has_a_list_of_proxies_however_many() {
    let (healthy, wrong, gone) = (page(HEALTHY), page(WRONG), gone());
    let json = |urls: &[&str]| {
        let output = doctor(&[&["--json"], urls].concat());
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let one = json(&[&wrong.url]);
    let several = json(&[&wrong.url, &gone.url, &healthy.url]);
    assert_eq!(one["proxies"], json!([several["proxies"][0]]));
    for (field, value) in one["proxies"][0].as_object().unwrap() {
        assert_eq!(&one[field], value, "{field}, as it is for one");
    }
    assert_eq!(several["healthy"], false);
    let healthy_of: Vec<_> = (0..3).map(|index| &several["proxies"][index]["healthy"]).collect();
    assert_eq!(healthy_of, [&json!(false), &Value::Null, &json!(true)]);
    assert_eq!(several["proxies"][0]["findings"][0]["code"], "label-in-name");
    assert_eq!(several["proxies"][1]["url"], gone.url);
    assert!(several["proxies"][1]["error"].as_str().unwrap().starts_with("cannot read "), "{several}");
}

#[test]
fn nobody_is_asked_if_a_url_is_none() {
    let healthy = page(HEALTHY);
    let output = doctor(&[&healthy.url, "https://127.0.0.1:1"]);
    assert_eq!((output.status.code(), healthy.asked()), (Some(2), 0));
    assert!(text(&output.stderr).contains("https is not supported"), "{}", text(&output.stderr));
}

/// Longest that a page waits for another one to be asked for.
const PATIENCE: Duration = Duration::from_secs(8);

#[test]
fn a_few_are_read_at_the_same_time() {
    let asked = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let counts = asked.clone();
    let server = Server::pages(move |path| {
        if path != "/stats/prometheus" {
            return None;
        }
        let [now, most] = &*counts;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let start = Instant::now();
        while most.load(Ordering::SeqCst) < 2 && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(20));
        now.fetch_sub(1, Ordering::SeqCst);
        Some(HEALTHY.to_owned())
    });
    let output = doctor(&[server.url.as_str(); 30]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let most = asked[1].load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most} at the same time");
}
