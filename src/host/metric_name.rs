//! A metric's name and labels, in one text.
//!
//! Envoy's Wasm interface knows metrics by one string and no labels, and what VMs
//! ask of each other goes through a queue of bytes. So both are kept in the form
//! that they need there: `tag=.=value;.;` for each label, then the name. A host
//! that knows labels reads them out of it, once per series.

/// Stands between a tag and its value.
pub const BEFORE_VALUE: &str = "=.=";
/// Ends a value.
pub const AFTER_VALUE: &str = ";.;";
/// The tags of a metric that tells a component's version, with what is around
/// their values: the form that the regexes of Istio's bootstraps expect.
const OF_BUILD: [(&str, &str, &str); 2] = [("component.", "component", "."), ("tag.", "tag", ";.")];

/// The name of a metric, with its labels.
///
/// ```
/// use istio_stats::host::metric_name::MetricName;
/// let name = MetricName::of("reporter=.=source;.;request_protocol=.=http;.;istio_requests_total");
/// assert_eq!(name.name(), "istio_requests_total");
/// assert!(name.labels().eq([("reporter", "source"), ("request_protocol", "http")]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricName<'a>(&'a str);

/// The labels at the beginning of a stat name, and after them its rest.
#[derive(Clone, Debug)]
struct Labels<'a>(&'a str);

// === impl MetricName ===

impl<'a> MetricName<'a> {
    /// That of a stat name.
    pub fn of(stat_name: &'a str) -> Self {
        Self(stat_name)
    }

    /// All of it, for hosts without labels.
    pub fn stat_name(self) -> &'a str {
        self.0
    }

    /// The name alone.
    pub fn name(self) -> &'a str {
        let mut labels = Labels(self.0);
        labels.by_ref().for_each(drop);
        labels.0
    }

    /// The labels, in order.
    pub fn labels(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        Labels(self.0)
    }
}

// === impl Labels ===

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((label, rest)) = self.0.split_once(AFTER_VALUE) {
            self.0 = rest;
            return label.split_once(BEFORE_VALUE);
        }
        let (label, rest) = OF_BUILD.into_iter().find_map(|(before, tag, after)| {
            let (value, rest) = self.0.strip_prefix(before)?.split_once(after)?;
            Some(((tag, value), rest))
        })?;
        self.0 = rest;
        Some(label)
    }
}
