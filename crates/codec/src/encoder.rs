//! The way out.

use tremor_value::{Bytes, Content, MetaRef};

use crate::{Chunks, Codec, EncodeError, Postprocessor, ProcessError};

/// Bytes that the buffers between the stages keep room for.
const KEEP_BYTES: usize = 1024 * 1024;

/// A codec and postprocessors, with the state of one stream.
pub struct Encoder {
    codec: Box<dyn Codec>,
    stages: Vec<Box<dyn Postprocessor>>,
    /// What all stages together append, if they do nothing else: then no chunk has to be copied.
    suffix: Option<Box<[u8]>>,
    /// Made when it is needed: most stages do nothing else.
    between: Option<Box<Between>>,
    last_ingest_ns: u64,
}

/// The buffers between the stages.
#[derive(Default)]
struct Between {
    /// What the last stage gave.
    ready: Chunks,
    /// What the present one gives.
    next: Chunks,
}

impl Encoder {
    /// From its parts.
    #[must_use]
    pub fn new(codec: Box<dyn Codec>, stages: Vec<Box<dyn Postprocessor>>) -> Self {
        let suffixes: Option<Vec<&[u8]>> = stages.iter().map(|stage| stage.suffix()).collect();
        let suffix = suffixes.map(|suffixes| suffixes.concat().into());
        Self { codec, stages, suffix, between: None, last_ingest_ns: 0 }
    }

    /// Encodes a payload or a value and appends the chunks that come of it, possibly none, to `out`. `ingest_ns` and
    /// `meta` are those of its event.
    ///
    /// # Errors
    /// If codec or a postprocessor fails; nothing of it is then in `out`.
    pub fn encode<'a>(
        &mut self,
        content: impl Into<Content<'a>>,
        ingest_ns: u64,
        meta: MetaRef<'_>,
        out: &mut Chunks,
    ) -> Result<(), EncodeError> {
        let content = content.into();
        self.last_ingest_ns = ingest_ns;
        let before = out.mark();
        let encoded = match &self.suffix {
            Some(suffix) => {
                self.codec.encode(content, meta, out.buffer_mut()).map_err(EncodeError::from).map(|()| {
                    out.buffer_mut().extend_from_slice(suffix);
                    out.end_chunk();
                })
            }
            None => self.encode_through_stages(content, meta, out),
        };
        if encoded.is_err() {
            out.back_to(before);
        }
        self.clear_between_stages();
        encoded
    }

    /// The only chunk that comes of `content`, if that is in memory as it is and has `least` bytes: it can be shared instead of
    /// encoded.
    #[must_use]
    #[inline]
    pub fn held<'a>(&self, content: impl Into<Content<'a>>, least: usize) -> Option<&'a Bytes> {
        let content = content.into();
        let bytes = content.held().filter(|bytes| bytes.len() >= least)?;
        let is_bare = self.suffix.as_ref().is_some_and(|suffix| suffix.is_empty());
        (is_bare && self.codec.passes(content)).then_some(bytes)
    }

    /// Appends what the postprocessors still hold to `out`, at the end of the stream (`spec/codecs.md` B.2).
    /// Every stage gets what comes from the stages before it and is then finished, exactly once. Afterwards
    /// the encoder is as new.
    ///
    /// # Errors
    /// If a postprocessor fails; what the other stages gave is in `out`.
    pub fn finish(&mut self, out: &mut Chunks) -> Result<(), EncodeError> {
        if self.stages.is_empty() {
            return Ok(());
        }
        let mut result = Ok(());
        let Between { ready, next } = &mut **self.between.get_or_insert_default();
        ready.clear();
        for stage in &mut self.stages {
            next.clear();
            let processed = process_all(stage.as_mut(), self.last_ingest_ns, ready, next);
            let before = next.mark();
            let finished = stage.finish(self.last_ingest_ns, next);
            if finished.is_err() {
                next.back_to(before);
            }
            result = result.and(processed).and(finished);
            std::mem::swap(ready, next);
        }
        for chunk in ready.iter() {
            out.push(chunk);
        }
        self.clear_between_stages();
        result.map_err(EncodeError::from)
    }

    /// Gives scratch memory back, for a stream that is idle. Nothing that is held of the stream is lost.
    pub fn rest(&mut self) {
        self.codec.rest();
        self.stages.iter_mut().for_each(|stage| stage.rest());
        self.between = None;
    }

    /// `true` if a stage may hold data of one event back until more comes (`spec/runtime.md` 8.3).
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.stages.iter().any(|stage| stage.is_streaming())
    }

    /// `true` if what comes of an event depends on the event alone: encoders of the same definition give the same for it,
    /// whatever they were given before.
    #[must_use]
    pub fn is_stateless(&self) -> bool {
        self.codec.is_stateless() && self.stages.iter().all(|stage| stage.is_stateless())
    }

    fn clear_between_stages(&mut self) {
        let Some(between) = &mut self.between else { return };
        for chunks in [&mut between.ready, &mut between.next] {
            chunks.clear();
            chunks.trim(KEEP_BYTES);
        }
    }

    fn encode_through_stages(
        &mut self,
        content: Content<'_>,
        meta: MetaRef<'_>,
        out: &mut Chunks,
    ) -> Result<(), EncodeError> {
        let Between { ready, next } = &mut **self.between.get_or_insert_default();
        ready.clear();
        self.codec.encode(content, meta, ready.buffer_mut())?;
        ready.end_chunk();
        let Some((last, stages)) = self.stages.split_last_mut() else { return Ok(()) };
        for stage in stages {
            next.clear();
            process_all(stage.as_mut(), self.last_ingest_ns, ready, next)?;
            std::mem::swap(ready, next);
        }
        Ok(process_all(last.as_mut(), self.last_ingest_ns, ready, out)?)
    }
}

fn process_all(
    stage: &mut dyn Postprocessor,
    ingest_ns: u64,
    chunks: &Chunks,
    out: &mut Chunks,
) -> Result<(), ProcessError> {
    for chunk in chunks.iter() {
        let before = out.mark();
        if let Err(error) = stage.process(ingest_ns, chunk, out) {
            out.back_to(before);
            return Err(error);
        }
    }
    Ok(())
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Encoder").field("stages", &self.stages.len()).finish_non_exhaustive()
    }
}
