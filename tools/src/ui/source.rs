//! Where pictures of the mesh come from: a Prometheus that is asked when somebody looks,
//! or Envoys that are read all the time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::gone::gone;
use super::mesh::Mesh;
use super::prometheus::Prometheus;
use super::series::{Answers, Problem};
use super::view::Range;
use crate::endpoint::Endpoint;
use crate::top::sources::Sources;

/// One or the other.
pub(crate) enum Source {
    Prometheus { prometheus: Prometheus, seen: Mutex<HashMap<Range, Arc<Picture>>> },
    Envoys { urls: Vec<String>, now: Arc<Mutex<Arc<Picture>>> },
}

/// The mesh at one time.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// When the mesh was read, and when that was last tried.
    pub(crate) at: Instant,
    pub(crate) tried: Instant,
    pub(crate) mesh: Arc<Mesh>,
    /// Over which time rates are; `None` as long as there are none.
    pub(crate) over: Option<Duration>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) notes: Vec<String>,
    /// What each Envoy says, if they were read one by one.
    pub(crate) proxies: Vec<(String, Mesh)>,
    /// Earlier ones of Envoys, which remember nothing; the oldest first.
    pub(crate) before: VecDeque<(Instant, Arc<Mesh>)>,
}

/// How long a picture of Prometheus serves all who look.
const FRESH: Duration = Duration::from_secs(4);
/// Rates of Envoys are over this: short enough to see a change, long enough that an error
/// share of few requests does not jump.
const SPAN: Duration = Duration::from_secs(60);
/// Between two pictures that are remembered, and how many are.
const MEMORY: (Duration, usize) = (Duration::from_secs(15), 40);

// === impl Source ===

impl Source {
    pub(crate) fn prometheus(endpoint: Endpoint, prefix: &str) -> Self {
        Self::Prometheus { prometheus: Prometheus::new(endpoint, prefix), seen: Mutex::default() }
    }

    /// Reads them from now on, in a thread of its own.
    pub(crate) fn envoys(endpoints: Vec<Endpoint>, prefix: &str, interval: Duration) -> Self {
        let urls = endpoints.iter().map(|endpoint| endpoint.url().to_owned()).collect();
        let mut sources = Sources::new(endpoints, prefix).over(SPAN);
        sources.read();
        let now = Arc::new(Mutex::new(Arc::new(Picture::of_envoys(&sources, VecDeque::new()))));
        let shown = Arc::clone(&now);
        thread::spawn(move || {
            // The first rates soon: nobody looks at a picture without numbers for long.
            let mut pause = interval.min(Duration::from_secs(1));
            loop {
                thread::sleep(pause);
                pause = interval;
                sources.read();
                let before = lock(&shown).remembered();
                let picture = Arc::new(Picture::of_envoys(&sources, before));
                *lock(&shown) = picture;
            }
        });
        Self::Envoys { urls, now }
    }

    /// What it is read from, for people.
    pub(crate) fn urls(&self) -> Vec<&str> {
        match self {
            Self::Prometheus { prometheus, .. } => vec![prometheus.url()],
            Self::Envoys { urls, .. } => urls.iter().map(String::as_str).collect(),
        }
    }

    /// The Prometheus, if it is one.
    pub(crate) fn asked(&self) -> Option<&Prometheus> {
        match self {
            Self::Prometheus { prometheus, .. } => Some(prometheus),
            Self::Envoys { .. } => None,
        }
    }

    /// The mesh now. Who asks at the same time waits for the same answers.
    pub(crate) fn picture(&self, range: Range) -> Arc<Picture> {
        match self {
            Self::Envoys { now, .. } => Arc::clone(&lock(now)),
            Self::Prometheus { prometheus, seen } => {
                let mut seen = lock(seen);
                let last = seen.get(&range).cloned();
                if let Some(last) = last.as_ref().filter(|last| last.tried.elapsed() < FRESH) {
                    return Arc::clone(last);
                }
                let picture = Arc::new(Picture::of_prometheus(prometheus, range, last.as_deref()));
                seen.insert(range, Arc::clone(&picture));
                picture
            }
        }
    }
}

// === impl Picture ===

impl Picture {
    fn of_envoys(sources: &Sources, before: VecDeque<(Instant, Arc<Mesh>)>) -> Self {
        let mesh = Mesh::of(&sources.flows());
        let why = |error: String| Problem { part: "An Envoy".to_owned(), why: error };
        Self {
            at: Instant::now(),
            tried: Instant::now(),
            over: sources.measured(),
            problems: sources.errors().into_iter().map(why).collect(),
            notes: sources.notes(mesh.calls.is_empty()),
            mesh: Arc::new(mesh),
            proxies: sources.each().map(|(url, flows)| (url.to_owned(), Mesh::of(&flows))).collect(),
            before,
        }
    }

    /// What a Prometheus has; what it had, if it has stopped to answer at all.
    fn of_prometheus(prometheus: &Prometheus, range: Range, last: Option<&Self>) -> Self {
        let answers = Answers::of(prometheus, range.promql());
        let mesh = Mesh::of(&answers.flows());
        let is_empty = mesh.calls.is_empty();
        let note = "No Istio metrics there yet. Recording rules have names of their own: --metric-prefix workload:istio_";
        let notes = (is_empty && answers.problems.is_empty()).then(|| note.to_owned());
        let mut picture = Self {
            at: Instant::now(),
            tried: Instant::now(),
            mesh: Arc::new(mesh),
            over: Some(range.duration()),
            problems: answers.problems,
            notes: notes.into_iter().chain(gone(prometheus)).collect(),
            proxies: Vec::new(),
            before: VecDeque::new(),
        };
        if let Some(last) = last.filter(|_| is_empty && !picture.problems.is_empty()) {
            picture.at = last.at;
            picture.mesh = Arc::clone(&last.mesh);
        }
        picture
    }

    /// The pictures before the next one.
    fn remembered(&self) -> VecDeque<(Instant, Arc<Mesh>)> {
        let (pause, most) = MEMORY;
        let mut before = self.before.clone();
        let is_due = before.back().is_none_or(|(at, _)| self.at.saturating_duration_since(*at) >= pause);
        if self.over.is_some() && is_due {
            before.push_back((self.at, Arc::clone(&self.mesh)));
        }
        while before.len() > most {
            before.pop_front();
        }
        before
    }
}

/// What another thread left there is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
