//! Tests over the whole crate: documents in and out, compared with an independent implementation.

mod payload;

use std::cmp::Ordering;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::json::{JsonError, MAX_DEPTH, Parser, Problem};
use crate::{Bytes, Record, Value, json};

fn parse(document: &[u8]) -> Result<Value, JsonError> {
    Parser::new().parse(document)
}

#[track_caller]
fn value(document: &str) -> Value {
    parse(document.as_bytes()).unwrap_or_else(|error| panic!("{document}: {error}"))
}

#[track_caller]
fn refused(document: impl AsRef<[u8]>, offset: usize, message: &str) {
    let document = document.as_ref();
    let shown = String::from_utf8_lossy(document);
    match parse(document) {
        Ok(value) => panic!("{shown} was read as {value}"),
        Err(error) => {
            assert_eq!(error.problem.to_string(), message, "{shown}");
            assert_eq!(error.offset, offset, "{shown}");
        }
    }
}

#[track_caller]
fn written(value: impl Into<Value>, text: &str) {
    assert_eq!(value.into().to_string(), text);
}

#[test]
fn reads_every_kind() {
    assert_eq!(value(" null\n"), Value::Null);
    assert_eq!(value("\ttrue "), Value::from(true));
    assert_eq!(value("-12"), Value::from(-12_i64));
    assert_eq!(value("-0"), Value::from(0_i64), "no point, no exponent: an integer");
    assert_eq!(value("1.0"), Value::from(1.0));
    assert_eq!(value("1e2"), Value::from(100.0));
    assert_eq!(value("[]"), Value::from(vec![]));
    assert_eq!(value("{}"), Value::record());
    assert_eq!(value(r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#), Value::from("a\"\\/\u{8}\u{c}\n\r\té😀é"));
    let record = value(r#"{"b":[1,{"c":null}],"a":"x"}"#);
    assert_eq!(record.to_string(), r#"{"b":[1,{"c":null}],"a":"x"}"#);
}

#[test]
fn integers_keep_64_bits_and_one_form() {
    assert!(matches!(value("9223372036854775807"), Value::I64(i64::MAX)));
    assert!(matches!(value("9223372036854775808"), Value::U64(9_223_372_036_854_775_808)));
    assert!(matches!(value("18446744073709551615"), Value::U64(u64::MAX)));
    assert!(matches!(value("-9223372036854775808"), Value::I64(i64::MIN)));
    refused("18446744073709551616", 0, "the integer does not fit 64 bits");
    refused("[1, -9223372036854775809]", 4, "the integer does not fit 64 bits");
    refused("[100000000000000000000000000000000000]", 1, "the integer does not fit 64 bits");
}

#[test]
fn the_last_of_equal_keys_wins_in_the_place_of_the_first() {
    assert_eq!(value(r#"{"a":1,"b":2,"a":3}"#).to_string(), r#"{"a":3,"b":2}"#);
    let many: Vec<String> = (0..200).map(|number| format!(r#""k{}":{number}"#, number % 50)).collect();
    let record = value(&format!("{{{}}}", many.join(",")));
    assert_eq!(record.as_record().map(Record::len), Some(50));
    assert_eq!(record.get("k7").and_then(Value::as_i64), Some(157));
    assert_eq!(record.as_record().and_then(|record| record.keys().next()).map(|key| &**key), Some("k0"));
}

#[test]
fn says_where_and_why() {
    refused("", 0, "the document is empty");
    refused(" \n ", 3, "the document is empty");
    refused("{} x", 3, "`x` follows the end of the document");
    refused("{}{}", 2, "`{` follows the end of the document");
    refused("1 2", 2, "`2` follows the end of the document");
    refused("[1,]", 3, "expected a value, found `]`");
    refused("[1 2]", 3, "expected `,` or `]`, found `2`");
    refused("[,1]", 1, "expected a value, found `,`");
    refused(r#"{"a":1,}"#, 7, "expected a key in double quotes, found `}`");
    refused("{a:1}", 1, "expected a key in double quotes or `}`, found `a`");
    refused(r#"{"a" 1}"#, 5, "expected `:`, found `1`");
    refused(r#"{"a":1 "b":2}"#, 7, "expected `,` or `}`, found `\"`");
    refused(r#"{"a":"#, 5, "the document ends where a value should follow");
    refused(r#"{"a"#, 3, "the document ends where the end of a string should follow");
    refused("[1", 2, "the document ends where `,` or `]` should follow");
    refused("]", 0, "expected a value, found `]`");
    refused("tru", 3, "the document ends where `true` should follow");
    refused("nulls", 4, "expected the end of a word, found `s`");
    refused("nan", 1, "expected `null`, found `a`");
    refused("'a'", 0, "expected a value, found `'`");
    refused("01", 1, "expected the end of a number, found `1`");
    refused("+1", 0, "expected a value, found `+`");
    refused("-", 1, "the document ends where a digit should follow");
    refused("1.", 2, "the document ends where a digit after the decimal point should follow");
    refused("1.e3", 2, "expected a digit after the decimal point, found `e`");
    refused("1e", 2, "the document ends where a digit of the exponent should follow");
    refused("[1e400]", 1, "the number is too large for a float");
    refused("1e99999999999999999999", 0, "the number is too large for a float");
    refused("\"a\nb\"", 2, "the control character U+000A must be escaped in a string");
    refused(r#""a\x""#, 2, "unknown escape sequence in a string");
    refused(r#""\u12g4""#, 5, "expected four hexadecimal digits, found `g`");
    refused(r#""\ud800""#, 1, "a `\\u` escape gives one half of a surrogate pair only");
    refused(r#""\ud800\u0041""#, 1, "a `\\u` escape gives one half of a surrogate pair only");
    refused(r#""\udc00""#, 1, "a `\\u` escape gives one half of a surrogate pair only");
    refused(b"\"\xff\"", 1, "the bytes are not UTF-8");
    refused(b"\"\xc3", 1, "the bytes are not UTF-8");
    refused(b"[1 \xff]", 3, "the bytes are not UTF-8");
    refused(b"[1 2 \xff]", 3, "expected `,` or `]`, found `2`");
    refused("\u{feff}1", 0, "expected a value, found U+FEFF");
    refused("1\0", 1, "expected the end of a number, found U+0000");
    assert_eq!(
        parse(b"[1,]").unwrap_err().to_string(),
        "invalid JSON at byte 3: expected a value, found `]`"
    );
}

#[test]
fn nesting_is_bounded_exactly() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = |depth: usize| {
            let inner = if open == "[" { "" } else { "1" };
            format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
        };
        assert!(value(&nested(MAX_DEPTH)).is_nested_deeper_than(MAX_DEPTH - 1));
        assert!(!value(&nested(MAX_DEPTH)).is_nested_deeper_than(MAX_DEPTH));
        assert_eq!(parse(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err().problem, Problem::TooDeep);
        assert_eq!(parse(open.repeat(1_000_000).as_bytes()).unwrap_err().problem, Problem::TooDeep);
    }
}

#[test]
fn a_parser_can_be_used_again_after_anything() {
    let mut parser = Parser::new();
    let large = format!("[\"{}\"]", "x".repeat(3_000_000));
    for document in ["[1,2", "{\"a\":1}", "\"\\ud800\"", "", &large, "[true]"] {
        let again = parser.parse(document.as_bytes());
        assert_eq!(again, parse(document.as_bytes()));
    }
}

#[test]
fn writes_numbers_and_text_as_documented() {
    written(1.0, "1.0");
    written(42.0, "42.0");
    written(0.1, "0.1");
    written(-0.0, "-0.0");
    written(0.00001, "0.00001");
    written(0.000_001, "1e-6");
    written(1e15, "1000000000000000.0");
    written(1e16, "1e16");
    written(1.5e17, "1.5e17");
    written(1e30, "1e30");
    written(f64::MAX, "1.7976931348623157e308");
    written(f64::NAN, "null");
    written(f64::NEG_INFINITY, "null");
    written(u64::MAX, "18446744073709551615");
    written(i64::MIN, "-9223372036854775808");
    written(
        "\"\\/\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}é😀",
        "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f}é😀\"",
    );
    written(Bytes::from_static(b"\0\xffa"), "\"AP9h\"");
    written(Bytes::from_static(b"ab"), "\"YWI=\"");
    written(Bytes::new(), "\"\"");
    written(value(r#"{"k\n\"":[[],{},[{}],{"a":[]}]}"#), r#"{"k\n\"":[[],{},[{}],{"a":[]}]}"#);
}

#[test]
fn escapes_are_found_wherever_they_stand() {
    for len in 0..70 {
        for at in 0..len {
            let mut text = "x".repeat(len);
            text.replace_range(at..=at, "\n");
            written(text.as_str(), &format!("\"{}\"", text.replace('\n', "\\n")));
        }
    }
}

#[test]
fn sorted_writing_orders_every_level() {
    let value = value(r#"{"b":{"z":1,"a":[{"y":1,"x":2}]},"B":[],"é":0,"aa":1,"a":{}}"#);
    let mut out = b"> ".to_vec();
    json::write_sorted(&value, &mut out);
    let expected = r#"> {"B":[],"a":{},"aa":1,"b":{"a":[{"x":2,"y":1}],"z":1},"é":0}"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

/// A value nested `depth` deep, each level made by `wrap`.
fn nested(depth: usize, wrap: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(Value::Null, |inner, _| wrap(inner))
}

fn in_record(inner: Value) -> Value {
    Record::from_iter([("a", inner)]).into()
}

#[test]
fn any_depth_is_written_compared_merged_and_dropped() {
    const DEPTH: usize = 200_000;
    let mixed = |inner| in_record(Value::from(vec![inner]));
    let (mut left, right) = (nested(DEPTH, mixed), nested(DEPTH, mixed));
    assert_eq!(left.to_string().len(), DEPTH * r#"{"a":[]}"#.len() + "null".len());
    assert_eq!(format!("{left:?}"), left.to_string());
    assert!(left == right && left.loose_eq(&right) && left.strict_eq(&right));
    assert_eq!(left.total_cmp(&right), Ordering::Equal);
    assert!(left.is_nested_deeper_than(DEPTH));
    left.merge(&right);
    let mut records = nested(DEPTH, in_record);
    records.merge(&nested(DEPTH, in_record));
    let mut sorted = Vec::new();
    json::write_sorted(&records, &mut sorted);
    assert_eq!(sorted.len(), records.to_string().len());
    drop((left, right, records));
    drop(crate::Payload::from(nested(DEPTH, |inner| vec![inner].into())));
    nested(DEPTH, |inner| vec![inner].into()).release();
}

#[test]
fn loose_equality() {
    let loose = |left: &Value, right: &Value| {
        assert_eq!(left.loose_eq(right), right.loose_eq(left), "{left} {right}");
        left.loose_eq(right)
    };
    assert!(loose(&Value::U64(1), &Value::I64(1)));
    assert!(!loose(&Value::from(u64::MAX), &Value::from(-1_i64)));
    assert!(loose(&Value::from(1_i64), &Value::from(1.0)));
    assert!(loose(&Value::from(0.1 + 0.2), &Value::from(0.3)));
    assert!(!loose(&Value::from(0.1), &Value::from(0.1001)));
    assert!(loose(&Value::from(f64::INFINITY), &Value::from(f64::INFINITY)));
    assert!(!loose(&Value::from(f64::NAN), &Value::from(f64::NAN)));
    assert!(loose(&Value::from("ab"), &Value::from(Bytes::from_static(b"ab"))));
    assert!(!loose(&Value::from(true), &Value::from(1_i64)));
    assert!(!loose(&Value::Null, &Value::from(false)));
    assert!(loose(&value(r#"{"a":[1,{"b":2.0}],"c":1}"#), &value(r#"{"c":1.0,"a":[1.0,{"b":2}]}"#)));
    assert!(!loose(&value("[1]"), &value("[1,2]")));
    assert!(!loose(&value(r#"{"a":1}"#), &value(r#"{"b":1}"#)));
    assert!(!loose(&value(r#"{"a":1}"#), &value(r#"{"a":1,"b":1}"#)));
}

#[test]
fn strict_equality() {
    assert!(Value::U64(1).strict_eq(&Value::I64(1)));
    assert!(!Value::from(1_i64).strict_eq(&Value::from(1.0)));
    assert!(!Value::from("ab").strict_eq(&Value::from(Bytes::from_static(b"ab"))));
    assert!(Value::from(0.1 + 0.2).strict_eq(&Value::from(0.3)));
    assert!(Value::from(1e300).strict_eq(&Value::from(f64::from_bits(1e300_f64.to_bits() + 2))));
    assert!(!Value::from(f64::NAN).strict_eq(&Value::from(f64::NAN)));
    assert!(!value("[1]").strict_eq(&value("[1.0]")));
}

#[test]
fn ordering_of_operators() {
    let order = |left: &str, right: &str| value(left).partial_order(&value(right));
    assert_eq!(order("1", "1.5"), Some(Ordering::Less));
    assert_eq!(order("18446744073709551615", "-1"), Some(Ordering::Greater));
    assert_eq!(order("9007199254740993", "9007199254740992"), Some(Ordering::Greater));
    assert_eq!(order("\"a\"", "\"b\""), Some(Ordering::Less));
    for (left, right) in [("true", "false"), ("null", "null"), ("[]", "[]"), ("1", "\"1\""), ("{}", "1")] {
        assert_eq!(order(left, right), None);
        assert!(!value(left).is_orderable_with(&value(right)));
    }
    let bytes = Value::from(Bytes::from_static(b"b"));
    assert_eq!(Value::from("a").partial_order(&bytes), Some(Ordering::Less));
    assert_eq!(Value::from(f64::NAN).partial_order(&Value::from(1.0)), None);
    assert!(Value::from(f64::NAN).is_orderable_with(&Value::from(1.0)));
}

#[test]
fn total_order() {
    let ascending = [
        "{}",
        r#"{"a":1}"#,
        r#"{"a":2}"#,
        r#"{"b":0}"#,
        r#"{"b":0,"a":9}"#,
        "[]",
        "[1]",
        "[1,0]",
        "[2]",
        r#""""#,
        r#""a""#,
        r#""b""#,
        "-1",
        "0",
        "1",
        "2.5",
        "3",
        "false",
        "true",
        "null",
    ];
    for (at, left) in ascending.iter().enumerate() {
        for (other, right) in ascending.iter().enumerate() {
            assert_eq!(value(left).total_cmp(&value(right)), at.cmp(&other), "{left} {right}");
        }
    }
    assert_eq!(value("1").total_cmp(&value("1.5")), Ordering::Equal);
    assert_eq!(Value::from(f64::NAN).total_cmp(&value("7")), Ordering::Equal);
    assert_eq!(Value::from("a").total_cmp(&Value::from(Bytes::from_static(b"a"))), Ordering::Equal);
    assert_eq!(Value::from(u64::MAX).total_cmp(&Value::from(1e300)), Ordering::Less);
}

/// A value as the independent implementation reads it (which is exact with floats only by its `float_roundtrip`).
struct Theirs(Value);

impl<'de> Deserialize<'de> for Theirs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TheirVisitor).map(Self)
    }
}

struct TheirVisitor;

impl<'de> Visitor<'de> for TheirVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(Theirs(item)) = items.next_element()? {
            read.push(item);
        }
        Ok(read.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut record = Record::default();
        while let Some((key, Theirs(value))) = members.next_entry::<String, _>()? {
            record.insert(key, value);
        }
        Ok(record.into())
    }
}

/// The same kinds of numbers, bit by bit, and the same order of members.
fn is_exactly(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        // They read the integer -0 as a float.
        (Value::I64(0), Value::F64(zero)) => zero.to_bits() == (-0.0_f64).to_bits(),
        (Value::F64(ours), Value::F64(theirs)) => ours.to_bits() == theirs.to_bits(),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs.iter()).all(|(one, other)| is_exactly(one, other))
        }
        (Value::Record(ours), Value::Record(theirs)) => {
            let mut pairs = ours.iter().zip(theirs.iter());
            ours.len() == theirs.len()
                && pairs.all(|((key, one), (name, other))| key == name && is_exactly(one, other))
        }
        _ => std::mem::discriminant(ours) == std::mem::discriminant(theirs) && ours == theirs,
    }
}

/// Checks one document, well formed or not, against the independent implementation.
fn agrees(document: &[u8]) {
    let shown = String::from_utf8_lossy(document);
    match (parse(document), serde_json::from_slice(document)) {
        (Ok(ours), Ok(Theirs(expected))) => {
            assert!(is_exactly(&ours, &expected), "{shown}: {ours}, but {expected}");
        }
        (Err(error), Err(_)) => assert_ne!(error.problem, Problem::Refused, "{shown}"),
        // They turn integers beyond 64 bits into floats.
        (Err(error), Ok(_)) => assert_eq!(error.problem, Problem::IntegerRange, "{shown}"),
        (Ok(ours), Err(error)) => panic!("{shown} was read as {ours}, but {error}"),
    }
}

#[test]
fn an_order_a_sign_and_a_kind_make_a_difference() {
    let differ =
        [(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#), ("-0.0", "0.0"), ("[1]", "[1.0]"), ("[0]", "[0,0]")];
    for (one, other) in differ {
        assert!(
            !is_exactly(&parse(one.as_bytes()).unwrap(), &parse(other.as_bytes()).unwrap()),
            "{one} {other}"
        );
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~\u{0}-\u{1f}\"\\\\]{0,40}".prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 64, 12, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Value::from),
            prop::collection::vec(("[a-e]{0,3}", inner), 0..12)
                .prop_map(|members| Value::from(members.into_iter().collect::<Record>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(value in any_value()) {
        let text = value.to_string();
        prop_assert_eq!(&parse(text.as_bytes()).unwrap(), &value);
        let mut sorted = Vec::new();
        json::write_sorted(&value, &mut sorted);
        prop_assert_eq!(&parse(&sorted).unwrap(), &value);
        prop_assert!(value.loose_eq(&value) && value.strict_eq(&value));
        prop_assert_eq!(value.total_cmp(&value), Ordering::Equal);
        agrees(text.as_bytes());
    }

    #[test]
    fn damaged_documents_are_judged_alike(
        value in any_value(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..4, any::<u8>()), 1..4),
    ) {
        let mut document = value.to_string().into_bytes();
        for (at, kind, byte) in damage {
            let punctuation = *br#"{}[],:"\ -+.eE0u"#.get(usize::from(byte % 16)).unwrap();
            match (kind, document.is_empty()) {
                (0, false) => { document.remove(at.index(document.len())); }
                (1, false) => { let at = at.index(document.len()); document[at] = byte; }
                (2, false) => { let at = at.index(document.len()); document[at] = punctuation; }
                _ => document.insert(at.index(document.len() + 1), punctuation),
            }
        }
        agrees(&document);
    }

    #[test]
    fn soups_of_tokens_are_judged_alike(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\"", "\"b\":", "1", "-", "0", ".", "e", "E+", "1e400",
            "-0", "0.0", "1e-400", "18446744073709551616", "-9223372036854775809", "true", "null", "nul", " ",
            "\n", "\t", "\u{b}", "\u{a0}", "\\u", "\\ud83d", "\\ude00", "\"\\ud83d\\ude00\"", "00", "\u{0}", "é",
            "123456789012345678", "0.1234567890123456789012345", "/", "//", "NaN", "Infinity",
        ]), 0..12),
    ) {
        agrees(tokens.concat().as_bytes());
    }

    #[test]
    fn numbers_are_judged_alike(number in "-?[0-9]{1,25}(\\.[0-9]{1,25})?([eE][-+]?[0-9]{1,4})?") {
        agrees(number.as_bytes());
        agrees(format!("[{number}]").as_bytes());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        agrees(&bytes);
    }
}
