//! Checks of a definition that find as many mistakes as they can.

use super::{Definition, DefinitionError};
use crate::{
    SendQueue,
    config::{ConfigError, Key, Problem, Reader},
    spec::{Built, CodecUse, Environment, Field, Spec},
    task::TARGET,
};
use std::sync::Arc;
use tracing::subscriber::NoSubscriber;
use tremor_codec::{NameAndConfig, Registry, Resolver};
use tremor_value::{Record, Value};

/// Most mistakes of one configuration that are told.
const MAX_MISTAKES: usize = 32;

/// Makes what the kind makes of its configuration.
///
/// A kind stops at the first mistake. That is then taken out of a copy of the configuration, and the kind asked again.
pub(super) fn build(
    definition: &Definition,
    spec: &Spec,
    environment: &Environment,
) -> Result<Built, Vec<DefinitionError>> {
    let alias = &environment.alias;
    let mut config = match definition.config.as_ref().filter(|config| !config.is_null()) {
        Some(config) => config.clone(),
        None if spec.needs_config => {
            let hint = required_keys(spec.fields).map(|keys| format!("`{}` needs {keys}", spec.name));
            let missing = DefinitionError::new(format!("{alias} Missing Configuration"));
            return Err(vec![DefinitionError { hint, ..missing }]);
        }
        None => Value::record(),
    };
    let mut found: Vec<ConfigError> = Vec::new();
    // What was put right all the same, so it may be missing later.
    let mut unsure: Vec<ConfigError> = Vec::new();
    let mut last = None;
    let (mut stood_in, mut guessed, mut renamed) = (Vec::new(), Vec::new(), Vec::<Vec<Key>>::new());
    for _ in 0..MAX_MISTAKES {
        let build = || Reader::new(&config, "config").and_then(|reader| (spec.build)(reader, environment));
        let built = match last {
            None => build(),
            // What is to be warned of was told the first time.
            Some(_) => tracing::subscriber::with_default(NoSubscriber::default(), build),
        };
        let error = match built {
            Ok(built) if found.is_empty() => return Ok(built),
            Ok(_) => break,
            Err(error) => error,
        };
        // Once a value is missing or has been replaced, what depends on several values says nothing any more.
        let is_sure = !matches!(error.problem, Problem::Invalid(_))
            || stood_in.is_empty()
                && found.iter().all(|earlier| matches!(earlier.problem, Problem::UnknownKey { .. }));
        // What stands under another name than it was written with has a path that nobody would find.
        let is_below = |path: &Vec<Key>| error.path.get(1..).is_some_and(|below| below.starts_with(path));
        let is_guess = is_missing_by(&error, &guessed) || renamed.iter().any(is_below);
        let is_consequence =
            found.iter().chain(&unsure).any(|earlier| is_consequence(&error, earlier, &config));
        let is_new = last.as_ref() != Some(&error);
        let meant = rename(&mut config, &error);
        let goes_on = is_new
            && (meant.is_some() || repair(&mut config, &error, spec.fields, (&mut stood_in, &mut guessed)));
        renamed.extend(meant);
        last = Some(error.clone());
        if is_guess || !is_sure {
            unsure.push(error);
        } else if !is_consequence {
            found.push(error);
        }
        if !goes_on {
            break;
        }
    }
    Err(found.iter().map(|error| with_hint(alias, error, spec.fields)).collect())
}

/// What the policy of the send queue and the postprocessors cannot have of each other.
pub(super) fn queue(built: &Built, coding: Option<&Resolver>, alias: &str) -> Option<DefinitionError> {
    if !built.is_sink || coding.is_none_or(|coding| coding.encoder().is_stateless()) {
        return None;
    }
    let drops = |queue: &SendQueue| queue.when_full.drops_waiting();
    let problem = "`drop_oldest` and `conflate` leave out messages that are encoded already, but what the codec or a \
                   postprocessor makes of later ones builds on them; take another policy, such as `drop_newest`";
    let own = ["config", "send_queue"].map(|key| Key::Field(key.into())).to_vec();
    let of_all = drops(&built.send_queue).then_some(own);
    let at = of_all.or_else(|| Some(built.queues.iter().find(|other| drops(&other.queue))?.at.clone()))?;
    let path = at.into_iter().chain([Key::Field("policy".into())]).collect();
    let error = ConfigError { path, problem: Problem::Invalid(problem.to_owned()), word: None };
    Some(DefinitionError { path: vec![Key::Field("config".into())], ..DefinitionError::at(alias, &error) })
}

/// What is kept for clients that come back, and the postprocessors, cannot have of each other.
pub(super) fn replay(built: &Built, coding: Option<&Resolver>, alias: &str) -> Option<DefinitionError> {
    let path = built.replays.first()?.at.clone();
    if coding.is_none_or(|coding| coding.encoder().is_stateless()) {
        return None;
    }
    let problem = "sends a message to connections that come later, but what the codec or a postprocessor makes of it builds \
                   on those before";
    let error = ConfigError { path, problem: Problem::Invalid(problem.to_owned()), word: None };
    Some(DefinitionError { path: vec![Key::Field("config".into())], ..DefinitionError::at(alias, &error) })
}

/// `later` may only be there because what `earlier` is about has been taken out of what `config` is now.
fn is_consequence(later: &ConfigError, earlier: &ConfigError, config: &Value) -> bool {
    let is_suggested = match (&earlier.problem, earlier.path.split_last(), later.path.split_last()) {
        (
            Problem::UnknownKey { nearest: Some(nearest), .. },
            Some((_, above)),
            Some((Key::Field(key), same)),
        ) => nearest == key && above == same,
        _ => false,
    };
    // A record of which a part could not be repaired was taken out as a whole.
    let is_around = earlier.path.starts_with(&later.path);
    let is_around = is_around
        && match &later.problem {
            Problem::Missing { .. } => true,
            // That a record says nothing, since all that it said was wrong.
            Problem::Invalid(_) => is_empty_record(config, later.path.get(1..).unwrap_or_default()),
            _ => false,
        };
    is_suggested || later.path == earlier.path || is_around
}

fn is_empty_record(config: &Value, path: &[Key]) -> bool {
    let found = path.iter().try_fold(config, |value, key| match key {
        Key::Field(name) => value.get(name),
        Key::Index(index) => value.as_array()?.get(*index),
    });
    found.and_then(Value::as_record).is_some_and(Record::is_empty)
}

/// Calls what `error` says nobody knows what is meant, if that is known and not there itself. Gives the path that it has
/// then.
fn rename(config: &mut Value, error: &ConfigError) -> Option<Vec<Key>> {
    let Problem::UnknownKey { nearest: Some(meant), .. } = &error.problem else { return None };
    let (Key::Field(wrong), above) = error.path.get(1..)?.split_last()? else { return None };
    let record = record_at(config, above)?;
    if record.get(meant).is_some_and(|value| !value.is_null()) {
        return None;
    }
    let value = record.remove(wrong)?;
    record.insert(meant.clone(), value);
    Some(above.iter().cloned().chain([Key::Field(meant.clone())]).collect())
}

/// `error` says that something is missing in a record where something was taken out or guessed, as `guessed` tells: what
/// was meant there may need something else.
fn is_missing_by(error: &ConfigError, guessed: &[Vec<Key>]) -> bool {
    let record = error.path.get(1..error.path.len().saturating_sub(1)).unwrap_or_default();
    matches!(error.problem, Problem::Missing { .. }) && guessed.iter().any(|path| path.starts_with(record))
}

/// Takes what `error` is about out of `config`, or the record around it if it is not there; or puts something in its
/// place that the kind may accept, once for each place: `stood_in` are the paths where that was done. `guessed` are those
/// of which nobody knows what was meant there. `false` if nothing could be done about it.
fn repair(
    config: &mut Value,
    error: &ConfigError,
    fields: &[Field],
    (stood_in, guessed): (&mut Vec<Vec<Key>>, &mut Vec<Vec<Key>>),
) -> bool {
    let path = error.path.get(1..).unwrap_or_default();
    if !stood_in.iter().any(|earlier| earlier == path)
        && let Some(value) = stand_in(error, path, fields)
        && let Some((Key::Field(key), above)) = path.split_last()
        && let Some(record) = record_at(config, above)
    {
        record.insert(key.clone(), value);
        stood_in.push(path.to_vec());
        // What such a word decides is the kind of a record, which no kind of connector has as a whole.
        let is_guess = path.len() > 1 && error.word.is_some();
        guessed.extend(is_guess.then(|| path.to_vec()));
        return true;
    }
    let removed =
        (1..=path.len()).rev().filter_map(|length| path.get(..length)).find(|path| remove(config, path));
    if !matches!(error.problem, Problem::UnknownKey { .. }) {
        guessed.extend(removed.map(<[Key]>::to_vec));
    }
    removed.is_some()
}

/// `false` if nothing is there, or what is to go is an item of a list: those behind it would have other numbers.
fn remove(config: &mut Value, path: &[Key]) -> bool {
    let Some((Key::Field(last), above)) = path.split_last() else { return false };
    record_at(config, above).is_some_and(|record| record.remove(last).is_some())
}

/// The record that `path` leads to, if there is one.
fn record_at<'c>(config: &'c mut Value, path: &[Key]) -> Option<&'c mut Record> {
    let found = path.iter().try_fold(config, |value, key| match (value, key) {
        (Value::Record(record), Key::Field(name)) => Arc::make_mut(record).get_mut(name),
        (Value::Array(items), Key::Index(index)) => Arc::make_mut(items).get_mut(*index),
        _ => None,
    })?;
    match found {
        Value::Record(record) => Some(Arc::make_mut(record)),
        _ => None,
    }
}

/// A value for what has to be there and is missing or wrong, so that what is behind it can be checked.
fn stand_in(error: &ConfigError, path: &[Key], fields: &[Field]) -> Option<Value> {
    let is_missing = matches!(error.problem, Problem::Missing { .. });
    let kind = match path {
        [Key::Field(key)] => fields.iter().find(|field| field.name == key.as_str()).and_then(|field| {
            let is_required = field.default.is_empty();
            is_required.then_some(field.kind)
        })?,
        // What has to be there within a record is the name of a file, up to now; a wrong guess is put right.
        _ if is_missing => "string",
        _ => return None,
    };
    match (&error.word, kind) {
        (Some(word), _) => Some(word.clone().into()),
        // Right for a path, and for the address of a client or a server.
        (None, "string") => Some("ws://127.0.0.1:1".into()),
        (None, "integer") => Some(1_i64.into()),
        _ => None,
    }
}

/// What is wrong, with what the kind says about the key.
fn with_hint(alias: &str, error: &ConfigError, fields: &[Field]) -> DefinitionError {
    let mut made = DefinitionError::at(alias, error);
    if let (Problem::WrongType { .. } | Problem::Missing { .. }, [_, Key::Field(key)]) =
        (&error.problem, error.path.as_slice())
        && let Some(field) = fields.iter().find(|field| field.name == key.as_str())
    {
        made.hint = Some(format!("`{key}` ({}): {}", field.kind, field.text));
    }
    made
}

/// The keys that a configuration has to have: ``config = {"url": ...}``.
fn required_keys(fields: &[Field]) -> Option<String> {
    let required = fields.iter().filter(|field| field.default.is_empty());
    let keys: Vec<String> = required.map(|field| format!("\"{}\": ...", field.name)).collect();
    (!keys.is_empty()).then(|| format!("`config = {{{}}}`", keys.join(", ")))
}

/// Refuses processors where there are no bytes for them.
fn uncoded(definition: &Definition, alias: &str) -> Result<(), Vec<DefinitionError>> {
    let given =
        [("preprocessors", &definition.preprocessors), ("postprocessors", &definition.postprocessors)];
    let is_given = |value: &Option<Value>| {
        value
            .as_ref()
            .is_some_and(|value| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty()))
    };
    let given = given.into_iter().filter(|(_, value)| is_given(value));
    let errors: Vec<_> = given
        .map(|(parameter, _)| {
            let message =
                format!("{alias} is a structured connector and can't be configured with {parameter}");
            DefinitionError::of(parameter, message)
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Resolves codec and processors; `None` for structured kinds.
pub(super) fn coding(
    definition: &Definition,
    spec: &Spec,
    alias: &str,
    codecs: &Registry,
) -> Result<Option<Resolver>, Vec<DefinitionError>> {
    let mut errors = Vec::new();
    let named = definition.codec.clone().filter(|codec| !codec.is_null());
    let codec = match (spec.codec, named) {
        (CodecUse::Structured, None) => return uncoded(definition, alias).map(|()| None),
        (CodecUse::Structured, Some(_)) => {
            let message = format!("{alias} is a structured connector and can't be configured with a codec");
            return Err(vec![DefinitionError::of("codec", message)]);
        }
        (CodecUse::Required, None) => {
            let hint = Some("Say which, as in `codec = \"json\"`".to_owned());
            let missing = DefinitionError::new(format!("{alias} is missing a codec"));
            errors.push(DefinitionError { hint, ..missing });
            None
        }
        (CodecUse::Default(name), None) => Some(Value::from(name)),
        (_, Some(codec)) => Some(codec),
    };
    let mut refuse = |parameter: &str, index: Option<usize>, error: &tremor_codec::ConfigError| {
        let message = format!("[{alias}] Invalid definition: {parameter}: {error}");
        let mut error = DefinitionError::of(parameter, message);
        error.path.extend(index.map(Key::Index));
        errors.push(error);
    };
    let codec = codec.and_then(|codec| {
        let checked =
            NameAndConfig::from_value(&codec).and_then(|codec| codecs.check_codec(&codec).map(|()| codec));
        if let Ok(codec) = &checked
            && codecs.ignores_config_of(codec)
        {
            let name = &codec.name;
            tracing::warn!(target: TARGET, "[Connector::{alias}] codec.config: has no effect: `{name}` takes none");
        }
        checked.map_err(|error| refuse("codec", None, &error)).ok()
    });
    let mut stages = |parameter: &str, value: &Option<Value>, check: Check| {
        let value = value.as_ref().unwrap_or(&Value::Null);
        let Some(items) = value.as_array() else {
            let list = NameAndConfig::list_from_value(value);
            return list.map_err(|error| refuse(parameter, None, &error)).unwrap_or_default();
        };
        let mut stages = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match NameAndConfig::processor_from_value(item)
                .and_then(|stage| check(codecs, &stage).map(|()| stage))
            {
                Ok(stage) => stages.push(stage),
                Err(error) => refuse(parameter, Some(index), &error),
            }
        }
        stages
    };
    let preprocessors = stages("preprocessors", &definition.preprocessors, Registry::check_preprocessor);
    let postprocessors = stages("postprocessors", &definition.postprocessors, Registry::check_postprocessor);
    let Some(codec) = codec.filter(|_| errors.is_empty()) else { return Err(errors) };
    let definition = tremor_codec::Definition { codec, preprocessors, postprocessors };
    let resolver = codecs.resolver(&definition).map_err(|error| {
        vec![DefinitionError::of("codec", format!("[{alias}] Invalid definition: {error}"))]
    })?;
    Ok(Some(resolver.owned_by(alias)))
}

type Check = fn(&Registry, &NameAndConfig) -> Result<(), tremor_codec::ConfigError>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Reader,
        connect::{ConnectError, Connected, Connector},
        spec::SinkUse,
    };

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
            if let Some(mut tls) = config.record("tls")? {
                tls.required::<&str>("cert")?;
                tls.finish()?;
                if url.starts_with("ws:") {
                    return Err(config.invalid("tls", "does not go with this url"));
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
                        return Err(config.invalid("tls", "cannot be read"));
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
            [r#"config.size: expected integer but got string "x""#],
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
        assert_eq!(hints(Some(r#"{"url": "a", "other": 1}"#)), ["Known keys: `size`, `tls`, `url`"]);
        assert_eq!(hints(Some(r#"{"url": "a", "siz": 1}"#)), [""; 0]);
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
}
