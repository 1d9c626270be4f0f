//! Asks a Prometheus by its HTTP API.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{bail, Context as _, Result};
use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::metric::Metric;
use serde::Deserialize;

use crate::endpoint::Endpoint;
use crate::exposition::Labels;
use crate::names;

/// One Prometheus, and how the names of the metrics begin there.
#[derive(Clone, Debug)]
pub(crate) struct Prometheus {
    endpoint: Endpoint,
    prefix: String,
}

/// Series by their labels, with one value or one for each step.
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
        Ok(series
            .into_iter()
            .filter_map(|one| {
                let value = one.value.as_ref().and_then(|(_, text)| finite(text))?;
                Some((one.labels(), value))
            })
            .collect())
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
        Ok(series
            .into_iter()
            .map(|one| {
                let points = one.values.iter().filter_map(|(at, text)| Some((*at, finite(text)?)));
                (one.labels(), points.collect())
            })
            .collect())
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
    fn labels(&self) -> Labels {
        Labels(self.metric.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }
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
        assert_eq!(series[0].labels().get("a"), Some("1"));
        let values: Vec<_> = series.iter().map(|one| finite(&one.value.as_ref().unwrap().1)).collect();
        assert_eq!(values, [Some(2.5), None]);
    }
}
