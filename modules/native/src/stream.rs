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
    shared: Arc<Shared>,
    /// `None`: the filter is inert.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    worker: Rc<Worker>,
    filter: Filter,
    context_id: u32,
    exchange: HttpExchange,
}

// === impl Stream ===

impl Stream {
    /// A stream opened.
    pub(crate) fn new(shared: &Arc<Shared>, filter: Filter) -> Self {
        let open = shared.run(|| Open::new(Worker::of(shared), filter));
        Self { shared: shared.clone(), open }
    }

    /// Its request's headers passed by.
    pub(crate) fn on_request_headers(&mut self) {
        self.run(Open::on_request_headers);
    }

    /// The response's headers passed by.
    pub(crate) fn on_response_headers(&mut self) {
        self.run(Open::on_response_headers);
    }

    /// It is over; everything can be read once more.
    pub(crate) fn on_complete(&mut self) {
        self.run(Open::on_complete);
    }

    /// Time passed.
    pub(crate) fn on_wake(&mut self) {
        self.run(|open| open.worker.tick(&open.subject()));
    }

    fn run(&mut self, act: impl FnOnce(&mut Open)) {
        if let Some(open) = &mut self.open {
            self.shared.run(|| act(open));
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            open.close();
        }
    }
}

// === impl Open ===

impl Open {
    fn new(worker: Rc<Worker>, filter: Filter) -> Self {
        let subject = Subject::Http(filter);
        let context_id = worker.open(&subject);
        if let Configured::Stats(plugin) = &worker.plugin {
            plugin.on_open(&worker.host(&subject), context_id, Attachment::Http);
        }
        Self { worker, filter, context_id, exchange: HttpExchange::default() }
    }

    fn subject(&self) -> Subject {
        Subject::Http(self.filter)
    }

    fn on_request_headers(&mut self) {
        match &self.worker.plugin {
            Configured::Stats(_) => {
                if self.filter.header_begins_with(Headers::Request, "content-type", b"application/grpc") {
                    self.worker.may_be_silent(self.context_id, &self.subject());
                }
            }
            Configured::Exchange(exchange) => {
                self.exchange.on_request_headers(exchange, &self.worker.host(&self.subject()));
            }
            Configured::Nothing => {}
        }
    }

    fn on_response_headers(&mut self) {
        if let Configured::Exchange(exchange) = &self.worker.plugin {
            self.exchange.on_response_headers(exchange, &self.worker.host(&self.subject()));
        }
    }

    fn on_complete(&mut self) {
        if let Configured::Stats(plugin) = &self.worker.plugin {
            plugin.on_log(&self.worker.host(&self.subject()), self.context_id, Attachment::Http);
            self.worker.tick(&self.subject());
        }
    }

    fn close(self) {
        if let Configured::Stats(plugin) = &self.worker.plugin {
            plugin.on_close(self.context_id);
        }
        self.worker.close(self.context_id);
    }
}
