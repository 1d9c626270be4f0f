//! A configured filter, as all threads share it.

use core::iter;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use istio_stats::catalogue::metric::PREFIX;
use istio_stats::catalogue::own_metric::SERIES;
use istio_stats::config::parse;
use istio_stats::exchange::Exchange;
use istio_stats::host::{Host as _, MetricKind};
use istio_stats::stats::plugin::StatsPlugin;

use crate::abi;
use crate::abi::metrics::Owner;
use crate::barrier::within;
use crate::expressions::Compiled;
use crate::extension;
use crate::host::{Definitions, NativeHost, State};
use crate::metrics::Vectors;
use crate::node::Node;

/// What configuring left, until Envoy gives it up.
#[derive(Debug)]
pub(crate) struct Config(pub(crate) Arc<Shared>);

/// The same for the threads.
#[derive(Debug)]
pub(crate) struct Shared {
    /// No other has it, nor ever had.
    pub(crate) id: u64,
    pub(crate) settings: Settings,
    pub(crate) vectors: Vectors,
    /// It cannot be used, or an internal error ended its use; streams pass unseen.
    is_inert: AtomicBool,
    is_closed: AtomicBool,
}

/// What the configuration says.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) plugin: Plugin,
    /// Of the filter, in place of a root id.
    pub(crate) name: String,
    /// Without what is the module's.
    pub(crate) configuration: Vec<u8>,
    pub(crate) node: Node,
    pub(crate) expressions: Compiled,
    /// Why it is not known who this proxy is.
    unknown: Option<String>,
}

/// Which plugin it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plugin {
    Stats,
    Exchange,
}

/// Names the exchange; any other name is the stats plugin.
const EXCHANGE: &str = "metadata_exchange";
/// The field of the configuration that is the module's own.
const NODE: &str = "node";
/// Counts what [`crate::barrier`] kept from Envoy.
const PANICS: &str = "istio_stats_internal_errors_total";
/// Its label: without any it would be there from the beginning.
const PLUGIN: &str = "plugin";

/// Why a network filter cannot record a metric.
const UNLIKE: &str =
    "the bootstrap's extension defines none with these labels; its configuration has to be that of the filter";

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

// === impl Config ===

impl Config {
    /// Configures an HTTP filter, on Envoy's main thread. It never fails: a proxy that cannot report still proxies.
    pub(crate) fn of_http_filter(owner: Owner, name: &[u8], configuration: &[u8]) -> Self {
        let settings = Settings::new(name, configuration);
        let vectors = Mutex::new(Vectors::of(owner));
        let configured = within(|| settings.configure(Definitions::Open(&vectors)));
        Self::with(settings, vectors.into_inner().unwrap_or_else(PoisonError::into_inner), configured)
    }

    /// The same of a network filter, which has no metrics of its own.
    pub(crate) fn of_network_filter(name: &[u8], configuration: &[u8]) -> Self {
        let settings = Settings::new(name, configuration);
        let lent = extension::vectors();
        let is_usable = lent.is_some() || settings.plugin == Plugin::Exchange;
        if !is_usable {
            let why = "the bootstrap has no extension with this module, which defines its metrics";
            abi::log(log::Level::Error, &format!("istio-stats: TCP is not reported: {why}"));
        }
        let vectors = lent.unwrap_or_default();
        let configured = within(|| is_usable && settings.configure(Definitions::Closed(&vectors)));
        Self::with(settings, vectors, configured)
    }

    fn with(settings: Settings, vectors: Vectors, configured: Result<bool, String>) -> Self {
        let shared = Shared {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            settings,
            vectors,
            is_inert: AtomicBool::new(configured != Ok(true)),
            is_closed: AtomicBool::new(false),
        };
        if let Err(panic) = configured {
            shared.fail(&panic);
        }
        Self(Arc::new(shared))
    }

    /// Envoy gives it up.
    pub(crate) fn close(self) {
        self.0.is_closed.store(true, Ordering::Release);
        // An Envoy that ends may have taken away what they were lent by.
        if !self.0.vectors.are_lent() || extension::is_there() {
            self.0.vectors.close(&[PREFIX, SERIES.name].concat());
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Whether Envoy gave it up.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Whether streams pass unseen.
    pub(crate) fn is_inert(&self) -> bool {
        self.is_inert.load(Ordering::Relaxed)
    }

    /// Runs code for one of its streams, unless it is inert. An internal error makes it that.
    pub(crate) fn run<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        if self.is_inert() {
            return None;
        }
        within(act).map_err(|panic| self.fail(&panic)).ok()
    }

    fn fail(&self, panic: &str) {
        self.is_inert.store(true, Ordering::Relaxed);
        let consequence = "the filter does nothing from here on; traffic flows";
        abi::log(log::Level::Error, &format!("istio-stats: internal error: {panic}; {consequence}"));
        // Where not even this metric was defined the line has to do.
        let plugin = match self.settings.plugin {
            Plugin::Stats => "istio_stats",
            Plugin::Exchange => EXCHANGE,
        };
        let _ = self.vectors.count(PANICS, PLUGIN, plugin);
    }
}

// === impl Settings ===

impl Settings {
    /// Of a filter or an extension with this name.
    pub(crate) fn new(name: &[u8], configuration: &[u8]) -> Self {
        let name = String::from_utf8_lossy(name).into_owned();
        let plugin = if name == EXCHANGE { Plugin::Exchange } else { Plugin::Stats };
        let (node, configuration) = match parse::take(configuration, NODE) {
            Some((node, rest)) => (Some(node), rest),
            None => (None, configuration.to_vec()),
        };
        let (node, unknown) = match node.map_or_else(Node::of_process, |node| Ok(Node::of(node))) {
            Ok(node) => (node, None),
            Err(reason) => (Node::default(), Some(reason)),
        };
        Self { plugin, name, configuration, node, expressions: Compiled::default(), unknown }
    }

    /// Has the plugin configured once, which defines its metrics and tells what is wrong; false if it cannot
    /// be used.
    pub(crate) fn configure(&self, definitions: Definitions<'_>) -> bool {
        let state = State::new();
        let host = NativeHost::new(self, definitions, &state);
        if let Some(reason) = &self.unknown {
            let remedy = "say it in the field \"node\" of the configuration";
            let message = format!("istio-stats: who this proxy is is unknown ({reason}); {remedy}");
            host.log_once(log::Level::Warn, &message);
        }
        // Without it the log has to do.
        let _ = definitions.define(MetricKind::Counter, PANICS, iter::once(PLUGIN));
        match self.plugin {
            Plugin::Exchange => {
                Exchange::configure(&host);
                true
            }
            Plugin::Stats => {
                let plugin = StatsPlugin::configure(&host);
                self.expressions.are_all();
                for metric in plugin.iter().flat_map(StatsPlugin::metrics) {
                    let labels = metric.labels.iter().map(String::as_str);
                    if let Err(error) = definitions.define(metric.kind, &metric.name, labels) {
                        let why = match definitions {
                            Definitions::Open(_) => error.to_string(),
                            Definitions::Closed(_) => UNLIKE.to_owned(),
                        };
                        host.log_once(log::Level::Error, &format!("istio-stats: {}: {why}", metric.name));
                    }
                }
                plugin.is_some()
            }
        }
    }
}
