//! Native histograms as a Prometheus answers with them, made classic: so they add up with
//! those of other proxies.

use serde::Deserialize;

/// One of them, or a rate of one.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Histogram {
    count: String,
    /// Which bounds belong to it, lower bound, upper bound, count.
    #[serde(default)]
    buckets: Vec<(u8, String, String, String)>,
}

/// Upper bounds of Envoy's classic histograms, as the recording rules of workloads have them.
const BOUNDS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

// === impl Histogram ===

impl Histogram {
    /// How many samples are below each bound, as `histogram_fraction` estimates it: evenly spread within a bucket.
    /// Nothing if it is not made of numbers.
    pub(crate) fn classic(&self) -> impl Iterator<Item = (f64, f64)> {
        let buckets: Option<Vec<_>> = self.buckets.iter().map(bucket).collect();
        let count = number(&self.count);
        let known = buckets.zip(count);
        known.into_iter().flat_map(|(buckets, count)| {
            let below = move |bound: f64| buckets.iter().map(|one| share(one, bound)).sum();
            BOUNDS.map(|bound| (bound, below(bound))).into_iter().chain([(f64::INFINITY, count)])
        })
    }
}

fn bucket((_, lower, upper, count): &(u8, String, String, String)) -> Option<[f64; 3]> {
    Some([number(lower)?, number(upper)?, number(count)?])
}

fn share([lower, upper, count]: &[f64; 3], bound: f64) -> f64 {
    if *upper <= bound {
        *count
    } else if *lower < bound {
        count * (bound - lower) / (upper - lower)
    } else {
        0.0
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classic(text: &str) -> Vec<(f64, f64)> {
        serde_json::from_str::<Histogram>(text).unwrap().classic().collect()
    }

    #[test]
    fn its_bounds_are_those_of_the_rules() {
        let rules = include_str!("../../../scripts/rules/native.py");
        let (_, after) = rules.split_once("BOUNDS = (").unwrap();
        let (bounds, _) = after.split_once("\n)").unwrap();
        let bounds: Vec<f64> = bounds.split('"').filter_map(|text| text.parse().ok()).collect();
        assert_eq!(bounds, BOUNDS);
    }

    /// Buckets up to 0.5, and from 4 to 8: a quarter of the latter lies below 5.
    #[test]
    fn samples_are_counted_below_each_bound() {
        let found = classic(r#"{"count":"6","sum":"22","buckets":[[3,"-0.5","0.5","2"],[0,"4","8","4"]]}"#);
        let expected = BOUNDS.map(|bound| match bound {
            bound if bound < 4.0 => (bound, 2.0),
            5.0 => (bound, 3.0),
            _ => (bound, 6.0),
        });
        assert_eq!(found, [&expected[..], &[(f64::INFINITY, 6.0)]].concat());
    }

    #[test]
    fn what_is_no_number_counts_nothing() {
        for text in [r#"{"count":"NaN"}"#, r#"{"count":"1","buckets":[[0,"0","+Inf","1"]]}"#] {
            assert!(classic(text).is_empty(), "{text}");
        }
        assert_eq!(classic(r#"{"count":"0","sum":"0"}"#).iter().map(|one| one.1).sum::<f64>(), 0.0);
    }
}
