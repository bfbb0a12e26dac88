//! Extractors where they may stand (`spec/language-script.md` sections 8 and 9).

use super::{Payload, Value, compile, complaints, json, run, run_bounded, table, unbuilt, warnings};
use tremor_lang::Context;

#[test]
fn examples_of_the_specification() {
    table(
        r##"
        match event of case ~ glob|c?t*| => 1 case _ => 0 end                  |> "cats" |> 1
        match event of case x = ~ glob|c?t*| => x case _ => 0 end              |> "cats" |> true
        match event of case x = ~ re|(?P<k>[a-z]+)=(?P<v>\\d+)?| => x case _ => 0 end |> "x=1" |> {"k":"x","v":"1"}
        match event of case x = ~ re|(?P<k>[a-z]+)=(?P<v>\\d+)?| => x case _ => 0 end |> "x="  |> {"k":"x"}
        match event of case x = ~ rerg|(?P<d>\\d)| => x case _ => 0 end        |> "a1b2" |> {"d":["1","2"]}
        match event of case x = ~ rerg|(?P<d>\\d)| => x case _ => 0 end        |> "ab"   |> 0
        match event of case x = ~ base64|| => x case _ => 0 end                |> "aGk=" |> "hi"
        match event of case x = ~ json|| => x case _ => 0 end  |> "{\"a\": [1, 2.0]}"    |> {"a":[1,2.0]}
        match event of case ~ re|b| => 1 case _ => 0 end                       |> "abc"  |> 1
        match event of case ~ Re|a\|x| => 1 case _ => 0 end                    |> "x"    |> 1
        match event of case ~ base64|| => 1 case _ => 0 end                    |> "/w==" |> 1
        match event of case x = ~ base64|| => x case _ => 0 end                |> "/w==" |> 0
        "##,
    );
}

#[test]
fn examples_of_the_specification_for_lines_and_logs() {
    table(
        r##"
        match event of case x = ~ kv|| => x case _ => 0 end                    |> "a:1 b:2 junk" |> {"a":"1","b":"2"}
        match event of case x = ~ kv|%{key}=%{val}&| => x case _ => 0 end      |> "x=1&y=2&z" |> {"x":"1","y":"2"}
        match event of case x = ~ kv|%{key}=%{val}\\n| => x case _ => 0 end    |> "x=1\ny=2" |> {"x":"1","y":"2"}
        match event of case x = ~ dissect|%{ip} - %{user}: %{n:int}| => x case _ => 0 end |> "10.0.0.1 - bob: 42" |> {"ip":"10.0.0.1","user":"bob","n":42}
        match event of case x = ~ dissect|%{a} %{+a} %{b}| => x case _ => 0 end |> "x y z" |> {"a":"x y","b":"z"}
        match event of case x = ~ dissect|%{?k}=%{&k}| => x case _ => 0 end    |> "size=10" |> {"size":"10"}
        match event of case x = ~ dissect|%{a}%{_}%{b}| => x case _ => 0 end   |> "x    y" |> {"a":"x","b":"y"}
        match event of case x = ~ dissect|%{a}\|%{b}| => x case _ => 0 end     |> "x|y" |> {"a":"x","b":"y"}
        match event of case x = ~ grok|%{IP:ip} %{WORD:verb}| => x case _ => 0 end |> "10.0.0.1 GET /" |> {"ip":"10.0.0.1","verb":"GET"}
        match event of case x = ~ cidr|| => x case _ => 0 end                  |> "192.168.1.0/24" |> {"prefix":[192,168,1,0],"mask":[255,255,255,0]}
        match event of case x = ~ cidr|10.0.0.0/8, 192.168.0.0/16| => x case _ => 0 end |> "192.168.3.4" |> {"prefix":[192,168,3,4],"mask":[255,255,255,255]}
        match event of case x = ~ datetime|%Y-%m-%d %H:%M:%S| => x case _ => 0 end |> "1970-01-01 00:00:01" |> 1000000000
        match event of case x = ~ influx|| => x case _ => 0 end |> "cpu,host=a load=1.5,n=3i 17" |> {"measurement":"cpu","tags":{"host":"a"},"fields":{"load":1.5,"n":3},"timestamp":17}
        "##,
    );
}

#[test]
fn a_line_without_a_timestamp_has_that_of_the_event() {
    let script =
        compile("let event = match \"cpu load=1\" of case x = ~ influx|| => x.timestamp case _ => 0 end")
            .unwrap();
    for ingest_ns in [1, 2] {
        let mut event = Payload::from(Value::Null);
        let (mut meta, mut state) = (tremor_value::Meta::record(), Value::Null);
        let context = Context::new(ingest_ns, None, None);
        script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context).unwrap();
        assert_eq!(event.into_value(), Value::from(ingest_ns));
    }
}

/// The examples of the reference, written as scripts.
#[test]
fn examples_of_the_reference() {
    let mut examples = 0;
    for extractor in tremor_lang::extractors() {
        for example in extractor.examples {
            let body = example.body.replace('\\', r"\\").replace('|', r"\|");
            let name = extractor.name;
            let source = format!("match event of case x = ~ {name}|{body}| => x case _ => \"no match\" end");
            let text = Value::from(example.text).to_string();
            let expected =
                example.result.map_or("\"no match\"".to_owned(), |result| json(result).to_string());
            assert_eq!(run(&source, &text), expected, "{name}|{body}| on {text}");
            examples += 1;
        }
    }
    assert!(examples > 10);
}

#[test]
fn only_texts_match() {
    for target in ["1", "null", "true", "[\"a\"]", "{\"a\":\"a\"}", "1.5"] {
        for extractor in [
            "glob|*|",
            "re||",
            "rerg||",
            "json||",
            "base64||",
            "kv||",
            "dissect|%{a}|",
            "grok||",
            "cidr||",
            "datetime|%s|",
            "influx||",
        ] {
            for pattern in [format!("~ {extractor}"), format!("x = ~ {extractor}")] {
                let source = format!("match event of case {pattern} => 1 case _ => 0 end");
                assert_eq!(run(&source, target), "0", "{pattern} on {target}");
            }
        }
    }
    assert_eq!(run("match <<event/binary>> of case ~ glob|*| => 1 case _ => 0 end", "\"a\""), "0");
}

#[test]
fn in_records() {
    let event = r#"{"a": 1, "b": "x=y", "c": {"d": ["p", "q"]}}"#;
    for (pattern, expected) in [
        ("%{ a == 1, b ~= glob|x*| }", r#"{"b":true}"#),
        ("%{ b ~= re|(?P<l>.)=(?P<r>.)| }", r#"{"b":{"l":"x","r":"y"}}"#),
        ("%{ both = b ~= re|(?P<l>.)=(?P<r>.)| }", r#"{"both":{"l":"x","r":"y"}}"#),
        ("%{ l = b ~= re|^(?P<l>.)|, b ~= glob|*y|, present a }", r#"{"l":{"l":"x"},"b":true,"a":1}"#),
        ("%{ c ~= %{ d ~= %[~ re|q|] } }", r#"{"c":{"d":[[1,{}]]}}"#),
        ("%{ a ~= glob|*| }", "0"),
        ("%{ b ~= glob|y*| }", "0"),
        ("%{ z ~= glob|*| }", "0"),
        ("%{ x = z ~= glob|*| }", "0"),
        ("%{ c ~= glob|*| }", "0"),
    ] {
        let bound = format!("match event of case x = {pattern} => x case _ => 0 end");
        assert_eq!(run(&bound, event), expected, "{pattern}");
        let tested = format!("match event of case {pattern} => 1 case _ => 0 end");
        assert_eq!(run(&tested, event), if expected == "0" { "0" } else { "1" }, "{pattern}");
        // The same for a record that is no event.
        let bound = format!("let r = event; match r of case x = {pattern} => x case _ => 0 end");
        assert_eq!(run(&bound, event), expected, "{pattern}");
    }
}

#[test]
fn in_arrays_tuples_and_parameters() {
    table(
        r##"
        match event of case x = %[_, 1, ~ re|a|] => x case _ => 0 end         |> [1, "a", 1] |> [[0,1],[2,1],[1,{}]]
        match event of case %[~ re|b|] => 1 case _ => 0 end                   |> [1, "a", 1] |> 0
        match event of case x = %[~ json||] => x case _ => 0 end              |> ["a", "1", "[2]"] |> [[1,1],[2,[2]]]
        match event of case x = %(~ re|(?<l>.)|, _, ...) => x case _ => 0 end |> ["a", 2, 3] |> [{"l":"a"},2]
        match event of case %(~ glob|a|) => 1 case _ => 0 end                 |> ["a"]       |> 1
        match event of case %(~ glob|a|) => 1 case _ => 0 end                 |> ["b"]       |> 0
        fn f(a) of case (~ json||) => a case _ => [a] end; f(event)           |> "[1,2]"     |> [1,2]
        fn f(a) of case (~ json||) => a case _ => [a] end; f(event)           |> "[1"        |> ["[1"]
        fn f(a, b) of case (_, ~ re|(?<x>\\d+)|) when present b.x => b.x case _ => 0 end; f(1, event) |> "ab12" |> 0
        "##,
    );
}

#[test]
fn calls_with_constants_are_made_when_the_script_is_compiled() {
    let source = r#"fn f(a) of case (~ re|(?<k>.)=(?<v>.)|) => a.v case _ => 0 end; const C = f("k=v"); C"#;
    assert_eq!(run(source, "1"), "\"v\"");
}

#[test]
fn what_is_wrong_is_reported_at_name_and_body() {
    assert_eq!(
        complaints(
            "match event of case ~ prefix|a| => 1 case ~ re |(| => 2 case %{ a ~= glob|[a|, x = b ~= nope|| } => 3 case _ => 2 end"
        ),
        ["E-C8 at prefix|a|", "E-C8 at re |(|", "E-C8 at glob|[a|", "E-C8 at nope||"]
    );
    assert_eq!(
        complaints(
            "match event of case ~ kv|%{key}=| => 1 case ~ dissect|%{a}%{b}| => 2 case ~ grok|%{NONE}| => 3 case ~ cidr|::/0| => 4 \
             case ~ datetime|%Q| => 5 case ~ influx|ignored| => 6 case _ => 7 end"
        ),
        [
            "E-C8 at kv|%{key}=|",
            "E-C8 at dissect|%{a}%{b}|",
            "E-C8 at grok|%{NONE}|",
            "E-C8 at cidr|::/0|",
            "E-C8 at datetime|%Q|",
        ]
    );
    let failure = compile("match event of\n\n  case ~ glop|a| => 1\n  case _ => 0\n\nend").unwrap_err();
    assert_eq!(
        failure.to_string(),
        "Error in test.tremor:3:10 \n    1 | match event of\n    2 | \n    3 |   case ~ glop|a| => 1\n      |          ^^^^^^^ There is no extractor `glop`\n      |                  NOTE: Did you mean `glob`?\n    4 |   case _ => 0\n\n"
    );
    let failure = compile("match event of case ~ re|a(b| => 1 case _ => 0 end").unwrap_err();
    let text = failure.to_string();
    assert!(
        text.contains("This is no body for the extractor `re`: unclosed group (`(`, character 2)"),
        "{text}"
    );
    let text = compile("match event of case ~ unheard|| => 1 case _ => 0 end").unwrap_err().to_string();
    assert!(text.contains("There are glob, re, rerg, base64, json"), "{text}");
}

#[test]
fn presence_besides_an_extractor_is_redundant() {
    assert_eq!(
        warnings("match event of case %{present k, k ~= re|a|} => 1 case _ => 2 end"),
        ["W-7 at %{present k, k ~= re|a|}"]
    );
}

#[test]
fn an_event_is_not_built_for_its_texts() {
    for source in [
        "match event of case %{ text ~= re|b| } => 1 case _ => 0 end",
        "match event of case x = %{ y = text ~= re|(?<b>b)| } => x case _ => 0 end",
        "match event of case ~ glob|*| => 1 case x = ~ re|b| => 2 case %[~ re|b|] => 3 case %(~ re|b|) => 4 case _ => 0 end",
        "match event.text of case ~ glob|a*| => 1 case _ => 0 end",
    ] {
        let script = compile(source).unwrap();
        let mut event: Payload = unbuilt(r#"{"n": 1, "text": "abc", "more": [1, 2]}"#);
        let context = Context::new(0, None, None);
        let (mut meta, mut state) = (tremor_value::Meta::record(), Value::Null);
        script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context).unwrap();
        assert!(!event.is_built(), "{source}");
    }
}

#[test]
fn looking_at_texts_and_results_are_paid_for() {
    let bounded = |source: &str, event: &str| run_bounded(&compile(source).unwrap(), &[event], 2_000);
    let looks = "for event.list of case (i, e) => match event.text of case PATTERN => 1 case _ => 0 end into 0 use + end";
    let event = |items: usize, text: usize| {
        format!(r#"{{"list": [{}], "text": "{}"}}"#, vec!["1"; items].join(","), "a".repeat(text))
    };
    for pattern in ["~ re|b|", "x = ~ re|b|", "~ glob|*b*|", "~ json||"] {
        let source = looks.replace("PATTERN", pattern);
        assert_eq!(bounded(&source, &event(100, 160)), "0", "{pattern}");
        let found = bounded(&source, &event(100, 1_600));
        assert!(found.starts_with("E-R9 at "), "{pattern}: {found}");
    }
    // The text is short, what comes out of it is not.
    let groups: String = (0..60).map(|n| format!("(?<g{n}>")).collect::<String>() + "a+" + &")".repeat(60);
    let source = format!("match event.text of case x = ~ re|{groups}| => 1 case _ => 0 end");
    assert_eq!(bounded(&source, &event(1, 160)), "1");
    assert!(bounded(&source, &event(1, 1_600)).starts_with("E-R9 at "));
}

#[test]
fn many_looks_at_a_long_text_are_possible() {
    // As few bytes as make the sum exceed what it did at 16 bytes for a value, with a budget as much smaller.
    let text = format!("\"{}\"", "a word ".repeat(10_000));
    let arms = |pattern: &dyn Fn(usize) -> String| {
        let arms: String = (0..20).map(|at| format!("case {} => {at} ", pattern(at))).collect();
        compile(&format!("match event of {arms} case _ => \"none\" end")).unwrap()
    };
    for (pattern, values) in [
        (&(|at| format!("~ re|zz{at}[0-9]|")) as &dyn Fn(usize) -> String, 22_000),
        (&|at| format!("~ re|\\\\bzz{at}|"), 22_000),
        (&|at| format!("~ glob|*zz{at}*|"), 22_000),
        (&|at| format!("~ dissect|zz{at}%{{a}}|"), 22_000),
        (&|at| format!("~ glob|zz{at}*|"), 20),
        (&|at| format!("~ glob|*zz{at}|"), 20),
        (&|at| format!("~ cidr|10.0.0.{at}|"), 20),
    ] {
        assert_eq!(run_bounded(&arms(pattern), &[&text], values), "\"none\"", "{}", pattern(1));
        let found = run_bounded(&arms(pattern), &[&text], values / 2);
        // The arm is named.
        assert!(found.starts_with("E-R9 at ") && found.contains(&pattern(1)[2..5]), "{found}");
    }
}

#[test]
fn giving_up_is_an_error_at_the_extractor() {
    let text = format!("\"{}\"", "a".repeat(200_000));
    for (test, words) in [
        ("grok|^a+b?(?<!b)%{DATA:x}c\\|^a|", "goes back in at most 32768 bytes"),
        ("rerg|(?<x>a+b\\|a)|", "read over and over"),
    ] {
        for pattern in [format!("x = ~ {test}"), format!("x = %{{ x = text ~= {test} }}")] {
            let source = format!("match event of case {pattern} => x case _ => 0 end");
            let script = compile(&source).unwrap();
            let event = if pattern.contains("%{ x") { format!("{{\"text\": {text}}}") } else { text.clone() };
            let mut event = Payload::from(json(&event));
            let (mut meta, mut state) = (tremor_value::Meta::record(), Value::Null);
            let context = Context::new(0, None, None);
            let error =
                script.program.run(&mut event, &mut meta, &mut state, &Value::Null, &context).unwrap_err();
            let diagnostic = error.to_diagnostic(&script.sources);
            assert_eq!(diagnostic.code.id, "E-R9");
            assert!(
                diagnostic.message.contains(words) && diagnostic.hint.is_some(),
                "{}",
                diagnostic.message
            );
            let span = error.span();
            let start = usize::try_from(span.start).unwrap();
            assert!(source[start..].starts_with(&test[..4]), "{source}");
        }
    }
}

#[test]
fn formats_that_never_match_are_warned_of() {
    assert_eq!(
        warnings(
            "match event of case ~ datetime|%Y-%m-%d| => 1 case %{ a ~= datetime|| } => 2 case ~ datetime|%s| => 3 case _ => 2 end"
        ),
        ["W-11 at datetime|%Y-%m-%d|", "W-11 at datetime||"]
    );
}

#[test]
fn names_of_other_systems_are_led_to_ours() {
    for (test, hint) in [
        ("regex|a|", "Did you mean `re`?"),
        ("Prefix|a|", "Write `glob|a*|`"),
        ("suffix|a.b|", "Write `glob|*a.b|`"),
        ("prefix|a*|", "Write `glob|…*|`"),
    ] {
        let text =
            compile(&format!("match event of case ~ {test} => 1 case _ => 0 end")).unwrap_err().to_string();
        assert!(text.contains(hint), "{text}");
    }
}

#[test]
fn expressions_are_bounded_together() {
    // Each takes some megabytes.
    let arms: String = (0..80).map(|at| format!("case ~ re|\\\\w{{30}}{at}| => 1\n")).collect();
    let text = compile(&format!("match event of {arms} case _ => 0 end")).unwrap_err().to_string();
    let refused = text.matches("take more than 67108864 bytes already").count();
    assert!((1..70).contains(&refused), "{refused}");
}

#[test]
fn a_hostile_text_is_no_trouble() {
    let deep = format!("\"{}\"", "[".repeat(200_000));
    assert_eq!(run("match event of case ~ json|| => 1 case x = ~ json|| => 2 case _ => 0 end", &deep), "0");
    let long = format!("\"{}\"", "a".repeat(1 << 20));
    let source = "match event of case ~ glob|*a*a*a*a*b| => 1 case ~ re|^(a+)+$x| => 2 case ~ glob|*?a*?b| => 3 case _ => 0 end";
    assert_eq!(run(source, &long), "0");
}
