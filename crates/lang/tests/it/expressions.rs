//! Paths, literals, folding, `match`, `for`, `patch`, `merge`, functions.

use super::{complaints, table};

#[test]
fn paths_read_what_is_there() {
    table(
        r##"
        event.a[1]                          |> {"a":[5,6]}        |> 6
        event[1:3][0]                       |> [1,2,3]            |> 2
        event[0:0]                          |> []                 |> []
        [event, 2, 3][1:3]                  |> 1                  |> [2,3]
        {"a": {"b": event}}.a["b"]          |> 1                  |> 1
        (match event of case 1 => {"x": "one"} case _ => {} end).x |> 1 |> "one"
        event["#{event.k}x"]                |> {"k":"a","ax":3}   |> 3
        event.`default`                     |> {"default":1}      |> 1
        event.a.b                           |> {"a":1}            |> E-P1 at b
        event.b                             |> {"a":1}            |> E-P2 at b
        event[0]                            |> {"a":1}            |> E-P3 at [0]
        event["a"]                          |> [1]                |> E-P1 at ["a"]
        event[5]                            |> [1]                |> E-P4 at [5]
        event[-1]                           |> [1]                |> E-P4 at [-1]
        event[event[0]]                     |> [null]             |> E-P5 at event[0]
        event[event.k]                      |> {"k":1}            |> E-P5 at event.k
        event[0:5]                          |> [1]                |> E-P4 at [0:5]
        event[event[1]:event[0]]            |> [0,1]              |> E-P6 at event[1]:event[0]
        event[event[0]:2]                   |> ["x"]              |> E-P5 at event[0]
        nope                                |> 1                  |> E-P0 at nope
        nope.a                              |> 1                  |> E-P0 at nope.a
        let x = 1; x                        |> 1                  |> 1
        $foo                                |> 1                  |> E-P2 at foo
        "ab" == "a" and nope                |> 1                  |> false
        "#{event}|#{1.0}|#{[null]}|#{"s"}"  |> {"a":1.0}          |> "{\"a\":1.0}|1.0|[null]|s"
        {"a": event, "b": 1, "a": 2}        |> 9                  |> {"a":2,"b":1}
        [1, event, null, true, 1.5,]        |> "x"                |> [1,"x",null,true,1.5]
        "#{event}"                          |> "x"                |> "x"
        state                               |> 1                  |> null
        args                                |> 1                  |> null
        group                               |> 1                  |> null
        "#{window}"                         |> 1                  |> "null"
        "#{$}"                              |> 1                  |> "{}"
        "#{ {"a": [1.0, null]} }"           |> 1                  |> "{\"a\":[1.0,null]}"
        "#{event.nope}"                     |> {}                 |> E-P2 at nope
    "##,
    );
}

#[test]
fn present_and_absent_ask_without_failing() {
    table(
        r##"
        present event.a.b                   |> {"a":1}            |> false
        present event.a                     |> {"a":null}         |> true
        absent $foo                         |> 1                  |> true
        present $                           |> 1                  |> true
        present state                       |> 1                  |> true
        present event[0:5]                  |> [1]                |> false
        present event[0:1]                  |> [1]                |> true
        present nope                        |> 1                  |> false
        present event[9].a                  |> [1]                |> false
        present event["k"].a                |> [1]                |> false
        present event[event[1]:event[0]]    |> [0,1]              |> E-P6 at event[1]:event[0]
        present event[event.k]              |> {"k":1}            |> E-P5 at event.k
        present event[event.nope]           |> {"k":1}            |> E-P2 at nope
        present event[-1]                   |> [1]                |> E-P4 at [-1]
        present args.x                      |> 1                  |> false
        const C = {"a": 1}; present C.b     |> 1                  |> false
        const C = {"a": 1}; absent C.a      |> 1                  |> false
    "##,
    );
}

#[test]
fn constants_are_folded_and_their_mistakes_reported_at_once() {
    table(
        r##"
        const A = 1; const B = A + 1; B * 10    |> 0   |> 20
        const A = {"x": [1, 2]}; A.x[1]         |> 0   |> 2
        const A = "x"; "#{A}y"                  |> 0   |> "xy"
        use num; num::FIVE + event              |> 1   |> 6
        use num; num::REC.a[0]                  |> 1   |> 1
        use num as n; n::quad(3)                |> 1   |> 12
        const x = 1; let y = 2; x + y           |> 1   |> 3
        const C = 3                             |> 7   |> 3
    "##,
    );
    let cases = [
        ("1 / 0; 5", "E-O3 at 1 / 0"),
        ("match event of case 9 => 1 + \"a\" case _ => 1 end", "E-O1 at 1 + \"a\""),
        ("const A = event; 1", "E-C1 at event"),
        ("const A = match 1 of case _ => 2 end; 1", "E-C1 at match 1 of case _ => 2 end"),
        ("const A = x; 1", "E-C1 at x"),
        ("const A = core::test::now(); 1", "E-C1 at core::test::now()"),
        ("const A = 1; const A = 2; 1", "E-M3 at const A = 2"),
        ("use num; num::SIX", "E-C3 at num::SIX"),
        ("const A = {\"a\": 1}; A.b", "E-P2 at b"),
        ("event[1.5]", "E-P5 at 1.5"),
        ("event[true]", "E-P5 at true"),
        ("event[2:1]", "E-P6 at 2:1"),
        ("present event[2:1]", "E-P6 at 2:1"),
        ("event[\"a\":1]", "E-P5 at \"a\""),
        ("-true", "E-O1 at -true"),
        ("18446744073709551615 + 1", "E-O2 at 18446744073709551615 + 1"),
        ("core::array::len(1)", "E-F1 at core::array::len(1)"),
        ("core::array::len([], [])", "E-F2 at core::array::len([], [])"),
    ];
    for (source, expected) in cases {
        assert_eq!(complaints(source), [expected], "{source}");
    }
}

#[test]
fn one_mistake_gives_one_report_and_two_give_two() {
    assert_eq!(complaints("const A = 1 / 0; A + 1"), ["E-O3 at 1 / 0"]);
    assert_eq!(complaints("let a = 1 / 0 + 1; f(1)"), ["E-O3 at 1 / 0", "E-C2 at f(1)"]);
}

#[test]
fn match_takes_the_first_clause_that_applies() {
    table(
        r##"
        match event of case "a" => 1 case "b" => 2 case _ => 3 end       |> "b"  |> 2
        match event of case 1 => "int" case 1.0 => "float" case _ => "o" end |> 1 |> "int"
        match event of case 1 => 1 end                                    |> 2    |> E-R1 at match event of case 1 => 1 end
        match event of case x = %{present n} when x.n > 5 => x.n case _ => 0 end |> {"n":9} |> 9
        match event of case x = %{present n} when x.n > 5 => x.n case _ => 0 end |> {"n":1} |> 0
        match event of case _ when event.a == 1 => "one" case _ => "other" end   |> {"a":1} |> "one"
        match event of case _ when 1 => 1 case _ => 2 end                 |> 1    |> E-T1 at 1
        let limit = 5; match event of case limit => "yes" case _ => "no" end |> 5 |> "yes"
        match event of case limit => "yes" case _ => "no" end             |> 5    |> E-P0 at limit
        match event of case {"a": 1} => 1 case _ => 2 end                 |> {"a":1,"b":2} |> 2
        match event of case %{} => 1 case _ => 2 end                      |> {"a":1,"b":2} |> 1
        match event of case %[] => 1 case _ => 2 end                      |> []   |> 1
        match event of case %() => 1 case %(...) => 2 case _ => 3 end     |> [1]  |> 2
        match event of case x = _ => x + 1 end                            |> 1    |> 2
        match event of case x = _ => let y = x; y end                     |> 1    |> 1
        let x = 9; match event of case x = _ => x end; x                  |> 1    |> 9
        let y = match event of case 1 => "a" case _ => "b" end; y         |> 1    |> "a"
        {"k": match event of case x = _ when x > 1 => [x, x] case _ => null end} |> 2 |> {"k":[2,2]}
        {"k": match [event] of case x = %(_) => match x of case y = _ => [y, x] end case _ => 0 end} |> 2 |> {"k":[[2],[2]]}
    "##,
    );
}

#[test]
fn patterns_look_into_records_arrays_and_tuples() {
    let event = r#"{"a": 1, "b": "x=y", "c": {"d": [1]}}"#;
    for (pattern, expected) in [
        ("%{ present a, absent z }", r#"{"a":1}"#),
        ("%{ c ~= %{ d ~= %[1] } }", r#"{"c":{"d":[[0,1]]}}"#),
        ("%{ a > 1 }", "null"),
        ("%{ a == 1 }", "{}"),
        ("%{ z != 1 }", "null"),
        ("%{ a != 2 }", "{}"),
    ] {
        let script = format!("match event of case x = {pattern} => x case _ => null end");
        assert_eq!(super::run(&script, event), expected, "{pattern}");
    }
    table(
        r##"
        match event of case x = %[_, 1] => x case _ => null end         |> [1,"a",1]  |> [[0,1],[2,1]]
        match event of case x = %[%{present k}] => x case _ => null end |> [{"k":1},{},{"k":2}] |> [[0,{"k":1}],[2,{"k":2}]]
        match event of case x = %[_] => x case _ => null end            |> []         |> null
        match event of case x = %(1, _, ...) => x case _ => null end    |> [1,2,3]    |> [1,2]
        match event of case x = %(1, _) => x case _ => null end         |> [1,2,3]    |> null
        match event of case %{a > "x"} => 1 case _ => 2 end             |> {"a":1}    |> E-O1 at match event of case %{a > "x"} => 1 case _ => 2 end
    "##,
    );
}

#[test]
fn long_runs_of_constants_keep_the_order_of_clauses() {
    let clauses = r#"match event of case 1 => "a" case "x" => "b" case 2 => "c" case "y" when false => "d"
        case "y" => "e" case 1 => "never" case 3.0 => "f" case 4 => "g" case 18446744073709551615 => "h"
        case "x" => "never" case 5 => "i" case 6 => "j" case _ => "z" end"#;
    for (event, expected) in [
        ("1", "a"),
        ("1.0", "a"),
        ("\"x\"", "b"),
        ("2", "c"),
        ("\"y\"", "e"),
        ("3", "f"),
        ("4.0", "g"),
        ("18446744073709551615", "h"),
        ("5", "i"),
        ("true", "z"),
        ("null", "z"),
        ("\"z\"", "z"),
    ] {
        assert_eq!(super::run(clauses, event), format!("\"{expected}\""), "{event}");
    }
}

#[test]
fn for_folds_what_its_arms_give() {
    table(
        r##"
        for [1,2,3] of case (i, e) when e != 2 => e * 10 end                |> 0 |> [10,30]
        for {"a":1,"b":2} of case (k, v) => {"#{k}": v + 1} into {} end     |> 0 |> {"a":2,"b":3}
        for [1,2] of case (i, e) => e into 10 use - end                     |> 0 |> 7
        for [1,2] of case (i, e) => e into 0 end                            |> 0 |> 3
        for [[1],[2]] of case (i, e) => e end                               |> 0 |> [[1],[2]]
        for [true,false] of case (i, e) => e into true use and end          |> 0 |> false
        for [false,true] of case (i, e) => e into false use or end          |> 0 |> true
        for [true,true] of case (i, e) => e into true use xor end           |> 0 |> true
        for 5 of case (i, e) => e end                                       |> 0 |> []
        for [1] of case (i, e) when 1 => e end                              |> 0 |> E-T1 at 1
        for event of case (i, e) => e into [] use - end                     |> [1] |> E-R5 at e
        for event of case (i, e) => e into [] use - end                     |> []  |> []
        for event of case (i, e) => e into "" end                           |> ["a"] |> E-O1 at (i, e)
        for event of case (i, e) => e into {} end                           |> [1] |> E-T3 at e
        for event of case (i, e) => e into true use and end                 |> [1] |> E-T2 at e
        let s = 0; for event of case (i, e) => let s = s + e end; s         |> [1,2,3] |> 6
        for event of case (i, e) => match e of case 2 => emit e => "two" case _ => null end end; 9 |> [1,2] |> 2 on two
        (for event of case (i, e) => [i, e] end)[1]                         |> ["a","b"] |> [1,"b"]
        (for event of case (i, e) => (for e of case (j, f) => [i, j, f] end) end) |> [[1],[2]] |> [[[0,0,1]],[[1,0,2]]]
        for [1,2] of case (i, e) => let event.x = e end; event               |> {} |> {"x":2}
    "##,
    );
}

#[test]
fn patch_and_merge_change_records() {
    table(
        r##"
        patch {"a":1} of insert "b" => 2; update "b" => 3; move "b" => "c" end |> 0 |> {"a":1,"c":3}
        patch event of insert "a" => 1 end           |> {"a":0} |> E-R6 at insert "a" => 1
        patch event of update "b" => 1 end           |> {"a":0} |> E-R7 at update "b" => 1
        patch event of upsert "a" => event end       |> {"a":0} |> {"a":{"a":0}}
        patch event of erase "a"; erase "z" end      |> {"a":0} |> {}
        patch event of copy "z" => "a" end           |> {"a":0} |> E-R6 at copy "z" => "a"
        patch event of copy "a" => "b" end           |> {"a":0} |> {"a":0,"b":0}
        patch event of merge "a" => {"y":1} end      |> {"a":{"x":1}} |> {"a":{"x":1,"y":1}}
        patch event of merge "b" => 5 end            |> {"a":0} |> {"a":0,"b":5}
        patch event of merge "a" => 5 end            |> {"a":0} |> E-R8 at merge "a" => 5
        patch event of merge => 5 end                |> {"a":0} |> E-R8 at merge => 5
        patch event of merge => {"b":1} end          |> {"a":0} |> {"a":0,"b":1}
        patch event of default => 5 end              |> {"a":0} |> E-T3 at default => 5
        patch event of default "a" => 1 / event.a end |> {"a":0} |> {"a":0}
        patch event of default "b" => 1 end          |> {"a":0} |> {"a":0,"b":1}
        patch event of default => {"b":{"x":9,"z":0},"d":4} end |> {"b":{"x":1}} |> {"b":{"x":1,"z":0},"d":4}
        patch event of insert "k#{event.a}" => 1 end |> {"a":0} |> {"a":0,"k0":1}
        patch event of insert "a" => 1 end           |> [1]     |> E-T3 at event
        merge {"a":{"x":1},"b":[1]} of {"a":{"y":null},"b":[2]} end |> 0 |> {"a":{"x":1,"y":null},"b":[2]}
        merge event of {} end                        |> 1       |> E-T3 at event
        merge {} of event end                        |> 1       |> E-T3 at event
    "##,
    );
}

#[test]
fn functions_call_recur_and_match_their_arguments() {
    table(
        r##"
        fn f(a, b) with a + b end; f(event, 2)               |> 1 |> 3
        fn f(a, ...) with match a of case 0 => args case _ => recur(a - 1) end end; f(1, 2)  |> 1 |> []
        fn f(a, ...) with match a of case 0 => args case _ => recur(a - 1, a, args) end end; f(event, 2) |> 2 |> [1,[2,[2]]]
        fn f(a, ...) with [a, args] end; f(7, 2, 3)          |> 1 |> [7,[2,3]]
        fn sum(n, acc) of case (0, _) => acc case _ => recur(n - 1, acc + n) end; sum(event, 0) |> 100 |> 5050
        fn loop(n) of case _ => recur(n) end; loop(event)    |> 1 |> E-R9 at loop(event)
        fn down(n) of case (0) => "done" case _ => recur(n - 1) end; down(event) |> 1023 |> "done"
        fn down(n) of case (0) => "done" case _ => recur(n - 1) end; down(event) |> 1024 |> E-R9 at down(event)
        fn kind(v) of case (%{present id}) => v case (5) => "five" case _ => "?" end; kind(event) |> {"id":1,"x":2} |> {"id":1}
        fn kind(v) of case (%{present id}) => v case (5) => "five" case _ => "?" end; kind(event) |> 5 |> "five"
        fn kind(v) of case (%{present id}) => v case (5) => "five" case _ => "?" end; kind(event) |> 6 |> "?"
        fn g(v) of case (1, 2) => "never" case (_) when v > 3 => "big" case _ => "small" end; g(event) |> 4 |> "big"
        fn f(x) with let y = x * 2; y + 1 end; f(event)      |> 4 |> 9
        fn f(x) with x.y end; f(event)                       |> {"y":1} |> 1
        fn f(x) with event end; f(event)                     |> 1 |> null
        fn f(x) with let event = 1; event end; f(event)      |> 1 |> 1
        fn f(x) with let $y = 1; 1 end; f(event)             |> 1 |> E-P1 at y
        fn f(x) with let x = x + 1; x end; [f(event), event] |> 1 |> [2,1]
        fn f(a, b) with b end; f(event)                      |> 1 |> E-P0 at b
        fn f() with 1 end; f() + event                       |> 1 |> 2
        fn f(x) with match x of case 1 => 2 case _ => recur(1) end end; f(event) |> 7 |> 2
        use array; array::len(event)                         |> [1,2] |> 2
        use array; array::len(event)                         |> 1 |> E-F1 at array::len(event)
        core::array::len(event)                              |> [1] |> 1
        core::array::len(event, 1)                           |> [1] |> E-F2 at core::array::len(event, 1)
        fn l(x) with core::array::len(x) end; l(event)       |> 1 |> E-F1 at l(event)
        core::test::ingest_ns()                              |> 1 |> 7
        fn later() with core::test::ingest_ns() + 5 end; later() |> 1 |> 12
        fn f(x) with let a.b = x; a end; f(event)            |> 1 |> E-P0 at a.b
    "##,
    );
    for (source, expected) in [
        ("fn f(x) with f(x) end; 1", "E-C2 at f(x)"),
        ("fn f(x) with emit x end; 1", "E-C4 at emit x"),
        ("fn f(x) with drop end; 1", "E-C4 at drop"),
        ("fn f(x) with recur(x) + 1 end; 1", "E-C6 at recur(x)"),
        ("fn f(x) with recur(x); 1 end; 1", "E-C6 at recur(x)"),
        ("fn f(x) with let a = recur(x) end; 1", "E-C6 at recur(x)"),
        ("recur(1)", "E-C6 at recur(1)"),
        ("fn f(x) with recur(x, x) end; 1", "E-C7 at recur(x, x)"),
        ("fn f(x) with 1 end; fn f(y) with 2 end; 1", "E-M3 at fn f(y) with 2 end"),
        ("nope(1)", "E-C2 at nope(1)"),
        ("std::array::len([])", "E-C2 at std::array::len([])"),
        ("core::nope::len([])", "E-C2 at core::nope::len([])"),
        ("core::array::nope([])", "E-C2 at core::array::nope([])"),
        ("fn f(a) with a end; f()", "E-P0 at a"),
    ] {
        assert_eq!(complaints(source), [expected], "{source}");
    }
}

#[test]
fn bytes_are_packed_most_significant_bit_first() {
    for (literal, expected) in [
        ("<<1, 2>>", &[1, 2][..]),
        ("<<258:16>>", &[1, 2]),
        ("<<258:16/little>>", &[2, 1]),
        ("<<300>>", &[44]),
        ("<<(-1):16/signed_integer>>", &[255, 255]),
        ("<<\"hey\"/binary, \"abc\":2/binary>>", &[104, 101, 121, 97, 98]),
        ("<<1:4, 2:4>>", &[18]),
        ("<<1:4>>", &[1]),
        ("<<1:1, 0:3, 5:12, 1:1>>", &[128, 5, 1]),
        ("<<1:12/little>>", &[16, 0]),
        ("<<0:1, 3:1>>", &[1]),
        ("<<>>", &[]),
    ] {
        let script = format!("event == {literal}");
        let compiled = super::compile(&script).unwrap_or_else(|failure| panic!("{failure}"));
        let bytes = tremor_value::Bytes::copy_from_slice(expected);
        let mut event = tremor_value::Payload::from(tremor_value::Value::from(bytes));
        let (mut meta, mut state) = (tremor_value::Meta::record(), tremor_value::Value::Null);
        let context = tremor_lang::Context::new(0, None, None);
        let null = tremor_value::Value::Null;
        let outcome = compiled.program.run(&mut event, &mut meta, &mut state, &null, &context).unwrap();
        let tremor_lang::Outcome::Emit { value, .. } = outcome else { panic!("{literal}") };
        assert_eq!(value.as_bool(), Some(true), "{literal}");
    }
    table(
        r##"
        <<event>>               |> -1   |> E-B1 at event
        <<event>>               |> "x"  |> E-B1 at event
        <<event/binary>>        |> 1    |> E-B1 at event/binary
        <<event:9/binary>>      |> "x"  |> E-B1 at event:9/binary
    "##,
    );
    assert_eq!(complaints("<<1:0>>"), ["E-C9 at 1:0"]);
    assert_eq!(complaints("<<1:65>>"), ["E-C9 at 1:65"]);
    assert_eq!(complaints("<<1/signed>>"), ["E-C9 at 1/signed"]);
}
