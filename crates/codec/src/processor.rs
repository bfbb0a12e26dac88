//! The contracts of the stages around a codec.

use bytes::Bytes;

use crate::{Chunks, Pieces, ProcessError};

/// Turns chunks from outside into chunks for the next stage (`spec/codecs.md` part C). State is per stream.
pub trait Preprocessor: Send {
    /// Processes one chunk and adds what comes of it to `out`, as slices of `chunk` where possible. A stage that makes
    /// many pieces of a chunk stops when [`Pieces::is_full`], and leaves the rest of it there.
    ///
    /// # Errors
    /// Ends the processing of this input: nothing else of it becomes an event. An error that shall cost one
    /// piece only is added to `out` as a fault instead.
    fn process(&mut self, chunk: Bytes, out: &mut Pieces) -> Result<(), ProcessError>;

    /// Gives what is held back, at the end of a stream. Afterwards the stage is as new.
    ///
    /// # Errors
    /// If what is held is of no use.
    fn finish(&mut self, _out: &mut Pieces) -> Result<(), ProcessError> {
        Ok(())
    }

    /// Gives memory back that is not needed to go on, while the stream is idle. Changes nothing else.
    fn rest(&mut self) {}
}

/// Turns encoded chunks into chunks for the transport (`spec/codecs.md` part D). State is per stream.
pub trait Postprocessor: Send {
    /// Processes one chunk of an event that came in at `ingest_ns` and adds what comes of it to `out`.
    ///
    /// # Errors
    /// If the chunk cannot be sent in this form. What was added to `out` by then is removed by the caller.
    fn process(&mut self, ingest_ns: u64, chunk: &[u8], out: &mut Chunks) -> Result<(), ProcessError>;

    /// Gives what is held back, at the end of a stream; `ingest_ns` is that of the last event. Afterwards
    /// the stage is as new.
    ///
    /// # Errors
    /// If what is held cannot be sent.
    fn finish(&mut self, _ingest_ns: u64, _out: &mut Chunks) -> Result<(), ProcessError> {
        Ok(())
    }

    /// `true` if data of one event may be held back until more comes (`spec/runtime.md` 8.3).
    fn is_streaming(&self) -> bool {
        false
    }

    /// `true` if what [`Postprocessor::process`] adds depends on its arguments and on nothing else, and nothing is ever held
    /// back: then what comes of an event may be sent on many connections, though each of them has a stage of its own.
    fn is_stateless(&self) -> bool {
        false
    }

    /// Gives memory back that is not needed to go on, while the stream is idle. Changes nothing else.
    fn rest(&mut self) {}

    /// The bytes that this stage appends to every chunk, if that is all it does. The encoder then appends
    /// them itself and spares a copy.
    fn suffix(&self) -> Option<&[u8]> {
        None
    }
}
