//! `test` (`spec/stdlib.md` 2.16).

use tremor_lang::{FunctionError, Native};
use tremor_value::Value;

pub(crate) const FUNCTIONS: &[Native] = &[Native::contextual("test", "assert", 3, |_, args| match args {
    [_, expected, got] if expected.loose_eq(got) => Ok(Value::from(true)),
    [_, expected, got] => Ok(Value::from(vec![(*expected).clone(), (*got).clone()])),
    _ => Err(FunctionError::BadType),
})];
