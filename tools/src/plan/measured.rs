//! What running proxies have.

use anyhow::{ensure, Context as _, Result};
use istio_stats::catalogue::metric::Metric;

use super::levers::seen;
use super::model::TCP;
use crate::endpoint::Endpoint;
use crate::exposition::Page;
use crate::names::full;

/// The mean of some proxies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) http: f64,
    pub(crate) tcp: f64,
    /// Of a label set of HTTP.
    pub(crate) labels: f64,
}

/// Reads these proxies' pages.
///
/// # Errors
/// One does not answer, or none has Istio's metrics.
#[expect(clippy::cast_precision_loss, reason = "some thousand")]
pub(crate) fn measure(endpoints: &[Endpoint], prefix: &str) -> Result<Measured> {
    let names = [Metric::Requests, Metric::TcpOpened].map(|metric| full(prefix, metric));
    let (mut counts, mut bytes) = ([0_usize; 2], 0.0);
    for endpoint in endpoints {
        let page = Page::parse(&endpoint.page(Some(prefix))?, |name| names.iter().any(|one| one == name))
            .with_context(|| format!("{} has no metrics", endpoint.url()))?;
        for (name, count) in names.iter().zip(&mut counts) {
            *count = count.saturating_add(page.named(name).count());
        }
        let labels =
            page.samples.iter().map(|sample| seen(sample.labels.0.iter().map(|(n, v)| (&**n, &**v))));
        bytes += labels.sum::<f64>();
    }
    let [http, tcp] = counts.map(|count| count as f64);
    let all = http + tcp * TCP.share_of_labels();
    ensure!(all > 0.0, "these proxies have counted nothing yet");
    let proxies = endpoints.len() as f64;
    Ok(Measured { http: http / proxies, tcp: tcp / proxies, labels: bytes / all })
}
