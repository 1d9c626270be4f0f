//! An HTTP stream's life: it opens, it may be reported on while it is open (the
//! messages of gRPC), it is logged once, it goes.
//!
//! No header or body callback takes part. Each would cost every request about
//! 2 µs, and all that they could tell is still there when the stream is logged.
//! An access logger is told of that moment only.

use std::cell::Cell;

use crate::attribute::batch::Batch;
use crate::attribute::element::Element;
use crate::attribute::Attributes;
use crate::catalogue::dimension::LabelSet;
use crate::catalogue::reporter::Reporter;
use crate::config::Attachment;
use crate::facts::{Messages, Outcome, Protocol};
use crate::host::Host;
use crate::rules::{Early, Ruling};
use crate::series::registry::Series;
use crate::stats::plugin::Plugin;
use crate::stats::report::{message_samples, request_samples, Call, OutcomeTexts};

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
    let (reporter, connection) = plugin.connection(&attributes);
    if reporter != Reporter::Destination && attributes.int(Element::ResponseCode).is_none() {
        // The upstream peer tells who it is in the response headers.
        return;
    }
    // The request's headers cannot be read here. A stream that only its host
    // names waits for its end, so that it does not change its name halfway.
    let nameless = Cell::new(false);
    let call = plugin.read_call(&attributes, Attachment::Http, reporter, connection, || {
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
    let fetched = plugin.bulk.fetch(host);
    let batch = Batch::of(&fetched);
    let attributes = Attributes::new(host, plugin.era).with_batch(&batch);
    let (reporter, connection) = plugin.connection(&attributes);
    let protocol = if plugin.needs().protocol() { Protocol::of_request(&attributes) } else { Protocol::Http };
    let host_header = || attributes.label(&["request", "host"]);
    let call = plugin.read_call(&attributes, Attachment::Http, reporter, connection, host_header);
    let outcome = Outcome::read(&attributes, protocol, plugin.needs());
    plugin.bulk.learn(host, &batch);
    plugin.count_decode_errors(host, &call);
    let ruling = plugin.rules().at_end(host, &call);

    if protocol == Protocol::Grpc {
        let messages = Messages::read(&attributes).unwrap_or_default();
        report_messages(plugin, host, &call, &ruling, messages.since(reported));
    }
    let texts = OutcomeTexts::new(&outcome);
    let mut values = call.values(plugin.local());
    texts.fill(&mut values, protocol);
    let series = Series::new(reporter, LabelSet::Http, &values, &ruling);
    plugin.record(host, series, &request_samples(&outcome), Some(&call));
}

fn report_messages(plugin: &Plugin, host: &dyn Host, call: &Call, ruling: &Ruling, messages: Messages) {
    let values = call.values(plugin.local());
    let series = Series::new(call.reporter, LabelSet::Messages, &values, ruling);
    plugin.record(host, series, &message_samples(messages), None);
}
