//! Asks a Prometheus by its HTTP API.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{bail, Context as _, Result};
use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::metric::Metric;
use serde::Deserialize;

use super::native::Histogram;
use crate::endpoint::Endpoint;
use crate::exposition::Labels;
use crate::names;

/// One Prometheus, and how the names of the metrics begin there.
#[derive(Clone, Debug)]
pub(crate) struct Prometheus {
    endpoint: Endpoint,
    prefix: String,
}

/// Series by their labels, with one value or one for each step. A native histogram is there as its classic buckets, with
/// the label `le`.
pub(crate) type Vector = Vec<(Labels, f64)>;
pub(crate) type Matrix = Vec<(Labels, Vec<(f64, f64)>)>;

#[derive(Deserialize)]
struct Answer {
    error: Option<String>,
    data: Option<Data>,
    /// Of one that asks others, of whom some did not answer.
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    histogram: Option<(f64, Histogram)>,
    #[serde(default)]
    histograms: Vec<(f64, Histogram)>,
}

// === impl Prometheus ===

impl Prometheus {
    pub(crate) fn new(endpoint: Endpoint, prefix: &str) -> Self {
        Self { endpoint, prefix: prefix.to_owned() }
    }

    pub(crate) fn url(&self) -> &str {
        self.endpoint.url()
    }

    /// A metric's name there.
    pub(crate) fn name(&self, metric: Metric) -> String {
        names::full(&self.prefix, metric)
    }

    /// What an expression is now.
    ///
    /// # Errors
    /// It did not answer, or not all of it; or cannot evaluate the expression.
    pub(crate) fn query(&self, expression: &str) -> Result<Vector> {
        let series = self.ask("/api/v1/query", &[("query", expression)])?;
        Ok(series.iter().flat_map(Series::now).collect())
    }

    /// What it was, step by step, until now.
    ///
    /// # Errors
    /// As for [`Self::query`].
    pub(crate) fn over_time(&self, expression: &str, span: Duration, steps: u32) -> Result<Matrix> {
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let start = end - span.as_secs_f64();
        let step = (span.as_secs_f64() / f64::from(steps)).max(1.0);
        let [start, end, step] = [start, end, step].map(|number| format!("{number:.3}"));
        let series = self.ask(
            "/api/v1/query_range",
            &[("query", expression), ("start", &start), ("end", &end), ("step", &step)],
        )?;
        Ok(series.iter().flat_map(Series::over_time).collect())
    }

    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Vec<Series>> {
        let url = self.url();
        let (status, text) = self.endpoint.ask(path, parameters)?;
        let answer: Answer = serde_json::from_str(&text)
            .with_context(|| format!("{url}{path} answers with status {status}, and not as a Prometheus"))?;
        if let Some(error) = answer.error {
            bail!("{url}: {error}");
        }
        if !answer.warnings.is_empty() {
            bail!("{url} has only a part: {}", answer.warnings.join("; "));
        }
        let data = answer.data.with_context(|| format!("{url}{path} answers without data"))?;
        Ok(data.result)
    }
}

// === impl Series ===

impl Series {
    fn now(&self) -> Vector {
        let value = self.value.as_ref().and_then(|(_, text)| finite(text));
        let buckets = self.histogram.iter().flat_map(|(_, histogram)| histogram.classic());
        let buckets = buckets.map(|(bound, count)| (self.labels(Some(bound)), count));
        value.map(|value| (self.labels(None), value)).into_iter().chain(buckets).collect()
    }

    fn over_time(&self) -> Matrix {
        let mut all = Vec::new();
        if !self.values.is_empty() {
            let points = self.values.iter().filter_map(|(at, text)| Some((*at, finite(text)?)));
            all.push((self.labels(None), points.collect()));
        }
        for (at, histogram) in &self.histograms {
            let buckets =
                histogram.classic().map(|(bound, count)| (self.labels(Some(bound)), vec![(*at, count)]));
            all.extend(buckets);
        }
        all
    }

    /// Of the bucket up to a bound, if there is one.
    fn labels(&self, bound: Option<f64>) -> Labels {
        let labels = self.metric.iter().map(|(name, value)| (name.clone(), value.clone()));
        Labels(labels.chain(bound.map(|bound| ("le".to_owned(), bound.to_string()))).collect())
    }
}

/// What comes in a second, as buckets by these labels, whichever form of histograms there is.
pub(crate) fn buckets(by: &str, histogram: &str, selector: &str, range: &str) -> String {
    let comma = if by.is_empty() { "" } else { ", " };
    format!(
        "(sum by ({by}{comma}le) (rate({histogram}_bucket{selector}[{range}])) \
         or sum by ({by}) (rate({histogram}{selector}[{range}])))"
    )
}

/// A selector of series with these values. An empty one matches a label that is not
/// there, too.
pub(crate) fn selector<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let quoted = labels.into_iter().map(|(label, value)| format!("{label}={}", quoted(value)));
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

/// The same by the plugin's labels.
pub(crate) fn selecting<'a>(labels: impl IntoIterator<Item = (Dimension, &'a str)>) -> String {
    selector(labels.into_iter().map(|(label, value)| (label.name(), value)))
}

/// PromQL's strings are Go's.
fn quoted(value: &str) -> String {
    let mut text = String::from('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_values_in_an_expression() {
        assert_eq!(
            selector([("a", "x"), ("b", "\"} or vector(1) #\\\n")]),
            r#"{a="x",b="\"} or vector(1) #\\\u000a"}"#
        );
    }

    #[test]
    fn an_answer_is_read() {
        let text = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"a":"1"},"value":[1700000000.123,"2.5"]},{"metric":{},"value":[1,"NaN"]}]}}"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        let series = answer.data.unwrap().result;
        let found: Vec<_> = series.iter().flat_map(Series::now).collect();
        assert_eq!(found, [(Labels(vec![("a".to_owned(), "1".to_owned())]), 2.5)]);
    }

    /// Two samples, one in a bucket up to 0.5, one above the last bound.
    #[test]
    fn a_native_histogram_is_read_as_buckets() {
        let histogram = r#"{"count":"2","sum":"9","buckets":[[3,"-0.5","0.5","1"],[0,"4e6","5e6","1"]]}"#;
        let now = format!(r#"{{"metric":{{"a":"1"}},"histogram":[1,{histogram}]}}"#);
        let now = serde_json::from_str::<Series>(&now).unwrap().now();
        let read = |(labels, value): &(Labels, f64)| {
            assert_eq!(labels.get("a"), Some("1"));
            (labels.get("le").unwrap().parse::<f64>().unwrap(), *value)
        };
        let read: Vec<_> = now.iter().map(read).collect();
        assert_eq!((read[0], read[18], read[19]), ((0.5, 1.0), (3_600_000.0, 1.0), (f64::INFINITY, 2.0)));

        let then = format!(r#"{{"metric":{{"a":"1"}},"histograms":[[1,{histogram}],[2,{histogram}]]}}"#);
        let then = serde_json::from_str::<Series>(&then).unwrap().over_time();
        assert_eq!((then.len(), &then[39].1), (40, &vec![(2.0, 2.0)]));
    }

    #[test]
    fn both_forms_are_asked_for() {
        let expected =
            "(sum by (pod, le) (rate(x_bucket{a=\"1\"}[5m])) or sum by (pod) (rate(x{a=\"1\"}[5m])))";
        assert_eq!(buckets("pod", "x", "{a=\"1\"}", "5m"), expected);
    }
}
