//! The operators of `spec/language-script.md` section 13, folded and at run time.

use super::{complaints, run};

/// Left, operator, right, result; the result is a value or the id of an error.
const BINARY: &[(&str, &str, &str, &str)] = &[
    ("7", "/", "2", "3.5"),
    ("4", "/", "2", "2.0"),
    ("7", "%", "3", "1"),
    ("3", "-", "5", "-2"),
    ("1", "+", "1.0", "2.0"),
    ("[1]", "+", "[2]", "[1,2]"),
    ("{\"a\":1}", "+", "{\"a\":2,\"b\":3}", "{\"a\":2,\"b\":3}"),
    ("\"a\"", "+", "\"b\"", "\"ab\""),
    ("9223372036854775807", "+", "1", "9223372036854775808"),
    ("18446744073709551615", "+", "1", "E-O2"),
    ("18446744073709551615", "-", "1", "18446744073709551614"),
    ("0", "-", "18446744073709551615", "E-O2"),
    ("18446744073709551615", "*", "2", "E-O2"),
    ("2", "*", "3", "6"),
    ("2", "*", "1.5", "3.0"),
    ("\"a\"", "+", "1", "E-O1"),
    ("1", "+", "[1]", "E-O1"),
    ("null", "+", "1", "E-O1"),
    ("true", "-", "1", "E-O1"),
    ("1", "/", "0", "E-O3"),
    ("1", "%", "0", "E-O3"),
    ("1.0", "/", "0", "null"),
    ("1.5", "%", "1", "E-O1"),
    ("5", "&", "3", "1"),
    ("5", "^", "3", "6"),
    ("true", "^", "true", "false"),
    ("true", "&", "false", "false"),
    ("5", "&", "true", "E-O1"),
    ("5.0", "&", "1", "E-O1"),
    ("1", "<<", "4", "16"),
    ("1", "<<", "63", "9223372036854775808"),
    ("1", "<<", "64", "E-O4"),
    ("3", "<<", "63", "9223372036854775808"),
    ("16", ">>", "2", "4"),
    ("16", ">>>", "2", "4"),
    ("1", ">>", "1.0", "E-O1"),
    ("1", "==", "1.0", "true"),
    ("true", "==", "1", "false"),
    ("null", "==", "false", "false"),
    ("{\"a\":1,\"b\":2}", "==", "{\"b\":2,\"a\":1}", "true"),
    ("[1]", "!=", "[2]", "true"),
    ("1", "<", "1.5", "true"),
    ("2", "<=", "2", "true"),
    ("\"a\"", ">", "\"b\"", "false"),
    ("2", ">=", "3", "false"),
    ("18446744073709551615", ">", "1", "true"),
    ("true", "<", "false", "E-O1"),
    ("null", "<", "null", "E-O1"),
    ("[1]", "<", "[2]", "E-O1"),
    ("1", "<", "\"a\"", "E-O1"),
    ("true", "and", "false", "false"),
    ("false", "and", "1", "false"),
    ("true", "or", "1", "true"),
    ("true", "xor", "true", "false"),
    ("true", "and", "1", "E-T2"),
    ("1", "and", "true", "E-T2"),
    ("1", "or", "true", "E-T2"),
    ("false", "xor", "1", "E-T2"),
];

#[test]
fn binary_operators() {
    for (left, op, right, expected) in BINARY {
        let event = format!("[{left}, {right}]");
        let found = run(&format!("event[0] {op} event[1]"), &event);
        let found = found.split(" at ").next().unwrap_or_default();
        assert_eq!(found, *expected, "{left} {op} {right} at run time");

        let source = format!("({left}) {op} ({right})");
        let folded = match complaints(&source).first() {
            Some(complaint) => complaint.split(" at ").next().unwrap_or_default().to_owned(),
            None => run(&source, "0"),
        };
        assert_eq!(folded, *expected, "{left} {op} {right} folded");
    }
}

#[test]
fn operators_on_negative_numbers() {
    super::table(
        r##"
        -7 % 3                        |> 0 |> -1
        -8 >> 1                       |> 0 |> -4
        -1 >>> 1                      |> 0 |> 9223372036854775807
        !5                            |> 0 |> 18446744073709551610
        !true                         |> 0 |> false
        not event                     |> true |> false
        -9223372036854775808 % -1     |> 0 |> 0
        -9223372036854775808          |> 0 |> -9223372036854775808
        - event                       |> 9223372036854775808 |> -9223372036854775808
        - event                       |> 9223372036854775809 |> E-O2 at event
        - event                       |> "a" |> E-O1 at event
        + event                       |> -3  |> -3
        + event                       |> "a" |> E-O1 at event
        not event                     |> 1   |> E-O1 at event
        18446744073709551615 + event  |> -1  |> 1.8446744073709552e19
        event * -1                    |> -9223372036854775808 |> E-O2 at event * -1
        event - 1                     |> -9223372036854775808 |> E-O2 at event - 1
        0.1 + 0.2 == 0.3              |> 0 |> true
        1 < 2 == true                 |> 0 |> true
        8 >> 1 + 1                    |> 0 |> 2
        2 - 3 - 4                     |> 0 |> -5
        6 ^ 3 & 2                     |> 0 |> 4
        "a" + event + "c" + "d"       |> "b" |> "abcd"
    "##,
    );
}
