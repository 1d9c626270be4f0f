//! A TCP connection's life: it opens, its bytes are reported while it is open,
//! it is logged once when it is closed.
//!
//! The proxy keeps the byte counts, and they can be read at any time, so no
//! callback is entered per chunk of data, and none is lost in between.

use std::time::Instant;

use crate::attribute::element::Element;
use crate::attribute::Attributes;
use crate::catalogue::dimension::{Dimension, LabelSet};
use crate::catalogue::metric::Metric;
use crate::catalogue::response_flags;
use crate::config::Attachment;
use crate::facts::{self, Bytes, Protocol};
use crate::host::Host;
use crate::rules::{Early, Ruling};
use crate::series::registry::{Sample, Series};
use crate::stats::plugin::Plugin;
use crate::stats::report::Call;

/// What was reported of one connection.
#[derive(Debug)]
pub struct Connection {
    opened_at: Instant,
    /// Bytes already reported.
    reported: Bytes,
    /// Whether it is counted, once that shows.
    counts: Option<bool>,
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

/// What an HTTP connection manager says of a connection when the first byte comes.
const HTTP_PROTOCOL: [&str; 2] = ["request", "protocol"];

/// The end of a connection; without a duration that histogram gets nothing.
#[derive(Clone, Copy)]
struct End {
    open_ms: Option<u64>,
}

/// How many periods the reports wait for a peer that may still tell who it is.
/// After that its labels are unknown: counters never stall.
const MAX_HELD_PERIODS: u8 = 2;

// === impl Connection ===

impl Connection {
    /// A connection that opened now.
    pub fn new(now: Instant) -> Self {
        Self { opened_at: now, reported: Bytes::default(), counts: None, opened: false, held: 0, known: None }
    }

    /// Reports what the open connection in effect did since the last time.
    pub(crate) fn report_open(&mut self, plugin: &Plugin, host: &dyn Host, early: Option<&Early>) {
        let attributes = Attributes::new(host, plugin.era);
        if self.counts(&attributes) != Some(true) {
            return;
        }
        let mut known = self.look(plugin, &attributes);
        let bytes = known.bytes(&attributes);
        let news = !self.opened || bytes != self.reported;
        if news && known.call.is_pending() && self.held < MAX_HELD_PERIODS {
            self.held = self.held.saturating_add(1);
        } else if news {
            let ruling = plugin.rules().on_tick(&attributes, &known.call, early);
            self.record(plugin, host, &known.call, &ruling, bytes, None);
        }
        if bytes != Bytes::default() {
            self.known = Some(known);
        }
    }

    /// Reports the rest of a connection that is over.
    pub(crate) fn report(self, plugin: &Plugin, host: &dyn Host) {
        let open_for = host.now().saturating_duration_since(self.opened_at);
        let open_ms = u64::try_from(open_for.as_millis()).unwrap_or(u64::MAX);
        self.report_end(plugin, host, Some(open_ms));
    }

    /// Reports a connection of which nothing was heard until it was over, as an
    /// access logger does; Envoy knows how long it was open.
    pub(crate) fn report_logged(plugin: &Plugin, host: &dyn Host) {
        let open_ms = facts::duration_ms(&Attributes::new(host, plugin.era));
        Self::new(host.now()).report_end(plugin, host, open_ms);
    }

    fn report_end(mut self, plugin: &Plugin, host: &dyn Host, open_ms: Option<u64>) {
        let attributes = Attributes::new(host, plugin.era);
        if self.counts(&attributes) == Some(false) {
            return;
        }
        let mut known = self.look(plugin, &attributes);
        let bytes = known.bytes(&attributes);
        let call = known.call;
        plugin.count_decode_errors(host, &call);
        let ruling = plugin.rules().at_end(host, &call);
        self.record(plugin, host, &call, &ruling, bytes, Some(End { open_ms }));
    }

    /// Whether the connection is counted: not in front of an HTTP connection manager,
    /// where Istio puts network plugins, too, and whose requests are counted each.
    /// `None` if nothing was sent yet that would tell.
    fn counts(&mut self, attributes: &Attributes<'_>) -> Option<bool> {
        if self.counts.is_none() {
            self.counts = if attributes.bytes(Element::UpstreamCluster).is_some() {
                Some(true)
            } else if attributes.bytes(&HTTP_PROTOCOL).is_some() {
                Some(false)
            } else {
                (Bytes::read(attributes) != Bytes::default()).then_some(true)
            };
        }
        self.counts
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
                let call = plugin.read_call(attributes, Attachment::Tcp, reporter, None, || None);
                Known { call, frames: None }
            }
        }
    }

    /// Records what is new since the last time, and the end.
    fn record(
        &mut self,
        plugin: &Plugin,
        host: &dyn Host,
        call: &Call,
        ruling: &Ruling,
        bytes: Bytes,
        end: Option<End>,
    ) {
        let attributes = Attributes::new(host, plugin.era);
        let shows_flags = plugin.needs().any_label(&[Dimension::ResponseFlags]);
        let flags = shows_flags.then(|| attributes.count(Element::ResponseFlags)).flatten();
        let flags = response_flags::label(flags.unwrap_or(0));
        let mut values = call.values(plugin.local());
        values.set(Dimension::RequestProtocol, Protocol::Tcp.as_str());
        values.set(Dimension::ResponseFlags, &flags);

        let new = bytes.since(self.reported);
        let samples = [
            Some(Sample::new(Metric::TcpOpened, u64::from(!self.opened))),
            Some(Sample::new(Metric::TcpSentBytes, new.sent)),
            Some(Sample::new(Metric::TcpReceivedBytes, new.received)),
            end.map(|_| Sample::new(Metric::TcpClosed, 1)),
            end.and_then(|end| end.open_ms).map(|open_ms| Sample::new(Metric::TcpDuration, open_ms)),
        ];
        let series = Series::new(call.reporter, LabelSet::Tcp, &values, ruling);
        plugin.record(host, series, &samples, end.map(|_| call));
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
