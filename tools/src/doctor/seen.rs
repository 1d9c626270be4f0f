//! What was read of one Envoy; the checks look at nothing else.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::dump::Dump;
use super::json::{list, number, text};
use super::stats::Stats;
use crate::endpoint::Endpoint;
use crate::exposition::Page;
use crate::names::{self, Names};

/// One Envoy as it showed itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// What is not Envoy's own on the page that Prometheus reads.
    pub(crate) page: Page,
    /// What only an admin interface tells.
    pub(crate) admin: Option<Admin>,
    /// How the plugins' metrics are called.
    pub(crate) names: Names,
    /// What a scrape for native histograms is answered, if it was tried and refused.
    pub(crate) native_refusal: Option<String>,
}

/// What an admin interface tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admin {
    /// `1.40.0`, for example.
    pub(crate) version: String,
    /// `LIVE`, unless it is starting or ending.
    pub(crate) state: String,
    /// Wasm runtimes that this Envoy has.
    pub(crate) runtimes: Vec<String>,
    /// Labels that the command line gives to every stat.
    pub(crate) fixed_labels: Vec<String>,
    pub(crate) dump: Dump,
    /// How many threads serve traffic, each with a VM of its own.
    pub(crate) workers: u64,
    pub(crate) stats: Stats,
    /// The stats [`SETTLE`] before, so that what was over by then is counted by now.
    pub(crate) ended: Stats,
    /// The stats some seconds before, if there was a wait.
    pub(crate) before: Option<Stats>,
    /// How long that was.
    pub(crate) waited: Duration,
}

/// The plugin counts a new label set about a tenth of a second late.
const SETTLE: Duration = Duration::from_millis(500);

// === impl Seen ===

impl Seen {
    /// Reads everything, the stats twice with `wait` between, unless it is zero. How
    /// metrics are called was `told`, or the configuration tells it.
    ///
    /// # Errors
    /// There is no page to read.
    pub(crate) fn read(endpoint: &Endpoint, wait: Duration, told: Option<Names>) -> Result<Self> {
        let (mut admin, names) = Admin::read(endpoint, wait, told)?;
        // Last, so that it holds every series of the stats.
        let page = Page::parse(&endpoint.page(None)?, |name| !name.starts_with("envoy_"))
            .with_context(|| format!("{} has no metrics", endpoint.url()))?;
        if let Some(admin) = admin.as_mut().filter(|admin| admin.dump.has_native()) {
            admin.stats.add_native(&page, &names);
        }
        Ok(Self { page, admin, names, native_refusal: None })
    }

    pub(crate) fn dump(&self) -> Option<&Dump> {
        self.admin.as_ref().map(|admin| &admin.dump)
    }

    /// What a self-metric of the plugin says, summed up over its series.
    pub(crate) fn total(&self, metric: &str) -> Option<f64> {
        self.page.total(metric)
    }

    /// A page alone does not tell how the plugin's metrics are called: says which other
    /// names it has.
    pub(crate) fn other_names(&self) -> Option<String> {
        let advice = names::advice(&self.names.describe(), &self.page);
        advice.filter(|_| self.admin.is_none())
    }
}

// === impl Admin ===

impl Admin {
    fn read(endpoint: &Endpoint, wait: Duration, told: Option<Names>) -> Result<(Option<Self>, Names)> {
        let Some(info) = endpoint.admin("/server_info")?.and_then(|body| serde_json::from_str(&body).ok())
        else {
            return Ok((None, told.unwrap_or_default()));
        };
        let Some(page) = endpoint.admin("/config_dump")? else {
            return Ok((None, told.unwrap_or_default()));
        };
        let page: Value = serde_json::from_str(&page)
            .with_context(|| format!("{}/config_dump is no JSON", endpoint.url()))?;
        let dump = Dump::parse(&page);
        let names = told.unwrap_or_else(|| dump.names());
        let stats = || {
            let body = endpoint.admin("/stats")?;
            Ok::<_, anyhow::Error>(body.map(|body| Stats::parse(&body, &names)))
        };
        let before = if wait.is_zero() { None } else { stats()? };
        thread::sleep(wait);
        let ended = stats()?.unwrap_or_default();
        thread::sleep(SETTLE);
        let now = stats()?.unwrap_or_default();
        let admin = Self { before, ended, waited: wait, ..Self::new(&info, dump, now) };
        Ok((Some(admin), names))
    }

    /// From the pages' contents.
    pub(crate) fn new(info: &Value, dump: Dump, stats: Stats) -> Self {
        // "<commit>/1.40.0/Clean/RELEASE/BoringSSL"
        let version = text(info, "/version").split('/').nth(1).unwrap_or_default().to_owned();
        let is_runtime = |extension: &&Value| {
            text(extension, "/category") == "envoy.wasm.runtime"
                && text(extension, "/name") != "envoy.wasm.runtime.null"
                && extension.get("disabled") != Some(&Value::Bool(true))
        };
        let runtimes = list(info, "/node/extensions").iter().filter(is_runtime);
        let fixed_labels = list(info, "/command_line_options/stats_tag").iter().filter_map(Value::as_str);
        Self {
            version,
            state: text(info, "/state").to_owned(),
            runtimes: runtimes.map(|extension| text(extension, "/name").to_owned()).collect(),
            fixed_labels: fixed_labels.filter_map(|tag| Some(tag.split_once(':')?.0.to_owned())).collect(),
            dump,
            workers: number(info, "/command_line_options/concurrency"),
            ended: stats.clone(),
            stats,
            before: None,
            waited: Duration::ZERO,
        }
    }
}
