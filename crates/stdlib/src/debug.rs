//! The debugging form of values, which some messages and `array::join` show (`spec/stdlib.md` 2.1).

use std::fmt::Write;
use tremor_value::Value;

/// How deep the form goes; what lies deeper is shown as `…`.
const DEPTH: usize = 64;

/// Appends the debugging form of `value`.
pub(crate) fn append(out: &mut String, value: &Value) {
    nested(out, value, 0);
}

fn nested(out: &mut String, value: &Value, depth: usize) {
    if depth > DEPTH {
        out.push('…');
        return;
    }
    // Writing to a text can not fail.
    let _ = match value {
        Value::Null => write!(out, "Static(Null)"),
        Value::Bool(value) => write!(out, "Static(Bool({value}))"),
        Value::I64(value) if *value < 0 => write!(out, "Static(I64({value}))"),
        Value::I64(value) => write!(out, "Static(U64({value}))"),
        Value::U64(value) => write!(out, "Static(U64({value}))"),
        Value::F64(value) => write!(out, "Static(F64({value:?}))"),
        Value::String(value) => write!(out, "String({:?})", value.as_str()),
        Value::Bytes(value) => write!(out, "Bytes({:?})", &value[..]),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                nested(out, item, depth + 1);
            }
            out.push(']');
            Ok(())
        }
        Value::Record(record) => {
            out.push('{');
            for (index, (key, value)) in record.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                let _ = write!(out, "{comma}{:?}: ", key.as_str());
                nested(out, value, depth + 1);
            }
            out.push('}');
            Ok(())
        }
    };
}
