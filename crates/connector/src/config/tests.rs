use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use tremor_value::{Record, Value};

use super::{ConfigError, Entry, Key, OneOrMany, Reader, Secret};

fn record<const N: usize>(members: [(&str, Value); N]) -> Value {
    members.into_iter().collect::<Record>().into()
}

/// Reads one key of a record with that one member.
fn one<'a, T: super::FromConfig<'a>>(config: &'a Value) -> Result<T, ConfigError> {
    Reader::new(config, "config")?.required("key")
}

fn key(value: impl Into<Value>) -> Value {
    record([("key", value.into())])
}

#[test]
fn every_type_is_read() -> Result<(), ConfigError> {
    assert!(one::<bool>(&key(true))?);
    assert_eq!(one::<u16>(&key(65_535_i64))?, 65_535);
    assert_eq!(one::<u64>(&key(u64::MAX))?, u64::MAX);
    assert_eq!(one::<i64>(&key(-1_i64))?, -1);
    assert!((one::<f64>(&key(2_i64))? - 2.0).abs() < f64::EPSILON);
    assert!((one::<f64>(&key(1.5))? - 1.5).abs() < f64::EPSILON);
    assert_eq!(one::<String>(&key("x"))?, "x");
    assert_eq!(one::<PathBuf>(&key("a/b"))?, PathBuf::from("a/b"));
    assert_eq!(one::<NonZeroUsize>(&key(1_i64))?.get(), 1);
    assert_eq!(one::<Vec<u8>>(&key(vec![Value::from(1_i64), Value::from(2_i64)]))?, [1, 2]);
    assert_eq!(one::<OneOrMany<String>>(&key("x"))?.0, ["x"]);
    assert_eq!(one::<OneOrMany<String>>(&key(vec![Value::from("x"), Value::from("y")]))?.0, ["x", "y"]);
    Ok(())
}

#[test]
fn wrong_types_name_path_and_value() {
    let cases: [(ConfigError, &str); 11] = [
        (one::<u32>(&key("x")).unwrap_err(), r#"config.key: expected integer but got string "x""#),
        (one::<u32>(&key(1.0)).unwrap_err(), "config.key: expected integer but got float 1.0"),
        (
            one::<u8>(&key(256_i64)).unwrap_err(),
            "config.key: expected integer from 0 to 255 but got integer 256",
        ),
        (
            one::<u8>(&key(-1_i64)).unwrap_err(),
            "config.key: expected integer from 0 to 255 but got integer -1",
        ),
        (
            one::<NonZeroUsize>(&key(0_i64)).unwrap_err(),
            "config.key: expected integer above 0 but got integer 0",
        ),
        (
            one::<NonZeroUsize>(&key(-1_i64)).unwrap_err(),
            "config.key: expected integer above 0 but got integer -1",
        ),
        (
            one::<u64>(&key(-1_i64)).unwrap_err(),
            "config.key: expected integer of 0 or more but got integer -1",
        ),
        (one::<f64>(&key(f64::NAN)).unwrap_err(), "config.key: expected number but got float NaN"),
        (one::<String>(&key(Value::record())).unwrap_err(), "config.key: expected string but got record"),
        (
            one::<Vec<String>>(&key(vec![Value::from("x"), Value::from(true)])).unwrap_err(),
            "config.key[1]: expected string but got bool true",
        ),
        (one::<PathBuf>(&key("")).unwrap_err(), r#"config.key: expected path in a string but got string """#),
    ];
    for (error, text) in cases {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn long_and_odd_texts_are_cut_and_escaped() {
    let text = one::<u32>(&key(format!("\u{1b}[31m{}", "é".repeat(5_000)))).unwrap_err().to_string();
    assert!(text.len() < 200 && text.ends_with("...") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn missing_keys_say_what_belongs_there() {
    let empty = Value::record();
    let mut config = Reader::new(&empty, "config").unwrap();
    assert_eq!(
        config.required::<u32>("backlog").unwrap_err().to_string(),
        "config.backlog: missing (integer)"
    );
    let expected = r#"a string such as "127.0.0.1:4242""#;
    let error = config.required_like::<String>("url", expected).unwrap_err();
    assert_eq!(error.to_string(), r#"config.url: missing (a string such as "127.0.0.1:4242")"#);
    assert_eq!(error.path, [Key::Field("config".into()), Key::Field("url".into())]);
}

#[test]
fn null_is_absent() {
    let value = record([("a", Value::Null), ("b", Value::Null), ("c", Value::Null)]);
    let mut config = Reader::new(&value, "config").unwrap();
    assert_eq!(config.optional::<u32>("a").unwrap(), None);
    assert_eq!(config.or("b", 7_u32).unwrap(), 7);
    assert!(config.required::<u32>("c").unwrap_err().to_string().contains("missing"));
    config.finish().unwrap();
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    let value = record([("url", "x".into()), ("backlg", 1_i64.into())]);
    let mut config = Reader::new(&value, "config").unwrap();
    config.required::<String>("url").unwrap();
    config.or("backlog", 128_u32).unwrap();
    let error = config.finish().unwrap_err();
    assert_eq!(
        error.to_string(),
        "config.backlg: unknown key; did you mean `backlog`? Known keys: `backlog`, `url`"
    );
    assert_eq!(error.path.last(), Some(&Key::Field("backlg".into())));
}

#[test]
fn unknown_keys_that_resemble_nothing_get_the_list() {
    let value = record([("zzz", 1_i64.into())]);
    let mut config = Reader::new(&value, "config").unwrap();
    config.know("url");
    assert_eq!(config.finish().unwrap_err().to_string(), "config.zzz: unknown key; known keys: `url`");
    let config = Reader::new(&value, "config").unwrap();
    assert_eq!(config.finish().unwrap_err().to_string(), "config.zzz: unknown key; no keys are known here");
}

#[test]
fn spelling_variants_find_their_key() {
    for (wrong, right) in
        [("no-delay", "no_delay"), ("nodelay", "no_delay"), ("CaFile", "cafile"), ("ulr", "url")]
    {
        assert_eq!(super::nearest(wrong, [right, "other"].into_iter()), Some(right), "{wrong}");
    }
    assert_eq!(super::nearest(&"x".repeat(1_000_000), ["url"].into_iter()), None);
    assert_eq!(super::nearest("x", ["y"].into_iter()), None);
}

#[test]
fn nested_records_keep_their_path() {
    let value = record([("tls", record([("cert", 1_i64.into())]))]);
    let mut config = Reader::new(&value, "config").unwrap();
    let mut tls = config.record("tls").unwrap().unwrap();
    let error = tls.required::<PathBuf>("cert").unwrap_err();
    assert_eq!(error.path_text(), "config.tls.cert");
    config.finish().unwrap();
    assert!(Reader::new(&value, "config").unwrap().record("none").unwrap().is_none());
}

#[test]
fn odd_keys_are_quoted_in_paths() {
    let value = record([("a \n b", Value::Null)]);
    let error = Reader::new(&value, "config").unwrap().finish().unwrap_err();
    assert!(error.to_string().starts_with(r#"config."a \n b": unknown key"#), "{error}");
}

#[test]
fn ranges_hold() {
    let value = record([("size", 126_i64.into())]);
    let mut config = Reader::new(&value, "config").unwrap();
    assert_eq!(config.or_in("size", 12_u8, 12..=126).unwrap(), 126);
    assert_eq!(config.or_in("other", 12_u8, 12..=125).unwrap(), 12);
    let error = config.or_in("size", 12_u8, 12..=125).unwrap_err();
    assert_eq!(error.to_string(), "config.size: must be between 12 and 125, but is 126");
}

#[test]
fn words_are_found_or_suggested() {
    let words = [("required", 1), ("requested", 2), ("none", 3)];
    let value = record([("good", "none".into()), ("bad", "requird".into()), ("odd", 1_i64.into())]);
    let mut config = Reader::new(&value, "config").unwrap();
    assert_eq!(config.word("good", &words).unwrap(), Some(3));
    assert_eq!(config.word("absent", &words).unwrap(), None);
    assert_eq!(
        config.word("bad", &words).unwrap_err().to_string(),
        "config.bad: expected one of `required`, `requested`, `none` but got string \"requird\"; did you mean `required`?"
    );
    assert!(config.word("odd", &words).unwrap_err().to_string().ends_with("but got integer 1"));
}

#[test]
fn durations_have_units() {
    let value = record([("n", 1_500_i64.into())]);
    let mut config = Reader::new(&value, "config").unwrap();
    assert_eq!(config.duration_ms("n").unwrap(), Some(Duration::from_millis(1_500)));
    assert_eq!(config.duration_ns("n").unwrap(), Some(Duration::from_nanos(1_500)));
    assert_eq!(config.duration_ns("m").unwrap(), None);
}

#[test]
fn secrets_are_never_shown() {
    let value = record([
        ("password", "hunter2".into()),
        ("pin", 4711_i64.into()),
        ("auth", record([("basic", record([("user", 4711_i64.into())]))])),
        ("whole", "hunter2".into()),
    ]);
    let mut config = Reader::new(&value, "config").unwrap();
    let password: Secret<String> = config.required("password").unwrap();
    assert_eq!(password.reveal(), "hunter2");
    assert_eq!(format!("{password} {password:?}"), "*** ***");
    config.hide("pin");
    config.hide("auth");
    let mut auth = config.record("auth").unwrap().unwrap();
    let mut basic = auth.record("basic").unwrap().unwrap();
    let errors = [
        config.required::<Secret<u32>>("password").unwrap_err(),
        config.required::<String>("pin").unwrap_err(),
        config.or_in("pin", 0_u32, 0..=1).unwrap_err(),
        config.word("pin", &[("4711x", ())]).unwrap_err(),
        basic.required::<String>("user").unwrap_err(),
        config.record("whole").unwrap_err(),
        Reader::new(&"hunter2".into(), "config").unwrap_err(),
        Entry::root(&"hunter2".into(), "token").hidden().read::<u32>().unwrap_err(),
    ];
    for error in errors {
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains("hunter2") && !text.contains("but is 4711") && !text.contains("integer 4711"),
            "{text}"
        );
    }
}

#[test]
fn what_is_missing_may_be_there_under_a_name_that_is_almost_right() {
    let config = record([("prot", 1_i64.into()), ("certs", 1_i64.into())]);
    let mut reader = Reader::new(&config, "config").unwrap();
    let told = reader.missing("port", "a number").message_and_hint().0;
    assert_eq!(told, "config.prot: unknown key; did you mean `port`?");
    assert!(reader.entry("certs").is_some());
    let told = reader.missing("cert", "a path").message_and_hint().0;
    assert_eq!(told, "config.cert: missing (a path)", "a key that somebody has asked for is one");
}

#[test]
fn limits_are_told_as_they_are() {
    let told = |range: &dyn Fn(&mut Reader<'_>) -> Result<u64, ConfigError>| {
        let config = key(5_i64);
        range(&mut Reader::new(&config, "config").unwrap()).unwrap_err().to_string()
    };
    assert_eq!(told(&|config| config.or_in("key", 7, 6..)), "config.key: must be 6 or more, but is 5");
    assert_eq!(told(&|config| config.or_in("key", 7, ..=4)), "config.key: must be at most 4, but is 5");
    assert_eq!(
        told(&|config| config.or_in("key", 7, 6..=9)),
        "config.key: must be between 6 and 9, but is 5"
    );
    let hidden = |config: &mut Reader<'_>| {
        config.hide("key");
        config.or_in("key", 7, 6..)
    };
    assert_eq!(told(&hidden), "config.key: must be 6 or more");
}
