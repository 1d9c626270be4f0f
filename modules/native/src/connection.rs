//! One TCP connection of a configured filter.

use std::rc::Rc;
use std::sync::Arc;

use istio_stats::attachment::Attachment;
use istio_stats::exchange::tcp::TcpExchange;
use istio_stats::host::Flow;

use crate::abi::network;
use crate::config::Shared;
use crate::subject::{Passed, Subject};
use crate::worker::{Configured, Worker};

/// The module's part of a filter.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    /// `None`: the filter is inert.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    worker: Rc<Worker>,
    subject: Subject,
    context_id: u32,
    passed: Rc<Passed>,
    exchange: TcpExchange,
}

// === impl Connection ===

impl Connection {
    /// A connection was accepted.
    pub(crate) fn new(shared: &Arc<Shared>, envoy: network::Connection) -> Self {
        let open = shared.run(|| Open::new(Worker::of(shared), envoy));
        Self { shared: shared.clone(), open }
    }

    /// The filters in front of this one let it through.
    pub(crate) fn on_open(&mut self) {
        self.run(|open| open.on_open());
    }

    /// The client sent something.
    pub(crate) fn on_read(&mut self, bytes: usize, is_end: bool) -> Flow {
        self.run(|open| open.on_read(bytes, is_end)).unwrap_or(Flow::Continue)
    }

    /// The upstream sent something.
    pub(crate) fn on_write(&mut self, bytes: usize, is_end: bool) -> Flow {
        self.run(|open| open.on_write(bytes, is_end)).unwrap_or(Flow::Continue)
    }

    /// It is over; everything can be read once more.
    pub(crate) fn on_over(&mut self) {
        self.run(Open::on_over);
    }

    /// Time passed.
    pub(crate) fn on_wake(&mut self) {
        self.run(|open| open.worker.tick(&open.subject));
    }

    fn run<T>(&mut self, act: impl FnOnce(&mut Open) -> T) -> Option<T> {
        let open = self.open.as_mut()?;
        self.shared.run(|| act(open))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            open.close();
        }
    }
}

// === impl Open ===

impl Open {
    fn new(worker: Rc<Worker>, envoy: network::Connection) -> Self {
        let passed = Rc::new(Passed::default());
        let subject = Subject::Tcp(envoy, passed.clone());
        let context_id = worker.open(&subject);
        Self { worker, subject, context_id, passed, exchange: TcpExchange::default() }
    }

    fn on_open(&self) {
        if let Configured::Stats(plugin) = &self.worker.plugin {
            plugin.on_open(&self.worker.host(&self.subject), self.context_id, Attachment::Tcp);
            self.worker.may_be_silent(self.context_id, &self.subject);
        }
    }

    fn on_read(&mut self, bytes: usize, is_end: bool) -> Flow {
        match &self.worker.plugin {
            Configured::Stats(_) => self.passed.add(bytes),
            Configured::Exchange(exchange) => {
                let host = self.worker.host(&self.subject);
                return self.exchange.on_downstream_data(exchange, &host, bytes, is_end);
            }
            Configured::Nothing => {}
        }
        Flow::Continue
    }

    fn on_write(&mut self, bytes: usize, is_end: bool) -> Flow {
        let Configured::Exchange(exchange) = &self.worker.plugin else {
            return Flow::Continue;
        };
        let host = self.worker.host(&self.subject);
        self.exchange.on_upstream_data(exchange, &host, bytes, is_end)
    }

    fn on_over(&mut self) {
        if let Configured::Stats(plugin) = &self.worker.plugin {
            plugin.on_log(&self.worker.host(&self.subject), self.context_id, Attachment::Tcp);
            self.worker.tick(&self.subject);
        }
    }

    fn close(self) {
        if let Configured::Stats(plugin) = &self.worker.plugin {
            plugin.on_close(self.context_id);
        }
        self.worker.close(self.context_id);
    }
}
