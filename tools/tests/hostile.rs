//! The command asks servers that are broken or hostile.

#![allow(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Longest that a command takes: ten seconds for each of the five pages that doctor
/// reads, and a slow machine.
const PATIENCE: Duration = Duration::from_secs(100);

/// An HTTP server of this machine, until the test ends.
struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Server {
    /// Answers each request, given its path, by writing whatever it likes.
    fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let (answer, count) = (Arc::new(answer), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, count) = (answer.clone(), count.clone());
                thread::spawn(move || serve(stream, &*answer, &count));
            }
        });
        Self { url, asked }
    }

    /// Answers each path with a page.
    fn pages(page: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::start(move |path, stream| {
            let (status, body) = page(path).map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
            let head =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes());
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str, &mut TcpStream), asked: &AtomicUsize) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else {
        return;
    };
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    asked.fetch_add(1, Ordering::SeqCst);
    answer(first.split(' ').nth(1).unwrap_or_default(), &mut stream);
}

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
