use super::*;
use std::time::{Duration, Instant};

fn document(text: &str) -> Document {
    Document { text: text.to_owned(), references: Vec::new() }
}

fn json(text: &str) -> Model {
    Model::compile(Format::Json, None, &document(text)).unwrap()
}

fn avro(text: &str, view: bool) -> Model {
    Model::compile(Format::Avro { view }, None, &document(text)).unwrap()
}

fn protobuf(text: &str, record: Option<&str>, view: bool, indexes: bool) -> Model {
    Model::compile(Format::Protobuf { view, indexes }, record, &document(text)).unwrap()
}

/// Pointer and rule of each violation.
fn violations(model: &Model, payload: &[u8]) -> Vec<(String, String)> {
    let invalid = model.incoming(payload).unwrap_err();
    invalid.violations.into_iter().map(|violation| (violation.pointer, violation.rule)).collect()
}

fn only(pointer: &str, rule: &str) -> Vec<(String, String)> {
    vec![(pointer.to_owned(), rule.to_owned())]
}

#[test]
fn json_is_checked_as_its_schema_says() {
    let model = json(
        r##"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "required": ["kind"],
            "properties": {"kind": {"const": "reading"}, "celsius": {"type": "number", "maximum": 80},
                           "site/a": {"type": "string", "format": "ipv4"}, "step": {"type": "integer", "multipleOf": 2}}}"##,
    );
    for good in [r#"{"kind": "reading"}"#, r#"{"kind": "reading", "celsius": 80, "step": 4.0}"#] {
        assert_eq!(model.incoming(good.as_bytes()), Ok(None), "{good}");
        assert_eq!(model.outgoing(good.as_bytes()), Ok(None), "{good}");
    }
    assert_eq!(violations(&model, br#"{"kind": "reading", "celsius": 81}"#), only("/celsius", "maximum"));
    assert_eq!(violations(&model, br#"{"kind": "reading", "site/a": "x"}"#), only("/site~1a", "format"));
    assert_eq!(violations(&model, br#"{"kind": "reading", "step": 3}"#), only("/step", "multipleOf"));
    assert_eq!(violations(&model, br#"{}"#), only("", "required"));
    assert_eq!(violations(&model, b"{"), only("", "json"));
    // What the flow would see counts: the last of several members of one name.
    assert_eq!(violations(&model, br#"{"kind": "reading", "kind": 1}"#), only("/kind", "const"));
    let invalid = model.incoming(br#"{"kind": 1, "celsius": "hot"}"#).unwrap_err();
    assert_eq!(invalid.value, Value::from_json_str(r#"{"kind": 1, "celsius": "hot"}"#).unwrap());
    assert_eq!(invalid.violations.len(), 2);
}

#[test]
fn at_most_so_many_violations_are_told_and_each_is_short() {
    let model = json(r#"{"items": {"type": "integer", "pattern": "^a"}}"#);
    let text = format!("[{}]", vec!["\"b\""; 100].join(","));
    assert_eq!(violations(&model, text.as_bytes()).len(), MAX_VIOLATIONS);
    let model = json(&format!(r#"{{"enum": ["{}"]}}"#, "long".repeat(1000)));
    let invalid = model.incoming(b"1").unwrap_err();
    assert!(invalid.violations[0].message.len() < 300, "{invalid:?}");
}

#[test]
fn schemas_refer_to_what_comes_with_them_and_to_nothing_else() {
    let main = r#"{"properties": {"a": {"$ref": "other.json"}, "b": {"$ref": "https://x.example/deep.json#/definitions/n"}}}"#;
    let with = |references: &[(&str, &str)]| {
        let references = references.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        Model::compile(Format::Json, None, &Document { text: main.to_owned(), references })
    };
    let both = [
        ("other.json", r#"{"type": "string"}"#),
        ("https://x.example/deep.json", r#"{"definitions": {"n": {"type": "number"}}}"#),
    ];
    let model = with(&both).unwrap();
    assert_eq!(model.incoming(br#"{"a": "x", "b": 1}"#), Ok(None));
    assert_eq!(violations(&model, br#"{"a": 1, "b": 1}"#), only("/a", "type"));
    assert_eq!(violations(&model, br#"{"a": "", "b": ""}"#), only("/b", "type"));
    assert!(with(&both[..1]).is_err());
}

#[test]
fn hostile_schemas_are_refused() {
    let refused = |text: &str| Model::compile(Format::Json, None, &document(text)).unwrap_err();
    assert!(refused(r##"{"$ref": "#"}"##).contains("itself"));
    let circle = r##"{"definitions": {"a": {"allOf": [{"$ref": "#/definitions/b"}]},
                      "b": {"anyOf": [{"not": {"$ref": "#/definitions/a"}}]}}, "allOf": [{"$ref": "#/definitions/a"}]}"##;
    assert!(refused(circle).contains("itself"));
    refused(r#"{"pattern": "(a+)+\\1"}"#);
    refused(r#"{"pattern": "((a{1000}){1000}){1000}"}"#);
    refused(r#"{"$ref": "file:///etc/passwd"}"#);
    refused(r#"{"$ref": "http://127.0.0.1:1/x"}"#);
    refused(r#"{"type": 5}"#);
    refused("nothing");
    refused(&format!("{}{}", r#"{"not":"#.repeat(5000), "}".repeat(5000)));
    refused(&format!("{{\"enum\": [\"{}\"]}}", "x".repeat(MAX_SCHEMA_BYTES)));
}

#[test]
fn a_schema_that_doubles_the_work_with_every_step_is_not_walked_through() {
    let began = Instant::now();
    let steps: Vec<_> = (0..40)
        .map(|step| format!(r##""d{step}": {{"anyOf": [{{"$ref": "#/definitions/d{0}"}}, {{"$ref": "#/definitions/d{0}"}}]}}"##, step + 1))
        .collect();
    let wide = format!(
        r##"{{"definitions": {{{}, "d40": false}}, "allOf": [{{"$ref": "#/definitions/d0"}}]}}"##,
        steps.join(",")
    );
    assert_eq!(violations(&json(&wide), b"1"), only("", "complexity"));
    // The same within messages: two ways lead into each member.
    let deep = json(
        r##"{"anyOf": [{"properties": {"a": {"$ref": "#"}}, "maxProperties": 0},
                                   {"properties": {"a": {"$ref": "#"}}, "maxProperties": 0}]}"##,
    );
    let mut message = "1".to_owned();
    for _ in 0..40 {
        message = format!(r#"{{"a": {message}}}"#);
    }
    assert_eq!(violations(&deep, message.as_bytes()), only("", "complexity"));
    assert!(began.elapsed() < Duration::from_secs(150), "{:?}", began.elapsed());
}

#[test]
fn recursive_schemas_take_large_messages() {
    let tree = json(
        r##"{"type": "object", "required": ["n"], "additionalProperties": false,
        "properties": {"n": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#"}}}}"##,
    );
    let leaf = r#"{"n": 1}"#;
    let branch = format!(r#"{{"n": 2, "kids": [{}]}}"#, vec![leaf; 100].join(","));
    let message = format!(r#"{{"n": 3, "kids": [{}]}}"#, vec![branch; 100].join(","));
    assert_eq!(tree.incoming(message.as_bytes()), Ok(None));
    let wrong = message.replacen(r#"{"n": 1}"#, r#"{"n": "1"}"#, 1);
    assert_eq!(violations(&tree, wrong.as_bytes()), only("/kids/0/kids/0/n", "type"));
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    assert_eq!(violations(&tree, deep.as_bytes()), only("", "depth"));
}

const ORDER: &str = r#"{"type": "record", "name": "Order", "namespace": "plant", "fields": [
    {"name": "id", "type": "long"},
    {"name": "site", "type": {"type": "enum", "name": "Site", "symbols": ["north", "south"]}},
    {"name": "note", "type": ["null", "string"], "default": null},
    {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
        {"name": "what", "type": "string"}, {"name": "weight", "type": "double"}, {"name": "at", "type": ["null", "Site"]}]}}},
    {"name": "tags", "type": {"type": "map", "values": "int"}},
    {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 2}}]}"#;

#[test]
fn avro_becomes_json_and_json_avro() {
    let model = avro(ORDER, true);
    let text = r#"{"id":-3,"site":"south","note":"x","lines":[{"what":"bolt","weight":0.5,"at":"north"}],"tags":{"a":70000},"hash":"aGk="}"#;
    let bytes = model.outgoing(text.as_bytes()).unwrap().unwrap();
    assert_eq!(bytes[..4], [5, 2, 2, 2]);
    assert_eq!(model.incoming(&bytes).unwrap().unwrap(), text.as_bytes());
    // Without a view it stays what it is.
    let plain = avro(ORDER, false);
    assert_eq!(plain.incoming(&bytes), Ok(None));
    assert_eq!(plain.outgoing(&bytes), Ok(None));
    for end in 0..bytes.len() {
        assert!(model.incoming(&bytes[..end]).is_err(), "{end}");
    }
    let longer = [bytes.as_slice(), b"\0"].concat();
    assert_eq!(violations(&model, &longer), only("", "length"));
    let wrong = |text: &str| {
        let violation = model.outgoing(text.as_bytes()).unwrap_err().violations.remove(0);
        (violation.pointer, violation.rule)
    };
    let is = |pointer: &str, rule: &str| (pointer.to_owned(), rule.to_owned());
    let small = r#"{"id":1,"site":"north","lines":[],"tags":{},"hash":"aGk="}"#;
    assert!(model.outgoing(small.as_bytes()).is_ok(), "a default is filled in");
    assert_eq!(wrong(&small.replace("north", "west")), is("/site", "enum"));
    assert_eq!(wrong(&small.replace("\"id\":1,", "")), is("/id", "required"));
    assert_eq!(wrong(&small.replace("\"id\":1", "\"id\":1.5")), is("/id", "type"));
    assert_eq!(wrong(&small.replace("\"id\":1", "\"id\":1,\"x\":1")), is("", "fields"));
    assert_eq!(wrong(&small.replace("aGk=", "aGkh")), is("/hash", "length"));
    assert_eq!(wrong(&small.replace("{}", "{\"a\": 3000000000}")), is("/tags/a", "type"));
    assert_eq!(wrong("["), is("", "json"));
}

#[test]
fn avro_of_others_is_read() {
    // What the library writes: the same values by another way.
    let schema = apache_avro::Schema::parse_str(ORDER).unwrap();
    let text = r#"{"id":9007199254740993,"site":"north","note":null,"lines":[],"tags":{},"hash":"aGk="}"#;
    let ours = avro(ORDER, true).outgoing(text.as_bytes()).unwrap().unwrap();
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap();
    let theirs = reader.read_value(&mut ours.as_slice()).unwrap();
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().unwrap();
    let again = writer.write_value_to_vec(theirs).unwrap();
    assert_eq!(again, ours);
}

#[test]
fn avro_that_lies_takes_no_memory_and_no_time() {
    let nulls = avro(r#"{"type": "array", "items": "null"}"#, true);
    // 2^40 items of no bytes.
    assert_eq!(violations(&nulls, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0]), only("", "length"));
    let bytes = avro("bytes", true);
    assert_eq!(violations(&bytes, &[0xfe, 0xff, 0xff, 0xff, 0x0f]), only("", "length"));
    assert_eq!(violations(&avro("long", true), &[0xff; 11]), only("", "type"));
    let list =
        avro(r#"{"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]}"#, true);
    assert_eq!(violations(&list, &[2; 5000])[0].1, "depth");
    // Unions that fit late.
    let pair = r#"[{"type": "record", "name": "A", "fields": [{"name": "n", "type": ["null", "A", {"type": "record", "name": "B",
        "fields": [{"name": "n", "type": ["null", "A", "B"]}]}]}]}, "B"]"#;
    let mut text = "1".to_owned();
    for _ in 0..60 {
        text = format!(r#"{{"n":{text}}}"#);
    }
    let invalid = avro(pair, true).outgoing(text.as_bytes()).unwrap_err();
    assert_eq!(invalid.violations[0].rule, "complexity");
    for bad in
        [r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "Nobody"}]}"#, "{", "\"\"", "[["]
    {
        assert!(Model::compile(Format::Avro { view: true }, None, &document(bad)).is_err(), "{bad}");
    }
}

const PROTO: &str = r#"syntax = "proto3"; package plant;
    import "google/protobuf/timestamp.proto";
    message Other { string name = 1; }
    message Order { message Line { string what = 1; double weight = 2; }
        int64 id = 1; repeated Line lines = 2; map<string, int32> tags = 3; google.protobuf.Timestamp at = 4; }"#;

#[test]
fn protobuf_becomes_json_and_json_protobuf() {
    let text =
        r#"{"id":"7","lines":[{"what":"bolt","weight":0.5}],"tags":{"a":1},"at":"2020-01-01T00:00:00Z"}"#;
    for name in ["plant.Order", "Order"] {
        let model = protobuf(PROTO, Some(name), true, false);
        let bytes = model.outgoing(text.as_bytes()).unwrap().unwrap();
        assert_eq!(bytes[..2], [8, 7]);
        assert_eq!(model.incoming(&bytes).unwrap().unwrap(), text.as_bytes());
        assert!(model.incoming(&bytes[..bytes.len() - 1]).is_err());
        assert!(model.outgoing(br#"{"id": 1, "x": 2}"#).is_err());
        assert!(model.outgoing(br#"{"id": "x"}"#).is_err());
        assert!(model.outgoing(br#"{} {}"#).is_err());
    }
    // The first type of the file, and a path in front.
    let first = protobuf(PROTO, None, true, true);
    assert_eq!(first.outgoing(br#"{"name":"a"}"#).unwrap().unwrap(), b"\x00\x0a\x01a");
    assert_eq!(first.incoming(b"\x00\x0a\x01a").unwrap().unwrap(), br#"{"name":"a"}"#);
    // The path says which type it is, unless the configuration does: [1, 0] is `Order.Line`.
    assert_eq!(first.incoming(b"\x04\x02\x00\x0a\x01a").unwrap().unwrap(), br#"{"what":"a"}"#);
    let line = protobuf(PROTO, Some("Order.Line"), false, true);
    assert_eq!(line.outgoing(b"\x0a\x01a").unwrap().unwrap(), b"\x04\x02\x00\x0a\x01a");
    assert_eq!(line.incoming(b"\x04\x02\x00\x0a\x01a").unwrap().unwrap(), b"\x0a\x01a");
    assert_eq!(violations(&line, b"\x00\x0a\x01a"), only("", "indexes"));
    for bad in [&b""[..], b"\x04", b"\x04\x02\x63", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x7e"] {
        assert!(line.incoming(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn protobuf_lacks_nothing_that_is_required() {
    let text = r#"syntax = "proto2"; message A { message B { required int32 n = 1; } repeated B b = 1; }"#;
    let model = protobuf(text, None, true, false);
    assert!(model.incoming(b"\x0a\x02\x08\x01").is_ok());
    assert_eq!(violations(&model, b"\x0a\x00"), only("/b/0", "required"));
}

#[test]
fn hostile_files_of_protobuf_are_refused() {
    let refused = |text: &str, record: Option<&str>| {
        let format = Format::Protobuf { view: true, indexes: false };
        assert!(
            Model::compile(format, record, &document(text)).is_err(),
            "{}",
            text.get(..80).unwrap_or(text)
        );
    };
    let deep = format!("syntax = \"proto3\"; {} {}", "message A {".repeat(10_000), "}".repeat(10_000));
    refused(&deep, None);
    refused("syntax = \"proto3\"; import \"/etc/passwd\"; message A {}", None);
    refused("syntax = \"proto3\"; import \"schema.proto\"; message A {}", None);
    refused("syntax = \"proto3\";", None);
    refused(PROTO, Some("Nobody"));
    refused("no file", None);
    // Messages that nest without end.
    let list = protobuf("syntax = \"proto3\"; message L { L next = 1; }", None, true, false);
    let mut message = Vec::new();
    for _ in 0..5000 {
        let mut outer = vec![0x0a];
        let mut len = message.len();
        while len > 0x7f {
            outer.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
            len >>= 7;
        }
        outer.push(u8::try_from(len).unwrap());
        outer.extend_from_slice(&message);
        message = outer;
    }
    assert!(list.incoming(&message).is_err());
}

#[test]
fn protobuf_files_import_what_comes_with_them() {
    let text = "syntax = \"proto3\"; import \"more/b.proto\"; message A { B b = 1; }";
    let references =
        vec![("more/b.proto".to_owned(), "syntax = \"proto3\"; message B { bool x = 1; }".to_owned())];
    let document = Document { text: text.to_owned(), references };
    let model = Model::compile(Format::Protobuf { view: true, indexes: false }, None, &document).unwrap();
    assert_eq!(model.incoming(b"\x0a\x02\x08\x01").unwrap().unwrap(), br#"{"b":{"x":true}}"#);
}

#[test]
fn simple_messages() {
    let simple = Model::Simple;
    let rule = |model: &Model, payload: &[u8]| {
        model.incoming(payload).err().map(|invalid| invalid.violations[0].rule.clone())
    };
    let text = simple(Simple::Text(Text::new(false, Some(2), Some(3)).matching("^[a-z\u{ed}]+$").unwrap()));
    assert_eq!(rule(&text, "d\u{ed}a".as_bytes()), None);
    assert_eq!(rule(&text, b"a").as_deref(), Some("minLength"));
    assert_eq!(rule(&text, b"abcd").as_deref(), Some("maxLength"));
    assert_eq!(rule(&text, b"AB").as_deref(), Some("pattern"));
    assert_eq!(rule(&text, b"a\xff").as_deref(), Some("encoding"));
    let wide = simple(Simple::Text(Text::new(true, None, Some(1))));
    for good in [&b"\xfe\xff\0a"[..], b"\xff\xfea\0", b"\0a", b"\xd8\x3d\xde\0", b""] {
        assert_eq!(rule(&wide, good), None, "{good:?}");
    }
    assert_eq!(rule(&wide, b"a").as_deref(), Some("encoding"));
    assert_eq!(rule(&wide, b"\xd8\x3d").as_deref(), Some("encoding"));
    let int = simple(Simple::Number(Number::Int32(Bounds::parse("[-5,2147483647)").unwrap())));
    for (payload, expected) in [
        (&b"-5"[..], None),
        (b"-6", Some("range")),
        (b"2147483647", Some("range")),
        (b"2147483648", Some("type")),
        (b"1.5", Some("type")),
        (b"\"1\"", Some("type")),
        (b"x", Some("type")),
    ] {
        assert_eq!(rule(&int, payload).as_deref(), expected, "{payload:?}");
    }
    let long = simple(Simple::Number(Number::Int64(Bounds::default())));
    assert_eq!(rule(&long, b"9223372036854775807"), None);
    assert_eq!(rule(&long, b"9223372036854775808").as_deref(), Some("type"));
    let float = simple(Simple::Number(Number::Float(Bounds::default())));
    assert_eq!(rule(&float, b"1e39").as_deref(), Some("type"));
    let double = simple(Simple::Number(Number::Double(Bounds::parse("(0,]").unwrap())));
    assert_eq!((rule(&double, b"1e39"), rule(&double, b"0").as_deref()), (None, Some("range")));
    assert_eq!(rule(&simple(Simple::Boolean), b"true"), None);
    assert_eq!(rule(&simple(Simple::Boolean), b"1").as_deref(), Some("type"));
    for bad in ["", "[", "[]", "[1,0]", "(1,1]", "1,2", "[1;2]", "[a,b]", "[1,2,3]"] {
        assert!(Bounds::<i64>::parse(bad).is_err(), "{bad}");
    }
    assert!(Text::new(false, None, None).matching("(").is_err());
}

#[test]
fn defaults_that_multiply_are_not_written() {
    let began = Instant::now();
    // Each has two of the next one, by default.
    let mut inner = r#"{"type": "record", "name": "R40", "fields": []}"#.to_owned();
    for step in (0..40).rev() {
        inner = format!(
            r#"{{"type": "record", "name": "R{step}", "fields": [
                {{"name": "a", "type": {inner}, "default": {{}}}}, {{"name": "b", "type": "R{}", "default": {{}}}}]}}"#,
            step + 1
        );
    }
    let refused = Model::compile(Format::Avro { view: true }, None, &document(&inner)).unwrap_err();
    assert!(refused.contains("more than 24 records"), "{refused}");
    // Empty maps are no records, however many there are.
    let maps: Vec<_> = (0..100)
        .map(|n| {
            format!(r#"{{"name": "m{n}", "type": {{"type": "map", "values": "int"}}, "default": {{}}}}"#)
        })
        .collect();
    let maps = format!(r#"{{"type": "record", "name": "M", "fields": [{}]}}"#, maps.join(","));
    assert_eq!(avro(&maps, true).outgoing(b"{}").unwrap().unwrap(), [0; 100]);
    // A default that is long, wanted often.
    let long = format!(
        r#"{{"type": "array", "items": {{"type": "record", "name": "L", "fields": [{{"name": "s", "type": "string", "default": "{}"}}]}}}}"#,
        "x".repeat(100_000)
    );
    let model = avro(&long, true);
    assert!(model.outgoing(b"[{},{},{}]").is_ok());
    let many = format!("[{}]", vec!["{}"; 1000].join(","));
    assert_eq!(model.outgoing(many.as_bytes()).unwrap_err().violations[0].rule, "complexity");
    // An array that nearly fits each of many variants.
    let variants: Vec<_> = (0..100)
        .map(|n| {
            format!(
                r#"{{"type": "record", "name": "V{n}", "fields": [{{"name": "a", "type": {{"type": "array", "items": "long"}}}}, {{"name": "f{n}", "type": "long"}}]}}"#
            )
        })
        .collect();
    let model = avro(&format!("[{}]", variants.join(",")), true);
    let numbers = vec!["1"; 100_000].join(",");
    let last = format!(r#"{{"a": [{numbers}], "f99": 1}}"#);
    assert!(model.outgoing(last.as_bytes()).is_ok(), "others lack the member, which is seen at once");
    assert!(began.elapsed() < Duration::from_secs(150), "{:?}", began.elapsed());
}

#[test]
fn pointers_are_cut_where_a_step_begins() {
    let key = "k".repeat(600);
    let cut = |pointer: String| Violation::new(pointer, "type", "").pointer;
    assert_eq!(cut(format!("/{key}/{key}")), format!("/{key}"));
    assert_eq!(cut(format!("/{key}{key}")), "");
    for length in [1023, 1024] {
        let pointer = format!("/{}", "k".repeat(length - 1));
        assert_eq!(cut(pointer.clone()), pointer);
        assert_eq!(cut(format!("{pointer}/a")), pointer);
    }
    assert_eq!(cut(format!("/a/{}", "\u{ed}".repeat(1000))), "/a");
    let model = json(r#"{"additionalProperties": {"items": {"type": "string"}}}"#);
    let message = format!(r#"{{"{}": [{}]}}"#, "k".repeat(1 << 20), vec!["1"; 50].join(","));
    let invalid = model.incoming(message.as_bytes()).unwrap_err();
    assert!(invalid.violations.iter().all(|violation| violation.pointer.is_empty()));
}

#[test]
fn schemas_that_ask_what_was_looked_at_before_take_no_time_without_end() {
    for word in ["unevaluatedProperties", "unevaluatedItems"] {
        let began = Instant::now();
        let mut schema = r#"{"type": ["object", "array"]}"#.to_owned();
        for _ in 0..40 {
            schema = format!(r#"{{"anyOf": [{schema}], "{word}": false}}"#);
        }
        let schema =
            schema.replacen('{', r#"{"$schema": "https://json-schema.org/draft/2020-12/schema","#, 1);
        let refused = Model::compile(Format::Json, None, &document(&schema)).unwrap_err();
        assert!(refused.contains("more than 8"), "{refused}");
        // As many as may be, and one that leads to itself by way of members.
        let mut few = r#"{"type": ["object", "array"]}"#.to_owned();
        for _ in 0..8 {
            few = format!(r#"{{"anyOf": [{few}], "{word}": false}}"#);
        }
        let tree = format!(r##"{{"anyOf": [{{"properties": {{"a": {{"$ref": "#"}}}}}}], "{word}": false}}"##);
        let mut deep = "{}".to_owned();
        for _ in 0..60 {
            deep = format!(r#"{{"a": {deep}}}"#);
        }
        for (schema, message) in [(few, r#"{"a": 1}"#.to_owned()), (tree, deep)] {
            let schema =
                schema.replacen('{', r#"{"$schema": "https://json-schema.org/draft/2020-12/schema","#, 1);
            let _either_but_soon = json(&schema).incoming(message.as_bytes());
        }
        assert!(began.elapsed() < Duration::from_secs(150), "{word}: {:?}", began.elapsed());
    }
}
