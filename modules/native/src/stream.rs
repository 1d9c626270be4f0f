//! One HTTP stream of a configured filter.

use std::rc::Rc;
use std::sync::Arc;

use istio_stats::attachment::Attachment;
use istio_stats::exchange::http::HttpExchange;

use crate::abi::{Filter, Headers};
use crate::config::Shared;
use crate::subject::Subject;
use crate::worker::{Configured, Worker};

/// The module's part of a filter.
#[derive(Debug)]
pub(crate) struct Stream {
    /// `None`: the filter is inert.
    worker: Option<Rc<Worker>>,
    open: Open,
}

#[derive(Debug)]
struct Open {
    filter: Filter,
    /// By which the plugin comes back to it while it is open. Of most requests there is nothing to say before they
    /// are over, and the plugin does not hear of them before.
    context_id: Option<u32>,
    exchange: HttpExchange,
}

// === impl Stream ===

impl Stream {
    /// A stream opened.
    pub(crate) fn new(shared: &Arc<Shared>, filter: Filter) -> Self {
        let worker = shared.run(|| Worker::of(shared));
        Self { worker, open: Open { filter, context_id: None, exchange: HttpExchange::default() } }
    }

    /// Its request's headers passed by.
    pub(crate) fn on_request_headers(&mut self) {
        self.run(Open::on_request_headers);
    }

    /// The response's headers passed by.
    pub(crate) fn on_response_headers(&mut self) {
        if self.worker.as_ref().is_some_and(|worker| worker.is_exchange()) {
            self.run(Open::on_response_headers);
        }
    }

    /// It is over; everything can be read once more.
    pub(crate) fn on_complete(&mut self) {
        self.run(Open::on_complete);
    }

    /// Time passed.
    pub(crate) fn on_wake(&mut self) {
        self.run(|open, worker| worker.tick(&open.subject()));
    }

    fn run(&mut self, act: impl FnOnce(&mut Open, &Worker)) {
        if let Some(worker) = &self.worker {
            worker.shared.run(|| act(&mut self.open, worker));
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(worker) = &self.worker {
            self.open.close(worker);
        }
    }
}

// === impl Open ===

impl Open {
    fn subject(&self) -> Subject {
        Subject::Http(self.filter)
    }

    fn on_request_headers(&mut self, worker: &Worker) {
        match &worker.plugin {
            Configured::Stats(plugin) => {
                // It may be silent for long, and its messages are reported meanwhile.
                if self.filter.header_begins_with(Headers::Request, "content-type", b"application/grpc") {
                    let subject = self.subject();
                    let context_id = worker.open(&subject);
                    self.context_id = Some(context_id);
                    plugin.on_open(&worker.host(&subject), context_id, Attachment::Http);
                    worker.may_be_silent(context_id, &subject);
                }
            }
            Configured::Exchange(exchange) => {
                self.exchange.on_request_headers(exchange, &worker.host(&self.subject()));
            }
            Configured::Nothing => {}
        }
    }

    fn on_response_headers(&mut self, worker: &Worker) {
        if let Configured::Exchange(exchange) = &worker.plugin {
            self.exchange.on_response_headers(exchange, &worker.host(&self.subject()));
        }
    }

    fn on_complete(&mut self, worker: &Worker) {
        if let Configured::Stats(plugin) = &worker.plugin {
            let subject = self.subject();
            match self.context_id {
                Some(context_id) => plugin.on_log(&worker.host(&subject), context_id, Attachment::Http),
                None => plugin.on_over(&worker.host(&subject), Attachment::Http),
            }
            worker.tick(&subject);
        }
    }

    fn close(&self, worker: &Worker) {
        let Some(context_id) = self.context_id else {
            return worker.forget();
        };
        if let Configured::Stats(plugin) = &worker.plugin {
            plugin.on_close(context_id);
        }
        worker.close(context_id);
    }
}
