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
    // Records of a `type` that was guessed, so what the records in them have or lack may be right for another one.
    let mut unsorted: Vec<Vec<Key>> = Vec::new();
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
        let is_deep_in = |record: &Vec<Key>| is_below(record) && error.path.len() > record.len() + 2;
        let is_of_guessed_kind =
            matches!(error.problem, Problem::Missing { .. } | Problem::UnknownKey { .. })
                && unsorted.iter().any(is_deep_in);
        let is_guess = is_missing_by(&error, &guessed) || is_of_guessed_kind || renamed.iter().any(is_below);
        if let [_, record @ .., Key::Field(key)] = error.path.as_slice()
            && !record.is_empty()
            && error.word.is_some()
            && key == "type"
        {
            unsorted.push(record.to_vec());
        }
        let is_consequence =
            found.iter().chain(&unsure).any(|earlier| is_consequence(&error, earlier, &config));
        let is_new = last.as_ref() != Some(&error);
        let meant = rename(&mut config, &error);
        let goes_on = is_new
            && (meant.is_some() || repair(&mut config, &error, spec.fields, (&mut stood_in, &mut guessed)));
        renamed.extend(meant);
        last = Some(error.clone());
        let of = if is_guess || !is_sure || is_consequence { &mut unsure } else { &mut found };
        of.push(error);
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
    // What is missing in a record is what somebody wanted to write whose key nobody knows. Of the configuration as a whole
    // that is not said: it has many keys.
    let is_written_otherwise = later.path.len() > 2
        && matches!(later.problem, Problem::Missing { .. })
        && matches!(earlier.problem, Problem::UnknownKey { nearest: None, .. })
        && above(&later.path) == above(&earlier.path);
    let is_around = earlier.path.starts_with(&later.path);
    let is_around = is_around
        && match &later.problem {
            Problem::Missing { .. } => true,
            // That a record says nothing, since all that it said was wrong.
            Problem::Invalid(_) => is_empty_record(config, later.path.get(1..).unwrap_or_default()),
            _ => false,
        };
    is_suggested || is_written_otherwise || later.path == earlier.path || is_around
}

/// The record with what `path` leads to.
fn above(path: &[Key]) -> &[Key] {
    path.split_last().map_or(&[], |(_, above)| above)
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
mod tests;
