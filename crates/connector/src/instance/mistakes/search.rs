//! All that is wrong in a configuration, though whoever reads it stops at the first mistake.

use crate::{
    config::{ConfigError, Key, Problem},
    spec::Field,
};
use std::sync::Arc;
use tracing::{Dispatch, dispatcher::with_default};
use tremor_value::{Record, Value};

/// Most mistakes of one configuration that are told.
const MAX_MISTAKES: usize = 32;

/// What `read` makes of `config`, or all that is wrong there. `fields` are the keys of `config` itself.
///
/// Each mistake is taken out of a copy of the configuration, so that its default stands in, and `read` asked again.
pub(super) fn all_of<T>(
    config: Value,
    fields: &[Field],
    read: impl Fn(&Value) -> Result<T, ConfigError>,
) -> Result<T, Vec<ConfigError>> {
    let mut error = match read(&config) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    let mut search = Search::new(config, fields);
    for _ in 0..MAX_MISTAKES {
        if !search.put_right(error) {
            break;
        }
        // What is to be warned of was told the first time.
        let again = || read(&search.config);
        error = match with_default(&Dispatch::none(), again) {
            Ok(_) => break,
            Err(error) => error,
        };
    }
    Err(search.found)
}

/// Paths are those of what the user has written, without the name of the whole; `now` are those in the copy, where lists may
/// be shorter.
struct Search<'f> {
    /// The copy in which mistakes are put right.
    config: Value,
    fields: &'f [Field],
    found: Vec<ConfigError>,
    /// What was put right all the same, and may be there only because something else was.
    unsure: Vec<ConfigError>,
    last: Option<ConfigError>,
    /// Where something stands in for what was wrong.
    stood_in: Vec<Vec<Key>>,
    /// Where nobody knows what was meant.
    guessed: Vec<Vec<Key>>,
    /// What was called by a name that is known, which the user has not written.
    renamed: Vec<Vec<Key>>,
    /// Records of a `type` that was guessed, so what the records in them say or lack may be right for another one.
    unsorted: Vec<Vec<Key>>,
    /// Items that were taken out of lists.
    gone: Vec<Vec<Key>>,
}

impl<'f> Search<'f> {
    fn new(config: Value, fields: &'f [Field]) -> Self {
        Self {
            config,
            fields,
            found: Vec::new(),
            unsure: Vec::new(),
            last: None,
            stood_in: Vec::new(),
            guessed: Vec::new(),
            renamed: Vec::new(),
            unsorted: Vec::new(),
            gone: Vec::new(),
        }
    }

    /// Notes `error` and puts right what it is about. `false` if nothing could be done about that.
    fn put_right(&mut self, mut error: ConfigError) -> bool {
        let now = below_root(&error).to_vec();
        let written = self.as_written(&now);
        error.path.truncate(1);
        error.path.extend(written);
        let is_told = self.is_told(&error);
        if let [record @ .., Key::Field(key)] = below_root(&error)
            && !record.is_empty()
            && error.word.is_some()
            && key == "type"
        {
            self.unsorted.push(record.to_vec());
        }
        let is_new = self.last.as_ref() != Some(&error);
        let goes_on = self.rename(&error, &now) || is_new && self.repair(&error, &now);
        self.last = Some(error.clone());
        if is_told { &mut self.found } else { &mut self.unsure }.push(error);
        goes_on
    }

    /// Whether `error` would be there, too, if nothing had been put right before.
    fn is_told(&self, error: &ConfigError) -> bool {
        let path = below_root(error);
        let is_known = |earlier: &ConfigError| matches!(earlier.problem, Problem::UnknownKey { .. });
        // Once a value is missing or has been replaced, what depends on several values says nothing any more.
        let is_sure = !matches!(error.problem, Problem::Conflict(_))
            || self.stood_in.is_empty() && self.found.iter().all(is_known);
        let is_deep_in = |record: &Vec<Key>| path.starts_with(record) && path.len() > record.len() + 1;
        let is_of_guessed_kind =
            !matches!(error.problem, Problem::WrongType { .. }) && self.unsorted.iter().any(is_deep_in);
        // What stands under another name than it was written with has a path that nobody would find.
        let is_renamed = self.renamed.iter().any(|renamed| path.starts_with(renamed));
        let mut earlier = self.found.iter().chain(&self.unsure);
        is_sure
            && !is_of_guessed_kind
            && !is_renamed
            && !is_missing_by(error, &self.guessed)
            && !earlier.any(|earlier| Self::is_consequence(error, earlier))
    }

    /// `later` may only be there because what `earlier` is about has been taken out.
    fn is_consequence(later: &ConfigError, earlier: &ConfigError) -> bool {
        let is_suggested = match (&earlier.problem, earlier.path.split_last(), later.path.split_last()) {
            (
                Problem::UnknownKey { nearest: Some(nearest), .. },
                Some((_, above)),
                Some((Key::Field(key), same)),
            ) => nearest == key && above == same,
            _ => false,
        };
        // What is missing in a record is what somebody wanted to write whose key nobody knows. Of the configuration as a
        // whole that is not said: it has many keys.
        let is_written_otherwise = later.path.len() > 2
            && matches!(later.problem, Problem::Missing { .. })
            && matches!(earlier.problem, Problem::UnknownKey { nearest: None, .. })
            && above(&later.path) == above(&earlier.path);
        // A record or a list of which a part was taken out may be gone as a whole, or say too little.
        let is_around = earlier.path.starts_with(&later.path)
            && !matches!(later.problem, Problem::WrongType { .. } | Problem::UnknownKey { .. });
        is_suggested || is_written_otherwise || later.path == earlier.path || is_around
    }

    /// Calls what `error` says nobody knows what is meant, if that is known and not there itself.
    fn rename(&mut self, error: &ConfigError, now: &[Key]) -> bool {
        let Problem::UnknownKey { nearest: Some(meant), .. } = &error.problem else { return false };
        let Some((Key::Field(wrong), place)) = now.split_last() else { return false };
        let Some(record) = record_at(&mut self.config, place) else { return false };
        if record.get(meant).is_some_and(|value| !value.is_null()) {
            return false;
        }
        let Some(value) = record.remove(wrong) else { return false };
        record.insert(meant.clone(), value);
        let place = above(below_root(error)).iter().cloned();
        self.renamed.push(place.chain([Key::Field(meant.clone())]).collect());
        true
    }

    /// Takes what `error` is about out, or what is around it if it is not there; or puts something in its place that may be
    /// accepted, once for each place. `false` if nothing could be done about it.
    fn repair(&mut self, error: &ConfigError, now: &[Key]) -> bool {
        let path = below_root(error);
        if !self.stood_in.iter().any(|earlier| earlier == path)
            && let Some(value) = stand_in(error, path, self.fields)
            && let Some((Key::Field(key), above)) = now.split_last()
            && let Some(record) = record_at(&mut self.config, above)
        {
            record.insert(key.clone(), value);
            self.stood_in.push(path.to_vec());
            // What such a word decides is the kind of a record, which no kind of connector has as a whole.
            let is_guess = path.len() > 1 && error.word.is_some();
            self.guessed.extend(is_guess.then(|| path.to_vec()));
            return true;
        }
        let mut around = (1..=now.len()).rev().filter_map(|length| now.get(..length));
        let Some(removed) = around.find(|place| remove(&mut self.config, place)) else { return false };
        let removed = path.get(..removed.len()).unwrap_or_default().to_vec();
        if !matches!(error.problem, Problem::UnknownKey { .. }) {
            self.guessed.push(removed.clone());
        }
        if let Some(Key::Index(_)) = removed.last() {
            self.gone.push(removed);
        }
        true
    }

    /// The path that what stands at `now` has for the user.
    fn as_written(&self, now: &[Key]) -> Vec<Key> {
        now.iter().fold(Vec::with_capacity(now.len()), |mut written, key| {
            written.push(match key {
                Key::Index(index) => Key::Index(self.number_of(&written, *index)),
                field @ Key::Field(_) => field.clone(),
            });
            written
        })
    }

    /// The number that the item which is the `index`th of `list` now has for the user.
    fn number_of(&self, list: &[Key], index: usize) -> usize {
        let gone = self.gone.iter().filter_map(|path| match path.split_last()? {
            (Key::Index(index), above) if above == list => Some(*index),
            _ => None,
        });
        let mut gone: Vec<usize> = gone.collect();
        gone.sort_unstable();
        gone.into_iter().fold(index, |number, gone| number + usize::from(gone <= number))
    }
}

/// The path of `error` without the name of the whole.
fn below_root(error: &ConfigError) -> &[Key] {
    error.path.get(1..).unwrap_or_default()
}

/// The record with what `path` leads to.
fn above(path: &[Key]) -> &[Key] {
    path.split_last().map_or(&[], |(_, above)| above)
}

/// `error` says that something is missing in a record where something was taken out or guessed, as `guessed` tells, or
/// beside such a place: what was meant there may need something else, or be what is missing.
fn is_missing_by(error: &ConfigError, guessed: &[Vec<Key>]) -> bool {
    let record = above(below_root(error));
    let is_beside = |path: &Vec<Key>| path.len() > 1 && above(path) == above(record);
    matches!(error.problem, Problem::Missing { .. })
        && guessed.iter().any(|path| path.starts_with(record) || is_beside(path))
}

/// `false` if nothing is there.
fn remove(config: &mut Value, path: &[Key]) -> bool {
    let Some((last, above)) = path.split_last() else { return false };
    match (value_at(config, above), last) {
        (Some(Value::Record(record)), Key::Field(name)) => Arc::make_mut(record).remove(name).is_some(),
        // Whose members have names that are secrets is told of by numbers.
        (Some(Value::Record(record)), Key::Index(index)) => {
            let name = record.keys().nth(*index).cloned();
            name.is_some_and(|name| Arc::make_mut(record).remove(&name).is_some())
        }
        (Some(Value::Array(items)), Key::Index(index)) if *index < items.len() => {
            Arc::make_mut(items).remove(*index);
            true
        }
        _ => false,
    }
}

/// The record that `path` leads to, if there is one.
fn record_at<'c>(config: &'c mut Value, path: &[Key]) -> Option<&'c mut Record> {
    match value_at(config, path)? {
        Value::Record(record) => Some(Arc::make_mut(record)),
        _ => None,
    }
}

/// What `path` leads to.
fn value_at<'c>(config: &'c mut Value, path: &[Key]) -> Option<&'c mut Value> {
    path.iter().try_fold(config, |value, key| match (value, key) {
        (Value::Record(record), Key::Field(name)) => Arc::make_mut(record).get_mut(name),
        (Value::Record(record), Key::Index(index)) => {
            Arc::make_mut(record).iter_mut().nth(*index).map(|(_, value)| value)
        }
        (Value::Array(items), Key::Index(index)) => Arc::make_mut(items).get_mut(*index),
        _ => None,
    })
}

/// A value for what has to be there and is missing or wrong, so that what is behind it can be checked.
fn stand_in(error: &ConfigError, path: &[Key], fields: &[Field]) -> Option<Value> {
    let kind = match path {
        [Key::Field(key)] => fields.iter().find(|field| field.name == key.as_str()).and_then(|field| {
            let is_required = field.default.is_empty();
            is_required.then_some(field.kind)
        })?,
        // A wrong guess is put right.
        _ => match &error.problem {
            Problem::Missing { expected } if expected.contains("integer") => "integer",
            Problem::Missing { .. } => "string",
            _ => return None,
        },
    };
    match (&error.word, kind) {
        (Some(word), _) => Some(word.clone().into()),
        // Right for a path, and for the address of a client or a server.
        (None, "string") => Some("ws://127.0.0.1:1".into()),
        (None, "integer") => Some(1_i64.into()),
        _ => None,
    }
}
