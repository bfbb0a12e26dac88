//! The plain text form of values (`spec/stdlib.md` 1.9).

use crate::debug;
use std::fmt::Write;
use tremor_value::Value;

/// Appends `value` as `array::join` shows it.
pub(crate) fn append(out: &mut String, value: &Value) {
    let _ = match value {
        Value::Null => write!(out, "null"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::I64(value) => write!(out, "{value}"),
        Value::U64(value) => write!(out, "{value}"),
        Value::F64(value) => write!(out, "{value}"),
        Value::String(value) => write!(out, "{value}"),
        Value::Bytes(value) => write!(out, "<<{:?}>>", &value[..]),
        Value::Array(_) | Value::Record(_) => {
            debug::append(out, value);
            Ok(())
        }
    };
}
