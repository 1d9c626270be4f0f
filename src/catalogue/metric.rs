//! The catalogue of standard metrics. A metric is data: what it is called, how
//! it counts, which labels it carries, which value it takes from a stream.

use super::dimension::LabelSet;
use crate::collections::set::{Numbered, Set};
use crate::host::MetricKind;

macro_rules! metrics {
    ($($variant:ident $name:literal $kind:ident $labels:ident $doc:literal,)*) => {
        /// A standard metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Metric {
            $(#[doc = $doc] $variant,)*
        }

        impl Metric {
            /// Every metric.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// Its name in a configuration; in Prometheus `istio_` precedes it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How it counts.
            pub const fn kind(self) -> MetricKind {
                match self { $(Self::$variant => MetricKind::$kind,)* }
            }

            /// The labels it carries.
            pub const fn labels(self) -> LabelSet {
                match self { $(Self::$variant => LabelSet::$labels,)* }
            }

            /// What it counts, in one sentence.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }
    };
}

metrics! {
    Requests "requests_total" Counter Http "Requests, each counted when it is over.",
    RequestDuration "request_duration_milliseconds" Histogram Http "Time from the first byte of the request to the last of the response, in milliseconds.",
    RequestBytes "request_bytes" Histogram Http "Size of a request with its headers, in bytes.",
    ResponseBytes "response_bytes" Histogram Http "Size of a response with its headers and trailers, in bytes.",
    RequestMessages "request_messages_total" Counter Messages "gRPC messages sent by clients, counted while the stream is open.",
    ResponseMessages "response_messages_total" Counter Messages "gRPC messages sent by servers, counted while the stream is open.",
    TcpOpened "tcp_connections_opened_total" Counter Tcp "TCP connections that were opened.",
    TcpClosed "tcp_connections_closed_total" Counter Tcp "TCP connections that were closed.",
    TcpSentBytes "tcp_sent_bytes_total" Counter Tcp "Bytes sent to the client of a TCP connection, counted while it is open.",
    TcpReceivedBytes "tcp_received_bytes_total" Counter Tcp "Bytes received from the client of a TCP connection, counted while it is open.",
    TcpDuration "tcp_connection_duration_milliseconds" Histogram Tcp "Time that a TCP connection was open, in milliseconds.",
}

/// Some of the metrics.
pub type Metrics = Set<Metric>;

impl Numbered for Metric {
    fn number(self) -> usize {
        self as usize
    }
}

/// Precedes every metric's name.
pub const PREFIX: &str = "istio_";
