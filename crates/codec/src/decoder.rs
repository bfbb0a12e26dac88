//! The way in.

use std::sync::Arc;

use bytes::Bytes;
use tremor_value::{Payload, Record};

use crate::{
    Codec, DecodeError, Decoded, Decoding, Pieces, Preprocessor, ProcessError,
    pieces::{MOST_PIECES, Piece},
};

/// Pieces that the lists between the stages keep room for.
const KEEP_PIECES: usize = MOST_PIECES;

/// Preprocessors and a codec, with the state of one stream.
pub struct Decoder {
    codec: Box<dyn Codec>,
    /// `None` without preprocessors. Boxed, since most connections have none.
    chain: Option<Box<Chain>>,
}

/// The preprocessors.
struct Chain {
    stages: Vec<Stage>,
    /// What the last stage gave, in order.
    ready: Vec<Piece>,
    /// What the present stage gives.
    next: Pieces,
    /// When the stream ended, if the stages are being finished.
    finish_ns: u64,
}

/// A preprocessor and what it still has to do.
struct Stage {
    part: Box<dyn Preprocessor>,
    /// What it has not processed yet, the next one last.
    waiting: Vec<Piece>,
    /// It is finished behind that.
    finishes: bool,
}

/// How much may come of one call.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Pieces that the codec gets; each gives one event or error, or nothing.
    pub pieces: usize,
    /// Bytes of those; the last piece may pass it.
    pub bytes: usize,
}

impl Room {
    /// All that comes.
    pub const UNBOUNDED: Self = Self { pieces: usize::MAX, bytes: usize::MAX };
}

/// What one call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// Bytes of the pieces that the codec got.
    pub bytes: usize,
    /// Nothing is left of the input.
    pub is_last: bool,
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
        let stage = |part| Stage { part, waiting: Vec::new(), finishes: false };
        let stages: Vec<Stage> = stages.into_iter().map(stage).collect();
        let chain = Chain { stages, ready: Vec::new(), next: Pieces::default(), finish_ns: 0 };
        Self { codec, chain: (!chain.stages.is_empty()).then(|| Box::new(chain)) }
    }

    /// The same, whose log lines name `owner`.
    pub(crate) fn owned_by(mut self, owner: Option<Arc<str>>) -> Self {
        if let Some(chain) = &mut self.chain {
            chain.next = Pieces::owned_by(owner);
        }
        self
    }

    /// Decodes what one read gave, and hands every event and every error to `sink`, in order.
    ///
    /// If a preprocessor fails, that error is all that comes of this input (`spec/runtime.md` 7.2), except that of an
    /// input of which a stage makes more than 4 096 pieces, so many at a time count as inputs of their own. Faults of
    /// single pieces and errors of the codec cost only their own event.
    pub fn decode(
        &mut self,
        bytes: Bytes,
        ingest_ns: u64,
        sink: &mut impl FnMut(Result<DecodedEvent, DecodeError>),
    ) {
        let mut step = self.begin(bytes, ingest_ns, Room::UNBOUNDED, sink);
        while !step.is_last {
            step = self.go_on(Room::UNBOUNDED, sink);
        }
    }

    /// Decodes what the preprocessors still hold, at the end of the stream (`spec/codecs.md` B.2). Every
    /// stage gets what comes from the stages before it and is then finished, exactly once. Afterwards the
    /// decoder is as new.
    pub fn finish(&mut self, ingest_ns: u64, sink: &mut impl FnMut(Result<DecodedEvent, DecodeError>)) {
        let mut step = self.begin_finish(ingest_ns, Room::UNBOUNDED, sink);
        while !step.is_last {
            step = self.go_on(Room::UNBOUNDED, sink);
        }
    }

    /// As [`Decoder::decode`], but stops where `room` ends: [`Decoder::go_on`] until that was the last step. An input
    /// that begins before that comes behind what is left.
    pub fn begin(
        &mut self,
        bytes: Bytes,
        ingest_ns: u64,
        room: Room,
        sink: &mut impl FnMut(Result<DecodedEvent, DecodeError>),
    ) -> Step {
        let Some(chain) = &mut self.chain else {
            let step = Step { bytes: bytes.len(), is_last: true };
            decode_chunk(self.codec.as_mut(), bytes, ingest_ns, sink);
            return step;
        };
        if let Some(first) = chain.stages.first_mut() {
            first.waiting.insert(0, Piece { bytes: Ok(bytes), ingest_ns });
        }
        chain.step(self.codec.as_mut(), room, sink)
    }

    /// As [`Decoder::finish`], in steps as by [`Decoder::begin`].
    pub fn begin_finish(
        &mut self,
        ingest_ns: u64,
        room: Room,
        sink: &mut impl FnMut(Result<DecodedEvent, DecodeError>),
    ) -> Step {
        if let Some(chain) = &mut self.chain {
            chain.finish_ns = ingest_ns;
            chain.stages.iter_mut().for_each(|stage| stage.finishes = true);
        }
        self.go_on(room, sink)
    }

    /// Goes on where the last step stopped. A step does a bounded amount of work: it may be that nothing comes of it and
    /// that there is more nevertheless.
    pub fn go_on(&mut self, room: Room, sink: &mut impl FnMut(Result<DecodedEvent, DecodeError>)) -> Step {
        match &mut self.chain {
            Some(chain) => chain.step(self.codec.as_mut(), room, sink),
            None => Step { bytes: 0, is_last: true },
        }
    }

    /// Gives scratch memory back, for a stream that is idle: a parser's buffers are several times as large as
    /// the documents it has seen. Nothing that is held of the stream is lost.
    pub fn rest(&mut self) {
        self.codec.rest();
        if let Some(chain) = &mut self.chain {
            chain.stages.iter_mut().for_each(|stage| stage.part.rest());
            chain.trim(0);
        }
    }
}

impl Chain {
    fn step(
        &mut self,
        codec: &mut dyn Codec,
        room: Room,
        sink: &mut impl FnMut(Result<DecodedEvent, DecodeError>),
    ) -> Step {
        if self.ready.is_empty()
            && let Err(error) = self.run_stages()
        {
            self.forget_input();
            sink(Err(error.into()));
            return Step { bytes: 0, is_last: true };
        }
        let mut bytes = 0;
        for Piece { bytes: piece, ingest_ns } in self.ready.drain(..fitting(&self.ready, room)) {
            match piece {
                Ok(piece) => {
                    bytes += piece.len();
                    decode_chunk(codec, piece, ingest_ns, sink);
                }
                Err(fault) => sink(Err((*fault).into())),
            }
        }
        if self.ready.is_empty() {
            self.trim(KEEP_PIECES);
        }
        Step { bytes, is_last: self.ready.is_empty() && self.stages.iter().all(Stage::is_done) }
    }

    /// Runs what waits deepest through the stages from there on, as far as there is room, so that no list between the
    /// stages gets long. Nothing is ready before.
    fn run_stages(&mut self) -> Result<(), ProcessError> {
        let deepest = self.stages.iter().rposition(|stage| !stage.waiting.is_empty());
        let next = deepest.or_else(|| self.stages.iter().position(|stage| stage.finishes));
        let Some(first) = next else { return Ok(()) };
        let mut has_all = self.stages.iter().take(first).all(Stage::is_done);
        let mut stages = self.stages.iter_mut().skip(first).peekable();
        while let Some(stage) = stages.next() {
            stage.run(&mut self.next, has_all.then_some(self.finish_ns))?;
            has_all &= stage.is_done();
            match stages.peek_mut() {
                Some(following) => {
                    self.next.move_to(&mut following.waiting);
                    following.waiting.reverse();
                }
                None => self.next.move_to(&mut self.ready),
            }
        }
        Ok(())
    }

    /// Nothing more comes of the input.
    fn forget_input(&mut self) {
        self.next.clear();
        self.stages.iter_mut().for_each(|stage| stage.waiting.clear());
    }

    fn trim(&mut self, keep: usize) {
        self.next.trim(keep);
        self.ready.shrink_to(keep);
        self.stages.iter_mut().for_each(|stage| stage.waiting.shrink_to(keep));
    }
}

impl Stage {
    fn is_done(&self) -> bool {
        self.waiting.is_empty() && !self.finishes
    }

    /// Processes what waits while there is room in `out`, and finishes behind it at `finish_ns`, if it has to and all has
    /// come that will.
    fn run(&mut self, out: &mut Pieces, finish_ns: Option<u64>) -> Result<(), ProcessError> {
        while !out.is_full()
            && let Some(Piece { bytes, ingest_ns }) = self.waiting.pop()
        {
            out.set_ingest_ns(ingest_ns);
            match bytes.map(|bytes| self.part.process(bytes, out)) {
                Ok(Ok(())) => {}
                // What else is held is still good, so an error costs its own chunk only.
                Ok(Err(error)) if self.finishes => out.fault(error),
                Ok(Err(error)) => return Err(error),
                Err(fault) => out.fault(*fault),
            }
            if let Some(rest) = out.take_left() {
                self.waiting.push(Piece { bytes: Ok(rest), ingest_ns });
            }
        }
        if let Some(finish_ns) = finish_ns.filter(|_| self.finishes && self.waiting.is_empty()) {
            self.finishes = false;
            out.set_ingest_ns(finish_ns);
            self.part.finish(out).unwrap_or_else(|error| out.fault(error));
        }
        Ok(())
    }
}

/// How many of the pieces there is room for.
fn fitting(pieces: &[Piece], room: Room) -> usize {
    let mut left = room.bytes;
    let fits = pieces.iter().take(room.pieces).take_while(|piece| {
        let fits = left > 0;
        left = left.saturating_sub(piece.len());
        fits
    });
    fits.count()
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
        formatter
            .debug_struct("Decoder")
            .field("stages", &self.chain.as_ref().map_or(0, |chain| chain.stages.len()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{part, resolver};

    fn decoder(stages: &[(&str, &str)]) -> Decoder {
        let stages = stages.iter().map(|(name, config)| part(name, config)).collect();
        resolver("string".into(), stages, vec![]).decoder()
    }

    /// All that comes of `wire` and of the end of the stream, and the most of one step.
    fn in_steps(
        decoder: &mut Decoder,
        wire: &[u8],
        room: Room,
    ) -> (Vec<Result<DecodedEvent, DecodeError>>, usize) {
        let (mut all, mut most, mut bytes) = (Vec::new(), 0, 0);
        let chunk = Bytes::copy_from_slice(wire);
        for is_end in [false, true] {
            let before = all.len();
            let mut sink = |event| all.push(event);
            let mut step = match is_end {
                false => decoder.begin(chunk.clone(), 1, room, &mut sink),
                true => decoder.begin_finish(2, room, &mut sink),
            };
            most = most.max(all.len() - before);
            bytes += step.bytes;
            while !step.is_last {
                let before = all.len();
                step = decoder.go_on(room, &mut |event| all.push(event));
                most = most.max(all.len() - before);
                bytes += step.bytes;
            }
        }
        let told: usize =
            all.iter().flatten().filter_map(|event| event.payload.value().as_str()).map(str::len).sum();
        assert_eq!(bytes, told, "the bytes of the pieces are counted");
        (all, most)
    }

    /// Preprocessors with their configs, what they are fed, and how many events that is.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], usize);

    #[test]
    fn what_comes_of_one_input_never_waits_all_at_once() {
        const PIECES: usize = 300_000;
        let frames = vec![0; 8 * PIECES];
        let lines = vec![b'\n'; PIECES];
        let bars = vec![b'|'; PIECES];
        let cases: [Case<'_>; 6] = [
            (&[("separate", "")], &lines, PIECES),
            (&[("separate", r#"{"buffered": false}"#)], &lines, PIECES + 1),
            (&[("length-prefixed", "")], &frames, PIECES),
            (&[("separate", "{}"), ("remove-empty", "")], &lines, 0),
            // Everything comes at the end of the stream.
            (
                &[("separate", "{}"), ("separate", r#"{"separator": "|", "buffered": false}"#)],
                &bars,
                PIECES + 1,
            ),
            (&[("separate", "{}"), ("separate", r#"{"separator": "|"}"#), ("base64", "")], &bars, PIECES),
        ];
        for (stages, wire, expected) in cases {
            let mut decoder = decoder(stages);
            let (all, most) = in_steps(&mut decoder, wire, Room { pieces: 1000, bytes: usize::MAX });
            assert_eq!((all.len(), most <= 1000), (expected, true), "{stages:?}");
            let chain = decoder.chain.unwrap();
            let mut lists: Vec<usize> = chain.stages.iter().map(|stage| stage.waiting.capacity()).collect();
            lists.extend([chain.ready.capacity()]);
            assert!(lists.iter().all(|room| *room <= 2 * MOST_PIECES), "{stages:?}: {lists:?}");
        }
    }

    #[test]
    fn a_step_ends_where_its_bytes_do_and_one_long_piece_passes() {
        let mut decoder = decoder(&[("separate", "")]);
        let wire = b"1234\n1234\n1234\n1234567890\n1\n";
        let mut sizes = Vec::new();
        let room = Room { pieces: 10, bytes: 8 };
        let mut step = decoder.begin(Bytes::from_static(wire), 1, room, &mut |_| {});
        loop {
            sizes.push(step.bytes);
            if step.is_last {
                break;
            }
            step = decoder.go_on(room, &mut |_| {});
        }
        assert_eq!(sizes, [8, 14, 1]);
    }

    #[test]
    fn steps_give_what_one_call_gives() {
        let stages = [("separate", ""), ("base64", ""), ("separate", r#"{"separator": "|"}"#)];
        let wire = b"YXxifGM=\nfHx8\nZA==\nIQ==";
        let (whole, _) = in_steps(&mut decoder(&stages), wire, Room::UNBOUNDED);
        assert_eq!(whole.len(), 6, "{whole:?}");
        for pieces in 1..4 {
            let (steps, most) = in_steps(&mut decoder(&stages), wire, Room { pieces, bytes: usize::MAX });
            assert!(steps == whole && most == pieces, "{pieces}: {steps:?}");
        }
    }

    #[test]
    fn a_fault_in_the_midst_of_a_long_input_ends_it() {
        let mut decoder = decoder(&[("separate", ""), ("base64", "")]);
        let good = "aGk=\n".repeat(MOST_PIECES);
        let (all, _) = in_steps(&mut decoder, format!("{good}!\n{good}").as_bytes(), Room::UNBOUNDED);
        assert_eq!(all.len(), MOST_PIECES + 1, "what came before as an input of its own is good");
        assert!(all.last().is_some_and(Result::is_err));
        assert!(decoder.chain.unwrap().stages.iter().all(Stage::is_done));
    }
}
