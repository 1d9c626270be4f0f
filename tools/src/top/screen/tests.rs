use std::time::Duration;

use ratatui::backend::TestBackend;
use ratatui::Terminal;

use super::*;
use crate::top::choice::{By, Whose};
use crate::top::latency::Buckets;
use crate::top::rows::Http;
use crate::top::sources::Sources;

fn row(source: &str, requests: f64, failed: f64) -> Row {
    let mut duration_ms = Buckets::default();
    for (bound, sum) in [(5.0, 50.0), (10.0, 100.0), (f64::INFINITY, 100.0)] {
        duration_ms.add(bound, sum);
    }
    let labels = [("source_cluster", source), ("destination_cluster", "west"), ("reporter", "source")];
    let labels = labels.map(|(label, value)| (label, value.to_owned())).to_vec();
    Row { labels, http: Some(Http { requests, failed, duration_ms }), tcp: None }
}

/// After readings of so many requests per second.
fn view(readings: &[f64]) -> View {
    let mut view = View::new(Sources::new([], "istio_"), By::Cluster, Whose::Auto, Duration::from_secs(5));
    view.unit = Unit::PerSecond;
    for requests in readings {
        view.rows = vec![row("east", *requests, 1.0), row("far", 2.0, 0.0)];
        view.history.note(&view.rows);
    }
    view
}

/// The screen's lines.
fn drawn(view: &mut View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |cells: &[ratatui::buffer::Cell]| cells.iter().map(|cell| cell.symbol()).collect::<String>();
    let lines = buffer.content().chunks(usize::from(width)).map(line);
    lines.map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn a_table_with_its_trends() {
    let lines = drawn(&mut view(&[10.0, 40.0, 0.0, 80.0]), 120, 8);
    assert_eq!(
        lines[..6],
        [
            "istio-stats top: per second, every 5 s; by cluster, reporter auto, order requests",
            "q quits, b by cluster, service, workload, r reporter, s order, arrows choose, Enter details",
            "",
            "source_cluster  destination_cluster  reporter  req/s  success  p50 ms  p99 ms  rate          p99",
            "east            west                 source     80.0   98.75%     5.0     9.9  ▁▄ ▇          ▇▇ ▇",
            "far             west                 source     2.00     100%     5.0     9.9  ▇▇▇▇          ▇▇▇▇",
        ]
    );
}

#[test]
fn where_there_is_no_room_trends_go_and_names_are_cut() {
    let lines = drawn(&mut view(&[10.0, 80.0]), 76, 8);
    let head = "source_cluster  destination_cluster  reporter  req/s  success  p50 ms  p99 ms";
    assert_eq!(lines[3], head.replace("cluster  r", "cluste  r"));
    let lines = drawn(&mut view(&[10.0, 80.0]), 92, 8);
    assert!(lines[3].ends_with("p99 ms  rate") && lines[4].ends_with("9.9  ▁▇"), "{lines:#?}");
}

#[test]
fn a_trend_is_of_the_last_readings() {
    let many: Vec<_> = (0..30).map(f64::from).collect();
    assert_eq!(bars(many.iter()).chars().count(), TREND);
    assert!(bars(many.iter()).ends_with('▇'));
    assert_eq!(bars([0.0, 0.0].iter()), "  ");
    assert_eq!(bars([1.0, 800.0].iter()), "▁▇");
    assert_eq!(bars([].iter()), "");
}

#[test]
fn details_are_the_labels_of_the_chosen_row_and_how_it_went() {
    let mut view = view(&[10.0, 80.0]);
    view.table.select_next();
    view.details = true;
    let lines = drawn(&mut view, 120, 20);
    let text = lines.join("\n");
    assert!(text.contains("source_cluster far"), "{text}");
    assert!(text.contains("requests per second: 2.00, at most 2.00"), "{text}");
    assert!(text.contains("p99 in milliseconds: 9.90, at most 9.90"), "{text}");
    assert_eq!(lines.len(), 20);
}

#[test]
fn nothing_is_too_small() {
    for (width, height) in [(1, 1), (10, 3), (40, 6)] {
        let mut view = view(&[10.0]);
        view.details = true;
        drawn(&mut view, width, height);
    }
}

#[test]
fn labels_do_not_steer_the_terminal() {
    let mut view = view(&[1.0]);
    view.rows = vec![row("\u{1b}]0;title\u{7}\u{202e}", 1.0, 0.0)];
    view.details = true;
    let text = drawn(&mut view, 140, 20).join("\n");
    assert_eq!(text.matches("\\u001b]0;title\\u0007\\u202e").count(), 2, "{text}");
    assert!(!text.chars().any(|c| c != '\n' && c.is_control()), "{text}");
}
