//! Numbers and foreign text, as they are shown.

use maud::{html, Markup, Render};

use super::mesh::Place;
use super::traffic::Traffic;
use crate::top::show::{percent, rate, scaled};
use istio_stats::catalogue::label_value::UNKNOWN;

/// Text that strangers chose: never markup, and what cannot be seen is shown by name.
pub(crate) struct Foreign<'a>(pub(crate) &'a str);

impl Render for Foreign<'_> {
    fn render_to(&self, buffer: &mut String) {
        visible(self.0).as_str().render_to(buffer);
    }
}

/// Control characters, and those that turn the direction of text or have no width.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let is_hidden = c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        if is_hidden {
            shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// As much of it as has room; what is cut off is left to a title.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let shown = visible(text);
    if shown.chars().count() <= most {
        return shown;
    }
    let kept: String = shown.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

pub(crate) fn per_second(value: f64) -> String {
    match value {
        value if (100.0..1000.0).contains(&value) => format!("{value:.0}/s"),
        value => format!("{}/s", rate(value)),
    }
}

pub(crate) fn bytes(value: f64) -> String {
    format!("{}B/s", spaced(value))
}

pub(crate) fn size(value: f64) -> String {
    format!("{}B", spaced(value))
}

/// With the thousands' letter at the unit.
fn spaced(value: f64) -> String {
    let text = scaled(value);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let letter = text.get(digits.len()..).unwrap_or_default();
    format!("{digits}\u{a0}{letter}")
}

pub(crate) fn share(ratio: f64) -> String {
    match percent(ratio) {
        // Whole percents are enough, but of few.
        text if ratio >= 0.1 => text.split('.').next().map_or(text.clone(), |whole| match whole {
            whole if whole.ends_with('%') => whole.to_owned(),
            whole => format!("{whole}%"),
        }),
        text => text,
    }
}

pub(crate) fn milliseconds(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.1}\u{a0}ms"),
        value if value < 10_000.0 => format!("{value:.0}\u{a0}ms"),
        value => format!("{:.1}\u{a0}s", value / 1000.0),
    }
}

/// Something, or that there is none.
pub(crate) fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// Green without errors, red from 15 % on, without a step in between at which a colour
/// would jump to and fro.
pub(crate) fn colour(errors: Option<f64>) -> String {
    match errors {
        None => "var(--idle)".to_owned(),
        Some(errors) => {
            let heat = (errors / 0.15).clamp(0.0, 1.0).powf(0.4);
            format!("hsl({:.0} 65% 44%)", 150.0 * (1.0 - heat))
        }
    }
}

/// The colour alone.
pub(crate) fn swatch(errors: Option<f64>) -> Markup {
    let fill = colour(errors);
    html! {
        svg.swatch viewBox="0 0 10 10" aria-hidden="true" { rect width="10" height="10" rx="3" fill=(fill) {} }
    }
}

/// For whoever cannot see the picture.
pub(crate) fn in_words(traffic: &Traffic) -> String {
    let mut words = Vec::new();
    if traffic.http.requests > 0.0 {
        words.push(per_second(traffic.http.requests));
    }
    if traffic.tcp_bytes() > 0.0 {
        words.push(format!(
            "{} to the client, {} from it",
            bytes(traffic.tcp.sent_bytes),
            bytes(traffic.tcp.received_bytes)
        ));
    }
    if traffic.tcp.open > 0.0 {
        words.push(format!("{:.0} connections open", traffic.tcp.open));
    }
    if let Some(errors) = traffic.errors() {
        words.push(format!("{} errors", share(errors)));
    }
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        if let Some(value) = traffic.quantile_ms(q) {
            words.push(format!("{name} {}", milliseconds(value)));
        }
    }
    if let Some(ratio) = traffic.mutual_tls.ratio() {
        words.push(format!("{} over mutual TLS", share(ratio)));
    }
    if words.is_empty() {
        words.push("idle".to_owned());
    }
    words.join(", ")
}

/// A place in one line.
pub(crate) fn place(place: &Place) -> String {
    let Place { cluster_id, namespace, name } = place;
    let local = match (namespace.as_str(), name.as_str()) {
        (UNKNOWN, name) => name.to_owned(),
        (namespace, "") => namespace.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    visible(&format!("{local} in {cluster_id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_text_and_can_be_seen() {
        let shown = Foreign("<script>\u{202e}\u{0}\n'\"&é").render().into_string();
        assert_eq!(shown, "&lt;script&gt;⟨U+202E⟩⟨U+0000⟩⟨U+000A⟩'&quot;&amp;é");
        assert_eq!(cut("abcdef", 4), "abc…");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([bytes(999.0), bytes(12_340.0)], ["999\u{a0}B/s", "12.3\u{a0}kB/s"]);
        assert_eq!([share(0.0), share(0.0123), share(0.999), share(1.0)], ["0%", "1.23%", "99%", "100%"]);
        assert_eq!(
            [milliseconds(0.5), milliseconds(99.4), milliseconds(12_300.0)]
                .map(|text| text.replace('\u{a0}', " ")),
            ["0.5 ms", "99 ms", "12.3 s"]
        );
    }

    #[test]
    fn colours_go_from_green_to_red() {
        let shown = [None, Some(0.0), Some(0.01), Some(0.05), Some(0.5)].map(colour);
        assert_eq!(
            shown,
            ["var(--idle)", "hsl(150 65% 44%)", "hsl(99 65% 44%)", "hsl(53 65% 44%)", "hsl(0 65% 44%)"]
        );
    }
}
