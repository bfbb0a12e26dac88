//! The types that a configuration value can be read as.

use std::{
    collections::BTreeSet,
    fmt,
    num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize},
    path::PathBuf,
};

use tremor_value::{Str, Value};

use super::{ConfigError, Entry, Reader};

/// A type that a configuration value can be read as.
pub trait FromConfig<'a>: Sized {
    /// The word for it in messages, e.g. `string`.
    const EXPECTED: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// If the value does not have this type or an impossible value; [`Entry::mismatch`] and
    /// [`Entry::invalid`] make the error.
    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError>;
}

macro_rules! unsigned {
    ($($kind:ty),*) => {$(
        impl<'a> FromConfig<'a> for $kind {
            const EXPECTED: &'static str = "integer";

            fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
                if !matches!(entry.value(), Value::I64(_) | Value::U64(_)) {
                    return Err(entry.mismatch(Self::EXPECTED));
                }
                let number = entry.value().as_u64().and_then(|number| Self::try_from(number).ok());
                number.ok_or_else(|| match u64::try_from(Self::MAX) {
                    // All that a configuration can say.
                    Ok(u64::MAX) => entry.mismatch("integer of 0 or more"),
                    _ => entry.mismatch(&format!("integer from 0 to {}", Self::MAX)),
                })
            }
        }
    )*};
}

unsigned!(u8, u16, u32, u64, usize);

macro_rules! non_zero {
    ($($kind:ty: $plain:ty),*) => {$(
        impl<'a> FromConfig<'a> for $kind {
            const EXPECTED: &'static str = "integer above 0";

            fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
                if entry.value().as_i64().is_some_and(|number| number < 0) {
                    return Err(entry.mismatch(Self::EXPECTED));
                }
                Self::new(entry.read::<$plain>()?).ok_or_else(|| entry.mismatch(Self::EXPECTED))
            }
        }
    )*};
}

non_zero!(NonZeroU16: u16, NonZeroU32: u32, NonZeroU64: u64, NonZeroUsize: usize);

impl<'a> FromConfig<'a> for i64 {
    const EXPECTED: &'static str = "integer";

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        entry.value().as_i64().ok_or_else(|| entry.mismatch(Self::EXPECTED))
    }
}

/// Reads floats and integers.
impl<'a> FromConfig<'a> for f64 {
    const EXPECTED: &'static str = "number";

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        let number = match entry.value() {
            Value::F64(number) => Some(*number),
            // A double next to a large integer is what a user who writes one there asks for.
            Value::I64(number) => Some(*number as Self),
            Value::U64(number) => Some(*number as Self),
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| entry.mismatch(Self::EXPECTED))
    }
}

impl<'a> FromConfig<'a> for bool {
    const EXPECTED: &'static str = "bool";

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        entry.value().as_bool().ok_or_else(|| entry.mismatch(Self::EXPECTED))
    }
}

impl<'a> FromConfig<'a> for &'a str {
    const EXPECTED: &'static str = "string";

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        entry.value().as_str().ok_or_else(|| entry.mismatch(Self::EXPECTED))
    }
}

impl<'a> FromConfig<'a> for String {
    const EXPECTED: &'static str = "string";

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        entry.read::<&str>().map(Self::from)
    }
}

impl<'a> FromConfig<'a> for Str {
    const EXPECTED: &'static str = "string";

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        entry.read::<&str>().map(Self::from)
    }
}

/// Reads a string that is neither empty nor has a zero byte in it.
impl<'a> FromConfig<'a> for PathBuf {
    const EXPECTED: &'static str = "path in a string";

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        let text = entry.value().as_str().ok_or_else(|| entry.mismatch(Self::EXPECTED))?;
        if text.is_empty() || text.contains('\0') {
            return Err(entry.mismatch(Self::EXPECTED));
        }
        Ok(Self::from(text))
    }
}

impl<'a> FromConfig<'a> for Value {
    const EXPECTED: &'static str = "value";

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        Ok(entry.value().clone())
    }
}

impl<'a> FromConfig<'a> for &'a Value {
    const EXPECTED: &'static str = "value";

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        Ok(entry.value())
    }
}

/// Keeps the path, for values whose shape decides how they are read.
impl<'a> FromConfig<'a> for Entry<'a> {
    const EXPECTED: &'static str = "value";

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        Ok(entry.clone())
    }
}

impl<'a> FromConfig<'a> for Reader<'a> {
    const EXPECTED: &'static str = "record";

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        // Never quoted: a whole record written as one string tends to be one with a password in it.
        let record =
            entry.value.as_record().ok_or_else(|| entry.clone().hidden().mismatch(Self::EXPECTED))?;
        Ok(Self {
            record,
            path: entry.path.clone(),
            secret: entry.secret,
            asked: BTreeSet::new(),
            hidden: BTreeSet::new(),
        })
    }
}

impl<'a, T: FromConfig<'a>> FromConfig<'a> for Vec<T> {
    const EXPECTED: &'static str = "list";

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        let items = entry.value.as_array().ok_or_else(|| entry.mismatch(Self::EXPECTED))?;
        items.iter().enumerate().map(|(index, item)| entry.at(index, item).read()).collect()
    }
}

/// Either one `T` or an array of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'a, T: FromConfig<'a>> FromConfig<'a> for OneOrMany<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        if entry.value.as_array().is_some() {
            return entry.read().map(Self);
        }
        Ok(Self(vec![entry.read()?]))
    }
}

/// A value that must not be shown: printing it gives `***`, and messages about it name its type only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Marks `value` as a secret.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'a, T: FromConfig<'a>> FromConfig<'a> for Secret<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_config(entry: &Entry<'a>) -> Result<Self, ConfigError> {
        entry.clone().hidden().read().map(Self)
    }
}
