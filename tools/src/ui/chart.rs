//! Lines over time.

use maud::{html, Markup};

use super::page::span;
use super::show::milliseconds;

/// One line: its name, and points of seconds ago and milliseconds, the oldest first.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

const SIZE: (f64, f64) = (1200.0, 200.0);
/// Around the lines: left for the axis' numbers, below for the times.
const MARGIN: (f64, f64) = (64.0, 26.0);

/// The chart of some lines over so many seconds; `None` if there is nothing to draw.
pub(crate) fn chart(lines: &[Line], seconds: f64) -> Option<Markup> {
    let highest = lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value).fold(0.0, f64::max);
    if highest <= 0.0 || !lines.iter().any(|line| line.points.len() > 1) {
        return None;
    }
    let top = round_up(highest);
    let x = |ago: f64| MARGIN.0 + (SIZE.0 - MARGIN.0 - 8.0) * (1.0 - ago / seconds);
    let y = |value: f64| 10.0 + (SIZE.1 - MARGIN.1 - 10.0) * (1.0 - value / top);
    let way = |line: &Line| {
        let points = line.points.iter().map(|(ago, value)| format!("{:.1},{:.1}", x(*ago), y(*value)));
        points.collect::<Vec<_>>().join(" ")
    };
    Some(html! {
        svg.chart viewBox={ "0 0 " (SIZE.0) " " (SIZE.1) } role="img" aria-label="Latency over time" {
            @for part in [0.0, 0.5, 1.0] {
                line.grid x1=(MARGIN.0) x2=(SIZE.0 - 8.0) y1=(y(top * part)) y2=(y(top * part)) {}
                text x=(MARGIN.0 - 8.0) y=(y(top * part) + 4.0) text-anchor="end" { (milliseconds(top * part)) }
            }
            @for part in [1.0, 0.5, 0.0] {
                text x=(x(seconds * part)) y=(SIZE.1 - 6.0) text-anchor=(anchor(part)) { (ago(seconds * part)) }
            }
            @for line in lines {
                polyline.(line.name) points=(way(line)) {}
            }
        }
        p.legend {
            @for line in lines { span { svg.key viewBox="0 0 34 8" aria-hidden="true" { polyline.(line.name) points="1,4 33,4" {} } (line.name) } }
        }
    })
}

fn anchor(part: f64) -> &'static str {
    match part {
        0.0 => "end",
        1.0 => "start",
        _ => "middle",
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hours in seconds")]
fn ago(seconds: f64) -> String {
    if seconds > 0.0 {
        format!("{} ago", span(seconds as u64))
    } else {
        "now".to_owned()
    }
}

/// To 1, 2 or 5 and zeros.
fn round_up(value: f64) -> f64 {
    let scale = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|step| step * scale);
    steps.into_iter().find(|step| *step >= value).unwrap_or(10.0 * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_a_round_number() {
        assert_eq!([0.3, 1.0, 1.1, 42.0, 99.0].map(round_up), [0.5, 1.0, 2.0, 50.0, 100.0]);
    }

    #[test]
    fn one_point_is_no_line() {
        let line = |points: &[(f64, f64)]| Line { name: "p99", points: points.to_vec() };
        assert!(chart(&[line(&[(0.0, 5.0)])], 60.0).is_none());
        assert!(chart(&[line(&[(30.0, 5.0), (0.0, 9.0)])], 60.0).is_some());
    }
}
