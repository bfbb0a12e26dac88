//! Payloads that are not built, compared with those that are.

use proptest::prelude::*;

use super::any_value;
use crate::json::{MAX_DEPTH, Parser};
use crate::testing::{changes_agree, forms_agree};
use crate::{Bytes, Payload, Record, Step, Value};

fn document(text: &str) -> Payload {
    Parser::new()
        .document(Bytes::copy_from_slice(text.as_bytes()))
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn text(payload: &Payload) -> String {
    let mut out = Vec::new();
    payload.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

/// Nothing of `text` is built by reading and writing it, and it comes out as `expected`.
#[track_caller]
fn stays(given: &str, expected: &str) {
    forms_agree(given.as_bytes());
    let payload = document(given);
    assert!(!payload.is_built(), "{given}");
    assert_eq!(text(&payload), expected);
    assert!(!payload.is_built(), "{given}");
}

#[test]
fn a_payload_is_small() {
    assert!(size_of::<Payload>() <= 24, "{}", size_of::<Payload>());
    assert!(size_of::<Value>() <= 24, "{}", size_of::<Value>());
}

#[test]
fn what_nobody_touches_is_never_built() {
    stays(r#"{"b":[1,{"c":null}],"a":"x"}"#, r#"{"b":[1,{"c":null}],"a":"x"}"#);
    stays(
        " { \"b\" : [ 1 , { \"c\" : null } ] ,\n\t\"a\" :\"x y\" }\r\n",
        r#"{"b":[1,{"c":null}],"a":"x y"}"#,
    );
    stays("{}", "{}");
    stays("[ ]", "[]");
    stays("[{} ,[ ]]", "[{},[]]");
    stays(r#"["\u0041\/\u001F\u001f\u0009\n\"\\\ud83d\ude00é"]"#, r#"["A/\u001f\u001f\t\n\"\\😀é"]"#);
    stays("[-0,1e2,1.50,0.10,0.0,-0.0,100000.0]", "[0,100.0,1.5,0.1,0.0,-0.0,100000.0]");
    stays("[0.00001,0.000001,1234567890123456789.5]", "[0.00001,1e-6,1.2345678901234568e18]");
}

#[test]
fn the_text_can_be_had_that_nobody_has_to_write() {
    let held = |payload: &Payload| payload.json_text().map(|text| text.to_vec());
    let text = r#"{"a":[1,"x"],"b":null}"#;
    let mut payload = document(text);
    assert!(payload.remove("b") && !payload.is_built() && held(&payload).is_none());
    let mut payload = document(&format!(" {text}\n"));
    assert_eq!(held(&payload), Some(text.into()));
    assert!(payload.value().as_record().is_some() && held(&payload).is_some(), "building it changes nothing");
    assert!(payload.insert("a", 1_i64) && held(&payload).is_none());
    for other in [r#"{"a": 1}"#, "[1.50]", r#"["\u0041"]"#] {
        assert_eq!(held(&document(other)), None, "{other}");
    }
    assert_eq!(held(&Value::from("x").into()), None);
}

#[test]
fn one_member_is_read_without_the_others() {
    let payload = document(r#"{"keep" : true, "a":{"b" : [0] , "c":{"d":"x\ny"}},"n":-1.5}"#);
    assert_eq!(payload.get("keep").as_deref(), Some(&Value::from(true)));
    assert_eq!(payload.get_path(["a", "c", "d"]).as_deref(), Some(&Value::from("x\ny")));
    assert_eq!(payload.get_path(["a", "c", "d", "e"]), None);
    assert_eq!(payload.get("c"), None, "a key of another record");
    assert!(payload.contains_path(["a", "b"]) && !payload.contains_path(["a", "d"]));
    assert!(payload.contains_path([""; 0]) && payload.is_record());
    assert!(!payload.is_built());
    assert_eq!(payload.get_path([""; 0]).as_deref(), Some(payload.value()));
    assert!(
        matches!(payload.get("n"), Some(std::borrow::Cow::Borrowed(_))),
        "of the tree, now that it is there"
    );
}

#[test]
fn members_are_found_beside_text_that_looks_like_them() {
    let lures = [
        r#""\"a\":1,\"b\":{""#,
        r#""{\\""#,
        r#""[\\\"a\":""#,
        r#"{"a":7,"b":{"a":[]}}"#,
        r#"[{"a":{"b":8}},["a",":"]]"#,
        r#""a""#,
        "-1.5e3",
        "[]",
    ];
    for lure in lures {
        for shift in (0..70).chain([127, 128, 129]) {
            let pad = "x".repeat(shift);
            for given in [
                format!(
                    r#"{{"{pad}]":{lure},"in":{{"{pad}":{lure},"a":{{"x{{":{lure},"b":1}},"aa":{lure}}}}}"#
                ),
                format!(
                    "{{\"in\" : {{\"{pad}\":{lure} ,\n\"a\"\t: {{ \"b\" : {lure} }} }} , \"z\": {lure} }}"
                ),
                format!(r#"{{"in":{{"ba":{lure},"{pad}a":{lure},"":{{"b":{lure}}}}},"a":{lure}}}"#),
            ] {
                assert!(Parser::new().parse(given.as_bytes()).is_ok(), "{given}");
                // Places of nested members are among what is changed by these.
                changes_agree(given.as_bytes(), &[8, 7, 9, 8, 8, 9, 0, 1, 10, 7, 8, 10, 6, 0, 9, 11, 10, 12]);
            }
        }
    }
}

#[test]
fn members_are_written_one_by_one() {
    let mut payload = document(r#"{"a":1, "b":{"x":[1]},"c":"é"}"#);
    assert!(payload.insert("a", 2_i64));
    *payload.member_mut("b").unwrap() = Value::Null;
    assert!(payload.insert("new", "n\"") && payload.remove("c") && !payload.remove("c"));
    *payload.member_or_null("c").unwrap() = Value::from(0.5);
    assert!(payload.member_mut("none").is_none());
    assert!(!payload.is_built());
    assert_eq!(text(&payload), r#"{"a":2,"b":null,"new":"n\"","c":0.5}"#);
    assert_eq!(payload.value().to_string(), text(&payload));
    for key in ["a", "b", "new", "c"] {
        assert!(payload.remove(key), "{key}");
    }
    assert_eq!(text(&payload), "{}");
    let mut list = document("[1]");
    assert!(!list.insert("a", 1_i64) && list.member_or_null("a").is_none() && !list.remove("a"));
}

#[test]
fn a_copy_does_not_see_later_changes() {
    let mut one = document(r#"{"a":1,"b":2}"#);
    let mut two = one.clone();
    assert!(one.insert("a", 3_i64) && two.remove("a"));
    assert_eq!((text(&one), text(&two)), (r#"{"a":3,"b":2}"#.into(), r#"{"b":2}"#.into()));
}

#[test]
fn equal_keys_are_found_however_they_are_written_and_wherever() {
    for given in [
        r#"{"a":1,"b":2,"a":3}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"\n":1,"\u000a":2}"#,
        r#"[{"x":{"a":1,"a":{"a":2}}}]"#,
        r#"{"a":{"k":1},"b":{"k":2,"kk":3,"k":4}}"#,
        r#"{"0123456789abcdef":1,"0123456789abcdef0":2,"0123456789abcdef":3}"#,
    ] {
        forms_agree(given.as_bytes());
        changes_agree(given.as_bytes(), b"00112233445566778");
    }
    // Beyond what is compared one by one, and beyond what is listed.
    for count in [2, 31, 32, 33, 34, 63, 64, 65, 66, 200] {
        for again in [0, count / 2, count - 1] {
            let members: Vec<String> = (0..count).map(|number| format!(r#""k{number}":{number}"#)).collect();
            let members = members.join(",");
            for given in [
                format!("{{{members}}}"),
                format!(r#"{{{members},"k{again}":0}}"#),
                format!(r#"[{{"in":{{{members},"k{again}":0}}}}]"#),
            ] {
                forms_agree(given.as_bytes());
                changes_agree(given.as_bytes(), &[4, 7, 2, 3, 0, 200, 5, 9]);
            }
        }
    }
}

#[test]
fn keys_with_escapes_stay_text() {
    stays(r#"{"gr\u00fc\u00dfe":1,"b":[{"\u0061":{"\/":2}}]}"#, r#"{"grüße":1,"b":[{"a":{"/":2}}]}"#);
    stays(r#"{"quo\"te":1 ,"b\\":{"\n\u001f":1.50}}"#, r#"{"quo\"te":1,"b\\":{"\n\u001f":1.5}}"#);
    let payload =
        document(r#"{"m":{"x\"a":1,"\\\"":2,"\u00e9":3,"a":{"\n":4}},"x\\":5,"\u0000":6,"a\"b":7}"#);
    let read = |path: &[&str]| payload.get_path(path.iter().copied()).as_deref().and_then(Value::as_i64);
    assert_eq!(read(&["m", "x\"a"]), Some(1));
    assert_eq!(read(&["m", "\\\""]), Some(2));
    assert_eq!(read(&["m", "é"]), Some(3));
    assert_eq!(read(&["m", "a", "\n"]), Some(4));
    assert_eq!((read(&["x\\"]), read(&["\0"]), read(&["a\"b"])), (Some(5), Some(6), Some(7)));
    for wrong in ["\\u00e9", "\"", "a", "x\\\"a", "\\n", "x\":1,\"é"] {
        assert_eq!(read(&["m", wrong]), None, "{wrong}");
        assert_eq!(read(&["m", "a", wrong]), None, "{wrong}");
    }
    assert!(!payload.is_built());
    // Not even without escapes: what seems to be a key is more than one.
    let payload = document(r#"{"m":{"x":1,"a":2}}"#);
    assert!(!payload.contains_path(["m", "x\":1,\"a"]));
}

#[test]
fn repeated_keys_stay_text() {
    stays(r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#);
    stays(
        r#"{"a":{"x":1},"b":2,"\u0061":{"y":[{"z":1,"z":2},{"z":3}]}}"#,
        r#"{"a":{"y":[{"z":2},{"z":3}]},"b":2}"#,
    );
    stays("[{\"a\" : 1 , \"a\" : 2 , \"a\" : 3 , \"b\" : 4 , \"a\" : 5 }, 6 ]", r#"[{"a":5,"b":4},6]"#);
    stays(
        r#"{"a":{"a":{"a":1,"a":2},"b":0,"a":{"a":3,"c":4,"a":5}},"a":{"b":{"a":6,"a":7},"b":[8]}}"#,
        r#"{"a":{"b":[8]}}"#,
    );
    stays(
        r#"{"a":1,"b":{"c":2,"c":{"d":3,"d":4}},"a":5,"b":{"c":6,"c":{"d":7,"d":8}}}"#,
        r#"{"a":5,"b":{"c":{"d":8}}}"#,
    );
    let mut payload = document(r#"{"a":1,"b":{"\"":2,"\u0022":3},"a":4}"#);
    assert!(payload.insert_nested("b", ["\""].into_iter(), &5_i64.into()) && payload.insert("c", 6_i64));
    assert!(!payload.is_built());
    assert_eq!(text(&payload), r#"{"a":4,"b":{"\"":5},"c":6}"#);
}

#[test]
fn a_few_members_of_a_large_record_are_found_without_building_it() {
    let members: Vec<String> = (0..1_000).map(|number| format!(r#""k{number}":{{"in":{number}}}"#)).collect();
    let payload = document(&format!("{{{}}}", members.join(",")));
    assert_eq!(payload.get_path(["k700", "in"]).as_deref(), Some(&Value::from(700_i64)));
    assert!(!payload.contains_path(["none"]) && !payload.is_built());
    // Who asks for all of them must not search the text for each.
    let asked = (0..1_000_i64).take_while(|number| {
        assert_eq!(payload.get_path([&*format!("k{number}"), "in"]).as_deref(), Some(&Value::from(*number)));
        !payload.is_built()
    });
    assert!((50..200).contains(&asked.count()), "the first ones are found early");
    assert!(payload.contains_path(["k999", "in"]));
    let list = document(r#"[{"a":1}]"#);
    assert!(list.get("a").is_none() && !list.contains_path(["a"]) && !list.is_built());
}

#[test]
fn an_item_is_found_without_building_the_others() {
    use Step::{Item, Key};
    let payload = document(r#"[0, [ ] ,{"a":[1,"]",{"b":true}], "c" : [ [ 2 ] ]}, "x,y"]"#);
    for (path, expected) in [
        (&[Item(0)][..], Some("0")),
        (&[Item(1)], Some("[]")),
        (&[Item(1), Item(0)], None),
        (&[Item(2), Key("a"), Item(1)], Some(r#""]""#)),
        (&[Item(2), Key("a"), Item(2), Key("b")], Some("true")),
        (&[Item(2), Key("c"), Item(0), Item(0)], Some("2")),
        (&[Item(2), Item(0)], None),
        (&[Item(2), Key("a"), Key("b")], None),
        (&[Item(3)], Some(r#""x,y""#)),
        (&[Item(3), Item(0)], None),
        (&[Item(4)], None),
        (&[Item(u64::MAX)], None),
        (&[Key("a")], None),
    ] {
        let payload = document(&text(&payload));
        let found = payload.get_path(path.iter().copied()).map(|value| value.to_string());
        assert_eq!(found.as_deref(), expected, "{path:?}");
        assert_eq!(payload.contains_path(path.iter().copied()), expected.is_some(), "{path:?}");
        assert!(!payload.is_built());
        assert!(payload.value().as_array().is_some() && payload.is_built());
        let found = payload.get_path(path.iter().copied()).map(|value| value.to_string());
        assert_eq!(found.as_deref(), expected, "{path:?}");
    }
    // Who asks for all of them must not walk to each.
    let items: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    let payload = document(&format!("[{}]", items.join(",")));
    for number in 0..10_000_i64 {
        let index = number.cast_unsigned();
        assert_eq!(payload.get_path([Item(index)]).as_deref(), Some(&Value::from(number)));
        assert!(number > 200 || !payload.is_built());
    }
    assert!(payload.is_built());
}

#[test]
fn many_changes_are_made_in_a_tree() {
    let mut added = document(r#"{"a":1}"#);
    let mut replaced = document(r#"{"a":1}"#);
    let mut set = document(r#"{"a":1}"#);
    for number in 0..200_i64 {
        assert!(added.insert(format!("k{number}"), number));
        *set.member_or_null(&format!("k{number}")).unwrap() = number.into();
        // What was removed is still counted, or the list of what was written would grow without end.
        assert!(replaced.remove("a") && replaced.insert("a", number));
        assert_eq!(added.is_built(), number >= 128, "{number}");
    }
    assert!(added.is_built() && set.is_built() && replaced.is_built());
    assert_eq!(text(&replaced), r#"{"a":199}"#);
    assert_eq!(added.value().as_record().map(Record::len), Some(201));
    assert_eq!(added.value(), set.value());
    assert_eq!(text(&added), added.value().to_string());
}

#[test]
fn nesting_is_bounded_in_the_same_place() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]"), ("[ ", "\n]")] {
        for depth in [1, 2, MAX_DEPTH / 2, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 100_000] {
            forms_agree(format!("{}1{}", open.repeat(depth), close.repeat(depth)).as_bytes());
            forms_agree(open.repeat(depth).as_bytes());
        }
    }
}

#[test]
fn tokens_are_read_across_the_borders_of_blocks() {
    let tokens = [
        r#""é""#,
        r#""\"""#,
        r#""\\""#,
        r#""\ud83d\ude00""#,
        r#""\u00e9""#,
        "12345678901234567",
        "-0.1234567890123",
        "123456789.125",
        "1e10",
        "true",
        "null",
        "{}",
        r#"{"a":[]}"#,
        "\"a\nb\"",
        "\"\\",
        "\"\\u12",
        "\"\u{7f}\"",
        "-",
        "1.",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "0.30000000000000004",
        "01",
        "tru",
    ];
    for token in tokens {
        for shift in 0..70 {
            let pad = "x".repeat(shift);
            forms_agree(format!(r#"{{"{pad}":{token},"b{pad}":[{token}]}}"#).as_bytes());
            forms_agree(format!(r#"["{pad}",{token}]"#).as_bytes());
            forms_agree(format!("[{}{token} ]", " ".repeat(shift)).as_bytes());
            forms_agree(format!(r#"["{pad}",{token}"#).as_bytes());
        }
    }
    for len in [15, 16, 17, 63, 64, 65, 65_535, 65_536, 65_537] {
        let long = format!(r#"{{"{0}":"{0}","b":"{0}é{0}","c":["\"{0}\n"]}}"#, "y".repeat(len));
        forms_agree(long.as_bytes());
        forms_agree(&long.as_bytes()[..long.len() - 1]);
    }
}

#[test]
fn bytes_that_are_no_utf8_are_refused_wherever_they_stand() {
    let sound = "{\"kéy\":\"välue\",\"list\":[\"\u{10ffff}\",{\"ü\":\"日本語 long enough for two blocks\"}]}";
    forms_agree(sound.as_bytes());
    for at in 0..sound.len() {
        for byte in
            [0x80, 0xbf, 0xc0, 0xc3, 0xe2, 0xed, 0xf4, 0xff, 0x00, 0x1f, b'"', b'\\', b'{', b']', b' ']
        {
            let mut broken = sound.as_bytes().to_vec();
            broken[at] = byte;
            forms_agree(&broken);
        }
        forms_agree(&sound.as_bytes()[..at]);
    }
}

#[test]
fn the_parser_goes_on_after_anything() {
    let mut parser = Parser::new();
    for given in [r#"{"a":[{"b":1"#, r#"{"a":1,"a":2}"#, "", r#"{"a":{"b":"c"}}"#, "[1,2]", "7"] {
        let again = parser.document(Bytes::from_static(given.as_bytes()));
        let once = Parser::new().document(Bytes::from_static(given.as_bytes()));
        assert_eq!(again.map(|payload| text(&payload)), once.map(|payload| text(&payload)));
    }
}

#[test]
fn what_scripts_nest_deeply_is_dropped_without_recursion() {
    let nested = |wrap: fn(Value) -> Value| (0..200_000).fold(Value::Null, |inner, _| wrap(inner));
    let list = || nested(|inner| vec![inner].into());
    let mut payload = document(r#"{"a":1,"b":2}"#);
    assert!(payload.insert("a", list()) && payload.insert("a", list()) && payload.insert("new", list()));
    assert!(payload.remove("a"));
    let mut out = Vec::new();
    payload.write_json(&mut out);
    assert!(payload.value().is_nested_deeper_than(100_000));
    drop(payload);
}

/// A value as text with white space, needless escapes and other ways to write the same.
fn odd_text(value: &Value, choices: &mut impl Iterator<Item = u8>, out: &mut String) {
    let white = |choice: u8| ["", "", "", " ", "\n  ", "\t", "\r\n"][usize::from(choice) % 7];
    let mut next = || choices.next().unwrap_or_default();
    match value {
        Value::String(text) => odd_string(text, &mut next, out),
        Value::I64(number) if next() % 8 == 0 => out.push_str(&format!("{number}.0")),
        Value::I64(number) if next() % 8 == 0 => out.push_str(&format!("{number}e0")),
        Value::F64(number) if next() % 4 == 0 => out.push_str(&format!("{number:e}")),
        Value::F64(number) if next() % 4 == 0 => out.push_str(&format!("{number:.12}0")),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(white(choices.next().unwrap_or_default()));
                odd_text(item, choices, out);
                out.push_str(white(choices.next().unwrap_or_default()));
            }
            out.push(']');
        }
        Value::Record(record) => {
            out.push('{');
            let again = record.iter().next().filter(|_| next() % 8 == 0);
            for (at, (key, member)) in record.iter().chain(again).enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(white(choices.next().unwrap_or_default()));
                match choices.next().unwrap_or_default() % 8 {
                    0 => odd_string(key, &mut || choices.next().unwrap_or_default(), out),
                    _ => out.push_str(&Value::String(key.clone()).to_string()),
                }
                out.push_str(white(choices.next().unwrap_or_default()));
                out.push(':');
                out.push_str(white(choices.next().unwrap_or_default()));
                odd_text(member, choices, out);
                out.push_str(white(choices.next().unwrap_or_default()));
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn odd_string(text: &str, next: &mut dyn FnMut() -> u8, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match (next() % 16, character) {
            (0, _) => character
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            (1, _) => character
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04X}"))),
            (_, '/') => out.push_str("\\/"),
            (_, '\n') => out.push_str("\\u000a"),
            (_, '"' | '\\' | '\0'..' ') => {
                let escaped = Value::from(character.to_string()).to_string();
                out.push_str(escaped.trim_start_matches('"').strip_suffix('"').unwrap_or_default());
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// Keys that are hard to tell apart.
const HARD_KEYS: &[&str] = &[
    "a",
    "b",
    "ab",
    "",
    "é",
    "ü😀",
    "quo\"te",
    "te",
    "\"",
    "\\",
    "\\\"",
    "back\\nslash",
    "back\nslash",
    "\n",
    "\u{1}",
    "/",
    "a\":1,\"b",
    "sixteen bytes of",
    "sixteen bytes of more",
    "sixteen bytes \\f",
];

/// One of a few keys, or of many, as one of the ways to write it.
fn hard_key() -> impl Strategy<Value = String> {
    let few = prop::sample::select(HARD_KEYS).prop_map(str::to_owned);
    let key = prop_oneof![3 => few, 1 => (0..50).prop_map(|number| format!("k{number}"))];
    (key, prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(key, choices)| {
        let mut written = String::new();
        let mut choices = choices.into_iter().cycle();
        odd_string(&key, &mut || choices.next().unwrap_or_default(), &mut written);
        written
    })
}

/// Text of which the records have keys twice and in strange forms, at any level.
fn hard_text() -> impl Strategy<Value = String> {
    let white = || prop::sample::select(vec!["", "", "", "", " ", "\n\t"]);
    let scalar =
        prop::sample::select(vec!["0", "-0", "1.50", "\"text\"", r#""\u0061\/""#, "null", "{}", "[]", "{ }"]);
    scalar.prop_map(str::to_owned).prop_recursive(5, 200, 60, move |inner| {
        let record = move |inner: BoxedStrategy<String>, most: usize| {
            let member = (white(), hard_key(), white(), inner, white());
            let member = member.prop_map(|(a, key, b, value, c)| format!("{a}{key}{b}:{value}{c}"));
            prop::collection::vec(member, 0..most).prop_map(|members| format!("{{{}}}", members.join(",")))
        };
        prop_oneof![
            6 => record(inner.clone().boxed(), 6),
            1 => record(inner.clone().boxed(), 60),
            2 => prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{} ]", items.join(" ,"))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn forms_agree_on_what_we_write(value in any_value(), choices in prop::collection::vec(any::<u8>(), 0..40)) {
        changes_agree(value.to_string().as_bytes(), &choices);
        let record = Record::from_iter([("a", value.clone()), ("quo\"te", Value::Null), ("z", value)]);
        changes_agree(Value::from(record).to_string().as_bytes(), &choices);
    }

    #[test]
    fn forms_agree_on_what_others_write(value in any_value(), choices in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut given = String::new();
        let record = Record::from_iter([("a", value.clone()), ("b", value)]);
        odd_text(&record.into(), &mut choices.iter().copied().cycle().take(10_000), &mut given);
        prop_assert!(Parser::new().parse(given.as_bytes()).is_ok(), "{}", given);
        changes_agree(given.as_bytes(), &choices);
    }

    #[test]
    fn forms_agree_on_hard_keys(given in hard_text(), choices in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(Parser::new().parse(given.as_bytes()).is_ok(), "{}", given);
        changes_agree(given.as_bytes(), &choices);
        changes_agree(format!("{{\"a\":{given},\"b\":[{given}]}}").as_bytes(), &choices);
        if given.starts_with(['{', '[']) {
            prop_assert!(!document(&given).is_built(), "{}", given);
        }
    }

    #[test]
    fn forms_agree_on_damaged_documents(
        value in any_value(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..6, any::<u8>()), 1..4),
    ) {
        let mut document = value.to_string().into_bytes();
        for (at, kind, byte) in damage {
            let punctuation = *br#"{}[],:"\ -+.eE0u"#.get(usize::from(byte % 16)).unwrap();
            match (kind, document.is_empty()) {
                (0, false) => { document.remove(at.index(document.len())); }
                (1, false) => { let at = at.index(document.len()); document[at] ^= 1 << (byte % 8); }
                (2, false) => { let at = at.index(document.len()); document[at] = punctuation; }
                (3, false) => document.truncate(at.index(document.len())),
                (4, false) => { let at = at.index(document.len()); document[at] = byte; }
                _ => document.insert(at.index(document.len() + 1), punctuation),
            }
        }
        forms_agree(&document);
    }

    #[test]
    fn forms_agree_on_numbers(number in "-?(0|[1-9][0-9]{0,24}|00?)(\\.[0-9]{1,25})?([eE][-+]?[0-9]{1,4})?") {
        for given in [number.clone(), format!("[{number}]"), format!("{{\"a\":{number}}}"), format!("[{number},{number} ]")] {
            forms_agree(given.as_bytes());
        }
    }

    #[test]
    fn forms_agree_on_short_numbers(number in "-?(0|[1-9][0-9]{0,14})\\.0{0,6}[0-9]{0,9}") {
        forms_agree(format!("[{number}]").as_bytes());
    }

    #[test]
    fn forms_agree_on_soups_of_tokens(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\"", "\"b\":", "\"a\":", "1", "-", "0", ".", "e", "E+", "1e400",
            "-0", "0.0", "1e-400", "18446744073709551616", "-9223372036854775809", "true", "null", "nul", "false", " ",
            "\n", "\t", "\u{b}", "\u{a0}", "\\u", "\\ud83d", "\\ude00", "\"\\ud83d\\ude00\"", "00", "\u{0}", "é",
            "\"\\u0061\":", "\"\\u001f\"", "\"\\u001F\"", "\"\\/\"", "{\"a\":1,", "[{},", "\"sixteen bytes of\":",
        ]), 0..14),
    ) {
        let soup = tokens.concat();
        changes_agree(soup.as_bytes(), &[0, 1, 2, 3, 4, 5]);
        changes_agree(format!("[{soup}]").as_bytes(), &[]);
        changes_agree(format!("{{\"a\":{soup}}}").as_bytes(), &[5, 0, 2, 0]);
    }

    #[test]
    fn forms_agree_on_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        forms_agree(&bytes);
    }
}
