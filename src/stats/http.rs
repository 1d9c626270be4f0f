//! An HTTP stream's life: it opens, it may be reported on while it is open (the
//! messages of gRPC), it is logged once, it goes.
//!
//! No header or body callback takes part. Each would cost every request about
//! 2 µs, and all that they could tell is still there when the stream is logged.
//! An access logger is told of that moment only. Over HTTP/3 a filter is not told of
//! it: what is left when the stream goes has to do.

use std::cell::Cell;

use super::recorder::Recorder;
use super::report::{self, OutcomeTexts};
use super::stream::{End, Stream};
use crate::attachment::Attachment;
use crate::attribute::batch::{Batch, Content, Fetched};
use crate::attribute::element::Element;
use crate::attribute::Attributes;
use crate::catalogue::dimension::LabelSet;
use crate::catalogue::reporter::Reporter;
use crate::facts::call::Call;
use crate::facts::connections::Connection;
use crate::facts::messages::Messages;
use crate::facts::outcome::Outcome;
use crate::facts::protocol::Protocol;
use crate::host::Host;
use crate::rules::said::Said;
use crate::rules::{KeptPlan, StreamPlan};
use crate::series::key::Series;

/// What is remembered of an HTTP stream.
#[derive(Debug, Default)]
pub(crate) struct HttpStream {
    /// Messages already reported.
    reported: Messages,
    /// What they were reported under.
    plan: KeptPlan,
    /// Who calls whom, once that is final.
    call: Option<Box<Call>>,
}

/// Where a stock filter (`envoy.filters.http.set_filter_state`) may leave the
/// request's host, for the reports while a stream is open.
const REQUEST_HOST: [&str; 2] = ["filter_state", "istio_stats.request_host"];

/// What is known of a request that is over, besides who called whom.
struct Ending<'a> {
    protocol: Protocol,
    outcome: Outcome,
    /// Of gRPC, if they were counted.
    messages: Option<Messages>,
    /// What the host said of the rules' expressions.
    said: Option<&'a Said>,
    /// What was fetched, and what the request had and lacked of it: if that and its
    /// connection told all.
    list: Option<(&'a Fetched, Content)>,
}

// === impl HttpStream ===

impl Stream for HttpStream {
    /// Reports messages. The presence of counts tells that it is gRPC.
    fn report_open(&mut self, recorder: &Recorder, host: &dyn Host) {
        let attributes = recorder.attributes(host);
        let Some(messages) = Messages::read(&attributes).filter(|messages| *messages != self.reported) else {
            return;
        };
        let known = self.call.take().map(|call| (call, true));
        let Some((call, is_final)) = known.or_else(|| who_calls(recorder, &attributes)) else {
            return;
        };
        let make = || recorder.rules.on_tick(host, &attributes, &call);
        self.report_messages(recorder, host, &call, messages, make);
        self.call = is_final.then_some(call);
    }

    fn report_end(&mut self, recorder: &Recorder, host: &dyn Host, end: End) {
        if end == End::Unlogged {
            return self.report_unlogged(recorder, host);
        }
        let fetched = recorder.bulk.fetch(host);
        let said = recorder.rules.ask(host);
        if !self.is_first_report() || !recorder.record_again(host, &fetched, said.as_ref()) {
            self.report_logged(recorder, host, &fetched, said.as_ref());
        }
    }
}

impl HttpStream {
    /// Reads a request attribute by attribute: it is not like one before, or was not seen
    /// to be. Apart, as is all that is rare: others run through less code that way.
    #[inline(never)]
    fn report_logged(
        &mut self,
        recorder: &Recorder,
        host: &dyn Host,
        fetched: &Fetched,
        said: Option<&Said>,
    ) {
        let batch = Batch::of(fetched);
        let attributes = recorder.attributes(host).with_batch(&batch);
        let needs = recorder.needs();
        let Connection { reporter, identity } = recorder.calls.connection(&attributes);
        let protocol = if needs.protocol() { Protocol::of_request(&attributes) } else { Protocol::Http };
        let host_header = || attributes.label(Element::RequestHost);
        let call = recorder.calls.read(&attributes, Attachment::Http, reporter, identity, host_header);
        let mut outcome = Outcome::read(&attributes, protocol, needs);
        outcome.measures = outcome.measures.without(call.added_bytes());
        let has_messages = protocol == Protocol::Grpc && needs.messages();
        let messages = has_messages.then(|| Messages::read(&attributes)).flatten();
        recorder.bulk.learn(host, &batch);
        let list = (self.is_first_report() && batch.sufficed()).then(|| (fetched, batch.seen()));
        self.report(recorder, host, &call, &Ending { protocol, outcome, messages, said, list });
    }

    /// Without headers: the presence of counts tells that it is gRPC, nothing tells
    /// its status, and the host only who keeps it.
    #[inline(never)]
    fn report_unlogged(&mut self, recorder: &Recorder, host: &dyn Host) {
        let attributes = recorder.attributes(host);
        let Connection { reporter, identity } = recorder.calls.connection(&attributes);
        let host_header = || attributes.label(&REQUEST_HOST);
        let call = recorder.calls.read(&attributes, Attachment::Http, reporter, identity, host_header);
        let outcome = Outcome::read(&attributes, Protocol::Http, recorder.needs());
        let messages = recorder.needs().protocol().then(|| Messages::read(&attributes)).flatten();
        let protocol = if messages.is_some() { Protocol::Grpc } else { Protocol::Http };
        self.report(recorder, host, &call, &Ending { protocol, outcome, messages, said: None, list: None });
    }

    /// Whether nothing was reported of it while it was open, which may have been under
    /// other labels.
    fn is_first_report(&self) -> bool {
        self.reported == Messages::default()
    }

    /// Reports a request that is over.
    fn report(&mut self, recorder: &Recorder, host: &dyn Host, call: &Call, ending: &Ending<'_>) {
        let Ending { protocol, outcome, messages, said, list } = ending;
        recorder.count_decode_errors(host, call);
        let plan = recorder.rules.at_end(host, call, *said);
        if let Some(messages) = messages {
            self.report_messages(recorder, host, call, *messages, || plan.clone());
        }
        let texts = OutcomeTexts::new(outcome);
        let mut values = report::values(call, &recorder.local);
        texts.fill(&mut values, *protocol);
        let series = Series::new(call.reporter, LabelSet::Http, &values, &plan);
        recorder.record(host, series, &outcome.measures.measured(), Some(call));
        // Of an undecodable peer something else is counted each time.
        if let Some((fetched, seen)) = list.filter(|_| !call.has_decode_errors()) {
            let of_messages =
                messages.map(|_| Series::new(call.reporter, LabelSet::Messages, &values, &plan));
            recorder.remember(fetched, *said, seen, call.added_bytes(), &series, of_messages.as_ref());
        }
    }

    fn report_messages(
        &mut self,
        recorder: &Recorder,
        host: &dyn Host,
        call: &Call,
        messages: Messages,
        make_plan: impl FnOnce() -> StreamPlan,
    ) {
        let plan = self.plan.get_or(call, make_plan);
        let values = report::values(call, &recorder.local);
        let series = Series::new(call.reporter, LabelSet::Messages, &values, plan);
        recorder.record(host, series, &messages.since(self.reported).measured(), None);
        self.reported = messages;
    }
}

/// Who calls whom on an open stream, and whether that is final; `None`: it does not show yet.
fn who_calls(recorder: &Recorder, attributes: &Attributes<'_>) -> Option<(Box<Call>, bool)> {
    let Connection { reporter, identity } = recorder.calls.connection(attributes);
    // The upstream peer tells who it is in the response headers. They come from the
    // upstream that is the last to be tried.
    let is_answered = attributes.int(Element::ResponseCode).is_some();
    if reporter != Reporter::Destination && !is_answered {
        return None;
    }
    // The request's headers cannot be read here. A stream that only its host
    // names waits for its end, so that it does not change its name halfway.
    let nameless = Cell::new(false);
    let call = recorder.calls.read(attributes, Attachment::Http, reporter, identity, || {
        let host = attributes.label(&REQUEST_HOST);
        nameless.set(host.is_none());
        host
    });
    (!nameless.get()).then(|| (Box::new(call), is_answered))
}
