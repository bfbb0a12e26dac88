//! Checks of a definition that find as many mistakes as they can.

mod below;
mod search;

use super::{Definition, DefinitionError};
use crate::{
    SendQueue,
    config::{ConfigError, Key, Problem, Reader},
    reconnect::Policy,
    spec::{Built, CodecUse, Environment, Field, Spec},
    task::TARGET,
};
use search::all_of;
use tremor_codec::{NameAndConfig, Registry, Resolver};
use tremor_value::Value;

/// Makes what the kind makes of its configuration.
pub(super) fn build(
    definition: &Definition,
    spec: &Spec,
    environment: &Environment,
) -> Result<Built, Vec<DefinitionError>> {
    let alias = &environment.alias;
    let config = match definition.config.as_ref().filter(|config| !config.is_null()) {
        Some(config) => config.clone(),
        None if spec.needs_config => {
            let hint = required_keys(spec.fields).map(|keys| format!("`{}` needs {keys}", spec.name));
            let missing = DefinitionError::new(format!("{alias} Missing Configuration"));
            return Err(vec![DefinitionError { hint, ..missing }]);
        }
        None => Value::record(),
    };
    let build = |config: &Value| (spec.build)(Reader::new(config, "config")?, environment);
    let built = all_of(config, spec.fields, build);
    let config = definition.config.as_ref().unwrap_or(&Value::Null);
    built.map_err(|found| found.iter().map(|error| with_hint(alias, error, spec, config)).collect())
}

/// Reads `reconnect`.
pub(super) fn reconnect(definition: &Definition, alias: &str) -> Result<Policy, Vec<DefinitionError>> {
    let written = definition.reconnect.clone().unwrap_or(Value::Null);
    let policy = all_of(written, &[], |written| Policy::from_value(Some(written)));
    policy.map_err(|found| found.iter().map(|error| DefinitionError::at(alias, error)).collect())
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
    let error = ConfigError { path, problem: Problem::Conflict(problem.to_owned()), word: None };
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
    let error = ConfigError { path, problem: Problem::Conflict(problem.to_owned()), word: None };
    Some(DefinitionError { path: vec![Key::Field("config".into())], ..DefinitionError::at(alias, &error) })
}

/// What is wrong, with what the kind says about the key.
fn with_hint(alias: &str, error: &ConfigError, spec: &Spec, config: &Value) -> DefinitionError {
    if let Some(placed) = below::placed(error, spec, config) {
        return DefinitionError::at(alias, &placed);
    }
    let mut made = DefinitionError::at(alias, error);
    if let Problem::WrongType { .. } | Problem::Missing { .. } = error.problem {
        made.hint = below::described(error, spec, config);
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
