//! The command asks servers that are broken or hostile.

#![allow(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

mod server;

use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use server::Server;

/// Longest that a command takes: ten seconds for each of the five pages that doctor
/// reads, and a slow machine.
const PATIENCE: Duration = Duration::from_secs(100);

/// What the command prints, on both outputs; it must end with this status, and in time.
fn run(status: i32, arguments: &[&str]) -> String {
    let start = Instant::now();
    let output: Output = Command::new(env!("CARGO_BIN_EXE_istio-stats")).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let shown = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {shown}");
    assert!(start.elapsed() < PATIENCE, "{arguments:?} took {:?}: {shown}", start.elapsed());
    shown
}

/// The ways in which a URL is read, with the status where nothing can be.
fn everywhere(url: &str) -> [(i32, Vec<&str>); 2] {
    [(1, vec!["top", "--once", url]), (2, vec!["doctor", "--seconds", "0", url])]
}

#[test]
fn no_other_host_is_asked() {
    let other = Server::pages(|_| Some("istio_requests_total 1\n".to_owned()));
    let to = other.url.clone();
    let server = Server::start(move |path, stream| {
        let head = format!("HTTP/1.1 302 Found\r\nlocation: {to}{path}\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
    });
    for (status, command) in everywhere(&server.url) {
        let shown = run(status, &command);
        let to = format!("sends on to \"{}/", other.url);
        assert!(shown.contains(&to) && shown.contains("redirects are not followed"), "{shown}");
    }
    assert_eq!((server.asked(), other.asked()), (2, 0));
}

#[test]
fn no_host_of_the_environment_is_asked() {
    let proxy = Server::pages(|_| Some(String::new()));
    let server = Server::pages(|_| Some("istio_requests_total 1\n".to_owned()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_istio-stats"));
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env(name, &proxy.url);
    }
    assert!(command.args(["top", "--once", &server.url]).status().unwrap().success());
    assert_eq!((server.asked() > 0, proxy.asked()), (true, 0));
}

#[test]
fn redirects_in_a_circle_end_at_once() {
    let server = Server::start(move |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 307 Again\r\nlocation: /\r\ncontent-length: 0\r\n\r\n");
    });
    for (status, command) in everywhere(&server.url) {
        run(status, &command);
    }
    assert_eq!(server.asked(), 2);
}

/// Sets the window's title, colours, clears the screen by a control sequence of one
/// character, turns the direction of writing, and looks like a line of the command's.
const STEERING: &str = "\u{1b}]0;x\u{7}\u{1b}[31m\u{9b}2J\u{202e}\u{200b}\r\\nAll is well.";
/// What of it may be shown as it is.
const WORDS: &str = "All is well.";

fn assert_steers_nothing(shown: &str) {
    let steers = |c: &char| (c.is_control() && *c != '\n') || matches!(c, '\u{202e}' | '\u{200b}');
    assert_eq!(shown.chars().find(steers), None, "{shown:?}");
    assert!(shown.contains("\\u001b") && shown.lines().all(|line| line != WORDS), "{shown}");
}

/// A page where every label is `value`, as far as it is one of text.
fn page_of(value: &str) -> String {
    let labels = ["source_cluster", "destination_cluster", "reporter", "destination_service_name", "app"];
    let labels = labels.map(|name| format!("{name}=\"{value}\"")).join(",");
    format!("istio_requests_total{{{labels}}} 3\nistio_stats_build{{tag=\"{value}\"}} 1\n")
}

#[test]
fn labels_steer_no_terminal() {
    let server = Server::pages(|path| path.starts_with("/stats").then(|| page_of(STEERING)));
    for by in ["cluster", "service", "workload"] {
        assert_steers_nothing(&run(0, &["top", "--once", "--reporter", "both", "--by", by, &server.url]));
    }
    let shown = run(0, &["top", "--once", "--reporter", "both", "--json", &server.url]);
    assert_steers_nothing(&shown);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["rows"][0]["reporter"], STEERING.replace("\\n", "\n"));
    assert_steers_nothing(&run(0, &["doctor", "--seconds", "0", &format!("{}/stats", server.url)]));
}

#[test]
fn what_an_admin_interface_tells_steers_no_terminal() {
    let text = STEERING.replace("\\n", "\n");
    let info = serde_json::json!({"version": format!("a/{text}/b"), "state": text}).to_string();
    let dump = serde_json::json!({"configs": [
        {"@type": "x.BootstrapConfigDump", "bootstrap": {"node": {"id": text, "metadata": {"CLUSTER_ID": text}}}},
        {"@type": "x.ListenersConfigDump", "dynamic_listeners": [{"name": text, "error_state": {"details": text}}]},
    ]})
    .to_string();
    let server = Server::pages(move |path| match path {
        "/server_info" => Some(info.clone()),
        "/config_dump" => Some(dump.clone()),
        "/stats" => Some(format!("wasmcustom.{}: 1\n", STEERING)),
        _ => Some(page_of(STEERING)),
    });
    for json in [&["doctor", "--seconds", "0"][..], &["doctor", "--seconds", "0", "--json"]] {
        assert_steers_nothing(&run(1, &[json, &[&server.url]].concat()));
    }
}

#[test]
fn a_configuration_steers_no_terminal() {
    let text = STEERING.replace("\\n", "\n");
    let configuration = serde_json::json!({
        (text.clone()): 1,
        "metrics": [{"name": text, "dimensions": {"a": text}, "tags_to_remove": [text]}],
        "definitions": [{"name": text, "value": text, "type": text}],
    });
    let file = std::env::temp_dir().join(format!("steering-{}.json", std::process::id()));
    std::fs::write(&file, configuration.to_string()).unwrap();
    let file = file.to_str().unwrap();
    for command in [&["check", file][..], &["check", "--json", file], &["tags", file]] {
        let status = i32::from(command[0] == "check");
        let shown = run(status, command);
        let steers = |c: &char| (c.is_control() && *c != '\n') || matches!(c, '\u{202e}' | '\u{200b}');
        assert_eq!(shown.chars().find(steers), None, "{shown:?}");
        assert!(shown.lines().all(|line| line != WORDS), "{shown}");
    }
    std::fs::remove_file(file).unwrap();
}

/// Begins an answer of so many bytes, and writes them until nobody reads any more.
fn stream(stream: &mut TcpStream, length: &str, piece: &[u8], pause: Duration) {
    let head = format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\n");
    let mut written = stream.write_all(head.as_bytes());
    while written.is_ok() {
        thread::sleep(pause);
        written = stream.write_all(piece);
    }
}

#[test]
fn an_answer_without_an_end_ends() {
    let comment = [b"# x\n".as_slice(); 1 << 14].concat();
    let chunk = [format!("{:x}\r\n", comment.len()).as_bytes(), &comment, b"\r\n"].concat();
    let pieces = [
        ("transfer-encoding: chunked", chunk),
        ("content-length: 999999999999", comment.clone()),
        ("connection: close", comment),
    ];
    for (length, piece) in pieces {
        let server = Server::start(move |_, to| stream(to, length, &piece, Duration::ZERO));
        let (status, command) = &everywhere(&server.url)[0];
        assert!(run(*status, command).contains("cannot read all of"), "{length}");
    }
}

#[test]
fn an_answer_that_drips_ends() {
    let bodies = Server::start(|_, to| stream(to, "connection: close", b"#", Duration::from_millis(100)));
    let heads = Server::start(|_, to| stream(to, "a: b", b"c: d\r\n", Duration::from_millis(100)));
    let silent = Server::start(|_, _| thread::sleep(Duration::from_secs(60)));
    thread::scope(|scope| {
        for server in [&bodies, &heads, &silent] {
            for (status, command) in everywhere(&server.url) {
                scope.spawn(move || run(status, &command));
            }
        }
    });
}

#[test]
fn an_answer_that_is_cut_off_is_none() {
    let server = Server::start(|_, to| {
        let _ = to.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nistio_requests_total 1\n");
    });
    for (status, command) in everywhere(&server.url) {
        run(status, &command);
    }
}

/// Lists in lists.
fn deep(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

#[test]
fn json_may_nest_so_deep() {
    let dumps = Server::pages(|path| match path {
        "/server_info" => Some("{}".to_owned()),
        "/config_dump" => Some(deep(1_000_000)),
        _ => Some(String::new()),
    });
    let shown = run(2, &["doctor", "--seconds", "0", &dumps.url]);
    assert!(shown.contains("recursion limit exceeded"), "{shown}");
    // What has no such page is no admin interface.
    let info =
        Server::pages(|path| Some(if path == "/server_info" { deep(1_000_000) } else { page_of("a") }));
    let shown = run(0, &["doctor", "--seconds", "0", &info.url]);
    assert!(shown.contains("no admin interface"), "{shown}");
}

#[test]
fn numbers_that_no_counter_has_are_left_out() {
    let page = ["NaN", "-1", "+Inf", "-Inf", "1e308", "1e308", "7"].iter().enumerate().map(|(n, value)| {
        let labels = format!("source_cluster=\"c{n}\",reporter=\"source\"");
        let buckets = format!(
            "istio_request_duration_milliseconds_bucket{{{labels},le=\"{value}\"}} {value}\n\
             istio_request_duration_milliseconds_bucket{{{labels},le=\"+Inf\"}} {value}\n"
        );
        let tcp = format!(
            "istio_tcp_connections_opened_total{{{labels}}} {value}\n\
             istio_tcp_connections_closed_total{{{labels}}} 1e308\n"
        );
        format!("istio_requests_total{{{labels}}} {value}\n{buckets}{tcp}")
    });
    let page: String = page.collect();
    let server = Server::pages(move |path| path.starts_with("/stats/").then(|| page.clone()));
    for json in [&["top", "--once"][..], &["top", "--once", "--json"]] {
        let shown = run(0, &[json, &[&server.url]].concat());
        assert!(shown.contains("16 samples left out: below zero, endless or no number"), "{shown}");
        assert!(shown.contains("c6") && !shown.contains("NaN"), "{shown}");
    }
    run(0, &["doctor", "--seconds", "0", &format!("{}/stats/prometheus", server.url)]);
}

#[test]
fn counts_may_be_as_large_as_they_like() {
    let server = Server::pages(|path| match path {
        "/server_info" => Some("{}".to_owned()),
        "/config_dump" => Some("{}".to_owned()),
        "/stats" => Some(
            ["a", "b"]
                .map(|name| format!("wasmcustom.x=.={name};.;istio_requests_total: {}\n", u64::MAX))
                .concat(),
        ),
        _ => Some(page_of("a")),
    });
    run(1, &["doctor", "--seconds", "0", &server.url]);
}

#[test]
fn a_page_that_makes_work_ends() {
    let line = |n: usize| {
        let labels = format!("source_cluster=\"a\",reporter=\"source\",le=\"{n}\"");
        format!("istio_request_duration_milliseconds_bucket{{{labels}}} {n}\n")
    };
    let buckets: String = (0..300_000).map(line).collect();
    let labels: String = (0..300_000).map(|n| format!("l{n}=\"\",")).collect();
    let page = format!("{buckets}istio_requests_total{{{labels}reporter=\"source\"}} 1\n");
    let server = Server::pages(move |path| path.starts_with("/stats/").then(|| page.clone()));
    run(0, &["top", "--once", &server.url]);
    run(0, &["doctor", "--seconds", "0", &format!("{}/stats/prometheus", server.url)]);
}

#[test]
fn a_file_may_nest_so_deep_and_grow_so_large() {
    let levels = 100_000;
    let block: String = (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let laughs: String = (1..40).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1)).collect();
    let chain: String = (1..3000).map(|n| format!("a{n}: &a{n} [[[*a{}]]]\n", n - 1)).collect();
    for (what, text) in [
        ("levels deep", block),
        ("levels deep", "- ".repeat(levels) + "x\n"),
        ("recursion limit exceeded", format!("a: {}\n", deep(levels))),
        ("levels deep", "? ".repeat(levels) + "x\n"),
        ("values, aliases", format!("a0: &a0 x\n{laughs}")),
        ("levels deep, by an alias", format!("a0: &a0 x\n{chain}")),
    ] {
        let file = std::env::temp_dir().join(format!("deep-{}.yaml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let name = file.to_str().unwrap();
        for command in [&["check", name][..], &["tags", name], &["peer-header", name]] {
            assert!(run(1, command).contains(what), "{what}");
        }
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_file_without_an_end_ends() {
    for command in [&["check", "/dev/zero"][..], &["peer-header", "/dev/zero"]] {
        assert!(run(1, command).contains("larger than"), "{command:?}");
    }
}
