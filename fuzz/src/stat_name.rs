//! Labels through a stat name and back: whatever the values are, both kinds of
//! `stats_tags` find exactly the labels that were written and no other.

use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::label_value::{LabelValue, MAX_VALUE_BYTES, UNKNOWN};
use istio_stats::catalogue::metric::Metric;
use istio_stats::catalogue::stat_name;
use istio_stats::host::metric_name::MetricName;

use super::input::Input;
use super::tags::{anchored, unanchored, well_formed, Found, PREFIX};

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let metric = Metric::ALL[input.below(Metric::ALL.len())];
    let mask = u32::from(input.number()) | u32::from(input.number()) << 16;
    let tags = Dimension::ALL.map(Dimension::name).into_iter().chain(["request_path", "reason"]);
    let values: Vec<_> = tags.map(|tag| (tag, clean(input.bytes()))).collect();
    let is_written = |n: usize| mask >> (n % 32) & 1 == 0;

    let written = values.iter().enumerate().filter(|(n, _)| is_written(*n));
    let labels: Vec<_> = written.map(|(_, (tag, value))| (*tag, value.as_str())).collect();
    let stat_name = stat_name::encode(labels.iter().copied(), metric.name());
    let read = MetricName::of(&stat_name);
    assert_eq!(read.name(), format!("istio_{}", metric.name()));
    assert!(read.labels().eq(labels.iter().copied()), "{stat_name:?}");
    assert_eq!(well_formed(&stat_name), (metric.name(), labels));

    let name = format!("{PREFIX}{stat_name}");
    for find in [anchored, unanchored] {
        let found: Vec<_> = values.iter().map(|(tag, _)| find(&name, tag)).collect();
        for (n, ((_, value), found)) in values.iter().zip(&found).enumerate() {
            let expected = is_written(n).then_some(value.as_str());
            assert_eq!(found.as_ref().map(|found| found.value), expected, "{} in {name:?}", values[n].0);
        }
        assert_eq!(without(&name, found), format!("{PREFIX}istio_{}", metric.name()));
    }
    check_build(&values[0].1);
}

/// Cleans a value, and checks what the stat name relies on.
fn clean(bytes: &[u8]) -> String {
    let Some(value) = LabelValue::clean(bytes.to_vec()) else {
        assert_eq!(bytes, b"");
        return String::new();
    };
    let text = value.as_str();
    assert!((1..=MAX_VALUE_BYTES).contains(&text.len()));
    assert!(!text.contains([';', '\n']) && !text.contains("=.=") && !text.ends_with('.'), "{text:?}");
    assert_eq!(LabelValue::clean_str(text).as_ref(), Some(&value));
    if bytes.iter().all(u8::is_ascii_alphanumeric) && bytes.len() <= MAX_VALUE_BYTES {
        assert_eq!(text.as_bytes(), bytes);
    }
    text.to_owned()
}

/// `^wasmcustom\.(component\.([^.]+)\.)` and
/// `^wasmcustom\.component\.[^.]+\.(tag\.([^;]+);\.)` on the build's stat name.
fn check_build(version: &str) {
    let version = if version.is_empty() { UNKNOWN } else { version };
    let stat_name = stat_name::build("proxy", version, "istio_build");
    let read = MetricName::of(&stat_name);
    assert_eq!(read.name(), "istio_build");
    assert!(read.labels().eq([("component", "proxy"), ("tag", version)]), "{stat_name:?}");
    let name = format!("{PREFIX}{stat_name}");
    let rest = name.strip_prefix("wasmcustom.component.").expect("begins so");
    let (component, rest) = rest.split_once('.').expect("goes on so");
    assert_eq!(component, "proxy");
    let (tag, rest) = rest.strip_prefix("tag.").and_then(|tag| tag.split_once(';')).expect("ends so");
    assert_eq!((tag, rest), (version, ".istio_build"));
    for dimension in Dimension::ALL {
        assert_eq!(anchored(&name, dimension.name()), None);
        assert_eq!(unanchored(&name, dimension.name()), None);
    }
}

/// What is left of the name once Envoy has taken the labels off.
fn without(name: &str, found: Vec<Option<Found<'_>>>) -> String {
    let mut removed: Vec<_> = found.into_iter().flatten().map(|found| found.removed).collect();
    removed.sort_by_key(|range| range.start);
    let mut left = name.to_owned();
    for range in removed.into_iter().rev() {
        left.replace_range(range, "");
    }
    left
}
