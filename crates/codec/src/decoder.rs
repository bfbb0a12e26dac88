//! The way in.

use std::sync::Arc;

use bytes::Bytes;
use tremor_value::{Payload, Record};

use crate::{Codec, DecodeError, Decoded, Decoding, Pieces, Preprocessor, ProcessError, pieces::Piece};

/// Longer inputs are fed part by part to a first stage that takes any cut.
const WINDOW_BYTES: usize = 64 * 1024;

/// Pieces that the lists between the stages keep room for.
const KEEP_PIECES: usize = 4096;

/// Preprocessors and a codec, with the state of one stream.
pub struct Decoder {
    stages: Vec<Box<dyn Preprocessor>>,
    codec: Box<dyn Codec>,
    /// What the last stage gave, and what the present one gives.
    ready: Pieces,
    next: Pieces,
}

/// What becomes an event.
#[derive(Debug, PartialEq)]
pub struct DecodedEvent {
    /// Its payload.
    pub payload: Payload,
    /// When it came in, in nanoseconds since 1970.
    pub ingest_ns: u64,
    /// Members that the codec adds to the metadata.
    pub meta: Option<Record>,
}

impl Decoder {
    /// From its parts.
    #[must_use]
    pub fn new(stages: Vec<Box<dyn Preprocessor>>, codec: Box<dyn Codec>) -> Self {
        Self { stages, codec, ready: Pieces::default(), next: Pieces::default() }
    }

    /// The same, whose log lines name `owner`.
    pub(crate) fn owned_by(mut self, owner: Option<Arc<str>>) -> Self {
        self.ready = Pieces::owned_by(owner.clone());
        self.next = Pieces::owned_by(owner);
        self
    }

    /// Decodes what one read gave, and hands every event and every error to `sink`, in order.
    ///
    /// If a preprocessor fails, that error is all that comes of this input (`spec/runtime.md` 7.2), except
    /// that the parts of an input above 64 KiB which were decoded before count as inputs of their own. Faults
    /// of single pieces and errors of the codec cost only their own event.
    pub fn decode(
        &mut self,
        bytes: Bytes,
        ingest_ns: u64,
        sink: &mut impl FnMut(Result<DecodedEvent, DecodeError>),
    ) {
        let Some(first) = self.stages.first() else {
            decode_chunk(self.codec.as_mut(), bytes, ingest_ns, sink);
            return;
        };
        let mut rest = bytes;
        if first.takes_any_cut() {
            while rest.len() > WINDOW_BYTES {
                if !self.decode_part(rest.split_to(WINDOW_BYTES), ingest_ns, sink) {
                    return;
                }
            }
        }
        self.decode_part(rest, ingest_ns, sink);
    }

    /// Decodes what the preprocessors still hold, at the end of the stream (`spec/codecs.md` B.2). Every
    /// stage gets what comes from the stages before it and is then finished, exactly once. Afterwards the
    /// decoder is as new.
    pub fn finish(&mut self, ingest_ns: u64, sink: &mut impl FnMut(Result<DecodedEvent, DecodeError>)) {
        for stage in &mut self.stages {
            for Piece { bytes, ingest_ns } in self.ready.drain() {
                self.next.set_ingest_ns(ingest_ns);
                // What else is held is still good, so an error costs its own chunk only.
                let processed = match bytes {
                    Ok(bytes) => stage.process(bytes, &mut self.next),
                    Err(fault) => Err(*fault),
                };
                processed.unwrap_or_else(|error| self.next.fault(error));
            }
            self.next.set_ingest_ns(ingest_ns);
            stage.finish(&mut self.next).unwrap_or_else(|error| self.next.fault(error));
            std::mem::swap(&mut self.ready, &mut self.next);
        }
        self.decode_ready(sink);
    }

    /// Gives scratch memory back, for a stream that is idle: a parser's buffers are several times as large as
    /// the documents it has seen. Nothing that is held of the stream is lost.
    pub fn rest(&mut self) {
        self.codec.rest();
        self.ready.trim(0);
        self.next.trim(0);
    }

    /// `false` if a preprocessor failed.
    fn decode_part(
        &mut self,
        bytes: Bytes,
        ingest_ns: u64,
        sink: &mut impl FnMut(Result<DecodedEvent, DecodeError>),
    ) -> bool {
        self.ready.set_ingest_ns(ingest_ns);
        self.ready.push(bytes);
        if let Err(error) = self.run_stages() {
            self.ready.clear();
            self.next.clear();
            sink(Err(error.into()));
            return false;
        }
        self.decode_ready(sink);
        true
    }

    fn run_stages(&mut self) -> Result<(), ProcessError> {
        for stage in &mut self.stages {
            for Piece { bytes, ingest_ns } in self.ready.drain() {
                self.next.set_ingest_ns(ingest_ns);
                match bytes {
                    Ok(bytes) => stage.process(bytes, &mut self.next)?,
                    Err(fault) => self.next.fault(*fault),
                }
            }
            std::mem::swap(&mut self.ready, &mut self.next);
        }
        Ok(())
    }

    fn decode_ready(&mut self, sink: &mut impl FnMut(Result<DecodedEvent, DecodeError>)) {
        for Piece { bytes, ingest_ns } in self.ready.drain() {
            match bytes {
                Ok(bytes) => decode_chunk(self.codec.as_mut(), bytes, ingest_ns, sink),
                Err(fault) => sink(Err((*fault).into())),
            }
        }
        self.ready.trim(KEEP_PIECES);
        self.next.trim(KEEP_PIECES);
    }
}

fn decode_chunk(
    codec: &mut dyn Codec,
    chunk: Bytes,
    ingest_ns: u64,
    sink: &mut impl FnMut(Result<DecodedEvent, DecodeError>),
) {
    let mut decoding = Decoding::at(ingest_ns);
    match codec.decode(chunk, &mut decoding) {
        Ok(Decoded::Value(payload)) => {
            let Decoding { ingest_ns, meta } = decoding;
            sink(Ok(DecodedEvent { payload, ingest_ns, meta }));
        }
        Ok(Decoded::Nothing) => {}
        Err(error) => sink(Err(error.into())),
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Decoder").field("stages", &self.stages.len()).finish_non_exhaustive()
    }
}
