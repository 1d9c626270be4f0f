//! A configured filter, as all threads share it.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use istio_stats::catalogue::metric::PREFIX;
use istio_stats::catalogue::own_metric::SERIES;
use istio_stats::config::parse;
use istio_stats::exchange::Exchange;
use istio_stats::host::{Host as _, MetricKind};
use istio_stats::stats::plugin::StatsPlugin;

use crate::abi::{self, FilterConfig};
use crate::barrier::within;
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

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

// === impl Config ===

impl Config {
    /// Configures, on Envoy's main thread. It never fails: a proxy that cannot report still proxies.
    pub(crate) fn new(envoy: FilterConfig, name: &[u8], configuration: &[u8]) -> Self {
        let settings = Settings::new(name, configuration);
        let vectors = Mutex::new(Vectors::of(envoy));
        let configured = within(|| settings.configure(&vectors));
        let vectors = vectors.into_inner().unwrap_or_else(PoisonError::into_inner);
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
        self.0.vectors.close(&[PREFIX, SERIES.name].concat());
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
    fn new(name: &[u8], configuration: &[u8]) -> Self {
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
        Self { plugin, name, configuration, node, unknown }
    }

    /// Has the plugin configured once, which defines its metrics and tells what is wrong; false if it cannot
    /// be used.
    fn configure(&self, vectors: &Mutex<Vectors>) -> bool {
        let state = State::new();
        let host = NativeHost::new(self, Definitions::Open(vectors), &state);
        if let Some(reason) = &self.unknown {
            let remedy = "say it in the field \"node\" of the configuration";
            let message = format!("istio-stats: who this proxy is is unknown ({reason}); {remedy}");
            host.log_once(log::Level::Warn, &message);
        }
        let define = |kind, name: &str, labels: &[String]| {
            let mut vectors = vectors.lock().unwrap_or_else(PoisonError::into_inner);
            let labels = labels.iter().map(String::as_str);
            if let Err(error) = vectors.define(kind, name, labels) {
                abi::log(log::Level::Error, &format!("istio-stats: defining {name}: {error}"));
            }
        };
        define(MetricKind::Counter, PANICS, &[PLUGIN.to_owned()]);
        match self.plugin {
            Plugin::Exchange => {
                Exchange::configure(&host);
                true
            }
            Plugin::Stats => {
                let plugin = StatsPlugin::configure(&host);
                for metric in plugin.iter().flat_map(StatsPlugin::metrics) {
                    define(metric.kind, &metric.name, &metric.labels);
                }
                plugin.is_some()
            }
        }
    }
}
