//! Tests of the built-in patterns and of what bounds them.

use super::*;
use crate::extract::testing::{check, compile, hostile_body, refused, result, text};
use proptest::prelude::*;

fn grok(body: &str, text: &str) -> String {
    result(&GROK, body, text)
}

/// Whether the pattern matches the whole text.
fn whole(pattern: &str, text: &str) -> bool {
    grok(&format!("\\A%{{{pattern}}}\\z"), text) != "no match"
}

#[test]
fn examples() {
    assert_eq!(grok("%{IP:ip} %{WORD:verb}", "10.0.0.1 GET /"), r#"{"ip":"10.0.0.1","verb":"GET"}"#);
}

#[test]
fn every_built_in_pattern_compiles() {
    let library = Library::default();
    for name in library.names() {
        let body = format!("%{{{name}:it}}");
        let grok =
            Grok::compile(&body, Path::new("/nowhere")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = grok.extract("", &Context::new(0, None, None)).unwrap();
        assert_eq!(grok.test("").unwrap(), found.is_some(), "{name}");
        assert!(!matches!(grok.first_look, FirstLook::Unknown), "{name}");
    }
}

#[test]
fn aliases_and_groups_are_kept() {
    assert_eq!(grok("%{INT}-%{INT:b c}-(?<d>x)?(e)", "1-2-e"), r#"{"b c":"2"}"#);
    assert_eq!(grok("(?<d>x)(e)", "xe"), r#"{"d":"x"}"#);
    assert_eq!(grok("%{INT}", "a 1"), "{}");
    // Of equal names the last that took part.
    assert_eq!(grok("%{INT:a} %{WORD:a}", "1 x"), r#"{"a":"x"}"#);
    assert_eq!(grok("(?:%{INT:a}|-) (?:%{INT:a}|-)", "1 -"), r#"{"a":"1"}"#);
}

#[test]
fn the_dialect() {
    assert_eq!(grok(r"^b$", "a\nb\nc"), "{}");
    assert_eq!(grok(r"(?<x>\h+)(?!\d)", "zz0f"), r#"{"x":"0f"}"#);
    assert_eq!(grok(r"(?<x>[[:alpha:]]+)\k<x>", "abab"), r#"{"x":"ab"}"#);
    assert_eq!(grok(r"(\d)\1", "a11"), "{}");
    assert_eq!(grok(r"(?i:ERROR) (?>a+)b", "error aab"), "{}");
    assert_eq!(grok(r"\%{1}", "%"), "{}");
    // As in Ruby, `m` is about `.`, and `^` and `$` stand for lines whatever it is.
    assert_eq!(grok("(?m)^%{WORD:w} %{GREEDYDATA:all}", "a b\nc"), r#"{"w":"a","all":"b\nc"}"#);
    assert_eq!(grok("^%{WORD:w} %{GREEDYDATA:all}", "a b\nc"), r#"{"w":"a","all":"b"}"#);
    assert_eq!(grok("(?<x>(?m:.+)b(?-m:.+)$)", "a\nb\nb1\n2"), r#"{"x":"a\nb\nb1"}"#);
    assert_eq!(grok("(?m)^b(?-m)(?<x>.)$", "a\nbc\nd"), r#"{"x":"c"}"#);
}

#[test]
fn numbers_and_words() {
    for (pattern, fits, others) in [
        ("INT", &["0", "-12", "+7"][..], &["", "x", "1.5"][..]),
        ("NUMBER", &["1", "-1.5", ".5"], &["", "1.", "a"]),
        ("BASE16NUM", &["ff", "0xFF", "-0x1f"], &["g", ""]),
        ("POSINT", &["1", "10"], &["0", "01", "-1"]),
        ("NONNEGINT", &["0", "10"], &["-1", ""]),
        ("WORD", &["a_1", "é"], &["a b", "", "-"]),
        ("NOTSPACE", &["a-b/c"], &["a b", ""]),
        ("QUOTEDSTRING", &[r#""a \" b""#, "'a'", "`a`", r#""""#], &[r#""a"#, "a"]),
        ("UUID", &["0f14d0ab-9605-4a62-a9e4-5ed26688389b"], &["0f14d0ab", ""]),
        ("URN", &["urn:isbn:0451450523"], &["urn:", "isbn:1"]),
        ("EMAILADDRESS", &["a.b+c@example.com"], &["a@", "@b", "a b@c"]),
        ("LOGLEVEL", &["WARN", "warning", "Error", "info", "SEVERE"], &["wARN", ""]),
    ] {
        fits.iter().for_each(|text| assert!(whole(pattern, text), "{pattern} on {text:?}"));
        others.iter().for_each(|text| assert!(!whole(pattern, text), "{pattern} on {text:?}"));
    }
}

#[test]
fn networks_and_paths() {
    for (pattern, fits, others) in [
        (
            "MAC",
            &["00:1B:44:11:3a:b7", "00-1B-44-11-3a-b7", "001B.4411.3ab7"][..],
            &["00:1B:44:11:3a", ""][..],
        ),
        ("IPV4", &["0.0.0.0", "255.255.255.255"], &["256.0.0.1", "1.2.3", "1.2.3.4.5"]),
        (
            "IPV6",
            &["::", "::1", "fe80::1%eth0", "2001:db8::8a2e:370:7334", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8"],
            &[":", "1:2", "1::2::3", "12345::"],
        ),
        ("HOSTNAME", &["localhost", "a.example.com", "a-1.example."], &["", "-a", "a_b", "a..b"]),
        ("HOSTPORT", &["a.example.com:80", "1.2.3.4:1"], &["a", "a:", ":1"]),
        ("UNIXPATH", &["/", "/var/log/a.log", "/tmp/a\\ b"], &["", "a/b", "/a b"]),
        ("WINPATH", &["C:\\a\\b.txt", "\\\\host\\share"], &["a", "C:"]),
        ("URIPATHPARAM", &["/a/b?c=d&e=%20", "/"], &["a", "?"]),
        ("URI", &["https://u:p@example.com:8080/a?b=c", "ftp://host"], &["example.com", "://x"]),
    ] {
        fits.iter().for_each(|text| assert!(whole(pattern, text), "{pattern} on {text:?}"));
        others.iter().for_each(|text| assert!(!whole(pattern, text), "{pattern} on {text:?}"));
    }
}

#[test]
fn dates_and_times() {
    for (pattern, fits, others) in [
        ("MONTH", &["Jan", "January", "dec", "Mai"][..], &["JAN", "Foo", ""][..]),
        ("MONTHNUM", &["1", "01", "12"], &["0", "13"]),
        ("MONTHDAY", &["1", "01", "31"], &["0", "32"]),
        ("YEAR", &["99", "2024"], &["1", "123"]),
        ("TIME", &["12:34:56", "1:02:03.456", "23:59:60"], &["24:00:00", "12:34", "12:60:00"]),
        ("DATE", &["12/31/2024", "31.12.2024", "31-12-99"], &["2024-12-31"]),
        (
            "TIMESTAMP_ISO8601",
            &[
                "2024-01-02T03:04:05Z",
                "2024-01-02 03:04:05,678",
                "2024-01-02T03:04:05.678+01:00",
                "2024-01-02T03:04",
            ],
            &["2024-01-02", "2024-13-02T03:04:05Z"],
        ),
        ("DATESTAMP_RFC2822", &["Mon, 15 Aug 2005 15:52:01 +0000"], &["15 Aug 2005"]),
        ("DATESTAMP_OTHER", &["Mon Aug 15 15:52:01 UTC 2005"], &["Mon Aug 15"]),
        ("DATESTAMP_EVENTLOG", &["20050815155201"], &["2005"]),
        ("HTTPDATE", &["10/Oct/2000:13:55:36 -0700"], &["10/10/2000:13:55:36 -0700"]),
        ("SYSLOGTIMESTAMP", &["Oct 11 22:14:15", "Oct  1 22:14:15"], &["Oct 11"]),
    ] {
        fits.iter().for_each(|text| assert!(whole(pattern, text), "{pattern} on {text:?}"));
        others.iter().for_each(|text| assert!(!whole(pattern, text), "{pattern} on {text:?}"));
    }
}

#[test]
fn lines_of_servers() {
    assert_eq!(
        grok("%{SYSLOGLINE}", "Oct 11 22:14:15 mymachine su[230]: 'su root' failed on /dev/pts/8"),
        r#"{"timestamp":"Oct 11 22:14:15","logsource":"mymachine","program":"su","pid":"230","message":"'su root' failed on /dev/pts/8"}"#
    );
    assert_eq!(
        grok(
            "%{SYSLOG5424LINE}",
            "<165>1 2003-10-11T22:14:15.003Z host.example.com app - ID47 [a b=\"c\"] text"
        ),
        "{\"syslog5424_pri\":\"165\",\"syslog5424_ver\":\"1\",\"syslog5424_ts\":\"2003-10-11T22:14:15.003Z\",\
         \"syslog5424_host\":\"host.example.com\",\"syslog5424_app\":\"app\",\"syslog5424_msgid\":\"ID47\",\
         \"syslog5424_sd\":\"[a b=\\\"c\\\"]\",\"syslog5424_msg\":\"text\"}"
    );
    let line = "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /a.gif HTTP/1.0\" 200 2326";
    let common = r#""clientip":"127.0.0.1","ident":"-","auth":"frank","timestamp":"10/Oct/2000:13:55:36 -0700","verb":"GET","request":"/a.gif","httpversion":"1.0","response":"200","bytes":"2326""#;
    assert_eq!(grok("%{COMMONAPACHELOG}", line), format!("{{{common}}}"));
    assert_eq!(
        grok("%{COMBINEDAPACHELOG}", &format!("{line} \"-\" \"Mozilla/4.08 [en]\"")),
        format!("{{{common},\"referrer\":\"\\\"-\\\"\",\"agent\":\"\\\"Mozilla/4.08 [en]\\\"\"}}")
    );
    assert_eq!(
        grok("%{HTTPD_ERRORLOG}", "[Wed Oct 11 14:32:52 2000] [error] [client 127.0.0.1] client denied"),
        r#"{"timestamp":"Wed Oct 11 14:32:52 2000","loglevel":"error","clientip":"127.0.0.1","message":"client denied"}"#
    );
    assert_eq!(
        grok("%{JAVASTACKTRACEPART}", "  at com.example.Foo.bar(Foo.java:12)"),
        r#"{"class":"com.example.Foo","method":"bar","file":"Foo.java","line":"12"}"#
    );
    assert_eq!(
        grok("%{RUBY_LOGGER}", "I, [2024-01-02T03:04:05.678901 #123]  INFO -- main: started"),
        r#"{"timestamp":"2024-01-02T03:04:05.678901","pid":"123","loglevel":"INFO","progname":"main","message":"started"}"#
    );
}

#[test]
fn patterns_of_a_file_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grok.patterns");
    std::fs::write(&path, "# ours\nWORD [x-z]+\nPAIR %{WORD:left}=%{INT:right}\n").unwrap();
    let extractor = Grok::compile("%{PAIR}", &path).unwrap();
    let found = extractor.extract("ax=1", &Context::new(0, None, None)).unwrap();
    assert_eq!(found.unwrap().to_string(), r#"{"left":"x","right":"1"}"#);
    assert!(!extractor.test("a=1").unwrap());
    std::fs::write(&path, "PAIR %{PAIR}\n").unwrap();
    assert_eq!(
        Grok::compile("%{PAIR}", &path).unwrap_err(),
        "the pattern `PAIR` is made of itself: PAIR -> PAIR"
    );
}

#[test]
fn bodies_that_are_refused() {
    assert!(refused(&GROK, "%{NO_SUCH_THING}").starts_with("there is no pattern `NO_SUCH_THING`"));
    for wrong in ["(", "[", "*", "(?<a", "\\k<a>", "(?<a>x)\\2"] {
        let reason = refused(&GROK, wrong);
        assert!(!reason.contains("position") && !reason.contains('\n'), "{wrong}: {reason}");
    }
    assert_eq!(refused(&GROK, "%{WORD} [z-a](?y)"), "Unknown group flag: (?y (character 16)");
    assert_eq!(refused(&GROK, "%{WORD}("), "Opening parenthesis without closing parenthesis (at its end)");
    // What would be too large or nested too deeply.
    refused(&GROK, &"(?=a)".repeat(20_000));
    refused(&GROK, &format!("{}a{}", "(".repeat(1000), ")".repeat(1000)));
    refused(&GROK, "(?:\\w{1000}){1000}");
}

fn gave_up(body: &str, text: &str) -> GaveUp {
    let extractor = compile(&GROK, body);
    let extracted = extractor.extract(text, &Context::new(0, None, None)).unwrap_err();
    let tested = extractor.test(text).unwrap_err();
    match (extracted, tested) {
        (ErrorKind::GaveUp(extracted), ErrorKind::GaveUp(tested)) if extracted == tested => tested,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn what_takes_too_long_is_an_error_and_never_no_match() {
    // Without the bound: some 2^40 steps.
    assert_eq!(gave_up("^(?:a|a)*(?=b|c)(?<!a)", &("a".repeat(40) + "b")), GaveUp::GrokSteps);
    // There may be a match, and the text is too long to go back in it.
    let long = "a".repeat(LONGEST_TEXT);
    let body = "^x%{GREEDYDATA:all}";
    assert_eq!(gave_up(body, &format!("x{long}")), GaveUp::GrokLength { len: LONGEST_TEXT + 1 });
    let longest = &long[1..];
    assert_eq!(grok(body, &format!("x{longest}")), format!("{{\"all\":\"{longest}\"}}"));
}

#[test]
fn a_first_look_says_what_cannot_match_whatever_its_length() {
    let words = "word ".repeat(100_000);
    let line = "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /a.gif HTTP/1.0\" 200 2326";
    for body in ["%{COMMONAPACHELOG}", "%{IP:ip}", "^x%{GREEDYDATA:all}", "%{SYSLOGLINE}"] {
        assert_eq!(grok(body, &words), "no match", "{body}");
    }
    assert!(grok("%{COMMONAPACHELOG}", &format!("{words}{line}")).contains(r#""verb":"GET""#));
    // Nothing here needs going back, so the length does not matter.
    assert!(grok("%{DATA:first} %{GREEDYDATA:all}", &words).len() > words.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn nothing_matches_before_the_first_look_finds_something(body in hostile_body(), text in text()) {
        if let Ok(grok) = Grok::compile(&body, Path::new("/nowhere"))
            && let FirstLook::More(look) = &grok.first_look
            && let Ok(Some(hit)) = grok.regex.captures_from_pos(&text, 0)
        {
            let start = look.start(&text);
            prop_assert!(start.is_some_and(|start| start <= hit.get(0).unwrap().start()), "{}", look.source());
        }
    }

    #[test]
    fn any_body_and_any_text(body in hostile_body(), text in text()) {
        check(&GROK, &body, &text);
    }
}
