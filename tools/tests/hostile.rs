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
