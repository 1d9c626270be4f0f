//! An HTTP stream's life: it opens, it may be reported on while it is open (the
//! messages of gRPC), it is logged once, it goes.
//!
//! No header or body callback takes part. Each would cost every request about
//! 2 µs, and all that they could tell is still there when the stream is logged.

use std::cell::Cell;

use crate::attribute::Attributes;
use crate::dimension::LabelSet;
use crate::facts::{Messages, Outcome, Protocol};
use crate::host::Host;
use crate::plugin::Plugin;
use crate::report::{message_samples, request_samples, Call, OutcomeTexts};
use crate::reporter::Reporter;
use crate::rules::{Early, Ruling};

/// Where a stock filter (`envoy.filters.http.set_filter_state`) may leave the
/// request's host, for the reports while a stream is open.
const REQUEST_HOST: [&str; 2] = ["filter_state", "istio_stats.request_host"];

/// Reports the messages that passed on the open stream in effect since the last
/// time. The presence of counts tells that it is gRPC.
pub(crate) fn report_open(plugin: &Plugin, host: &dyn Host, reported: &mut Messages, early: Option<&Early>) {
    let attributes = Attributes::new(host, plugin.era);
    let Some(messages) = Messages::read(&attributes).filter(|messages| messages != reported) else {
        return;
    };
    let reporter = plugin.reporter(&attributes);
    if reporter != Reporter::Destination && attributes.int(&["response", "code"]).is_none() {
        // The upstream peer tells who it is in the response headers.
        return;
    }
    // The request's headers cannot be read here. A stream that only its host
    // names waits for its end, so that it does not change its name halfway.
    let nameless = Cell::new(false);
    let call = plugin.read_call(&attributes, reporter, || {
        let host = attributes.label(&REQUEST_HOST);
        nameless.set(host.is_none());
        host
    });
    if nameless.get() {
        return;
    }
    let ruling = plugin.rules().on_tick(&attributes, &call, early);
    report_messages(plugin, host, &call, &ruling, messages.since(*reported));
    *reported = messages;
}

/// Reports a stream that is over, of which these messages were reported.
pub(crate) fn report(plugin: &Plugin, host: &dyn Host, reported: Messages) {
    let attributes = Attributes::new(host, plugin.era);
    let reporter = plugin.reporter(&attributes);
    let protocol = Protocol::of_request(host);
    let call = plugin.read_call(&attributes, reporter, || attributes.label(&["request", "host"]));
    let outcome = Outcome::read(&attributes, protocol);
    plugin.count_decode_errors(host, &call);
    let ruling = plugin.rules().at_end(host, &call);

    if protocol == Protocol::Grpc {
        let messages = Messages::read(&attributes).unwrap_or_default();
        report_messages(plugin, host, &call, &ruling, messages.since(reported));
    }
    let texts = OutcomeTexts::new(&outcome);
    let mut values = call.values(plugin.local());
    texts.fill(&mut values, protocol);
    let samples = request_samples(&outcome).chain(plugin.rules().defined_samples(host, &call));
    plugin.record(host, call.reporter, &ruling, LabelSet::Http, &values, samples);
}

fn report_messages(plugin: &Plugin, host: &dyn Host, call: &Call, ruling: &Ruling, messages: Messages) {
    let values = call.values(plugin.local());
    plugin.record(host, call.reporter, ruling, LabelSet::Messages, &values, message_samples(messages));
}
