use super::*;
use crate::{
    config::{Entry, Reader},
    connect::{ConnectError, Connected, Connector},
    spec::{Below, Keys, SinkUse},
};
use std::sync::Arc;

struct Never;

#[async_trait::async_trait]
impl Connector for Never {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        Err(ConnectError::Failed("never".to_owned()))
    }
}

const SPEC: Spec = Spec {
    name: "kind",
    summary: "",
    fields: &[
        Field { name: "url", kind: "string", default: "", text: "Where." },
        Field { name: "size", kind: "integer", default: "1", text: "How much." },
    ],
    below: &[],
    needs_config: true,
    codec: CodecUse::Required,
    is_source: true,
    sink: SinkUse::None,
    inputs: &[],
    input_aliases: &[],
    is_debug: false,
    build: |mut config: Reader<'_>, _| {
        let url: &str = config.required("url")?;
        config.or("size", 1_u32)?;
        if let Some(mut options) = config.record("options")? {
            options.or("size", 1_u32)?;
            options.finish()?;
        }
        if let Some(mut tls) = config.record("tls")? {
            tls.required::<&str>("cert")?;
            tls.finish()?;
            if url.starts_with("ws:") {
                return Err(config.conflict("tls", "does not go with this url"));
            }
        }
        config.finish()?;
        Ok(Built::new(Never))
    },
};

fn environment() -> Environment {
    Environment {
        alias: "main::it".to_owned(),
        hostname: "here".into(),
        ids: Arc::default(),
        exit: crate::ExitSwitch::new().0,
        dials: crate::Dials::default(),
        metrics: crate::metrics::Metrics::default(),
        is_measured: false,
    }
}

fn messages(errors: Vec<DefinitionError>) -> Vec<String> {
    let prefix = "[main::it] Invalid definition: ";
    errors.iter().map(|error| error.message.replace(prefix, "")).collect()
}

fn of_config(config: &str) -> Vec<String> {
    of_kind(&SPEC, config)
}

fn of_kind(spec: &Spec, config: &str) -> Vec<String> {
    let config = Some(Value::from_json_str(config).unwrap());
    let definition = Definition { config, ..Definition::default() };
    build(&definition, spec, &environment()).map(|_| ()).map_err(messages).err().unwrap_or_default()
}

/// One of two keys has to be there, and what a record needs depends on its type.
const ALTERNATIVES: Spec = Spec {
    build: |mut config: Reader<'_>, _| {
        if let Some(mut endpoint) = config.record("endpoint")? {
            let has_port = endpoint.required_word("type", &[("tcp", true), ("unix", false)])?;
            endpoint.required::<Value>(if has_port { "port" } else { "path" })?;
        } else {
            config.required::<&str>("url")?;
        }
        config.finish()?;
        Ok(Built::new(Never))
    },
    ..SPEC
};

#[test]
fn what_is_missing_only_since_something_else_was_wrong_is_not_told() {
    for (config, expected) in [
        (r#"{"endpoint": {"type": "foo"}}"#, "config.endpoint.type: expected one of"),
        (r#"{"endpoint": {"type": "tcp"}}"#, "config.endpoint.port: missing"),
        (r#"{"endpoint": {}}"#, "config.endpoint.type: missing"),
        (r#"{"endpoint": 1}"#, "config.endpoint: expected"),
    ] {
        let told = of_kind(&ALTERNATIVES, config);
        assert!(matches!(told.as_slice(), [only] if only.starts_with(expected)), "{config}: {told:?}");
    }
    let told = of_kind(&ALTERNATIVES, r#"{"enpoint": {}}"#);
    assert_eq!(told.len(), 2, "an unknown key, and one that is missing whatever it meant: {told:?}");
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    const NEEDY: Spec = Spec {
        fields: &[
            Field { name: "path", kind: "string", default: "", text: "Which." },
            Field { name: "mode", kind: "string", default: "", text: "How." },
            Field { name: "count", kind: "integer", default: "", text: "How many." },
            Field { name: "size", kind: "integer", default: "1", text: "How much." },
        ],
        build: |mut config: Reader<'_>, _| {
            let path: &str = config.required("path")?;
            config.required_word("mode", &[("read", ()), ("write", ())])?;
            let count: u32 = config.required("count")?;
            config.or("size", 1_u32)?;
            let tls = config.record("tls")?;
            if let Some(mut tls) = tls {
                let cert: &str = tls.required_like("cert", "path of a certificate")?;
                tls.required_like::<&str>("key", "path of its key")?;
                tls.finish()?;
                if cert != "c" {
                    return Err(config.conflict("tls", "cannot be read"));
                }
            } else if path.starts_with("tls:") {
                return Err(config.missing("tls", "record"));
            }
            config.finish()?;
            if count < 2 {
                return Err(config_is_too_small());
            }
            Ok(Built::new(Never))
        },
        ..SPEC
    };
    fn config_is_too_small() -> ConfigError {
        Reader::new(&Value::record(), "config").unwrap().invalid("count", "at least 2")
    }
    let of_config = |config: &str| of_kind(&NEEDY, config);
    let (path, mode) = ("config.path: missing (string)", "config.mode: missing (one of `read`, `write`)");
    let count = "config.count: missing (integer)";
    assert_eq!(of_config("{}"), [path, mode, count]);
    assert_eq!(
        of_config(r#"{"path": null, "mode": "raed", "size": "x", "unheard": 1}"#),
        [
            path,
            r#"config.mode: expected one of `read`, `write` but got string "raed"; did you mean `read`?"#,
            count,
            r#"config.size: expected integer but got string "x""#,
            "config.unheard: unknown key",
        ],
    );
    let rest = r#""path": "tls:x", "mode": "read", "count": 2"#;
    assert_eq!(
        of_config(&format!(r#"{{{rest}, "tls": {{}}, "size": "x"}}"#)),
        [
            r#"config.size: expected integer but got string "x""#,
            "config.tls.cert: missing (path of a certificate)",
            "config.tls.key: missing (path of its key)",
        ],
        "and not that there is no `tls` at all, once that has been taken out",
    );
    assert_eq!(of_config(&format!("{{{rest}}}")), ["config.tls: missing (record)"]);
    assert_eq!(of_config(&format!(r#"{{{rest}, "tls": {{"cert": "c", "key": ""}}}}"#)), [""; 0]);
    assert_eq!(of_config(r#"{"path": "", "mode": "read", "count": 1}"#), ["config.count: at least 2"]);
    assert_eq!(
        of_config(r#"{"path": "", "mode": "read", "count": 1, "size": "x"}"#),
        [r#"config.size: expected integer but got string "x""#, "config.count: at least 2"],
        "and not that `count` is missing, which was taken out",
    );
}

#[test]
fn all_mistakes_of_a_configuration_are_told_and_none_that_follow_from_them() {
    assert_eq!(of_config(r#"{"url": "a", "tls": {"cert": "c"}}"#), [""; 0]);
    assert_eq!(
        of_config(r#"{"url": "a", "size": "x", "siz": 1, "other": 2, "tls": {"cert": 1, "crt": 2}}"#),
        [
            r#"config.size: expected integer but got string "x""#,
            "config.tls.cert: expected string but got integer 1",
            "config.tls.crt: unknown key; did you mean `cert`?",
            "config.siz: unknown key; did you mean `size`?",
            "config.other: unknown key",
        ],
    );
    assert_eq!(
        of_config(r#"{"size": "x", "tls": {"cert": "c"}, "more": 1}"#),
        [
            "config.url: missing (string)",
            r#"config.size: expected integer but got string "x""#,
            "config.more: unknown key",
        ],
        "and nothing about what stands in for the url",
    );
    assert_eq!(
        of_config(r#"{"ulr": "a", "tls": {"cret": "c"}}"#),
        [
            "config.ulr: unknown key; did you mean `url`?",
            "config.tls.cret: unknown key; did you mean `cert`?"
        ],
    );
    assert_eq!(of_config(r#""text""#), ["config: expected record but got string"]);
    assert_eq!(
        of_config(r#"{"ur1": 5, "tls": {"cert": "c"}}"#),
        ["config.ur1: unknown key; did you mean `url`?"],
        "and not that what stands in for it does not go with `tls`"
    );
}

#[test]
fn values_and_names_that_cannot_be_meant_are_told_at_once_and_conflicts_once_they_are_mended() {
    const STRICT: Spec = Spec {
        fields: &[],
        build: |mut config: Reader<'_>, _| {
            config.refuse(&[("older", "is `size` here"), ("other", "is `level` here")])?;
            let size = config.or_in("size", 5_u32, 1..=9)?;
            let level = config.or_in("level", 1_u32, 1..=3)?;
            let mut names = Vec::new();
            for name in config.or::<Vec<Entry<'_>>>("names", Vec::new())? {
                let text: &str = name.read()?;
                if !text.starts_with('n') {
                    return Err(name.invalid(format!("{text:?} begins with no n")));
                }
                names.push(text);
            }
            if config.members().get("names").is_some() && names.is_empty() {
                return Err(config.invalid("names", "is empty"));
            }
            if level > size {
                return Err(config.conflict("level", "is more than `size`"));
            }
            config.finish()?;
            Ok(Built::new(Never))
        },
        ..SPEC
    };
    for (config, expected) in [
        (
            r#"{"size": 10, "older": 1, "level": 0, "other": 1, "more": 1}"#,
            &[
                "config.older: is `size` here",
                "config.other: is `level` here",
                "config.size: must be between 1 and 9, but is 10",
                "config.level: must be between 1 and 3, but is 0",
                "config.more: unknown key",
            ] as &[_],
        ),
        (r#"{"size": 2, "level": 3}"#, &["config.level: is more than `size`"]),
        (r#"{"size": 2, "level": 3, "names": ["m"]}"#, &[r#"config.names[0]: "m" begins with no n"#]),
        (
            r#"{"names": ["a", "n", "b", 5, "n", "c"]}"#,
            &[
                r#"config.names[0]: "a" begins with no n"#,
                r#"config.names[2]: "b" begins with no n"#,
                "config.names[3]: expected string but got integer 5",
                r#"config.names[5]: "c" begins with no n"#,
            ],
        ),
        (r#"{"names": []}"#, &["config.names: is empty"]),
    ] {
        assert_eq!(of_kind(&STRICT, config), expected, "{config}");
    }
}

#[test]
fn whoever_nearly_wrote_a_key_is_told_of_that_alone() {
    const SAYS: Spec = Spec {
        fields: &[],
        build: |mut config: Reader<'_>, _| {
            for mut way in config.or::<Vec<Reader<'_>>>("ways", Vec::new())? {
                let itself = way.invalid_itself("says nothing");
                let is_silent = way.members().is_empty();
                let mut auth = way.record("auth")?;
                way.finish()?;
                if let Some(token) = auth.as_mut().and_then(|auth| auth.entry("token")) {
                    token.read::<&str>()?;
                }
                let none = auth.as_ref().map(|auth| auth.invalid_itself("has no token"));
                let is_there = auth.as_ref().is_some_and(|auth| !auth.members().is_empty());
                auth.map_or(Ok(()), Reader::finish)?;
                if is_silent {
                    return Err(itself);
                }
                none.filter(|_| !is_there).map_or(Ok(()), Err)?;
            }
            config.finish()?;
            Ok(Built::new(Never))
        },
        ..SPEC
    };
    for (config, expected) in [
        (r#"{"ways": [{}]}"#, &["config.ways[0]: says nothing"] as &[_]),
        (r#"{"ways": [{"foo": 1}]}"#, &["config.ways[0].foo: unknown key"]),
        (r#"{"ways": [{"auth": {}}]}"#, &["config.ways[0].auth: has no token"]),
        (
            r#"{"ways": [{"auht": {"token": 1}}]}"#,
            &["config.ways[0].auht: unknown key; did you mean `auth`?"],
        ),
        (r#"{"wyas": [{"auht": {"tokn": 1}}]}"#, &["config.wyas: unknown key; did you mean `ways`?"]),
        (
            r#"{"ways": [{"auth": {"tokn": ""}}, {"other": 1, "auth": {"token": ""}}, {"auht": {"token": ""}}], "more": 1}"#,
            &[
                "config.ways[0].auth.tokn: unknown key; did you mean `token`?",
                "config.ways[1].other: unknown key",
                "config.ways[2].auht: unknown key; did you mean `auth`?",
                "config.more: unknown key",
            ],
        ),
    ] {
        assert_eq!(of_kind(&SAYS, config), expected, "{config}");
    }
}

#[test]
fn hints_say_what_belongs_there() {
    let hints = |config: Option<&str>| {
        let config = config.map(|config| Value::from_json_str(config).unwrap());
        let definition = Definition { config, ..Definition::default() };
        let errors = build(&definition, &SPEC, &environment()).map(|_| ()).unwrap_err();
        errors.into_iter().filter_map(|error| error.hint).collect::<Vec<_>>()
    };
    assert_eq!(hints(None), [r#"`kind` needs `config = {"url": ...}`"#]);
    assert_eq!(hints(Some(r#"{"url": 1}"#)), ["`url` (string): Where."]);
    assert_eq!(
        hints(Some(r#"{"url": "a", "options": {"size": "x"}}"#)),
        ["`size` (integer): How much."],
        "wherever it stands"
    );
    assert_eq!(hints(Some(r#"{"url": "a", "other": 1}"#)), ["Known keys: `options`, `size`, `tls`, `url`"]);
    assert_eq!(hints(Some(r#"{"url": "a", "siz": 1}"#)), [""; 0]);
}

#[test]
fn all_that_is_wrong_in_reconnect_is_told() {
    let told = |written: &str| {
        let reconnect = Some(Value::from_json_str(written).unwrap());
        let definition = Definition { reconnect, ..Definition::default() };
        reconnect_of(&definition)
    };
    assert_eq!(
        told(r#"{"retry": {"interval_ms": "1s", "growth_rate": 0, "max_retry": 1}}"#),
        [
            r#"reconnect.retry.interval_ms: expected integer but got string "1s""#,
            "reconnect.retry.growth_rate: must be above 0",
            "reconnect.retry.max_retry: unknown key; did you mean `max_retries`?",
        ],
    );
    assert_eq!(told(r#""always""#).len(), 1);
    assert_eq!(told(r#"{"retry": {"interval_ms": 1}}"#), [""; 0]);
    assert_eq!(reconnect_of(&Definition::default()), [""; 0]);
}

fn reconnect_of(definition: &Definition) -> Vec<String> {
    reconnect(definition, "main::it").map(|_| ()).map_err(messages).err().unwrap_or_default()
}

#[test]
fn codec_and_every_processor_are_checked_by_themselves() {
    let value = |json: &str| Some(Value::from_json_str(json).unwrap());
    let definition = Definition {
        codec: value("42"),
        preprocessors: value(r#"["lines", "seperate", {"nam": "lines"}]"#),
        postprocessors: value(r#""lines""#),
        ..Definition::default()
    };
    let errors = coding(&definition, &SPEC, "main::it", &Registry::standard()).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|error| error.path.len()).collect();
    assert_eq!(paths, [1, 2, 2, 1]);
    assert_eq!(
        messages(errors),
        [
            r#"codec: Invalid config: 42; expected a name such as "json" or a record such as {"name": "json"}"#,
            "preprocessors: seperate Preprocessor not found. Did you mean `separate`?",
            r#"preprocessors: Invalid config: {"nam":"lines"}; unknown key `nam`, did you mean `name`?"#,
            r#"postprocessors: Invalid config: "lines"; expected a list such as ["lines"]"#,
        ],
    );
}

#[test]
fn what_stands_elsewhere_is_told_where_and_what_is_said_is_about_what_is_wrong() {
    const DEEP: Spec = Spec {
        fields: &[
            Field { name: "size", kind: "integer", default: "1", text: "How much. Bytes." },
            Field { name: "ways", kind: "list", default: "[]", text: "In order. Of each `exit`. No more." },
        ],
        below: &[
            Below::named("ways[]", &["exit", "options"]),
            Below { place: "ways[].options", keys: Keys::Own(&["size"]) },
            Below::named("doors.NAME", &["type", "options", "lock"]),
            Below {
                place: "doors.NAME.options",
                keys: Keys::OfTypes(&[
                    ("a", &[Field { name: "rate", kind: "integer", default: "1", text: "Of a." }]),
                    ("b", &[Field { name: "rate", kind: "float", default: "1", text: "Of b." }]),
                ]),
            },
        ],
        needs_config: true,
        build: |mut config: Reader<'_>, _| {
            config.or("size", 1_u32)?;
            for way in config.optional::<Vec<Entry<'_>>>("ways")?.unwrap_or_default() {
                let mut way: Reader<'_> = way.read()?;
                way.required::<&str>("exit")?;
                if let Some(mut options) = way.record("options")? {
                    options.or("size", 1_u32)?;
                    options.finish()?;
                }
                way.finish()?;
            }
            if let Some(doors) = config.record("doors")? {
                for (_, door) in doors.entries() {
                    let mut door: Reader<'_> = door.read()?;
                    door.required::<&str>("type")?;
                    if let Some(mut options) = door.record("options")? {
                        options.or("rate", 1_u32)?;
                        options.finish()?;
                    }
                    door.finish()?;
                }
            }
            config.finish()?;
            Ok(Built::new(Never))
        },
        ..SPEC
    };
    let told = |config: &str| {
        let config = Some(Value::from_json_str(config).unwrap());
        let definition = Definition { config, ..Definition::default() };
        let errors = build(&definition, &DEEP, &environment()).map(|_| ()).unwrap_err();
        let [error] = errors.try_into().unwrap();
        let DefinitionError { message, hint, .. } = error;
        (message.replace("[main::it] Invalid definition: config.", ""), hint.unwrap_or_default())
    };
    for (config, expected) in [
        (r#"{"rate": 1}"#, "rate: stands in `doors.NAME.options`"),
        (r#"{"siz": 1}"#, "siz: unknown key; did you mean `size`?"),
        (r#"{"exti": 1}"#, "exti: unknown key"),
        (r#"{"ways": [{"exit": "", "size": 1}]}"#, "ways[0].size: stands in `ways[].options`"),
        (r#"{"ways": [{"exit": "", "ways": 1}]}"#, "ways[0].ways: stands in `config`"),
        (r#"{"ways": [{"exit": "", "lock": 1}]}"#, "ways[0].lock: unknown key"),
        (
            r#"{"doors": {"x": {"type": "a", "options": {"lock": 1}}}}"#,
            "doors.x.options.lock: stands in `doors.NAME`",
        ),
    ] {
        assert_eq!(told(config).0, expected, "{config}");
    }
    for (config, expected) in [
        (r#"{"ways": [{"exit": 5}]}"#, "`ways` (list): Of each `exit`."),
        (r#"{"ways": [5]}"#, "`ways` (list): In order. Of each `exit`. No more."),
        (r#"{"ways": [{"exit": "", "options": 5}]}"#, "`ways` (list): In order."),
        (r#"{"ways": [{"exit": "", "options": {"size": "x"}}]}"#, "`size` (integer): How much. Bytes."),
        (r#"{"doors": {"x": {"type": "a", "options": {"rate": "x"}}}}"#, "`rate` (integer): Of a."),
        (r#"{"doors": {"x": {"type": "b", "options": {"rate": "x"}}}}"#, "`rate` (float): Of b."),
        (r#"{"doors": {"x": {"type": "c", "options": {"rate": "x"}}}}"#, ""),
    ] {
        assert_eq!(told(config).1, expected, "{config}");
    }
}
