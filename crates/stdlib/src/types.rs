//! `type` (`spec/stdlib.md` 2.18).

use crate::Outcome;
use tremor_lang::{FunctionError, Native};
use tremor_value::Value;

pub(crate) const FUNCTIONS: &[Native] = &[
    Native::pure("type", "as_string", 1, |_, args| match args {
        [value] => Ok(value.type_name().into()),
        _ => Err(FunctionError::BadType),
    }),
    Native::pure("type", "is_null", 1, |_, args| is(args, Value::is_null)),
    Native::pure("type", "is_bool", 1, |_, args| is(args, |value| value.as_bool().is_some())),
    // Integers from 2^63 on are numbers, but not integers.
    Native::pure("type", "is_integer", 1, |_, args| is(args, |value| matches!(value, Value::I64(_)))),
    Native::pure("type", "is_float", 1, |_, args| is(args, |value| value.as_f64().is_some())),
    Native::pure("type", "is_number", 1, |_, args| {
        is(args, |value| matches!(value, Value::I64(_) | Value::U64(_) | Value::F64(_)))
    }),
    Native::pure("type", "is_string", 1, |_, args| is(args, |value| value.as_str().is_some())),
    Native::pure("type", "is_array", 1, |_, args| is(args, |value| value.as_array().is_some())),
    Native::pure("type", "is_record", 1, |_, args| is(args, |value| value.as_record().is_some())),
    Native::pure("type", "is_binary", 1, |_, args| is(args, |value| matches!(value, Value::Bytes(_)))),
];

fn is(args: &[&Value], test: fn(&Value) -> bool) -> Outcome {
    match args {
        [value] => Ok(test(value).into()),
        _ => Err(FunctionError::BadType),
    }
}
