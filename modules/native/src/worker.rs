//! What one thread of Envoy has of a configured filter. The core belongs to one thread, as a VM of Wasm does.

use core::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use istio_stats::exchange::Exchange;
use istio_stats::stats::plugin::StatsPlugin;

use crate::abi::Filter;
use crate::config::{Plugin, Shared};
use crate::host::{Definitions, NativeHost, State};

/// One plugin of one thread.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    state: State,
    pub(crate) plugin: Configured,
    next_context_id: Cell<u32>,
    last_tick: Cell<Instant>,
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
        Self { shared: shared.clone(), state, plugin, next_context_id: Cell::new(0), last_tick }
    }

    /// The host, about this stream.
    pub(crate) fn host(&self, filter: Filter) -> NativeHost<'_> {
        self.state.current.set(Some(filter));
        NativeHost::new(&self.shared.settings, Definitions::Closed(&self.shared.vectors), &self.state)
    }

    /// A stream opened: its context id.
    pub(crate) fn open(&self, filter: Filter) -> u32 {
        let context_id = self.next_context_id.get();
        self.next_context_id.set(context_id.wrapping_add(1));
        self.state.open.borrow_mut().insert(context_id, filter);
        context_id
    }

    /// A stream is gone.
    pub(crate) fn close(&self, context_id: u32) {
        self.state.open.borrow_mut().remove(&context_id);
        self.state.current.set(None);
    }

    /// How often the plugin wants to be called.
    pub(crate) fn tick_period(&self) -> core::time::Duration {
        self.state.tick.get()
    }

    /// Calls the plugin, if it is time for that. There is no timer: streams that pass do, and for those
    /// that are silent [`crate::ticker`].
    pub(crate) fn tick(&self, filter: Filter) {
        let Configured::Stats(plugin) = &self.plugin else {
            return;
        };
        let now = Instant::now();
        if now.saturating_duration_since(self.last_tick.get()) >= self.state.tick.get() {
            self.last_tick.set(now);
            plugin.on_tick(&self.host(filter));
        }
    }
}
