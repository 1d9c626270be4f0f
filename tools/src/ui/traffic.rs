//! What goes between two, added up.

use std::collections::BTreeMap;

use istio_stats::catalogue::dimension::Dimension;

use super::words;
use crate::top::failure::is_failure;
use crate::top::measure::{Flow, Measure};
use crate::top::rows::{value, Http, Tcp};

/// What is spoken. Each is a strand of its own in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Protocol {
    Http,
    Grpc,
    Tcp,
}

/// All numbers per second, but for the connections that are open.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Traffic {
    pub(crate) http: Http,
    pub(crate) tcp: Tcp,
    pub(crate) closed: f64,
    /// Of those that closed.
    pub(crate) closed_failed: f64,
    pub(crate) mutual_tls: Share,
    pub(crate) outcomes: BTreeMap<Outcome, f64>,
}

/// A part of a whole, both in some unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Share {
    pub(crate) part: f64,
    pub(crate) whole: f64,
}

/// How requests ended, or connections: of them only the flags are known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Outcome {
    pub(crate) protocol: Protocol,
    pub(crate) code: String,
    pub(crate) grpc_status: String,
    pub(crate) flags: String,
}

// === impl Protocol ===

impl Protocol {
    /// Of what a series tells.
    pub(crate) fn of(flow: &Flow<'_>) -> Self {
        match value(flow.labels, Dimension::RequestProtocol) {
            _ if !flow.measure.is_http() => Self::Tcp,
            "grpc" => Self::Grpc,
            _ => Self::Http,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }
}

// === impl Traffic ===

impl Traffic {
    /// Adds what a series did.
    pub(crate) fn add(&mut self, flow: &Flow<'_>) {
        let amount = flow.rate.unwrap_or_default();
        if flow.measure.is_http() {
            self.http.add(flow, amount);
        } else {
            self.tcp.add(flow, amount);
        }
        if matches!(flow.measure, Measure::Requests | Measure::Closed) {
            let outcome = Outcome::of(flow);
            if flow.measure == Measure::Closed {
                self.closed += amount;
                self.closed_failed += if words::is_failure(&outcome.flags) { amount } else { 0.0 };
            }
            *self.outcomes.entry(outcome).or_default() += amount;
        }
    }

    /// Adds all of another's.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.http.requests += other.http.requests;
        self.http.failed += other.http.failed;
        self.http.duration_ms.merge(&other.http.duration_ms);
        self.tcp.open += other.tcp.open;
        self.tcp.opened += other.tcp.opened;
        self.tcp.received_bytes += other.tcp.received_bytes;
        self.tcp.sent_bytes += other.tcp.sent_bytes;
        self.closed += other.closed;
        self.closed_failed += other.closed_failed;
        self.mutual_tls.part += other.mutual_tls.part;
        self.mutual_tls.whole += other.mutual_tls.whole;
        for (outcome, rate) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += rate;
        }
    }

    /// Sums them up.
    pub(crate) fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        all.into_iter().for_each(|one| sum.merge(one));
        sum
    }

    /// Of requests, and of connections that closed; `None` without any.
    pub(crate) fn errors(&self) -> Option<f64> {
        let ended = self.http.requests + self.closed;
        (ended > 0.0).then(|| (self.http.failed + self.closed_failed) / ended)
    }

    pub(crate) fn quantile_ms(&self, q: f64) -> Option<f64> {
        self.http.duration_ms.quantile(q)
    }

    /// Per second, both ways.
    pub(crate) fn tcp_bytes(&self) -> f64 {
        self.tcp.received_bytes + self.tcp.sent_bytes
    }

    /// Whether nothing moves at present.
    pub(crate) fn is_idle(&self) -> bool {
        self.http.requests + self.tcp.opened + self.closed + self.tcp_bytes() <= 0.0
    }

    /// What shares of it are weighed by.
    pub(crate) fn weight(&self) -> f64 {
        self.http.requests + self.tcp_bytes()
    }
}

// === impl Share ===

impl Share {
    /// `None` if there is no whole.
    pub(crate) fn ratio(self) -> Option<f64> {
        (self.whole > 0.0).then(|| self.part / self.whole)
    }
}

// === impl Outcome ===

impl Outcome {
    fn of(flow: &Flow<'_>) -> Self {
        let of = |dimension| value(flow.labels, dimension).to_owned();
        let protocol = Protocol::of(flow);
        let http = |dimension| if protocol == Protocol::Tcp { String::new() } else { of(dimension) };
        let grpc_status = match protocol {
            Protocol::Grpc => of(Dimension::GrpcResponseStatus),
            _ => String::new(),
        };
        let code = http(Dimension::ResponseCode);
        Self { protocol, code, grpc_status, flags: of(Dimension::ResponseFlags) }
    }

    /// As in the error share.
    pub(crate) fn is_failure(&self) -> bool {
        match self.protocol {
            Protocol::Http | Protocol::Grpc => is_failure(&self.code, &self.grpc_status, &self.flags),
            Protocol::Tcp => words::is_failure(&self.flags),
        }
    }
}

#[cfg(test)]
mod tests;
