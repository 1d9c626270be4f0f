//! Series by handle, instead of by the values of all their labels: what makes a sample cheap, and what lets
//! network filters record at all, which have no metrics with labels. Envoy has handles for the metrics of an
//! upstream cluster only, so a bootstrap that wants them has one of this module, which serves nothing, or one
//! for each of several configurations. Whatever none of them defined HTTP filters record by label values.
//!
//! A handle must not be used once Envoy gave up the configuration that it is of. So who uses one has the
//! upstream clusters locked, and who gives one up waits for that lock. There is a lock for each worker, that
//! none waits for another.

use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use istio_stats::rules::plan::MetricShape;

use crate::abi::handles::{Handle, UpstreamCluster, Vector};
use crate::abi::metrics::LabelValues;

/// The metrics of an upstream cluster.
#[derive(Debug)]
struct Handles {
    envoy: UpstreamCluster,
    known: Vec<(MetricShape, Vector)>,
}

/// All that are there, the latest last.
#[derive(Clone, Debug)]
struct All {
    /// Another whenever one comes or goes.
    version: u64,
    each: Vec<Arc<Handles>>,
}

/// Where a thread has the handles in use, alone on its cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Lane(RwLock<Option<Arc<All>>>);

/// Of further workers some share a lane, which is correct, too.
static LANES: [Lane; 64] = [const { Lane(RwLock::new(None)) }; 64];
static ALL: Mutex<All> = Mutex::new(All { version: 0, each: Vec::new() });
static NEXT_LANE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static LANE: Option<&'static Lane> =
        NEXT_LANE.fetch_add(1, Ordering::Relaxed).checked_rem(LANES.len()).and_then(|next| LANES.get(next));
}

/// Where a sample of a series goes, as a thread knows it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// Which version was asked; zero: none yet.
    asked: u64,
    /// What it said; `None`: it is none of their series.
    handle: Option<Handle>,
}

/// An upstream cluster is configured: from here on these metrics have handles. Returns its id.
pub(crate) fn open(envoy: UpstreamCluster, metrics: Vec<MetricShape>) -> u64 {
    let define = |shape: MetricShape| {
        let vector = envoy.define(shape.kind, &shape.name, shape.labels.iter().map(String::as_str));
        vector.ok().map(|vector| (shape, vector))
    };
    let known = metrics.into_iter().filter_map(define).collect();
    let id = envoy.id();
    change(|all| all.push(Arc::new(Handles { envoy, known })));
    id
}

/// Envoy gives it up, once this returns: no thread uses it, or one of its handles, any more.
pub(crate) fn close(id: u64) {
    change(|all| all.retain(|handles| handles.envoy.id() != id));
}

fn change(act: impl FnOnce(&mut Vec<Arc<Handles>>)) {
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    act(&mut all.each);
    all.version = all.version.wrapping_add(1);
    let in_use = (!all.each.is_empty()).then(|| Arc::new(all.clone()));
    for Lane(lane) in &LANES {
        lane.write().unwrap_or_else(PoisonError::into_inner).clone_from(&in_use);
    }
}

/// What `act` does with all that are there; `None` if there is none.
fn with<T>(act: impl FnOnce(&All) -> T) -> Option<T> {
    let Lane(lane) = LANE.with(|lane| *lane)?;
    lane.read().unwrap_or_else(PoisonError::into_inner).as_deref().map(act)
}

/// Whether there are any.
pub(crate) fn are_there() -> bool {
    with(|_| ()).is_some()
}

/// Whether series of this metric have handles.
pub(crate) fn define(metric: &MetricShape) -> bool {
    with(|all| all.each.iter().any(|handles| handles.vector(metric).is_some())).unwrap_or(false)
}

/// Records a sample of the series with these labels; false if that is not possible by handle.
pub(crate) fn record(known: &Cell<Known>, of: &MetricShape, labels: &LabelValues, value: u64) -> bool {
    let record = |all: &All| {
        if known.get().asked != all.version {
            known.set(Known { asked: all.version, handle: all.find(of, labels) });
        }
        let handle = known.get().handle;
        handle.is_some_and(|handle| all.each.iter().any(|handles| handles.envoy.record(handle, value)))
    };
    with(record).unwrap_or(false)
}

// === impl All ===

impl All {
    /// In the latest that has it: where one is replaced both are there for a moment.
    fn find(&self, shape: &MetricShape, labels: &LabelValues) -> Option<Handle> {
        self.each.iter().rev().find_map(|handles| handles.find(shape, labels))
    }
}

// === impl Handles ===

impl Handles {
    fn vector(&self, shape: &MetricShape) -> Option<Vector> {
        self.known.iter().find(|(known, _)| known == shape).map(|(_, vector)| *vector)
    }

    fn find(&self, shape: &MetricShape, labels: &LabelValues) -> Option<Handle> {
        self.envoy.find(self.vector(shape)?, labels).ok()
    }
}
