//! Series by handle, instead of by the values of all their labels: what makes a sample cheap. Envoy has
//! handles for the metrics of an upstream cluster only, so a bootstrap that wants them has an upstream cluster
//! of this module, which serves nothing. Whatever it defined is recorded through it, the rest by label values.
//!
//! A handle must not be used once Envoy gave up the configuration that it is of. So who uses one has the
//! upstream cluster locked, and who gives one up waits for that lock. There is a lock for each worker, that
//! none waits for another.

use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use istio_stats::config::Config;
use istio_stats::host::MetricKind;
use istio_stats::rules::plan::{MetricShape, Plans};

use crate::abi;
use crate::abi::handles::{Handle, UpstreamCluster, Vector};
use crate::abi::metrics::LabelValues;

/// The metrics of an upstream cluster.
#[derive(Debug)]
pub(crate) struct Handles {
    envoy: UpstreamCluster,
    known: Vec<(MetricShape, Vector)>,
}

/// Where a thread has the handles in use, alone on its cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Lane(RwLock<Option<Arc<Handles>>>);

/// Of further workers some share a lane, which is correct, too.
static LANES: [Lane; 64] = [const { Lane(RwLock::new(None)) }; 64];
/// All that are there, oldest first. The last is in use.
static ALL: Mutex<Vec<Arc<Handles>>> = Mutex::new(Vec::new());
static NEXT_LANE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static LANE: Option<&'static Lane> =
        NEXT_LANE.fetch_add(1, Ordering::Relaxed).checked_rem(LANES.len()).and_then(|next| LANES.get(next));
}

/// Where a sample of a series goes, as a thread knows it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// Which handles were asked; zero: none yet.
    asked: u64,
    /// What they said; `None`: it is none of their series.
    handle: Option<Handle>,
}

/// An upstream cluster is configured: from here on its metrics have handles. Those are the metrics of a stats
/// plugin with this configuration. Returns its id.
pub(crate) fn open(envoy: UpstreamCluster, configuration: &[u8]) -> u64 {
    let (config, issues) = Config::compile(configuration);
    for issue in &issues {
        abi::log(log::Level::Warn, &format!("istio-stats: metrics by handle: {issue}"));
    }
    let shapes = config.map(|config| Plans::new(&config).metrics()).unwrap_or_default();
    let mut known = Vec::new();
    for shape in shapes.into_iter().filter(|shape| shape.kind != MetricKind::Gauge) {
        let defined = envoy.define(shape.kind, &shape.name, shape.labels.iter().map(String::as_str));
        known.extend(defined.map(|vector| (shape, vector)));
    }
    let id = envoy.id();
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.push(Arc::new(Handles { envoy, known }));
    use_the_last(&all);
    id
}

/// Envoy gives it up, once this returns: no thread uses it, or one of its handles, any more.
pub(crate) fn close(id: u64) {
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|handles| handles.envoy.id() != id);
    use_the_last(&all);
}

fn use_the_last(all: &[Arc<Handles>]) {
    for Lane(lane) in &LANES {
        *lane.write().unwrap_or_else(PoisonError::into_inner) = all.last().cloned();
    }
}

/// Records a sample of the series with these labels; false if that is not possible by handle.
pub(crate) fn record(known: &Cell<Known>, of: &MetricShape, labels: &LabelValues, value: u64) -> bool {
    let Some(Lane(lane)) = LANE.with(|lane| *lane) else {
        return false;
    };
    let lane = lane.read().unwrap_or_else(PoisonError::into_inner);
    let Some(handles) = &*lane else {
        return false;
    };
    if known.get().asked != handles.envoy.id() {
        known.set(Known { asked: handles.envoy.id(), handle: handles.find(of, labels) });
    }
    known.get().handle.is_some_and(|handle| handles.envoy.record(handle, value))
}

// === impl Handles ===

impl Handles {
    fn find(&self, shape: &MetricShape, labels: &LabelValues) -> Option<Handle> {
        let (_, vector) = self.known.iter().find(|(known, _)| known == shape)?;
        self.envoy.find(*vector, labels).ok()
    }
}
