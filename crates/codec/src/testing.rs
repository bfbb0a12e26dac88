//! The suite that every codec and processor runs through, and helpers for their tests.
//!
//! A fault found in one part becomes a case here and guards all the others.
#![expect(clippy::panic, reason = "tests fail by panicking")]

mod log;

pub use log::{Log, listen};

use bytes::Bytes;
use tremor_value::Value;

use crate::{
    Case, Chunks, Codec, Decoded, Decoder, Decoding, Definition, Example, NameAndConfig, Pieces,
    Postprocessor, Preprocessor, Registry, Resolver, Sample,
};

/// Ingest time of everything that goes through this suite, in nanoseconds.
pub const INGEST_NS: u64 = 42;

/// What came out: chunks, and the messages of errors and faults.
pub type Results = Vec<Result<Vec<u8>, String>>;

/// A part by name; the config is JSON, or empty if only the name is given.
#[must_use]
pub fn part(name: &str, config: &str) -> NameAndConfig {
    let config = (!config.is_empty()).then(|| json(config));
    NameAndConfig { name: name.into(), config }
}

/// A checked definition with the standard parts.
#[must_use]
pub fn resolver(
    codec: NameAndConfig,
    preprocessors: Vec<NameAndConfig>,
    postprocessors: Vec<NameAndConfig>,
) -> Resolver {
    let definition = Definition { codec, preprocessors, postprocessors };
    Registry::standard().resolver(&definition).unwrap_or_else(|error| panic!("{error}"))
}

/// Makes a standard preprocessor.
pub fn preprocessor(name: &str, config: &str) -> impl Fn() -> Box<dyn Preprocessor> + use<> {
    let make =
        Registry::standard().preprocessor(&part(name, config)).unwrap_or_else(|error| panic!("{error}"));
    move || make()
}

/// Makes a standard postprocessor.
pub fn postprocessor(name: &str, config: &str) -> impl Fn() -> Box<dyn Postprocessor> + use<> {
    let make =
        Registry::standard().postprocessor(&part(name, config)).unwrap_or_else(|error| panic!("{error}"));
    move || make()
}

/// What a new preprocessor gives for the chunks and the end of the stream behind them. It is the same wherever the
/// stage has to stop because there is no room for more pieces.
pub fn results_of(make: &impl Fn() -> Box<dyn Preprocessor>, chunks: &[&[u8]]) -> Results {
    let results = results_with_room(make, chunks, Pieces::default());
    for most in [1, 2, 3] {
        let narrow = results_with_room(make, chunks, Pieces::of_at_most(most));
        assert_eq!(narrow, results, "with room for {most}");
    }
    results
}

fn results_with_room(
    make: &impl Fn() -> Box<dyn Preprocessor>,
    chunks: &[&[u8]],
    mut out: Pieces,
) -> Results {
    let mut stage = make();
    let mut results = Vec::new();
    for chunk in chunks {
        out.set_ingest_ns(INGEST_NS);
        let mut rest = Some(Bytes::copy_from_slice(chunk));
        while let Some(chunk) = rest.take() {
            if let Err(error) = stage.process(chunk, &mut out) {
                out.clear();
                out.fault(error);
            }
            rest = out.take_left();
            collect(&mut out, &mut results);
        }
        stage.rest();
    }
    if let Err(error) = stage.finish(&mut out) {
        out.fault(error);
    }
    collect(&mut out, &mut results);
    results
}

fn collect(out: &mut Pieces, results: &mut Results) {
    results.extend(out.drain().map(|piece| match piece.bytes {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(fault) => Err(fault.to_string()),
    }));
}

/// Like [`results_of`], where no errors are expected.
pub fn chunks_of(make: &impl Fn() -> Box<dyn Preprocessor>, chunks: &[&[u8]]) -> Vec<Vec<u8>> {
    let results = results_of(make, chunks).into_iter();
    results.map(|result| result.unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// What a new postprocessor gives for the chunks and the end of the stream behind them.
pub fn posted(make: &impl Fn() -> Box<dyn Postprocessor>, chunks: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut stage = make();
    let mut out = Chunks::new();
    for chunk in chunks {
        stage.process(INGEST_NS, chunk, &mut out).unwrap_or_else(|error| panic!("{error}"));
    }
    stage.finish(INGEST_NS, &mut out).unwrap_or_else(|error| panic!("{error}"));
    out.iter().map(<[u8]>::to_vec).collect()
}

/// A stage that cuts a stream gives `expected` for `wire` fed whole, byte by byte and cut at every position,
/// with empty chunks between. Cut short, it gives the first of them, and at most an unfinished last one.
pub fn framing(make: impl Fn() -> Box<dyn Preprocessor>, wire: &[u8], expected: &[&[u8]]) {
    assert_eq!(chunks_of(&make, &[wire]), expected, "whole");
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(chunks_of(&make, &bytes), expected, "byte by byte");
    for at in 0..=wire.len() {
        let (head, tail) = wire.split_at(at);
        assert_eq!(chunks_of(&make, &[head, b"", tail]), expected, "cut at byte {at}");
        let short = chunks_of(&make, &[head]);
        assert!(expected.len() >= short.len(), "cut short at byte {at}: {short:?}");
        for (index, (got, whole)) in short.iter().zip(expected).enumerate() {
            let is_last = index + 1 == short.len();
            let fits = if is_last { whole.starts_with(got) } else { got == whole };
            assert!(fits, "cut short at byte {at}: {short:?}");
        }
    }
}

/// Feeds bytes that nobody in their right mind sends, cut in many ways: no panic, and not more comes out than
/// went in.
pub fn hostile_stream(make: impl Fn() -> Box<dyn Preprocessor>) {
    for seed in 1..200_u64 {
        let wire = hostile_bytes(seed);
        let step = usize::try_from(seed % 13).unwrap_or_default() + 1;
        let chunks: Vec<&[u8]> = wire.chunks(step).collect();
        for chunks in [&[wire.as_slice()][..], &chunks] {
            let out: usize = results_of(&make, chunks).iter().flatten().map(Vec::len).sum();
            assert!(out <= wire.len(), "seed {seed}: {out} bytes of {}", wire.len());
        }
    }
}

/// Feeds a codec bytes that nobody in their right mind sends: errors are fine, panics are not, and what it
/// reads it can write.
pub fn hostile_chunks(make: impl Fn() -> Box<dyn Codec>) {
    let mut codec = make();
    for seed in 1..400_u64 {
        let chunk = Bytes::from(hostile_bytes(seed));
        if let Ok(Decoded::Value(payload)) = codec.decode(chunk, &mut Decoding::at(INGEST_NS)) {
            let mut out = Vec::new();
            let encoded = codec.encode((&payload).into(), (&Value::Null).into(), &mut out);
            encoded.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
    }
}

/// Random bytes with a liking for what formats are made of: lengths, zeros, quotes, brackets, line feeds.
fn hostile_bytes(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::new();
    for _ in 0..next() % 24 {
        let number = next();
        match number % 7 {
            0 => bytes.extend_from_slice(&(number >> 32).to_be_bytes()),
            1 => bytes.extend_from_slice(&u64::MAX.to_be_bytes()),
            2 => bytes.extend_from_slice(&[0; 8]),
            3 => bytes.extend_from_slice(&(number >> 61).to_be_bytes()),
            4 => bytes.extend_from_slice(b"{\"a\":[\"\\ud800"),
            5 => bytes.extend_from_slice(&number.to_le_bytes()),
            _ => bytes.push(b'\n'),
        }
    }
    bytes
}

/// What a postprocessor makes of the chunks, its preprocessor turns back, chunk by chunk.
pub fn round_trip_by_chunk(
    post: &impl Fn() -> Box<dyn Postprocessor>,
    pre: &impl Fn() -> Box<dyn Preprocessor>,
    chunks: &[&[u8]],
) {
    let wire = posted(post, chunks);
    let wire: Vec<&[u8]> = wire.iter().map(Vec::as_slice).collect();
    assert_eq!(chunks_of(pre, &wire), chunks);
}

/// The same when the bytes are joined and cut again every `step` bytes.
pub fn round_trip_by_stream(
    post: &impl Fn() -> Box<dyn Postprocessor>,
    pre: &impl Fn() -> Box<dyn Preprocessor>,
    chunks: &[&[u8]],
    step: usize,
) {
    let wire = posted(post, chunks).concat();
    let cut: Vec<&[u8]> = wire.chunks(step.max(1)).collect();
    assert_eq!(chunks_of(pre, &cut), chunks);
}

/// All events that a decoder gives for the chunks and the end of the stream: payloads as JSON with their
/// ingest time, errors as messages.
pub fn events_of(decoder: &mut Decoder, chunks: &[&[u8]]) -> Vec<Result<(String, u64), String>> {
    let mut events = Vec::new();
    let mut sink = |result: Result<crate::DecodedEvent, crate::DecodeError>| {
        events.push(match result {
            Ok(event) => Ok((event.payload.value().to_string(), event.ingest_ns)),
            Err(error) => Err(error.to_string()),
        });
    };
    for chunk in chunks {
        decoder.decode(Bytes::copy_from_slice(chunk), INGEST_NS, &mut sink);
    }
    decoder.finish(INGEST_NS, &mut sink);
    events
}

/// Runs every example of every part, and feeds every part hostile bytes. Every part must have an example.
pub fn conformance(registry: &Registry) {
    for spec in registry.codecs() {
        assert!(!spec.examples.is_empty(), "codec {} has no example", spec.name);
        for example in spec.examples {
            let codec = part(spec.name, example.config);
            let make = resolve_codec(registry, &codec);
            codec_example(spec.name, make.as_ref(), example);
            hostile_chunks(make);
        }
    }
    for spec in registry.preprocessors() {
        assert!(!spec.examples.is_empty(), "preprocessor {} has no example", spec.name);
        for example in spec.examples {
            let make = registry.preprocessor(&part(spec.name, example.config));
            let make = make.unwrap_or_else(|error| panic!("{error}"));
            let (input, output) = process_case(spec.name, example);
            assert_eq!(chunks_of(&|| make(), input), output, "preprocessor {}", spec.name);
        }
    }
    for spec in registry.postprocessors() {
        assert!(!spec.examples.is_empty(), "postprocessor {} has no example", spec.name);
        for example in spec.examples {
            let make = registry.postprocessor(&part(spec.name, example.config));
            let make = make.unwrap_or_else(|error| panic!("{error}"));
            let (input, output) = process_case(spec.name, example);
            assert_eq!(posted(&|| make(), input), output, "postprocessor {}", spec.name);
        }
    }
}

fn resolve_codec(registry: &Registry, codec: &NameAndConfig) -> Box<dyn Fn() -> Box<dyn Codec>> {
    let resolver = registry.resolver(&Definition::of_codec(codec.clone()));
    let resolver = resolver.unwrap_or_else(|error| panic!("{error}"));
    Box::new(move || resolver.codec())
}

fn process_case(name: &str, example: &Example) -> (&'static [&'static [u8]], &'static [&'static [u8]]) {
    match example.case {
        Case::Process { input, output } => (input, output),
        _ => panic!("the examples of the processor {name} process chunks"),
    }
}

fn codec_example(name: &str, make: &dyn Fn() -> Box<dyn Codec>, example: &Example) {
    let (decodes, encodes) = match example.case {
        Case::Both { bytes, value } => (Some((bytes, value)), Some((bytes, value))),
        Case::Decode { bytes, value } => (Some((bytes, value)), None),
        Case::Encode { value, bytes } => (None, Some((bytes, value))),
        Case::Process { .. } => panic!("the examples of the codec {name} decode and encode"),
    };
    if let Some((bytes, value)) = decodes {
        match make().decode(Bytes::from_static(bytes), &mut Decoding::at(INGEST_NS)) {
            Ok(Decoded::Value(payload)) => assert_eq!(payload.value(), &sample(value), "codec {name}"),
            other => panic!("codec {name}: {other:?}"),
        }
    }
    if let Some((bytes, value)) = encodes {
        let mut out = b"before".to_vec();
        let encoded = make().encode((&sample(value)).into(), (&Value::Null).into(), &mut out);
        encoded.unwrap_or_else(|error| panic!("codec {name}: {error}"));
        assert_eq!(out, [b"before", bytes].concat(), "codec {name}");
    }
}

fn sample(sample: Sample) -> Value {
    match sample {
        Sample::Json(text) => json(text),
        Sample::Bytes(bytes) => Value::from(Bytes::from_static(bytes)),
    }
}

fn json(text: &str) -> Value {
    Value::from_json_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
