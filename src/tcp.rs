//! A TCP connection's life: it opens, its bytes are reported while it is open,
//! it is logged once when it is closed.
//!
//! The proxy keeps the byte counts, and they can be read at any time, so no
//! callback is entered per chunk of data, and none is lost in between.

use std::time::Instant;

use crate::attribute::Attributes;
use crate::dimension::{Dimension, LabelSet};
use crate::facts::{Bytes, Protocol};
use crate::host::Host;
use crate::metric::Metric;
use crate::plugin::Plugin;
use crate::registry::Sample;
use crate::report::Call;
use crate::response_flags;
use crate::rules::{Early, Ruling};

/// What was reported of one connection.
#[derive(Debug)]
pub struct Connection {
    opened_at: Instant,
    /// Bytes already reported.
    reported: Bytes,
    /// Whether the opening was reported.
    opened: bool,
    /// Reporting periods that were let pass because the peer was pending.
    held: u8,
    /// What the last report said, if data had passed by then: upstream host and
    /// handshake do not change any more, only the peer may still tell.
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    call: Call,
    /// Bytes of the exchange's frames, once no more can come.
    frames: Option<Bytes>,
}

/// How many periods the reports wait for a peer that may still tell who it is.
/// After that its labels are unknown: counters never stall.
const MAX_HELD_PERIODS: u8 = 2;

// === impl Connection ===

impl Connection {
    /// A connection that opened now.
    pub fn new(now: Instant) -> Self {
        Self { opened_at: now, reported: Bytes::default(), opened: false, held: 0, known: None }
    }

    /// Reports what the open connection in effect did since the last time.
    pub(crate) fn report_open(&mut self, plugin: &Plugin, host: &dyn Host, early: Option<&Early>) {
        let attributes = Attributes::new(host, plugin.era);
        let mut known = self.look(plugin, &attributes);
        let bytes = known.bytes(&attributes);
        let news = !self.opened || bytes != self.reported;
        if news && known.call.is_pending() && self.held < MAX_HELD_PERIODS {
            self.held = self.held.saturating_add(1);
        } else if news {
            let ruling = plugin.rules().on_tick(&attributes, &known.call, early);
            self.record(plugin, host, &known.call, &ruling, bytes, []);
        }
        if bytes != Bytes::default() {
            self.known = Some(known);
        }
    }

    /// Reports the rest of a connection that is over.
    pub(crate) fn report(mut self, plugin: &Plugin, host: &dyn Host) {
        let attributes = Attributes::new(host, plugin.era);
        let mut known = self.look(plugin, &attributes);
        let bytes = known.bytes(&attributes);
        let call = known.call;
        plugin.count_decode_errors(host, &call);
        let open_for = host.now().saturating_duration_since(self.opened_at);
        let open_ms = u64::try_from(open_for.as_millis()).unwrap_or(u64::MAX);
        let closed = [Sample::new(Metric::TcpClosed, 1), Sample::new(Metric::TcpDuration, open_ms)];
        let ruling = plugin.rules().at_end(host, &call);
        let defined: Vec<_> = plugin.rules().defined_samples(host, &call).collect();
        self.record(plugin, host, &call, &ruling, bytes, closed.into_iter().chain(defined));
    }

    /// What is known by now: read again only while that may bring something new.
    fn look(&mut self, plugin: &Plugin, attributes: &Attributes<'_>) -> Known {
        match self.known.take() {
            Some(known)
                if !(known.call.is_pending() && plugin.peer_told(attributes, known.call.reporter)) =>
            {
                known
            }
            _ => {
                let reporter = plugin.reporter(attributes);
                Known { call: plugin.read_call(attributes, reporter, || None), frames: None }
            }
        }
    }

    /// Records what is new since the last time, and `more`.
    fn record(
        &mut self,
        plugin: &Plugin,
        host: &dyn Host,
        call: &Call,
        ruling: &Ruling,
        bytes: Bytes,
        more: impl IntoIterator<Item = Sample>,
    ) {
        let attributes = Attributes::new(host, plugin.era);
        let flags = attributes.count(&["response", "flags"]).unwrap_or(0);
        let flags = response_flags::label(flags);
        let mut values = call.values(plugin.local());
        values.set(Dimension::RequestProtocol, Protocol::Tcp.as_str());
        values.set(Dimension::ResponseFlags, &flags);

        let new = bytes.since(self.reported);
        let samples = [
            Sample::new(Metric::TcpOpened, u64::from(!self.opened)),
            Sample::new(Metric::TcpSentBytes, new.sent),
            Sample::new(Metric::TcpReceivedBytes, new.received),
        ];
        let samples = samples.into_iter().chain(more);
        plugin.record(host, call.reporter, ruling, LabelSet::Tcp, &values, samples);
        self.opened = true;
        self.reported = bytes;
    }
}

// === impl Known ===

impl Known {
    /// The application's bytes so far.
    fn bytes(&mut self, attributes: &Attributes<'_>) -> Bytes {
        let counted = Bytes::read(attributes);
        let frames = self.frames.unwrap_or_else(|| Bytes::read_frames(attributes));
        // The client's frame comes before its peer is known, the answer before
        // the first byte from the upstream.
        if counted.sent > 0 && !self.call.is_pending() {
            self.frames = Some(frames);
        }
        counted.since(frames)
    }
}
