//! Which kind of stream an attachment has.

use super::http::HttpStream;
use super::stream::Stream;
use super::tcp::TcpStream;
use crate::attachment::Attachment;
use crate::host::Host;

/// A stream of any kind.
#[derive(Debug)]
pub(crate) enum AnyStream {
    Http(HttpStream),
    Tcp(Box<TcpStream>),
}

// === impl AnyStream ===

impl AnyStream {
    /// One that opened now.
    pub(crate) fn opened(attachment: Attachment, host: &dyn Host) -> Self {
        match attachment {
            Attachment::Http => Self::Http(HttpStream::default()),
            Attachment::Tcp => Self::Tcp(Box::new(TcpStream::opened(host.now()))),
        }
    }

    /// One of which nothing is heard until it is over, as an access logger hears
    /// of it.
    pub(crate) fn over(attachment: Attachment) -> Self {
        match attachment {
            Attachment::Http => Self::Http(HttpStream::default()),
            Attachment::Tcp => Self::Tcp(Box::default()),
        }
    }

    /// What can be done with it.
    pub(crate) fn get(&mut self) -> &mut dyn Stream {
        match self {
            Self::Http(stream) => stream,
            Self::Tcp(stream) => stream.as_mut(),
        }
    }
}
