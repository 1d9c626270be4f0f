//! What the plugin does with a stream, of whatever kind.

use super::http::HttpStream;
use super::recorder::Recorder;
use super::tcp::TcpStream;
use crate::attachment::Attachment;
use crate::host::Host;
use crate::rules::OpeningValues;

/// What is remembered of a stream, and how it is reported on. An attachment has one
/// kind of them.
pub(crate) trait Stream {
    /// Reports what the open stream in effect did since the last time.
    fn report_open(&mut self, recorder: &Recorder, host: &dyn Host, opening: Option<&OpeningValues>);

    /// Reports a stream that is over, or the rest of it.
    fn report_end(&mut self, recorder: &Recorder, host: &dyn Host);
}

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
