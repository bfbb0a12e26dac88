//! What is known of keys that stand below those of a configuration.

use crate::{
    config::{ConfigError, Key, Problem},
    spec::{Below, Field, Keys, Spec},
};
use tremor_value::Value;

/// The keys that lead to the place of a mistake, without the name of the whole. What stands in its `options` might as well
/// stand beside them.
fn keys_of(error: &ConfigError) -> &[Key] {
    match error.path.get(1..).unwrap_or_default() {
        [Key::Field(options), below @ ..] if options == "options" && !below.is_empty() => below,
        all => all,
    }
}

/// A mistake about a key that nobody knows there says where it stands, if it is known elsewhere: further below, or else above.
pub(super) fn placed(error: &ConfigError, spec: &Spec, config: &Value) -> Option<ConfigError> {
    let Problem::UnknownKey { nearest, .. } = &error.problem else { return None };
    let (Key::Field(key), here) = keys_of(error).split_last()? else { return None };
    let kind = type_at(config, here);
    let places = || spec.below.iter().filter(|below| below.keys.include(key, kind));
    let further = places().filter(|below| leads_to(here, below.place, spec));
    let further: Vec<_> = further.map(|below| ticked(below.place)).collect();
    let place = if further.is_empty() {
        // Whoever writes one that is almost right means that.
        if nearest.is_some() {
            return None;
        }
        let around = (1..here.len()).rev().filter_map(|length| here.get(..length));
        let is_around = |around: &[Key]| places().find(|below| is_at(below.place, around));
        let above = around.filter_map(is_around).map(|below| ticked(below.place)).next();
        let is_own = || spec.fields.iter().any(|field| field.name == key.as_str());
        above.or_else(|| (!here.is_empty() && is_own()).then(|| ticked("config")))?
    } else {
        further.join(", or in ")
    };
    let or_else = nearest.as_ref().map_or_else(String::new, |name| format!("; or did you mean `{name}`?"));
    Some(ConfigError { problem: Problem::Invalid(format!("stands in {place}{or_else}")), ..error.clone() })
}

/// What is said of the key that a mistake is about, or of the nearest around it of which something is said.
pub(super) fn described(error: &ConfigError, spec: &Spec, config: &Value) -> Option<String> {
    let keys = keys_of(error);
    let name_of = |key: &Key| match key {
        Key::Field(name) => Some(name.clone()),
        Key::Index(_) => None,
    };
    let described = |index: usize| {
        let name = name_of(keys.get(index)?)?;
        let here = keys.get(..index)?;
        let fields = if here.is_empty() { spec.fields } else { fields_at(here, &name, spec, config)? };
        fields.iter().find(|field| field.name == name.as_str()).map(|field| (index, field))
    };
    let (index, field) = (0..keys.len()).rev().find_map(described)?;
    let below = keys.get(index + 1..)?.iter().rev().find_map(name_of);
    let text = below.map_or_else(|| field.text.to_owned(), |key| about(&key, field.text));
    Some(unlinked(&format!("`{}` ({}): {text}", field.name, field.kind)))
}

/// The same without links to other places of the reference, of which the words stay.
fn unlinked(text: &str) -> String {
    let mut parts = text.split("](#");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some(bracket) = plain.rfind('[') {
            plain.remove(bracket);
        }
        plain.push_str(part.split_once(')').map_or(part, |(_, behind)| behind));
    }
    plain
}

/// What describes the key `name` in the record `here`.
fn fields_at(here: &[Key], name: &str, spec: &Spec, config: &Value) -> Option<&'static [Field]> {
    let mut below = spec.below.iter().filter(|below| is_at(below.place, here));
    below.find_map(|below| match below.keys {
        Keys::Named(_) => None,
        Keys::Described(fields) => Some(fields),
        Keys::Own(names) => names.contains(&name).then_some(spec.fields),
        Keys::OfTypes(types) => {
            let kind = type_at(config, here.split_last()?.1)?;
            types.iter().find(|(name, _)| *name == kind).map(|(_, fields)| *fields)
        }
    })
}

/// The `type` that is written in the record `path`.
fn type_at<'c>(config: &'c Value, path: &[Key]) -> Option<&'c str> {
    let record = value_at(config, path).or_else(|| value_at(config.get("options")?, path))?;
    record.get("type")?.as_str()
}

fn value_at<'c>(config: &'c Value, path: &[Key]) -> Option<&'c Value> {
    path.iter().try_fold(config, |value, key| match key {
        Key::Field(name) => value.get(name.as_str()),
        Key::Index(index) => value.as_array()?.get(*index),
    })
}

/// The sentences of `text` that name `key`, or the first one.
fn about(key: &str, text: &str) -> String {
    let key = ticked(key);
    let about: String = text.split_inclusive(". ").filter(|sentence| sentence.contains(&key)).collect();
    let first = || text.split_inclusive(". ").next().unwrap_or(text).to_owned();
    let chosen = if about.is_empty() { first() } else { about };
    chosen.trim_end().to_owned()
}

fn ticked(name: &str) -> String {
    format!("`{name}`")
}

impl Keys {
    /// Whether `key` is among them, in or below a record of type `kind` if that is known.
    fn include(&self, key: &str, kind: Option<&str>) -> bool {
        match self {
            Self::Named(names) | Self::Own(names) => names.contains(&key),
            Self::Described(fields) => fields.iter().any(|field| field.name == key),
            Self::OfTypes(types) => {
                let mut types = types.iter().filter(|(name, _)| kind.is_none_or(|kind| kind == *name));
                types.any(|(_, fields)| fields.iter().any(|field| field.name == key))
            }
        }
    }
}

/// The steps of a place: a name, any name, or any item of a list.
fn steps(place: &'static str) -> impl Iterator<Item = &'static str> {
    place.split('.').flat_map(|name| match name.strip_suffix("[]") {
        Some(list) => [Some(list), Some("[]")].into_iter().flatten(),
        None => [Some(name), None].into_iter().flatten(),
    })
}

fn is_step(step: &str, key: &Key) -> bool {
    match key {
        Key::Index(_) => step == "[]",
        Key::Field(name) => step == name.as_str() || step == Below::ANY,
    }
}

/// Whether a place is further below than `here`, where some settings of the configuration itself may stand, too.
fn leads_to(here: &[Key], place: &'static str, spec: &Spec) -> bool {
    let first = steps(place).next().unwrap_or_default();
    let is_own = |below: &Below| match below.keys {
        Keys::Own(names) => is_at(below.place, here) && names.contains(&first),
        Keys::Named(_) | Keys::Described(_) | Keys::OfTypes(_) => false,
    };
    starts_with(place, here) || spec.below.iter().any(is_own)
}

fn starts_with(place: &'static str, here: &[Key]) -> bool {
    steps(place).count() > here.len() && steps(place).zip(here).all(|(step, key)| is_step(step, key))
}

fn is_at(place: &'static str, here: &[Key]) -> bool {
    steps(place).count() == here.len() && steps(place).zip(here).all(|(step, key)| is_step(step, key))
}
