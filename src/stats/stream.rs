//! What the plugin does with a stream, of whatever kind.

use super::recorder::Recorder;
use crate::host::Host;

/// How the plugin hears that a stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is logged: everything can be read once more.
    Logged,
    /// Its context is deleted: no header or trailer can be read any more.
    Unlogged,
}

/// What is remembered of a stream, and how it is reported on. An attachment has one
/// kind of them.
pub(crate) trait Stream {
    /// Reports what the open stream in effect did since the last time.
    fn report_open(&mut self, recorder: &Recorder, host: &dyn Host);

    /// Reports a stream that is over, or the rest of it.
    fn report_end(&mut self, recorder: &Recorder, host: &dyn Host, end: End);
}
