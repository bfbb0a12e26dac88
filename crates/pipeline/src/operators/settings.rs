//! Strict reading of an operator's configuration.

use super::{ConfigUse, Field, Maker, Spec};
use tremor_diagnostic::closest;
use tremor_value::{Record, Value};

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The key that is wrong, if it is there.
    pub(crate) key: Option<String>,
    /// What is wrong.
    pub(crate) message: String,
    /// What could be done about it.
    pub(crate) hint: Option<String>,
}

impl From<Problem> for Vec<Problem> {
    fn from(problem: Problem) -> Self {
        vec![problem]
    }
}

/// All three, or every problem that there is.
pub(crate) fn all<A, B, C>(
    one: Result<A, Problem>,
    two: Result<B, Problem>,
    three: Result<C, Problem>,
) -> Result<(A, B, C), Vec<Problem>> {
    match (one, two, three) {
        (Ok(one), Ok(two), Ok(three)) => Ok((one, two, three)),
        (one, two, three) => Err([one.err(), two.err(), three.err()].into_iter().flatten().collect()),
    }
}

impl Problem {
    /// Element number `index` of list `key` is `got`, which is no good; `right` says what would be.
    pub(crate) fn element(key: &str, index: usize, got: &Value, right: &str) -> Self {
        let message = format!("`{key}`: element {} cannot be {}: {right}", index + 1, shown(got));
        Self { key: Some(key.to_owned()), message, hint: None }
    }

    fn missing(message: String) -> Self {
        Self { key: None, message, hint: None }
    }
}

/// What is expected of a time.
const NANOSECONDS: &str = "a time in nanoseconds, an integer of 0 or more,";

/// The settings of one operator. A setting that is null counts as absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings<'s> {
    given: &'s Record,
}

impl<'s> Settings<'s> {
    /// Compares what is `given` with what `spec` asks for.
    ///
    /// # Errors
    /// A configuration that is missing or must not be there.
    pub(crate) fn check(spec: &Spec, given: Option<&'s Record>, none: &'s Record) -> Result<Self, Problem> {
        let first = given.and_then(|given| given.keys().next());
        match spec.config {
            ConfigUse::Needed if given.is_none() => {
                let required = spec.fields.iter().filter(|field| field.default.is_empty());
                let required: Vec<_> = required.map(|field| format!("{} = ...", field.name)).collect();
                let hint = format!("Add `with {} end`", required.join(", "));
                let message = format!("Operator kind `{}`: the configuration is missing", spec.name);
                return Err(Problem { hint: Some(hint), ..Problem::missing(message) });
            }
            ConfigUse::Refused if given.is_some() => {
                let key = first.map(ToString::to_string);
                let message = format!("Operator kind `{}` takes no configuration", spec.name);
                return Err(Problem { key, message, hint: None });
            }
            ConfigUse::Needed | ConfigUse::Refused | ConfigUse::Ignored => {}
        }
        let given = given.unwrap_or(none);
        Ok(Self { given })
    }

    /// Checks each setting, also that there are none that `spec` does not know.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn prepare(&self, spec: &Spec) -> Result<Maker, Vec<Problem>> {
        let prepared = (spec.prepare)(self);
        let mut problems = Vec::new();
        if spec.config == ConfigUse::Needed {
            let is_known = |key: &str| spec.fields.iter().any(|field| field.name == key);
            let unknown = self.given.keys().filter(|key| !is_known(key));
            problems.extend(unknown.map(|key| unknown_key(key, spec.fields)));
        }
        match prepared {
            Ok(maker) if problems.is_empty() => Ok(maker),
            Ok(_) => Err(problems),
            Err(mut more) => {
                // What is missing is probably there under a wrong name.
                more.retain(|problem| problem.key.is_some() || problems.is_empty());
                problems.extend(more);
                Err(problems)
            }
        }
    }

    fn entry(&self, key: &str) -> Option<&'s Value> {
        self.given.get(key).filter(|value| !value.is_null())
    }

    /// Reads `key` with `read`; `expected` says what belongs there.
    fn read<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'s Value) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.entry(key) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(Problem {
                key: Some(key.to_owned()),
                message: format!("`{key}`: expected {expected} but got {}", shown(value)),
                hint: None,
            }),
        }
    }

    fn needed<T>(key: &str, expected: &str, found: Option<T>) -> Result<T, Problem> {
        found.ok_or_else(|| {
            Problem::missing(format!("`{key}` is missing ({})", expected.trim_end_matches(',')))
        })
    }

    /// A required integer above 0.
    pub(crate) fn positive(&self, key: &str) -> Result<usize, Problem> {
        let expected = "integer above 0";
        let read = |value: &Value| usize::try_from(value.as_u64()?).ok().filter(|number| *number > 0);
        Self::needed(key, expected, self.read(key, expected, read)?)
    }

    /// A time in nanoseconds, if it is there.
    pub(crate) fn optional_ns(&self, key: &str) -> Result<Option<u64>, Problem> {
        self.read(key, NANOSECONDS, Value::as_u64)
    }

    /// A required time in nanoseconds.
    pub(crate) fn ns(&self, key: &str) -> Result<u64, Problem> {
        Self::needed(key, NANOSECONDS, self.optional_ns(key)?)
    }

    /// A number from 0 to 1, or `default`.
    pub(crate) fn share(&self, key: &str, default: f64) -> Result<f64, Problem> {
        let number = |value: &Value| match value.as_u64() {
            Some(whole) => u32::try_from(whole).ok().map(f64::from),
            None => value.as_f64(),
        };
        let read = |value: &Value| number(value).filter(|share| (0.0..=1.0).contains(share));
        Ok(self.read(key, "number from 0 to 1", read)?.unwrap_or(default))
    }

    /// A required string.
    pub(crate) fn text(&self, key: &str) -> Result<&'s str, Problem> {
        Self::needed(key, "string", self.read(key, "string", Value::as_str)?)
    }

    /// A string that is one of `words`, as the index among them, if it is there.
    pub(crate) fn word(&self, key: &str, words: &[&str]) -> Result<Option<usize>, Problem> {
        let expected = format!("`{}`", words.join("` or `"));
        self.read(key, &expected, |value| words.iter().position(|word| value.as_str() == Some(word)))
    }

    /// A list that is not empty, if it is there; `read` reads an element, given those before it, and else says what would
    /// be right.
    pub(crate) fn list<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&'s Value, &[T]) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, Problem> {
        let elements = |value: &'s Value| value.as_array().filter(|elements| !elements.is_empty());
        let Some(elements) = self.read(key, expected, elements)? else { return Ok(None) };
        let mut list = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let read = read(element, &list);
            list.push(read.map_err(|right| Problem::element(key, index, element, &right))?);
        }
        Ok(Some(list))
    }

    /// The same for a list that has to be there.
    pub(crate) fn needed_list<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&'s Value, &[T]) -> Result<T, String>,
    ) -> Result<Vec<T>, Problem> {
        Self::needed(key, expected, self.list(key, expected, read)?)
    }
}

fn unknown_key(key: &str, fields: &[Field]) -> Problem {
    let names = || fields.iter().map(|field| field.name);
    let hint = match closest(key, names()) {
        Some(near) => format!("Did you mean `{near}`?"),
        None => format!("Known settings: `{}`", names().collect::<Vec<_>>().join("`, `")),
    };
    Problem {
        key: Some(key.to_owned()),
        message: format!("The operator has no setting `{key}`"),
        hint: Some(hint),
    }
}

/// The type, and the value where that is short.
fn shown(value: &Value) -> String {
    let kind = value.type_name();
    match value {
        Value::Array(list) if list.is_empty() => format!("an empty {kind}"),
        Value::Null | Value::Bytes(_) => kind.to_owned(),
        Value::Array(_) => format!("an {kind}"),
        Value::Record(_) => format!("a {kind}"),
        Value::String(text) if text.chars().count() > 40 => format!("a {kind}"),
        value => format!("{kind} {value}"),
    }
}
