//! A configured filter, as all threads share it.

use core::iter;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use istio_stats::attachment::Attachment;
use istio_stats::catalogue::metric::PREFIX;
use istio_stats::catalogue::own_metric::SERIES;
use istio_stats::config::parse;
use istio_stats::exchange::Exchange;
use istio_stats::host::{Host as _, MetricKind};
use istio_stats::rules::plan::MetricShape;
use istio_stats::stats::plugin::StatsPlugin;

use crate::abi;
use crate::abi::metrics::Owner;
use crate::barrier::{self, within};
use crate::expressions::Compiled;
use crate::handles;
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
/// The stats plugin, where one name stands for all.
const STATS: &str = "istio_stats";
/// The field of the configuration that is the module's own.
const NODE: &str = "node";
/// Counts what [`crate::barrier`] kept from Envoy.
const PANICS: &str = "istio_stats_internal_errors_total";
/// Its label: without any it would be there from the beginning.
const PLUGIN: &str = "plugin";

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// What an upstream cluster with this configuration defines: all that a stats plugin with it may record. On Envoy's
/// main thread.
pub(crate) fn metrics(configuration: &[u8]) -> Vec<MetricShape> {
    let settings = Settings::new(STATS.as_bytes(), configuration);
    let vectors = Mutex::default();
    barrier::alone(|| {
        // An unusable configuration was said.
        settings.configure(&vectors, None);
    });
    vectors.into_inner().unwrap_or_else(PoisonError::into_inner).shapes().cloned().collect()
}

// === impl Config ===

impl Config {
    /// Configures a filter, on Envoy's main thread. It never fails: a proxy that cannot report still proxies. An HTTP
    /// filter is the `owner` of its metrics; a network filter has none of its own.
    pub(crate) fn new(owner: Option<Owner>, name: &[u8], configuration: &[u8]) -> Self {
        let settings = Settings::new(name, configuration);
        let vectors = Mutex::new(Vectors::of(owner));
        let attachment = if owner.is_some() { Attachment::Http } else { Attachment::Tcp };
        let configured = within(|| settings.configure(&vectors, Some(attachment)));
        let shared = Shared {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            settings,
            vectors: vectors.into_inner().unwrap_or_else(PoisonError::into_inner),
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
            Plugin::Stats => STATS,
            Plugin::Exchange => EXCHANGE,
        };
        self.vectors.count(PANICS, PLUGIN, plugin);
    }
}

// === impl Settings ===

impl Settings {
    /// Of a filter with this name.
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
        Self { plugin, name, configuration, node, expressions: Compiled::default(), unknown }
    }

    /// Has the plugin configured once, for streams of this kind or for all, which defines its metrics and tells
    /// what is wrong; false if it cannot be used.
    fn configure(&self, vectors: &Mutex<Vectors>, attachment: Option<Attachment>) -> bool {
        let state = State::new();
        let host = NativeHost::new(self, Definitions::Open(vectors), &state);
        let vectors = || vectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = &self.unknown {
            let remedy = "say it in the field \"node\" of the configuration";
            let message = format!("istio-stats: who this proxy is is unknown ({reason}); {remedy}");
            host.log_once(log::Level::Warn, &message);
        }
        // Without it the log has to do.
        let _ = vectors().define(MetricKind::Counter, PANICS, iter::once(PLUGIN));
        if self.plugin == Plugin::Exchange {
            Exchange::configure(&host);
            return true;
        }
        let plugin = StatsPlugin::configure(&host);
        self.expressions.are_all();
        let metrics = plugin.iter().flat_map(|plugin| plugin.metrics(attachment));
        for metric in metrics {
            let labels = metric.labels.iter().map(String::as_str);
            let defined = vectors().define(metric.kind, &metric.name, labels);
            if let Err(error) = defined {
                host.log_once(log::Level::Error, &format!("istio-stats: {}: {error}", metric.name));
            }
            if attachment == Some(Attachment::Tcp) && !handles::define(&metric) {
                host.tell_unrecorded(&metric);
            }
        }
        plugin.is_some()
    }
}
