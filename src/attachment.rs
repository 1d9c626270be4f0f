//! What a plugin is attached to.

use crate::attribute::Attributes;
use crate::catalogue::dimension::LabelSet;
use crate::catalogue::metric::Metric;

/// The kind of filter chain that a plugin sits in, and with it the kind of streams
/// that it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Attachment {
    /// An HTTP filter, or an access logger of HTTP requests.
    Http,
    /// A network filter, or an access logger of TCP connections.
    Tcp,
}

// === impl Attachment ===

impl Attachment {
    /// All of them, with their names in a configuration's field `attachment`.
    pub const CHOICES: &[(&str, Self)] = &[("http", Self::Http), ("tcp", Self::Tcp)];

    /// The kind of the stream being created, if the configuration does not say:
    /// an HTTP stream has a protocol by then, a TCP connection never has one.
    pub fn of_stream(configured: Option<Self>, attributes: &Attributes<'_>) -> Self {
        configured.unwrap_or_else(|| match attributes.bytes(&["request", "protocol"]) {
            Some(_) => Self::Http,
            None => Self::Tcp,
        })
    }

    /// Whether such streams are counted in the metric of this name: the standard ones are for
    /// one kind, those that a configuration defines for both.
    pub fn counts_in(self, name: &str) -> bool {
        let standard = Metric::ALL.into_iter().find(|metric| metric.name() == name);
        standard.is_none_or(|metric| (self == Self::Tcp) == (metric.labels() == LabelSet::Tcp))
    }
}
