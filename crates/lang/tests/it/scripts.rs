//! What a script gives, and what it assigns.

use super::{complaints, run_all, table, warnings};

#[test]
fn results_of_scripts() {
    table(
        r##"
        let event.a = 1; event             |> {}      |> {"a":1}
        let event.a = 1                    |> {"b":2} |> 1
        fn f() with 1 end                  |> 7       |> 7
        emit event + 1 => "up"; 9          |> 7       |> 8 on up
        drop; 9                            |> 7       |> drop
        emit                               |> 7       |> 7
        emit => "x"                        |> 7       |> 7 on x
        emit event => "p#{event.n}"        |> {"n":1} |> {"n":1} on p1
        1; fn f() with 2 end               |> 7       |> 1
        const A = 4; use num               |> 7       |> 4
        use num                            |> 7       |> 7
        1 / event; 5                       |> 0       |> 5
        let x = emit 7; 8                  |> 0       |> 7
        let x = drop                       |> 0       |> drop
        let a = let b = 1; [a, b]          |> 0       |> [1,1]
        match event of case 1 => drop case _ => event end |> 1 |> drop
    "##,
    );
}

#[test]
fn assignments() {
    table(
        r##"
        let event.a.b.c = 1; event         |> {}      |> {"a":{"b":{"c":1}}}
        let event.a.b = 1; event           |> {"a":5} |> E-P1 at b
        let event = 5; event               |> {}      |> 5
        let a = event; let a.x = 1; event  |> {}      |> {}
        let a = event; let a["#{"x"}"].y = 1; a |> {} |> {"x":{"y":1}}
        let $a = 1; $                      |> {}      |> {"a":1}
        let $a.b = 1; $a                   |> {}      |> {"b":1}
        let $ = {}; 1                      |> {}      |> E-A1 at $ = {}
        const C = 1; let C = 2; 1          |> {}      |> E-A2 at C = 2
        let args = 1; 1                    |> {}      |> E-A2 at args = 1
        let group = 1; 1                   |> {}      |> E-A2 at group = 1
        let window.x = 1; 1                |> {}      |> E-A2 at window.x = 1
        let ({}).x = 1; 1                  |> {}      |> E-A2 at ({}).x = 1
        let event[0] = 1; event            |> [1]     |> E-A3 at [0]
        let event.a[0:1] = 1; event        |> {"a":[1]} |> E-A3 at [0:1]
        let event[event.k] = 1; event      |> {"k":1} |> E-A3 at [event.k]
        let event[event.k] = 1; event      |> {"k":null} |> E-P5 at event.k
        let event[event.k] = 1; event      |> {"k":"z"} |> {"k":"z","z":1}
        let nope.a = 1                     |> {}      |> E-P0 at nope.a
        let state.a = 1                    |> {}      |> E-P1 at a
        let x = 1; let x = x + 1; x        |> {}      |> 2
    "##,
    );
}

#[test]
fn state_stays_from_event_to_event() {
    let script = "match state of case null => let state = {\"n\": 0} case _ => null end;
        let state.n = state.n + 1; match event of case \"drop\" => drop case \"fail\" => event.x case _ => state end";
    assert_eq!(run_all(script, &["1", "\"drop\"", "\"fail\"", "2"]), r#"{"n":4}"#);
}

#[test]
fn what_is_not_possible_yet_is_refused_at_its_place() {
    assert_eq!(complaints("aggr::stats::count()"), ["E-N1 at aggr::stats::count()"]);
}

#[test]
fn warnings_come_with_programs_that_run() {
    assert_eq!(warnings("const low = 1; low"), ["W-4 at const low = 1"]);
    assert_eq!(warnings("match event of case 1 => 1 end"), ["W-5 at match event of case 1 => 1 end"]);
    assert_eq!(warnings("match event of case x = _ => 1 end"), [""; 0]);
    assert_eq!(warnings("match event of case _ => 1 case _ => 2 end"), ["W-6 at case _ => 2"]);
    assert_eq!(warnings("core::test::slow(event)"), ["W-3 at core::test::slow(event)"]);
    assert_eq!(
        warnings("for event of case (i, e) => e into 0 use + end"),
        ["W-2 at for event of case (i, e) => e into 0 use + end"]
    );
    assert_eq!(
        warnings("match event of case %{present k, k ~= %[1]} => 1 case _ => 2 end"),
        ["W-7 at %{present k, k ~= %[1]}"]
    );
    // Performance before consistency before behaviour.
    let found = warnings("const c = 1; match core::test::slow(event) of case c => 1 end");
    let codes: Vec<_> = found.iter().map(|warning| warning.split(' ').next().unwrap()).collect();
    assert_eq!(codes, ["W-3", "W-4", "W-5"]);
}
