//! What one thread of Envoy has of a configured filter. The core belongs to one thread, as a VM of Wasm does.

use core::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use istio_stats::exchange::Exchange;
use istio_stats::stats::plugin::StatsPlugin;

use crate::config::{Plugin, Shared};
use crate::host::{Definitions, NativeHost, State};
use crate::subject::Subject;
use crate::ticker::Registration;

/// One plugin of one thread.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    state: State,
    pub(crate) plugin: Configured,
    next_context_id: Cell<u32>,
    last_tick: Cell<Instant>,
    /// Open streams that may be silent for long, by context id.
    silent: RefCell<HashMap<u32, Subject>>,
    /// Which of them is woken.
    waker: RefCell<Option<(u32, Registration)>>,
}

/// A plugin, as this thread configured it.
#[derive(Debug)]
pub(crate) enum Configured {
    Stats(Box<StatsPlugin>),
    Exchange(Box<Exchange>),
    /// What the main thread could use, this one cannot.
    Nothing,
}

thread_local! {
    /// By the configuration's id.
    static WORKERS: RefCell<HashMap<u64, Rc<Worker>>> = RefCell::default();
}

// === impl Worker ===

impl Worker {
    /// That of this thread.
    pub(crate) fn of(shared: &Arc<Shared>) -> Rc<Self> {
        if let Some(known) = WORKERS.with(|workers| workers.borrow().get(&shared.id).cloned()) {
            return known;
        }
        let new = Rc::new(Self::configure(shared));
        WORKERS.with(|workers| {
            let mut workers = workers.borrow_mut();
            workers.retain(|_, worker| !worker.shared.is_closed());
            workers.insert(shared.id, new.clone());
        });
        new
    }

    fn configure(shared: &Arc<Shared>) -> Self {
        let state = State::new();
        let host = NativeHost::new(&shared.settings, Definitions::Closed(&shared.vectors), &state);
        let plugin = match shared.settings.plugin {
            Plugin::Stats => StatsPlugin::configure(&host)
                .map_or(Configured::Nothing, |plugin| Configured::Stats(Box::new(plugin))),
            Plugin::Exchange => Configured::Exchange(Box::new(Exchange::configure(&host))),
        };
        let last_tick = Cell::new(Instant::now());
        Self {
            shared: shared.clone(),
            state,
            plugin,
            next_context_id: Cell::new(0),
            last_tick,
            silent: RefCell::default(),
            waker: RefCell::default(),
        }
    }

    /// Whether it is the exchange.
    pub(crate) fn is_exchange(&self) -> bool {
        matches!(self.plugin, Configured::Exchange(_))
    }

    /// The host, about this stream.
    pub(crate) fn host(&self, subject: &Subject) -> NativeHost<'_> {
        *self.state.current.borrow_mut() = Some(subject.clone());
        NativeHost::new(&self.shared.settings, Definitions::Closed(&self.shared.vectors), &self.state)
    }

    /// A stream opened: its context id.
    pub(crate) fn open(&self, subject: &Subject) -> u32 {
        let context_id = self.next_context_id.get();
        self.next_context_id.set(context_id.wrapping_add(1));
        self.state.open.borrow_mut().insert(context_id, subject.clone());
        context_id
    }

    /// The stream that was in hand is gone.
    pub(crate) fn forget(&self) {
        *self.state.current.borrow_mut() = None;
    }

    /// The same of one that opened.
    pub(crate) fn close(&self, context_id: u32) {
        self.forget();
        self.state.open.borrow_mut().remove(&context_id);
        if self.silent.borrow_mut().remove(&context_id).is_some() {
            self.stay_awake();
        }
    }

    /// A stream may stay open in silence.
    pub(crate) fn may_be_silent(&self, context_id: u32, subject: &Subject) {
        self.silent.borrow_mut().insert(context_id, subject.clone());
        self.stay_awake();
    }

    /// Sees to it that one of the silent streams is woken. One is enough: whichever is called lets the plugin look
    /// at all.
    fn stay_awake(&self) {
        let silent = self.silent.borrow();
        let mut waker = self.waker.borrow_mut();
        if waker.as_ref().is_some_and(|(context_id, _)| silent.contains_key(context_id)) {
            return;
        }
        *waker = silent.iter().find_map(|(context_id, subject)| {
            Some((*context_id, Registration::new(subject.scheduler(), self.state.tick.get())?))
        });
    }

    /// Calls the plugin, if it is time for that. There is no timer: streams that pass do, and for those
    /// that are silent [`crate::ticker`].
    pub(crate) fn tick(&self, subject: &Subject) {
        let Configured::Stats(plugin) = &self.plugin else {
            return;
        };
        let now = Instant::now();
        if now.saturating_duration_since(self.last_tick.get()) >= self.state.tick.get() {
            self.last_tick.set(now);
            plugin.on_tick(&self.host(subject));
            if let Some((_, registration)) = &*self.waker.borrow() {
                registration.again(self.state.tick.get());
            }
        }
    }
}
