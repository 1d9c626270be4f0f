//! By what network filters of the native form record: docs/native.md.

use istio_stats::attachment::Attachment;
use istio_stats::config::Config;
use istio_stats::rules::plan::Plans;

/// Why a network filter with this configuration does not record everything, if it does not; `upstream_clusters` are
/// the configurations of those of the native module that are there.
pub(crate) fn lacking<'a>(
    filter: &Config,
    upstream_clusters: impl IntoIterator<Item = &'a Config>,
) -> Option<String> {
    let metrics = |config: &Config| Plans::new(config).metrics(Some(Attachment::Tcp));
    let mut upstream_clusters = upstream_clusters.into_iter().peekable();
    if upstream_clusters.peek().is_none() {
        let message = "there is no upstream cluster of the native module: nothing of TCP is reported";
        return Some(message.to_owned());
    }
    let defined: Vec<_> = upstream_clusters.flat_map(metrics).collect();
    let lacking = metrics(filter).into_iter().find(|metric| !defined.contains(metric))?;
    Some(format!("no upstream cluster of the native module defines {} with these labels", lacking.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(filter: &str, upstream_clusters: &[&str]) -> Option<String> {
        let config = |text: &str| Config::compile(text.as_bytes()).0.unwrap();
        let upstream_clusters: Vec<_> = upstream_clusters.iter().map(|text| config(text)).collect();
        lacking(&config(filter), &upstream_clusters)
    }

    #[test]
    fn what_a_network_filter_records_an_upstream_cluster_defines() {
        let fewer = r#"{"labels": ["reporter"]}"#;
        let without_http = r#"{"metrics": [{"name": "requests_total", "drop": true}]}"#;
        assert_eq!(of(r#"{"max_series": 9}"#, &["{}"]), None);
        assert_eq!(of("{}", &[without_http]), None);
        assert_eq!(of(fewer, &["{}", fewer]), None);
        assert!(of("{}", &[]).unwrap().contains("there is no upstream cluster"));
        assert!(of(fewer, &["{}"]).unwrap().contains("defines istio_tcp_connections_opened_total"));
    }
}
