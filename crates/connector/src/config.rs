//! Strict, typed reading of a configuration value.
//!
//! A [`Reader`] walks one record. Every key is asked for by name and type; [`Reader::finish`] then refuses
//! keys that nobody asked for, so a typing error never becomes a setting that silently has no effect
//! (`spec/runtime.md` 3.2). Every error carries the path of keys that leads to it, as data, so that the
//! caller can point at the place in the source.
//!
//! ```
//! # use tremor_connector::config::{ConfigError, Reader};
//! # fn read(value: &tremor_value::Value) -> Result<(), ConfigError> {
//! let mut config = Reader::new(value, "config")?;
//! let path: String = config.required("path")?;
//! let backlog: u32 = config.or("backlog", 128)?;
//! if let Some(mut tls) = config.record("tls")? {
//!     let cert: std::path::PathBuf = tls.required("cert")?;
//!     tls.finish()?;
//! }
//! config.finish()
//! # }
//! ```
//!
//! A key whose value is null counts as absent everywhere, so that an argument without a default can be
//! passed through.

mod error;
mod read;
#[cfg(test)]
mod tests;

pub use error::{ConfigError, Key, Problem, ticked};
pub use read::{FromConfig, OneOrMany, Secret};
pub use tremor_codec::nearest;

use std::{
    collections::BTreeSet,
    fmt::Display,
    ops::{Bound, RangeBounds},
    time::Duration,
};

use tremor_value::{Record, Str, Value};

/// One value of a configuration, with the path that leads to it.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    value: &'a Value,
    path: Vec<Key>,
    secret: bool,
}

impl<'a> Entry<'a> {
    /// A value that stands by itself; every path begins with `name`, e.g. `config` or `$ws_client.open`.
    #[must_use]
    pub fn root(value: &'a Value, name: &str) -> Self {
        let path = name.split('.').map(|word| Key::Field(word.into())).collect();
        Self { value, path, secret: false }
    }

    /// The value as it was written.
    #[must_use]
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// The keys that lead to this value.
    #[must_use]
    pub fn path(&self) -> &[Key] {
        &self.path
    }

    /// The keys that lead to this value, as they are shown: `config.listen[1]`.
    #[must_use]
    pub fn path_text(&self) -> String {
        error::PathText(&self.path).to_string()
    }

    /// The same entry, whose value no error message may show.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Reads the value as a `T`.
    ///
    /// # Errors
    /// If the value is not a `T`.
    pub fn read<T: FromConfig<'a>>(&self) -> Result<T, ConfigError> {
        T::from_config(self)
    }

    /// Reads the value as a `T` that lies in `range`.
    ///
    /// # Errors
    /// If the value is not a `T` or out of range.
    pub fn read_in<T>(&self, range: impl RangeBounds<T>) -> Result<T, ConfigError>
    where
        T: FromConfig<'a> + PartialOrd + Display,
    {
        let (low, high) = (range.start_bound(), range.end_bound());
        match self.read::<T>() {
            Ok(value) if range.contains(&value) => Ok(value),
            Ok(value) => Err(self.out_of_range(low, high, &value)),
            // The type of the number has room for the range, so this is neither in the one nor in the other.
            Err(error) => Err(match self.value {
                Value::I64(number) if *number < 0 => self.out_of_range(low, high, number),
                Value::I64(number) if matches!(high, Bound::Included(_)) => {
                    self.out_of_range(low, high, number)
                }
                Value::U64(number) if matches!(high, Bound::Included(_)) => {
                    self.out_of_range(low, high, number)
                }
                _ => error,
            }),
        }
    }

    fn out_of_range<T: Display>(&self, low: Bound<&T>, high: Bound<&T>, value: &dyn Display) -> ConfigError {
        let wanted = match (low, high) {
            (Bound::Included(low), Bound::Included(high)) => format!("between {low} and {high}"),
            (Bound::Included(low), Bound::Unbounded) => format!("{low} or more"),
            (_, Bound::Included(high)) => format!("at most {high}"),
            _ => "another number".to_owned(),
        };
        let but_is = if self.secret { String::new() } else { format!(", but is {value}") };
        self.invalid(format!("must be {wanted}{but_is}"))
    }

    /// An error about this value, whatever stands elsewhere, in the caller's words (which must not quote a secret).
    pub fn invalid(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError { path: self.path.clone(), problem: Problem::Invalid(problem.into()), word: None }
    }

    /// The same, about this value beside others: it may be right once those are.
    pub fn conflict(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError { path: self.path.clone(), problem: Problem::Conflict(problem.into()), word: None }
    }

    /// The error for a value of the wrong type. Short scalar values are quoted unless they are secret.
    #[must_use]
    pub fn mismatch(&self, expected: &str) -> ConfigError {
        let got = if self.secret { self.value.type_name().to_owned() } else { error::shown(self.value) };
        ConfigError {
            path: self.path.clone(),
            problem: Problem::WrongType { expected: expected.to_owned(), got },
            word: None,
        }
    }

    fn at(&self, index: usize, value: &'a Value) -> Self {
        let mut path = self.path.clone();
        path.push(Key::Index(index));
        Self { value, path, secret: self.secret }
    }
}

/// Reads the members of one record. See the [module](self).
#[derive(Debug)]
pub struct Reader<'a> {
    record: &'a Record,
    path: Vec<Key>,
    secret: bool,
    asked: BTreeSet<&'static str>,
    hidden: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    /// A reader of `value`; `name` is the first word of every path in errors, e.g. `config`.
    ///
    /// # Errors
    /// If `value` is not a record. The value is not quoted: it may hold a secret.
    pub fn new(value: &'a Value, name: &str) -> Result<Self, ConfigError> {
        Self::from_config(&Entry::root(value, name))
    }

    /// A reader of a record that was kept together with its path, to read it once more.
    pub(crate) fn again(record: &'a Record, path: Vec<Key>) -> Self {
        Self { record, path, secret: false, asked: BTreeSet::new(), hidden: BTreeSet::new() }
    }

    /// The keys that lead to this record.
    #[must_use]
    pub fn path(&self) -> &[Key] {
        &self.path
    }

    /// The record itself.
    #[must_use]
    pub fn members(&self) -> &'a Record {
        self.record
    }

    /// Every member, for records whose keys are names that the user has chosen. They need not be asked for, and
    /// [`finish`](Self::finish) is not to be called. Those whose value is null count as absent.
    pub fn entries(&self) -> impl Iterator<Item = (&'a Str, Entry<'a>)> {
        let present = self.record.iter().filter(|(_, value)| !value.is_null());
        present.map(|(key, value)| {
            let secret = self.secret || self.hidden.contains(key.as_str());
            (key, Entry { value, path: self.path_of(key), secret })
        })
    }

    /// Marks `key` as a secret: no message shows what it holds, at any depth. Do this before reading it.
    pub fn hide(&mut self, key: &'static str) {
        self.hidden.insert(key);
    }

    /// Makes `key` known without reading it, for keys that only another setting makes meaningful.
    pub fn know(&mut self, key: &'static str) {
        self.asked.insert(key);
    }

    /// The entry of `key`, if it is there and not null.
    pub fn entry(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.asked.insert(key);
        let value = self.record.get(key).filter(|value| !value.is_null())?;
        let secret = self.secret || self.hidden.contains(key);
        Some(Entry { value, path: self.path_of(key), secret })
    }

    /// What `key` holds.
    ///
    /// # Errors
    /// If it is missing or not a `T`.
    pub fn required<T: FromConfig<'a>>(&mut self, key: &'static str) -> Result<T, ConfigError> {
        match self.entry(key) {
            Some(entry) => entry.read(),
            None => Err(self.missing(key, T::EXPECTED)),
        }
    }

    /// What `key` holds. `expected` says in the message what belongs there, as in
    /// `a string such as "127.0.0.1:4242"`.
    ///
    /// # Errors
    /// If it is missing or not a `T`.
    pub fn required_like<T: FromConfig<'a>>(
        &mut self,
        key: &'static str,
        expected: &str,
    ) -> Result<T, ConfigError> {
        match self.entry(key) {
            Some(entry) => entry.read(),
            None => Err(self.missing(key, expected)),
        }
    }

    /// What `key` holds, if it is there.
    ///
    /// # Errors
    /// If it is there and not a `T`.
    pub fn optional<T: FromConfig<'a>>(&mut self, key: &'static str) -> Result<Option<T>, ConfigError> {
        self.entry(key).map(|entry| entry.read()).transpose()
    }

    /// What `key` holds, or `default`.
    ///
    /// # Errors
    /// If it is there and not a `T`.
    pub fn or<T: FromConfig<'a>>(&mut self, key: &'static str, default: T) -> Result<T, ConfigError> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    /// What `key` holds, or `default`; it must lie in `range`.
    ///
    /// # Errors
    /// If it is there and either not a `T` or out of range.
    pub fn or_in<T>(
        &mut self,
        key: &'static str,
        default: T,
        range: impl RangeBounds<T>,
    ) -> Result<T, ConfigError>
    where
        T: FromConfig<'a> + PartialOrd + Display,
    {
        Ok(self.optional_in(key, range)?.unwrap_or(default))
    }

    /// What `key` holds, if it is there; it must lie in `range`.
    ///
    /// # Errors
    /// If it is there and either not a `T` or out of range.
    pub fn optional_in<T>(
        &mut self,
        key: &'static str,
        range: impl RangeBounds<T>,
    ) -> Result<Option<T>, ConfigError>
    where
        T: FromConfig<'a> + PartialOrd + Display,
    {
        self.entry(key).map(|entry| entry.read_in(range)).transpose()
    }

    /// The duration of `key`, written as a whole number of milliseconds.
    ///
    /// # Errors
    /// If it is there and not such a number.
    pub fn duration_ms(&mut self, key: &'static str) -> Result<Option<Duration>, ConfigError> {
        Ok(self.optional::<u64>(key)?.map(Duration::from_millis))
    }

    /// The duration of `key`, written as a whole number of nanoseconds.
    ///
    /// # Errors
    /// If it is there and not such a number.
    pub fn duration_ns(&mut self, key: &'static str) -> Result<Option<Duration>, ConfigError> {
        Ok(self.optional::<u64>(key)?.map(Duration::from_nanos))
    }

    /// What the word in `key` stands for, if it is there; `words` lists them with their meanings.
    ///
    /// # Errors
    /// If it is there and none of the words; the message lists them and names the nearest.
    pub fn word<T: Clone>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, ConfigError> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let text = entry.value.as_str();
        if let Some((_, meaning)) = words.iter().find(|(name, _)| Some(*name) == text) {
            return Ok(Some(meaning.clone()));
        }
        let word = words.first().map(|(name, _)| Str::from(*name));
        let mut error = ConfigError { word, ..entry.mismatch(&one_of(words)) };
        if let Problem::WrongType { got, .. } = &mut error.problem
            && !entry.secret
            && let Some(near) = text.and_then(|text| nearest(text, words.iter().map(|(name, _)| *name)))
        {
            got.push_str(&format!("; did you mean `{near}`?"));
        }
        Err(error)
    }

    /// What the word in `key` stands for; `words` lists them with their meanings.
    ///
    /// # Errors
    /// If it is missing or none of the words; the message lists them and names the nearest.
    pub fn required_word<T: Clone>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let found = self.word(key, words)?;
        found.ok_or_else(|| {
            let word = words.first().map(|(name, _)| Str::from(*name));
            ConfigError { word, ..self.missing(key, &one_of(words)) }
        })
    }

    /// A reader of the record in `key`, if it is there.
    ///
    /// # Errors
    /// If it is there and not a record.
    pub fn record(&mut self, key: &'static str) -> Result<Option<Reader<'a>>, ConfigError> {
        self.optional(key)
    }

    /// Refuses keys that mean something elsewhere: each with what to do about it, in words.
    ///
    /// # Errors
    /// If the record has one of these keys.
    pub fn refuse(&self, names: &[(&str, &str)]) -> Result<(), ConfigError> {
        match names.iter().find(|(key, _)| self.record.get(key).is_some_and(|value| !value.is_null())) {
            Some((key, problem)) => Err(self.invalid(key, *problem)),
            None => Ok(()),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If the record has a key that nobody asked for. The message names the nearest known one.
    pub fn finish(self) -> Result<(), ConfigError> {
        let Some(unknown) = self.record.keys().find(|key| !self.asked.contains(key.as_str())) else {
            return Ok(());
        };
        let nearest = nearest(unknown, self.asked.iter().copied()).map(Str::from);
        Err(self.unknown(unknown, nearest))
    }

    /// An error about `key`, whatever stands elsewhere, in the caller's words (which must not quote a secret).
    pub fn invalid(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError { path: self.path_of(key), problem: Problem::Invalid(problem.into()), word: None }
    }

    /// The same, about `key` beside others: it may be right once those are.
    pub fn conflict(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError { path: self.path_of(key), problem: Problem::Conflict(problem.into()), word: None }
    }

    /// An error about the record itself, in the caller's words (which must not quote a secret).
    pub fn invalid_itself(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError { path: self.path.clone(), problem: Problem::Invalid(problem.into()), word: None }
    }

    /// The keys that lead to this record, as they are shown: `config.routes[0].options`.
    #[must_use]
    pub fn path_text(&self) -> String {
        error::PathText(&self.path).to_string()
    }

    /// The error for a `key` that has to be there; `expected` says what belongs there. It may be there under a name that is
    /// almost right, and that nobody has asked for: that says more.
    #[must_use]
    pub fn missing(&self, key: &str, expected: &str) -> ConfigError {
        let is_meant = |other: &&Str| {
            !self.asked.contains(other.as_str())
                && (nearest(other, std::iter::once(key)).is_some()
                    || other.len() > 2 && key.starts_with(other.as_str()))
        };
        match self.record.keys().find(is_meant) {
            Some(wrong) => self.unknown(wrong, Some(key.into())),
            None => {
                let problem = Problem::Missing { expected: expected.to_owned() };
                ConfigError { path: self.path_of(key), problem, word: None }
            }
        }
    }

    fn unknown(&self, key: &str, nearest: Option<Str>) -> ConfigError {
        let known = self.asked.iter().map(|key| Str::from(*key)).collect();
        ConfigError { path: self.path_of(key), problem: Problem::UnknownKey { nearest, known }, word: None }
    }

    fn path_of(&self, key: &str) -> Vec<Key> {
        let mut path = Vec::with_capacity(self.path.len() + 1);
        path.extend_from_slice(&self.path);
        path.push(Key::Field(key.into()));
        path
    }
}

/// What belongs where one of `words` does.
fn one_of<T>(words: &[(&str, T)]) -> String {
    format!("one of {}", ticked(words.iter().map(|(name, _)| *name)))
}
