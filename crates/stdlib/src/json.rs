//! `json` (`spec/stdlib.md` 2.7).

use crate::{Outcome, text};
use tremor_lang::{FunctionError, Native};
use tremor_value::{Value, json};

/// Levels of nesting that are written.
const DEPTH: usize = 1024;

pub(crate) const FUNCTIONS: &[Native] = &[
    Native::pure("json", "decode", 1, |_, args| match args {
        [input] => json::Parser::new()
            .parse(text(input)?.as_bytes())
            .map_err(|error| FunctionError::failed(format!("SIMD JSON error: {error}"))),
        _ => Err(FunctionError::BadType),
    }),
    Native::pure("json", "encode", 1, |_, args| encode(args, None)),
    Native::pure("json", "encode_pretty", 1, |_, args| encode(args, Some(0))),
];

fn encode(args: &[&Value], indent: Option<usize>) -> Outcome {
    let [value] = args else { return Err(FunctionError::BadType) };
    if value.is_nested_deeper_than(DEPTH) {
        return Err(FunctionError::failed("the value is nested too deeply"));
    }
    let mut out = Vec::new();
    write(value, indent, &mut out);
    String::from_utf8(out).map(Value::from).map_err(|_| FunctionError::failed("the result is not UTF-8"))
}

/// Writes a value; `indent` is the number of levels around it, or `None` for everything on one line.
fn write(value: &Value, indent: Option<usize>, out: &mut Vec<u8>) {
    match value {
        Value::Bytes(bytes) => {
            out.push(b'[');
            for (index, byte) in bytes.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json::write_integer(*byte, out);
            }
            out.push(b']');
        }
        Value::Array(items) => {
            out.push(b'[');
            let inner = indent.map(|indent| indent + 1);
            for (index, item) in items.iter().enumerate() {
                separate(index, inner, out);
                write(item, inner, out);
            }
            close(b']', items.is_empty(), indent, out);
        }
        Value::Record(record) => {
            out.push(b'{');
            let inner = indent.map(|indent| indent + 1);
            for (index, (key, value)) in record.iter().enumerate() {
                separate(index, inner, out);
                json::write_string(key, out);
                out.extend_from_slice(if indent.is_some() { b": " } else { b":" });
                write(value, inner, out);
            }
            close(b'}', record.is_empty(), indent, out);
        }
        scalar => json::write(scalar, out),
    }
}

fn separate(index: usize, indent: Option<usize>, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
    new_line(indent, out);
}

fn close(bracket: u8, is_empty: bool, indent: Option<usize>, out: &mut Vec<u8>) {
    if !is_empty {
        new_line(indent, out);
    }
    out.push(bracket);
}

fn new_line(indent: Option<usize>, out: &mut Vec<u8>) {
    if let Some(indent) = indent {
        out.push(b'\n');
        out.resize(out.len() + 2 * indent, b' ');
    }
}
