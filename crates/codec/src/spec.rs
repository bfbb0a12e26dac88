//! The description that every part gives of itself: for lookup, config checks, reference pages and tests.

use std::sync::Arc;

use tremor_value::Value;

use crate::{Codec, Postprocessor, Preprocessor, config::Config};

/// Makes one more part with the config that was checked, with no state yet: once per stream.
pub type Make<P> = Arc<dyn Fn() -> Box<P> + Send + Sync>;

/// One codec, preprocessor or postprocessor.
pub struct Spec<P: ?Sized + 'static> {
    /// The name in configurations.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What it does, in a sentence or two.
    pub summary: &'static str,
    /// Config fields; others are refused.
    pub fields: &'static [Field],
    /// Checked by the tests, shown in the reference.
    pub examples: &'static [Example],
    /// Checks the config beyond the types of its fields; the error text says what is wrong.
    pub build: fn(&Given<'_>) -> Result<Make<P>, String>,
}

/// What a definition says about one part, names and types of the fields being checked.
pub struct Given<'a> {
    /// The name that was used: the part's own or an alias.
    pub name: &'a str,
    /// `true` if only the name was given.
    pub is_name_only: bool,
    /// The config fields.
    pub config: Config<'a>,
}

/// One config field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The key in the config record.
    pub name: &'static str,
    /// What it holds.
    pub kind: FieldType,
    /// The default as JSON; `None` if the field is required.
    pub default: Option<&'static str>,
    /// What it means.
    pub text: &'static str,
}

/// What a config field may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// `true` or `false`.
    Bool,
    /// An integer from 0 up.
    Unsigned,
    /// A string.
    String,
}

impl FieldType {
    /// The words for messages and reference pages.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Bool => "a bool",
            Self::Unsigned => "an integer that is not negative",
            Self::String => "a string",
        }
    }

    pub(crate) fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Bool => value.as_bool().is_some(),
            Self::Unsigned => value.as_u64().is_some(),
            Self::String => value.as_str().is_some(),
        }
    }
}

/// A use of a part and what comes of it.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The config as JSON; empty if only the name is given.
    pub config: &'static str,
    /// What goes in and out.
    pub case: Case,
}

/// What an example shows.
#[derive(Clone, Copy, Debug)]
pub enum Case {
    /// A codec reads the bytes as the value and writes the value as the bytes.
    Both {
        /// One chunk.
        bytes: &'static [u8],
        /// Its value.
        value: Sample,
    },
    /// A codec reads the bytes as the value.
    Decode {
        /// One chunk.
        bytes: &'static [u8],
        /// Its value.
        value: Sample,
    },
    /// A codec writes the value as the bytes.
    Encode {
        /// A value.
        value: Sample,
        /// Its chunk.
        bytes: &'static [u8],
    },
    /// A processor turns chunks into chunks, with the end of the stream behind them.
    Process {
        /// What goes in.
        input: &'static [&'static [u8]],
        /// What comes out.
        output: &'static [&'static [u8]],
    },
}

/// A value in an example.
#[derive(Clone, Copy, Debug)]
pub enum Sample {
    /// As a JSON document.
    Json(&'static str),
    /// A bytes value.
    Bytes(&'static [u8]),
}

/// What [`Spec::build`] of a codec returns, from a closure that makes one.
pub fn make_codec<C: Codec + 'static>(make: impl Fn() -> C + Send + Sync + 'static) -> Make<dyn Codec> {
    Arc::new(move || Box::new(make()))
}

/// What [`Spec::build`] of a preprocessor returns, from a closure that makes one.
pub fn make_preprocessor<P: Preprocessor + 'static>(
    make: impl Fn() -> P + Send + Sync + 'static,
) -> Make<dyn Preprocessor> {
    Arc::new(move || Box::new(make()))
}

/// What [`Spec::build`] of a postprocessor returns, from a closure that makes one.
pub fn make_postprocessor<P: Postprocessor + 'static>(
    make: impl Fn() -> P + Send + Sync + 'static,
) -> Make<dyn Postprocessor> {
    Arc::new(move || Box::new(make()))
}
