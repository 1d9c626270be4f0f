//! An HTTP stream's life: it opens, it may be reported on while it is open (the
//! messages of gRPC), it is logged once, it goes.
//!
//! No header or body callback takes part. Each would cost every request about
//! 2 µs, and all that they could tell is still there when the stream is logged.

use crate::attribute::Attributes;
use crate::dimension::LabelSet;
use crate::facts::{Messages, Outcome, Protocol};
use crate::host::Host;
use crate::plugin::Plugin;
use crate::report::{message_samples, request_samples, Call, OutcomeTexts};
use crate::reporter::Reporter;

/// A stream opened.
pub fn on_open(plugin: &Plugin, context_id: u32) {
    if !plugin.config.reporting_period.is_zero() {
        plugin
            .open_http
            .borrow_mut()
            .insert(context_id, Messages::default());
    }
}

/// A stream is gone.
pub fn on_close(plugin: &Plugin, context_id: u32) {
    plugin.open_http.borrow_mut().remove(&context_id);
}

/// Reports the messages that passed on open gRPC streams since the last time.
pub fn on_tick(plugin: &Plugin, host: &dyn Host) {
    let open: Vec<_> = plugin
        .open_http
        .borrow()
        .iter()
        .map(|(id, reported)| (*id, *reported))
        .collect();
    for (context_id, reported) in open {
        if host.set_effective_context(context_id).is_err() {
            continue;
        }
        let attributes = Attributes::new(host, plugin.era);
        let Some(messages) = Messages::read(&attributes).filter(|messages| *messages != reported) else {
            continue;
        };
        let reporter = plugin.reporter(&attributes);
        if reporter != Reporter::Destination && attributes.int(&["response", "code"]).is_none() {
            // The upstream peer tells who it is in the response headers.
            continue;
        }
        // The request's headers, and its host with them, cannot be read here.
        let call = plugin.read_call(&attributes, reporter, || None);
        report_messages(plugin, host, &call, messages.since(reported));
        if let Some(reported) = plugin.open_http.borrow_mut().get_mut(&context_id) {
            *reported = messages;
        }
    }
}

/// Reports a stream that is over.
pub fn on_log(plugin: &Plugin, host: &dyn Host, context_id: u32) {
    let reported = plugin
        .open_http
        .borrow_mut()
        .remove(&context_id)
        .unwrap_or_default();
    let attributes = Attributes::new(host, plugin.era);
    let reporter = plugin.reporter(&attributes);
    let protocol = Protocol::of_request(host);
    let call = plugin.read_call(&attributes, reporter, || attributes.label(&["request", "host"]));
    let outcome = Outcome::read(&attributes, protocol);
    plugin.count_decode_errors(host, &call);

    if protocol == Protocol::Grpc {
        let messages = Messages::read(&attributes).unwrap_or_default();
        report_messages(plugin, host, &call, messages.since(reported));
    }
    let texts = OutcomeTexts::new(&outcome);
    let mut values = call.values(plugin.local());
    texts.fill(&mut values, protocol);
    plugin.record(
        host,
        call.reporter,
        LabelSet::Http,
        &values,
        request_samples(&outcome),
    );
}

fn report_messages(plugin: &Plugin, host: &dyn Host, call: &Call, messages: Messages) {
    let values = call.values(plugin.local());
    plugin.record(
        host,
        call.reporter,
        LabelSet::Messages,
        &values,
        message_samples(messages),
    );
}
