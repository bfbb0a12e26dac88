//! Tests over the whole crate: chains, definitions and round trips.

use bytes::Bytes;
use proptest::prelude::*;
use tracing::Level;
use tremor_value::{Content, MetaRef, Record, Value};

use crate::testing::{self, INGEST_NS, Log, events_of, part, resolver};
use crate::{
    Chunks, Codec, CodecError, Decoded, Decoder, Decoding, Definition, EncodeError, Encoder, Pieces,
    Postprocessor, Preprocessor, ProcessError, Registry,
};

fn decoder(codec: &str, preprocessors: &[&str]) -> Decoder {
    resolver(codec.into(), preprocessors.iter().map(|name| (*name).into()).collect(), vec![]).decoder()
}

fn encoder(codec: &str, postprocessors: &[&str]) -> Encoder {
    resolver(codec.into(), vec![], postprocessors.iter().map(|name| (*name).into()).collect()).encoder()
}

fn value(json: &str) -> Value {
    Value::from_json_str(json).unwrap()
}

fn event(json: &str) -> Result<(String, u64), String> {
    Ok((json.to_owned(), INGEST_NS))
}

fn encoded(encoder: &mut Encoder, value: &Value) -> Vec<Vec<u8>> {
    let mut out = Chunks::new();
    encoder.encode(value, INGEST_NS, (&Value::Null).into(), &mut out).unwrap();
    out.iter().map(<[u8]>::to_vec).collect()
}

#[test]
fn every_part_conforms() {
    testing::conformance(&Registry::standard());
}

/// What is encoded once may be sent on many connections: their encoders would have given the same, whatever they had
/// been given before.
#[test]
fn stateless_parts_give_the_same_whatever_came_before() {
    let registry = Registry::standard();
    let stages = registry.postprocessors().iter().map(|spec| vec![spec.name]);
    let chains: Vec<_> = stages.chain([vec![], vec!["base64", "length-prefixed"]]).collect();
    let values = [value("[1]"), Value::from("text"), Value::from(Bytes::from_static(b"\xff\n")), Value::Null];
    for codec in registry.codecs() {
        for chain in &chains {
            let mut used = encoder(codec.name, chain);
            assert!(used.is_stateless(), "every part up to now is: {} {chain:?}", codec.name);
            for value in values.iter().chain(values.iter().rev()) {
                let encode = |encoder: &mut Encoder| {
                    let mut out = Chunks::new();
                    let done = encoder.encode(value, INGEST_NS, (&Value::record()).into(), &mut out);
                    (
                        done.map_err(|error| error.to_string()),
                        out.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(),
                    )
                };
                assert_eq!(
                    encode(&mut used),
                    encode(&mut encoder(codec.name, chain)),
                    "{} {chain:?}",
                    codec.name
                );
            }
        }
    }
    let holding = Encoder::new(Box::new(Picky), vec![Box::new(Holding::default())]);
    assert!(!holding.is_stateless() && !Encoder::new(Box::new(Picky), vec![]).is_stateless());
}

/// What is shared instead of encoded is what encoding gives.
#[test]
fn what_is_held_is_what_is_encoded() {
    let document = |text: &'static str| tremor_value::json::Parser::new().document(text.into()).unwrap();
    let mut changed = document(r#"{"a":1}"#);
    changed.insert("a", 2_u64);
    let payloads = [
        (document("[1,{}]"), vec!["json", "string", "binary"]),
        (document(" {\"a\":\"\"}\n"), vec!["json", "string", "binary"]),
        (document("[1, 2]"), vec![]),
        (changed, vec![]),
        (document("\"text\""), vec![]),
        (Value::from("text").into(), vec![]),
        (Value::from(Bytes::from_static(b"\xff\n")).into(), vec!["binary"]),
        (value("[1]").into(), vec![]),
    ];
    for codec in Registry::standard().codecs() {
        for (payload, by) in &payloads {
            let mut encoder = encoder(codec.name, &[]);
            let held = encoder.held(payload, 2).map(|held| held.to_vec());
            assert_eq!(held.is_some(), by.contains(&codec.name), "{} {payload:?}", codec.name);
            let mut out = Chunks::new();
            encoder.encode(payload, INGEST_NS, (&Value::record()).into(), &mut out).unwrap();
            assert!(held.is_none_or(|held| out.iter().eq([&held[..]])), "{} {payload:?}", codec.name);
        }
    }
    let (payload, _) = &payloads[0];
    assert!(
        encoder("json", &[]).held(payload, 6).is_some() && encoder("json", &[]).held(payload, 7).is_none()
    );
    assert!(encoder("json-sorted", &[]).held(payload, 1).is_none());
    assert!(encoder("json", &["separate"]).held(payload, 1).is_none());
    assert!(encoder("json", &["base64"]).held(payload, 1).is_none());
}

#[test]
fn lines_of_json_become_events() {
    let mut decoder = decoder("json", &["separate"]);
    let wire: &[&[u8]] = &[b"{\"a\":1}\n[", b"]\n{]\n2\n3"];
    let broken = Err("invalid JSON at byte 1: expected a key in double quotes or `}`, found `]`".to_owned());
    assert_eq!(
        events_of(&mut decoder, wire),
        [event(r#"{"a":1}"#), event("[]"), broken, event("2"), event("3")]
    );
    assert_eq!(events_of(&mut decoder, &[b"4\n"]), [event("4")], "finishing leaves a new decoder");
}

#[test]
fn codec_errors_name_what_is_wrong() {
    assert_eq!(
        events_of(&mut decoder("string", &[]), &[b"a", b"", b"ab\xff"]),
        [event(r#""a""#), event(r#""""#), Err("invalid UTF-8 at byte 2".to_owned())]
    );
    assert_eq!(
        events_of(&mut decoder("json", &[]), &[b""]),
        [Err("invalid JSON at byte 0: the document is empty".to_owned())]
    );
}

#[test]
fn the_flush_runs_through_all_stages() {
    let mut decoder = decoder("string", &["separate", "base64"]);
    assert_eq!(events_of(&mut decoder, &[b"aGk=\naG", b"k="]), [event(r#""hi""#), event(r#""hi""#)]);
}

#[test]
fn ingest_time_is_carried_per_chunk() {
    let mut decoder = decoder("string", &["length-prefixed", "ingest-ns"]);
    let frame = |time: u64, text: &[u8]| {
        [&(text.len() as u64 + 8).to_be_bytes()[..], &time.to_be_bytes(), text].concat()
    };
    let wire = [frame(1, b"a"), frame(2, b"b")].concat();
    assert_eq!(
        events_of(&mut decoder, &[&wire]),
        [Ok((r#""a""#.to_owned(), 1)), Ok((r#""b""#.to_owned(), 2))]
    );
}

#[test]
fn a_failing_preprocessor_ends_its_input_and_nothing_else() {
    let mut decoder = decoder("string", &["separate", "base64"]);
    let broken = Err("invalid base64: Invalid symbol 33, offset 0.".to_owned());
    assert_eq!(
        events_of(&mut decoder, &[b"aGk=\n!\naGk=\n", b"aGk=\n"]),
        [broken, event(r#""hi""#)],
        "the input with the fault gives one error and no events"
    );
}

#[test]
fn a_fault_leaves_its_neighbours_alone() {
    let separate = part("separate", r#"{"max_length": 4}"#);
    let mut decoder = resolver("string".into(), vec![separate, "remove-empty".into()], vec![]).decoder();
    let events = events_of(&mut decoder, &[b"a\n123", b"45\n\nb\n"]);
    let too_long =
        "Discarded fragment of length 2 since total length of 5 exceeds maximum allowed length of 4"
            .to_owned();
    assert_eq!(events, [event(r#""a""#), Err(too_long), event(r#""b""#)]);
}

#[test]
fn large_inputs_are_fed_in_parts() {
    let mut decoder = decoder("string", &["separate"]);
    let line = "x".repeat(99);
    let wire = format!("{line}\n").repeat(5000);
    let mut count = 0;
    decoder.decode(wire.into(), INGEST_NS, &mut |result| {
        assert_eq!(result.unwrap().payload.value().as_str(), Some(line.as_str()));
        count += 1;
    });
    assert_eq!(count, 5000);
}

#[test]
fn values_leave_through_codec_and_stages() {
    let record = value(r#"{"b":1,"a":2}"#);
    assert_eq!(encoded(&mut encoder("json", &[]), &record), [br#"{"b":1,"a":2}"#]);
    assert_eq!(encoded(&mut encoder("json-sorted", &["separate"]), &record), [b"{\"a\":2,\"b\":1}\n"]);
    assert_eq!(encoded(&mut encoder("json", &["separate", "separate"]), &value("1")), [b"1\n\n"]);
    assert_eq!(encoded(&mut encoder("json", &["base64", "separate"]), &value("10")), [b"MTA=\n"]);
    assert_eq!(encoded(&mut encoder("null", &["length-prefixed"]), &value("10")), [[0; 8]]);
    assert_eq!(encoded(&mut encoder("string", &["ingest-ns"]), &"x".into()), [b"\0\0\0\0\0\0\0\x2ax"]);
    assert_eq!(encoded(&mut encoder("null", &[]), &value("10")), [b""]);
    assert!(!encoder("json", &["base64"]).is_streaming());
}

/// Writes strings, and something before it fails for all else; reads a time from the chunk.
struct Picky;

impl Codec for Picky {
    fn decode(&mut self, chunk: Bytes, decoding: &mut Decoding) -> Result<Decoded, CodecError> {
        if chunk.is_empty() {
            return Ok(Decoded::Nothing);
        }
        decoding.ingest_ns = 7;
        decoding.meta = Some(Record::from_iter([("by", "picky")]));
        Ok(Decoded::Value(Value::Null.into()))
    }

    fn encode(
        &mut self,
        content: Content<'_>,
        _meta: MetaRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let text = content.value().as_str();
        out.extend_from_slice(text.unwrap_or("half").as_bytes());
        text.map(|_| ()).ok_or(CodecError::NotUtf8 { offset: 0 })
    }
}

/// Holds one chunk back; refuses chunks that begin with `!`, after having written something.
#[derive(Default)]
struct Holding {
    held: Option<Vec<u8>>,
    finished: usize,
}

impl Postprocessor for Holding {
    fn process(&mut self, _ingest_ns: u64, chunk: &[u8], out: &mut Chunks) -> Result<(), ProcessError> {
        out.push(b"<");
        if chunk.starts_with(b"!") {
            return Err(ProcessError::NoIngestTime);
        }
        out.push(&self.held.replace(chunk.to_vec()).unwrap_or_default());
        Ok(())
    }

    fn finish(&mut self, _ingest_ns: u64, out: &mut Chunks) -> Result<(), ProcessError> {
        self.finished += 1;
        assert_eq!(self.finished, 1, "a stage is finished once");
        out.push(&self.held.take().unwrap_or_default());
        Ok(())
    }

    fn is_streaming(&self) -> bool {
        true
    }
}

impl Preprocessor for Holding {
    fn process(&mut self, chunk: Bytes, out: &mut Pieces) -> Result<(), ProcessError> {
        if let Some(held) = self.held.replace(chunk.to_vec()) {
            out.push(held.into());
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Pieces) -> Result<(), ProcessError> {
        self.finished += 1;
        assert_eq!(self.finished, 1, "a stage is finished once");
        if let Some(held) = self.held.take() {
            out.push(held.into());
        }
        Ok(())
    }
}

#[test]
fn nothing_of_a_failed_event_stays() {
    for stages in [vec![], vec![Box::<Holding>::default() as Box<dyn Postprocessor>]] {
        let mut encoder = Encoder::new(Box::new(Picky), stages);
        let mut out = Chunks::new();
        out.push(b"before");
        let error = encoder.encode(&value("1"), INGEST_NS, (&Value::Null).into(), &mut out).unwrap_err();
        assert_eq!(error, EncodeError::Codec(CodecError::NotUtf8 { offset: 0 }));
        assert_eq!(out.iter().collect::<Vec<_>>(), [b"before"]);
    }
    let mut encoder = Encoder::new(Box::new(Picky), vec![Box::<Holding>::default()]);
    let mut out = Chunks::new();
    let error = encoder.encode(&Value::from("!"), INGEST_NS, (&Value::Null).into(), &mut out).unwrap_err();
    assert_eq!(error, EncodeError::Postprocessor(ProcessError::NoIngestTime));
    assert!(out.is_empty() && out.as_bytes().is_empty());
}

#[test]
fn every_stage_is_finished_once_with_all_that_came_before() {
    let stages: Vec<Box<dyn Postprocessor>> = vec![Box::<Holding>::default(), Box::<Holding>::default()];
    let mut encoder = Encoder::new(Box::new(Picky), stages);
    assert!(encoder.is_streaming());
    let mut out = Chunks::new();
    encoder.encode(&Value::from("a"), INGEST_NS, (&Value::Null).into(), &mut out).unwrap();
    out.clear();
    encoder.finish(&mut out).unwrap();
    assert_eq!(out.iter().collect::<Vec<_>>(), [&b"<"[..], b"", b"a"]);

    let stages: Vec<Box<dyn Preprocessor>> = vec![Box::<Holding>::default(), Box::<Holding>::default()];
    let codec = resolver("string".into(), vec![], vec![]).codec();
    let events = events_of(&mut Decoder::new(stages, codec), &[b"a", b"b", b"c"]);
    assert_eq!(events, [event(r#""a""#), event(r#""b""#), event(r#""c""#)]);
}

#[test]
fn a_codec_may_give_nothing_or_change_what_goes_along() {
    let mut decoder = Decoder::new(vec![], Box::new(Picky));
    let mut events = Vec::new();
    for chunk in ["", "x"] {
        decoder.decode(chunk.into(), INGEST_NS, &mut |event| events.push(event.unwrap()));
    }
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].ingest_ns, 7);
    assert_eq!(events[0].meta, Some(Record::from_iter([("by", "picky")])));
}

#[test]
fn mistakes_in_definitions_are_named() {
    let registry = Registry::standard();
    let check = |definition: Definition| registry.resolver(&definition).map(|_| ()).unwrap_err().to_string();
    let codec = |name: &str, config: &str| check(Definition::of_codec(part(name, config)));
    let pre = |name: &str, config: &str| {
        check(Definition { preprocessors: vec![part(name, config)], ..Definition::of_codec("json") })
    };
    let post = |name: &str, config: &str| {
        check(Definition { postprocessors: vec![part(name, config)], ..Definition::of_codec("json") })
    };
    assert_eq!(codec("strng", ""), "Codec \"strng\" not found. Did you mean `string`?");
    assert_eq!(codec("xml", ""), "Codec \"xml\" not found. There are `json`, `string`, `binary`, `null`.");
    assert_eq!(codec("", ""), "Codec \"\" not found. There are `json`, `string`, `binary`, `null`.");
    assert_eq!(
        codec("json", r#"{"mode": "fast"}"#),
        "Unknown json codec mode: fast, can only be one of `sorted` or `unsorted`"
    );
    assert_eq!(
        codec("json", r#"{"mod": "sorted"}"#),
        "json Invalid config: unknown field `mod`, did you mean `mode`?"
    );
    assert_eq!(pre("seperate", ""), "seperate Preprocessor not found. Did you mean `separate`?");
    assert_eq!(post("seperate", ""), "seperate Postprocessor not found. Did you mean `separate`?");
    let preprocessors = "There are `separate`, `remove-empty`, `base64`, `ingest-ns`, `length-prefixed`.";
    assert_eq!(pre("gzip", ""), format!("gzip Preprocessor not found. {preprocessors}"));
    let postprocessors = "There are `separate`, `base64`, `length-prefixed`, `ingest-ns`.";
    assert_eq!(post("remove-empty", ""), format!("remove-empty Postprocessor not found. {postprocessors}"));
    for separator in ["", "ab", "é"] {
        let config = format!(r#"{{"separator": "{separator}"}}"#);
        let message = format!("lines Invalid config: Invalid 'separator': \"{separator}\", must be 1 byte.");
        assert_eq!(pre("lines", &config), message);
        assert_eq!(post("lines", &config), message);
    }
    assert_eq!(
        pre("separate", r#"{"max_length": -1}"#),
        "separate Invalid config: `max_length` must be an integer that is not negative, found -1"
    );
    assert_eq!(
        pre("separate", r#"{"buffered": "no"}"#),
        "separate Invalid config: `buffered` must be a bool, found \"no\""
    );
    assert_eq!(
        post("separate", r#"{"max_length": 1}"#),
        "separate Invalid config: unknown field `max_length`"
    );
    assert_eq!(pre("separate", "[]"), "separate Invalid config: expected a record, found []");
    assert_eq!(
        pre("separate", r#"{"max_len": 1, "buffered": 2}"#),
        "separate Invalid config: unknown field `max_len`; `buffered` must be a bool, found 2",
    );
    assert_eq!(pre("base64", r#"{"a": 1}"#), "base64 Invalid config: unknown field `a`, there are no fields");
}

#[test]
fn aliases_and_needless_configs_are_accepted() {
    let registry = Registry::standard();
    let accept = |definition: Definition| registry.resolver(&definition).unwrap();
    for name in ["json", "json-sorted", "string", "binary", "bytes", "null"] {
        accept(Definition::of_codec(name));
    }
    accept(Definition::of_codec(part("string", r#"{"ignored": true}"#)));
    let pre = ["separate", "lines", "split", "remove-empty", "base64", "ingest-ns", "ingest-ts"];
    let pre = pre.into_iter().chain(["attach-ingress-ts", "length-prefixed", "length-prefix"]);
    let post = ["separate", "lines", "join", "base64", "length-prefixed", "length-prefix", "ingest-ns"];
    accept(Definition {
        codec: "json".into(),
        preprocessors: pre.map(Into::into).collect(),
        postprocessors: post.into_iter().chain(["ingest-ts", "attach-ingress-ts"]).map(Into::into).collect(),
    });
    accept(Definition {
        postprocessors: vec![part("separate", r#"{"buffered": false}"#)],
        ..Definition::of_codec("json")
    });
}

#[test]
fn streams_do_not_share_state() {
    let resolver = resolver("string".into(), vec!["separate".into()], vec![]);
    let (mut one, mut two) = (resolver.decoder(), resolver.decoder());
    one.decode(Bytes::from_static(b"a"), INGEST_NS, &mut |_| panic!("nothing is complete"));
    assert_eq!(events_of(&mut two, &[b"b"]), [event(r#""b""#)]);
    assert_eq!(events_of(&mut one, &[]), [event(r#""a""#)]);
    let text = testing::resolver("binary".into(), vec![], vec![]);
    assert_eq!(
        events_of(&mut resolver.with_codec_of(&text).decoder(), &[b"a\nb"]),
        [event(r#""YQ==""#), event(r#""Yg==""#)]
    );
}

#[test]
fn rest_loses_nothing() {
    let mut decoder = decoder("json", &["separate"]);
    let mut events = Vec::new();
    for chunk in ["[1]\n[2", "]\n"] {
        decoder.decode(chunk.into(), INGEST_NS, &mut |event| events.push(event.unwrap().payload));
        decoder.rest();
    }
    assert_eq!(events, [value("[1]").into(), value("[2]").into()]);
    let mut encoder = Encoder::new(Box::new(Picky), vec![Box::<Holding>::default()]);
    let mut out = Chunks::new();
    encoder.encode(&Value::from("a"), INGEST_NS, (&Value::Null).into(), &mut out).unwrap();
    encoder.rest();
    out.clear();
    encoder.finish(&mut out).unwrap();
    assert_eq!(out.as_bytes(), b"a");
}

#[test]
fn decoders_can_move_between_threads() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    is_send::<Decoder>();
    is_send::<Encoder>();
    is_shared::<crate::Resolver>();
    is_shared::<Registry>();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn processors_are_inverse(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        step in 1_usize..60,
    ) {
        let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        for name in ["base64", "length-prefixed", "ingest-ns"] {
            let (post, pre) = (testing::postprocessor(name, ""), testing::preprocessor(name, ""));
            testing::round_trip_by_chunk(&post, &pre, &chunks);
        }
        let prefixed = "length-prefixed";
        let (post, pre) = (testing::postprocessor(prefixed, ""), testing::preprocessor(prefixed, ""));
        testing::round_trip_by_stream(&post, &pre, &chunks, step);
        for config in [r#"{"separator": "\n"}"#, r#"{"separator": "\u0000"}"#, r#"{"separator": "|"}"#] {
            let separator = [b'\n', 0, b'|'];
            let clean: Vec<Vec<u8>> = chunks.iter()
                .map(|chunk| chunk.iter().copied().filter(|byte| !separator.contains(byte)).collect())
                .collect();
            let clean: Vec<&[u8]> = clean.iter().map(Vec::as_slice).collect();
            let (post, pre) = (testing::postprocessor("separate", config), testing::preprocessor("separate", config));
            testing::round_trip_by_stream(&post, &pre, &clean, step);
        }
    }

    #[test]
    fn codecs_are_inverse(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let values = [
            ("string", Value::from(text.as_str())),
            ("json", Value::from(vec![Value::from(text.as_str()), Value::from(1.5), Value::Null])),
            ("binary", Value::from(Bytes::from(bytes))),
        ];
        for (name, value) in values {
            let chunk = encoded(&mut encoder(name, &[]), &value).concat();
            let mut codec = resolver(name.into(), vec![], vec![]).codec();
            let decoded = codec.decode(chunk.into(), &mut Decoding::at(INGEST_NS)).unwrap();
            prop_assert_eq!(decoded, Decoded::Value(value.into()));
        }
    }

    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        step in 1_usize..60,
        config in prop::sample::select(vec!["", "{}", r#"{"max_length": 3}"#]),
    ) {
        let cut: Vec<&[u8]> = bytes.chunks(step).collect();
        for codec in Registry::standard().codecs() {
            for stage in Registry::standard().preprocessors() {
                let config = if stage.fields.is_empty() { "" } else { config };
                let stages = vec![part(stage.name, config)];
                let mut decoder = resolver(codec.name.into(), stages, vec![]).decoder();
                prop_assert!(events_of(&mut decoder, &cut).len() <= bytes.len() + cut.len() + 1);
            }
        }
    }
}

#[test]
fn what_is_dropped_is_logged_with_its_connector() {
    let (log, _listening) = Log::listen();
    let separate = part("separate", r#"{"max_length": 2}"#);
    let decoders = [
        resolver("string".into(), vec![separate], vec![]).owned_by("main::lines").decoder(),
        resolver("string".into(), vec!["length-prefixed".into()], vec![]).owned_by("main::frames").decoder(),
    ];
    for mut decoder in decoders {
        // The name outlives a rest.
        decoder.rest();
        decoder.decode(Bytes::from_static(b"long\nmore\n\n"), INGEST_NS, &mut |_| {});
        decoder.finish(INGEST_NS, &mut |_| {});
    }
    let mut half =
        resolver("string".into(), vec!["length-prefixed".into()], vec![]).owned_by("main::half").decoder();
    half.decode(Bytes::from_static(b"\0\0"), INGEST_NS, &mut |_| {});
    half.finish(INGEST_NS, &mut |_| {});
    let dropped =
        "tremor_runtime: [Source::main::lines] dropped a piece of 4 bytes, since more than 2 are not allowed";
    assert_eq!(log.levels(dropped), [Level::WARN, Level::DEBUG], "{}", log.text());
    let unfinished = "tremor_runtime: [Source::main::half] dropped an unfinished frame";
    assert_eq!(log.levels(unfinished), [Level::WARN], "{}", log.text());
}
