//! A TCP connection's life: it opens, its bytes are reported while it is open,
//! it is logged once when it is closed.
//!
//! The proxy keeps the byte counts, and they can be read at any time, so no
//! callback is entered per chunk of data, and none is lost in between.

use std::time::Instant;

use super::recorder::Recorder;
use super::report;
use super::stream::{self, Stream};
use crate::attachment::Attachment;
use crate::attribute::element::Element;
use crate::attribute::Attributes;
use crate::catalogue::dimension::{Dimension, LabelSet};
use crate::catalogue::metric::Metric;
use crate::catalogue::response_flags;
use crate::facts::bytes::Bytes;
use crate::facts::call::Call;
use crate::facts::outcome::duration_ms;
use crate::facts::protocol::Protocol;
use crate::host::Host;
use crate::rules::{KeptPlan, StreamPlan};
use crate::series::key::Series;

/// What is remembered of a TCP connection.
#[derive(Debug, Default)]
pub(crate) struct TcpStream {
    /// `None`: nothing was heard of it until it was over; Envoy knows how long it
    /// was open.
    opened_at: Option<Instant>,
    /// Bytes already reported.
    reported: Bytes,
    /// Whether it is counted, once that shows.
    counts: Option<bool>,
    /// Whether the opening was reported.
    opened: bool,
    /// Reporting periods that were let pass because the peer was pending.
    held: u8,
    /// What the reports say of expressions and conditions.
    plan: KeptPlan,
    /// What the last report said, if data had passed by then: upstream host and
    /// handshake do not change any more, only the peer may still tell.
    last_look: Option<Look>,
}

/// What was seen of a connection at one time.
#[derive(Debug)]
struct Look {
    call: Call,
    /// Bytes of the exchange's frames, once no more can come, and no peer can tell any more.
    frames: Option<Bytes>,
    /// Response flags, once no more can come while it is open.
    flags: Option<u64>,
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

// === impl TcpStream ===

impl TcpStream {
    /// A connection that opened now.
    pub(crate) fn opened(now: Instant) -> Self {
        Self { opened_at: Some(now), ..Self::default() }
    }

    /// How long it was open.
    fn open_ms(&self, host: &dyn Host, attributes: &Attributes<'_>) -> Option<u64> {
        let Some(opened_at) = self.opened_at else {
            return duration_ms(attributes);
        };
        let open_for = host.now().saturating_duration_since(opened_at);
        Some(u64::try_from(open_for.as_millis()).unwrap_or(u64::MAX))
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

    /// The same when it is over: no more will tell.
    fn counted(&self, attributes: &Attributes<'_>) -> bool {
        // What tells nothing is cheap to ask for, and the upstream cluster is not.
        self.counts.unwrap_or_else(|| {
            attributes.bytes(&HTTP_PROTOCOL).is_none() || attributes.bytes(Element::UpstreamCluster).is_some()
        })
    }

    /// What is known by now: read again only while that may bring something new.
    fn look(&mut self, recorder: &Recorder, attributes: &Attributes<'_>) -> Look {
        let calls = &recorder.calls;
        match self.last_look.take() {
            Some(look)
                if look.frames.is_some()
                    || !(look.call.is_pending() && calls.has_peer_told(attributes, look.call.reporter)) =>
            {
                look
            }
            _ => {
                let reporter = calls.reporter(attributes);
                let call = calls.read(attributes, Attachment::Tcp, reporter, None, || None);
                Look { call, frames: None, flags: None }
            }
        }
    }

    /// Records what is new since the last time, and the end.
    fn record(
        &mut self,
        recorder: &Recorder,
        host: &dyn Host,
        look: &Look,
        bytes: Bytes,
        end: Option<End>,
        make_plan: impl FnOnce() -> StreamPlan,
    ) {
        let call = &look.call;
        let flags = response_flags::label(look.flags.unwrap_or(0));
        let mut values = report::values(call, &recorder.local);
        values.set(Dimension::RequestProtocol, Protocol::Tcp.as_str());
        values.set(Dimension::ResponseFlags, &flags);

        let new = bytes.since(self.reported);
        let measured = [
            (Metric::TcpOpened, Some(u64::from(!self.opened))),
            (Metric::TcpSentBytes, Some(new.sent)),
            (Metric::TcpReceivedBytes, Some(new.received)),
            (Metric::TcpClosed, end.map(|_| 1)),
            (Metric::TcpDuration, end.and_then(|end| end.open_ms)),
        ];
        let plan = self.plan.get_or(call, make_plan);
        let series = Series::new(call.reporter, LabelSet::Tcp, &values, plan);
        recorder.record(host, series, &measured, end.map(|_| call));
        self.opened = true;
        self.reported = bytes;
    }
}

impl Stream for TcpStream {
    fn report_open(&mut self, recorder: &Recorder, host: &dyn Host) {
        let attributes = recorder.attributes(host);
        if self.counts(&attributes) != Some(true) {
            return;
        }
        let mut look = self.look(recorder, &attributes);
        let bytes = look.bytes(&attributes, self.held >= MAX_HELD_PERIODS);
        let news = !self.opened || bytes != self.reported;
        if news && look.call.is_pending() && self.held < MAX_HELD_PERIODS {
            self.held = self.held.saturating_add(1);
        } else if news {
            let flags = look.flags.or_else(|| read_flags(recorder, &attributes));
            look.flags = flags;
            let make = || recorder.rules.on_tick(host, &attributes, &look.call);
            self.record(recorder, host, &look, bytes, None, make);
            // Until the upstream is connected, each try may add one.
            look.flags = flags.filter(|_| bytes.sent > 0);
        }
        if bytes != Bytes::default() {
            self.last_look = Some(look);
        }
    }

    fn report_end(&mut self, recorder: &Recorder, host: &dyn Host, _: stream::End) {
        let attributes = recorder.attributes(host);
        let open_ms = self.open_ms(host, &attributes);
        if !self.counted(&attributes) {
            return;
        }
        let mut look = self.look(recorder, &attributes);
        let bytes = look.bytes(&attributes, false);
        look.flags = read_flags(recorder, &attributes);
        recorder.count_decode_errors(host, &look.call);
        let make = || recorder.rules.at_end(host, &look.call, None);
        self.record(recorder, host, &look, bytes, Some(End { open_ms }), make);
    }
}

// === impl Look ===

impl Look {
    /// The application's bytes so far. `has_waited`: whether the peer had its time to
    /// tell who it is.
    fn bytes(&mut self, attributes: &Attributes<'_>, has_waited: bool) -> Bytes {
        let counted = Bytes::read(attributes);
        let frames = self.frames.unwrap_or_else(|| Bytes::read_frames(attributes));
        let bytes = counted.since(frames);
        // The client's frame comes before its peer is known, the answer before
        // the first byte from the upstream. Both come before the application's bytes.
        let has_told = counted.sent > 0 && !self.call.is_pending();
        let tells_nothing = has_waited && bytes.sent > 0 && bytes.received > 0;
        if has_told || tells_nothing {
            self.frames = Some(frames);
        }
        bytes
    }
}

fn read_flags(recorder: &Recorder, attributes: &Attributes<'_>) -> Option<u64> {
    let shows_flags = recorder.needs().any_label(&[Dimension::ResponseFlags]);
    shows_flags.then(|| attributes.count(Element::ResponseFlags)).flatten()
}
