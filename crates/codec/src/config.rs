//! Config records, checked against the fields of a spec.

use tremor_value::{Record, Value};

use crate::{Field, ProcessError};

/// A config whose fields are known and have the right types.
#[derive(Clone, Copy, Default)]
pub struct Config<'a> {
    record: Option<&'a Record>,
}

impl<'a> Config<'a> {
    /// Checks names and types.
    ///
    /// # Errors
    /// All that is wrong, in words.
    pub(crate) fn check(config: Option<&'a Value>, fields: &[Field]) -> Result<Self, String> {
        let Some(value) = config else { return Ok(Self::default()) };
        let Some(record) = value.as_record() else {
            return Err(format!("expected a record, found {value}"));
        };
        let wrong: Vec<String> =
            record.iter().filter_map(|(key, value)| mistake(key, value, fields)).collect();
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        Ok(Self { record: Some(record) })
    }

    /// A string field, if it is given.
    #[must_use]
    pub fn string(&self, field: &str) -> Option<&'a str> {
        self.record?.get(field)?.as_str()
    }

    /// A bool field, if it is given.
    #[must_use]
    pub fn bool(&self, field: &str) -> Option<bool> {
        self.record?.get(field)?.as_bool()
    }

    /// A limit in bytes, if it is given; 0 means that there is none.
    #[must_use]
    pub fn limit(&self, field: &str) -> Option<usize> {
        let limit = self.record?.get(field)?.as_u64()?;
        Some(if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) })
    }

    /// The field `separator`, `\n` if it is not given.
    ///
    /// # Errors
    /// If it is not exactly one byte (`spec/codecs.md` C.1).
    pub fn separator(&self) -> Result<u8, String> {
        let separator = self.string("separator").unwrap_or("\n");
        match separator.as_bytes() {
            [byte] => Ok(*byte),
            _ => Err(format!("Invalid 'separator': \"{separator}\", must be 1 byte.")),
        }
    }
}

/// What is wrong with one member of a config.
fn mistake(key: &str, value: &Value, fields: &[Field]) -> Option<String> {
    let Some(field) = fields.iter().find(|field| field.name == key) else {
        let hint = match nearest(key, fields.iter().map(|field| field.name)) {
            Some(name) => format!(", did you mean `{name}`?"),
            None if fields.is_empty() => ", there are no fields".to_owned(),
            None => String::new(),
        };
        return Some(format!("unknown field `{key}`{hint}"));
    };
    let fits = field.kind.accepts(value);
    (!fits).then(|| format!("`{key}` must be {}, found {value}", field.kind.describe()))
}

/// Characters of the longest text that may be a typing error: to compare longer ones costs time.
const MAX_NAME_CHARS: usize = 60;

/// The name that a user who wrote `wrong` most likely meant, if any of `names` is near enough.
pub fn nearest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let normal = |name: &str| name.to_lowercase().replace('-', "_");
    if wrong.chars().count() > MAX_NAME_CHARS {
        return None;
    }
    let wrong = normal(wrong);
    let allowed = (wrong.chars().count() / 3).max(1);
    names
        .map(|name| (strsim::damerau_levenshtein(&wrong, &normal(name)), name))
        .filter(|(distance, name)| *distance <= allowed && *distance < name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Fails unless `len` bytes are within `max`, as a frame that a header announces.
///
/// # Errors
/// [`ProcessError::FrameTooLong`]
pub(crate) fn frame_len(announced: u64, max: usize) -> Result<usize, ProcessError> {
    let len = usize::try_from(announced).ok().filter(|len| *len <= max);
    len.ok_or(ProcessError::FrameTooLong { announced, max })
}
