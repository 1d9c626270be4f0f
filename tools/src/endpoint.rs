//! Where metrics are read from: an Envoy's admin interface, or any URL that
//! answers with a page in the Prometheus text format.
//!
//! Only the hosts that were given are asked: no redirect is followed, no proxy of the
//! environment is used. Whoever answers may be broken or hostile, so all that comes is
//! bounded, in time and in size.

use std::time::Duration;

use anyhow::{bail, ensure, Context as _, Result};
use istio_stats::host::excerpt::quoted_bytes;
use ureq::Agent;

/// One such place.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    url: String,
    agent: Agent,
}

/// For all of an answer. Envoy renders a page of 20 000 series in a second.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A page of a proxy with tens of thousands of series, and far more.
const MAX_BYTES: u64 = 1 << 28;
/// A dump of thousands of upstream clusters. (As a tree JSON takes many times its size.)
const MAX_JSON_BYTES: u64 = 1 << 26;
/// What a scrape asks for that wants native histograms. They come in protobuf only.
const NATIVE: &str = "histogram_buckets=prometheusnative";
const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
/// Envoy's own page.
const PROMETHEUS: &str = "/stats/prometheus";

// === impl Endpoint ===

impl Endpoint {
    /// From what the user typed; `http://` may be left out.
    ///
    /// # Errors
    /// Only plain HTTP is spoken.
    pub(crate) fn new(typed: &str) -> Result<Self> {
        let url = match typed.split_once("://") {
            None => format!("http://{typed}"),
            Some(("http", _)) => typed.to_owned(),
            Some((scheme, _)) => {
                bail!("{typed}: {scheme} is not supported, only http (for Kubernetes: kubectl port-forward)")
            }
        };
        let url = url.trim_end_matches('/').to_owned();
        ensure!(url.len() > "http://".len(), "{typed:?} is no URL; http://127.0.0.1:15000 would be one");
        let config = Agent::config_builder().timeout_global(Some(TIMEOUT)).max_redirects(0).proxy(None);
        let agent = config.build().into();
        Ok(Self { url, agent })
    }

    /// Without the parameter that asks for native histograms, which come in no text; and whether it was there.
    pub(crate) fn without_native(mut self) -> (Self, bool) {
        let Some((page, query)) = self.url.split_once('?') else {
            return (self, false);
        };
        let kept: Vec<_> = query.split('&').filter(|parameter| *parameter != NATIVE).collect();
        let asks = kept.len() < query.split('&').count();
        self.url = if kept.is_empty() { page.to_owned() } else { format!("{page}?{}", kept.join("&")) };
        (self, asks)
    }

    /// Status and words of who refuses a scrape for native histograms.
    ///
    /// # Errors
    /// No answer came; the message names the URL.
    pub(crate) fn native_refusal(&self) -> Result<Option<String>> {
        let page = self.admin_root().map_or_else(|| self.url.clone(), |root| format!("{root}{PROMETHEUS}"));
        let url = format!("{page}{}{NATIVE}", if page.contains('?') { '&' } else { '?' });
        let request = self.agent.get(encode(&url)).header("accept", PROTOBUF);
        let request = request.config().http_status_as_error(false).build();
        let mut response = request.call().with_context(|| format!("cannot read {url}"))?;
        if response.status().is_success() {
            return Ok(None);
        }
        let body = response.body_mut().with_config().limit(MAX_JSON_BYTES).read_to_vec().unwrap_or_default();
        Ok(Some(format!("{} {}", response.status().as_u16(), quoted_bytes(&body))))
    }

    /// As it is shown.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The root of an admin interface, if this may be one: no path was given, or
    /// that of its page.
    pub(crate) fn admin_root(&self) -> Option<&str> {
        let root = self.url.strip_suffix(PROMETHEUS).unwrap_or(&self.url);
        let (_, host) = root.split_once("://")?;
        (!host.contains(['/', '?'])).then_some(root)
    }

    /// The page in the Prometheus text format. Of an Envoy only the stats whose
    /// name matches `filter`, a regular expression.
    ///
    /// # Errors
    /// It did not come; the message names the URL.
    pub(crate) fn page(&self, filter: Option<&str>) -> Result<String> {
        match (self.admin_root(), filter) {
            (Some(root), Some(filter)) => self.get(&format!("{root}{PROMETHEUS}?filter={filter}"), MAX_BYTES),
            (Some(root), None) => self.get(&format!("{root}{PROMETHEUS}"), MAX_BYTES),
            (None, _) => self.get(&self.clone().without_native().0.url, MAX_BYTES),
        }
    }

    /// Another page of the admin interface; `None` if this is none.
    ///
    /// # Errors
    /// As for [`Self::page`], but for a page that is not there.
    pub(crate) fn admin(&self, path: &str) -> Result<Option<String>> {
        let Some(root) = self.admin_root() else {
            return Ok(None);
        };
        let max_bytes = if path == "/stats" { MAX_BYTES } else { MAX_JSON_BYTES };
        match self.get(&format!("{root}{path}"), max_bytes) {
            Ok(body) => Ok(Some(body)),
            Err(error) => match error.downcast_ref() {
                Some(ureq::Error::StatusCode(403..=405)) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Of an API below the URL, whatever status it answers with.
    ///
    /// # Errors
    /// No answer came; the message names the URL.
    pub(crate) fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<(u16, String)> {
        let url = format!("{}{path}", self.url);
        let request = self.agent.get(&url).query_pairs(parameters.iter().copied());
        let request = request.config().http_status_as_error(false).build();
        let mut response = request.call().with_context(|| format!("cannot read {url}"))?;
        let body = response.body_mut().with_config().limit(MAX_JSON_BYTES).lossy_utf8(true).read_to_string();
        Ok((response.status().as_u16(), body.with_context(|| format!("cannot read all of {url}"))?))
    }

    fn get(&self, url: &str, max_bytes: u64) -> Result<String> {
        let mut response =
            self.agent.get(encode(url)).call().with_context(|| format!("cannot read {url}"))?;
        if response.status().is_redirection() {
            let to = response.headers().get("location").map_or(&b"another place"[..], |to| to.as_bytes());
            bail!("{url} sends on to {}; redirects are not followed", quoted_bytes(to));
        }
        let body = response.body_mut().with_config().limit(max_bytes).lossy_utf8(true).read_to_string();
        body.with_context(|| format!("cannot read all of {url}"))
    }
}

/// Selectors such as `match[]={__name__=~"istio_.*"}` are typed as they are; a URL
/// cannot hold all of their characters.
fn encode(url: &str) -> String {
    let mut encoded = String::with_capacity(url.len());
    for c in url.chars() {
        match c {
            '{' | '}' | '"' | '<' | '>' | '\\' | '^' | '`' | '|' | ' ' => {
                encoded.push_str(&format!("%{:02X}", u32::from(c)));
            }
            c => encoded.push(c),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_need_no_encoding() {
        assert_eq!(encode(r#"http://x/f?match[]={n=~"a|b"}"#), "http://x/f?match[]=%7Bn=~%22a%7Cb%22%7D");
        assert_eq!(encode("http://x/f?a=%7B"), "http://x/f?a=%7B");
    }

    #[test]
    fn admin_interfaces_are_known_by_their_path() {
        for (typed, root) in [
            ("127.0.0.1:15000", Some("http://127.0.0.1:15000")),
            ("http://127.0.0.1:15000/", Some("http://127.0.0.1:15000")),
            ("http://[::1]:15090/stats/prometheus", Some("http://[::1]:15090")),
            ("http://pod:15020/metrics", None),
            ("http://prometheus:9090/federate?match[]={__name__=~\"istio_.*\"}", None),
        ] {
            assert_eq!(Endpoint::new(typed).unwrap().admin_root(), root, "{typed}");
        }
    }

    #[test]
    fn native_histograms_are_asked_for_apart() {
        for (typed, url, asks) in [
            ("x:1/stats/prometheus", "http://x:1/stats/prometheus", false),
            ("x:1/stats/prometheus?histogram_buckets=prometheusnative", "http://x:1/stats/prometheus", true),
            ("x/s?a=b&histogram_buckets=prometheusnative&c", "http://x/s?a=b&c", true),
            ("x/s?a=b&histogram_buckets=summary", "http://x/s?a=b&histogram_buckets=summary", false),
        ] {
            let (endpoint, found) = Endpoint::new(typed).unwrap().without_native();
            assert_eq!((endpoint.url(), found), (url, asks), "{typed}");
        }
    }

    #[test]
    fn other_schemes_and_nothing_are_refused() {
        assert!(Endpoint::new("https://x").unwrap_err().to_string().contains("https is not supported"));
        assert!(Endpoint::new("").unwrap_err().to_string().contains("no URL"));
    }
}
