//! `string` (`spec/stdlib.md` 2.15).

use crate::{Outcome, count, text};
use tremor_lang::{Arity, FunctionError, Native};
use tremor_value::{Bytes, Value};

/// Size of results of `replace` that are refused, in bytes: it can multiply its input.
const LONGEST: usize = 64 * 1024 * 1024;

pub(crate) const FUNCTIONS: &[Native] = &[
    Native::pure("string", "format", 1, |_, args| format(args)).with_arity(Arity::at_least(1)),
    Native::pure("string", "is_empty", 1, |_, args| unary(args, |input| input.is_empty().into())),
    Native::pure("string", "len", 1, |_, args| unary(args, |input| count(input.chars().count()))),
    Native::pure("string", "bytes", 1, |_, args| unary(args, |input| count(input.len()))),
    Native::pure("string", "replace", 3, |_, args| match args {
        [input, from, to] => replace(text(input)?, text(from)?, text(to)?),
        _ => Err(FunctionError::BadType),
    }),
    Native::pure("string", "trim", 1, |_, args| unary(args, |input| input.trim().into())),
    Native::pure("string", "trim_start", 1, |_, args| unary(args, |input| input.trim_start().into())),
    Native::pure("string", "trim_end", 1, |_, args| unary(args, |input| input.trim_end().into())),
    Native::pure("string", "lowercase", 1, |_, args| unary(args, |input| input.to_lowercase().into())),
    Native::pure("string", "uppercase", 1, |_, args| unary(args, |input| input.to_uppercase().into())),
    Native::pure("string", "capitalize", 1, |_, args| unary(args, capitalize)),
    Native::pure("string", "substr", 3, |_, args| match args {
        [input, start, end] => substr(text(input)?, start, end),
        _ => Err(FunctionError::BadType),
    }),
    Native::pure("string", "split", 2, |_, args| {
        binary(args, |input, by| input.split(by).map(Value::from).collect::<Vec<_>>().into())
    }),
    Native::pure("string", "contains", 2, |_, args| {
        binary(args, |input, needle| input.contains(needle).into())
    }),
    Native::pure("string", "from_utf8_lossy", 1, |_, args| match args {
        [Value::Bytes(bytes)] => Ok(String::from_utf8_lossy(bytes).into_owned().into()),
        _ => Err(FunctionError::BadType),
    }),
    Native::pure("string", "into_binary", 1, |_, args| {
        unary(args, |input| Bytes::copy_from_slice(input.as_bytes()).into())
    }),
    Native::pure("string", "reverse", 1, |_, args| {
        unary(args, |input| input.chars().rev().collect::<String>().into())
    }),
];

fn unary(args: &[&Value], apply: fn(&str) -> Value) -> Outcome {
    match args {
        [input] => text(input).map(apply),
        _ => Err(FunctionError::BadType),
    }
}

fn binary(args: &[&Value], apply: fn(&str, &str) -> Value) -> Outcome {
    match args {
        [left, right] => Ok(apply(text(left)?, text(right)?)),
        _ => Err(FunctionError::BadType),
    }
}

fn replace(input: &str, from: &str, to: &str) -> Outcome {
    let hits = input.matches(from).count();
    if hits.saturating_mul(to.len()).saturating_add(input.len()) > LONGEST {
        return Err(FunctionError::failed(format!("the result would be longer than {LONGEST} bytes")));
    }
    Ok(input.replace(from, to).into())
}

fn capitalize(input: &str) -> Value {
    let mut chars = input.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    (first + chars.as_str()).into()
}

fn substr(input: &str, start: &Value, end: &Value) -> Outcome {
    let bound = |value: &Value| value.as_u64().ok_or(FunctionError::BadType);
    let (start, end) = (bound(start)?, bound(end)?);
    let nth = |index: u64| input.char_indices().nth(usize::try_from(index).ok()?);
    let offset = |index: u64| nth(index).map(|(offset, _)| offset);
    // Odd bounds have odd meanings, which are kept: a start past the end is 0, a crossed range is the whole input.
    let (first, past) = (offset(start).unwrap_or(0), offset(end).unwrap_or(input.len()));
    Ok(input.get(first..past).unwrap_or(input).into())
}

/// Fills the `{}` of a format with arguments.
fn format(args: &[&Value]) -> Outcome {
    let Some((Value::String(format), args)) = args.split_first().map(|(first, rest)| (*first, rest)) else {
        return Err(FunctionError::failed(
            "expected 1st parameter to format to be a format specifier e.g. to print a number use `string::format(\"{}\", 1)`",
        ));
    };
    let mut args = args.iter();
    let mut out = String::with_capacity(format.len());
    let mut chars = format.chars().enumerate().peekable();
    while let Some((position, char)) = chars.next() {
        let next = chars.peek().map(|(_, char)| *char);
        match (char, next) {
            ('\\', None) => return Err(FunctionError::failed(format!("bad escape sequence at {position}"))),
            ('\\', Some(brace @ ('{' | '}'))) => {
                out.push(brace);
                chars.next();
            }
            ('\\', Some(other)) => {
                out.extend(['\\', other]);
                chars.next();
            }
            ('{', Some('{')) | ('}', Some('}')) => {
                out.push(char);
                chars.next();
            }
            ('{', Some('}')) => {
                chars.next();
                let Some(arg) = args.next() else {
                    return Err(FunctionError::failed(format!(
                        "the arguments passed to the format function are less than the `{{}}` specifiers in the format string. The placeholder at {position} can not be filled"
                    )));
                };
                match arg {
                    Value::String(text) => out.push_str(text),
                    other => out.push_str(&other.to_string()),
                }
            }
            ('{', _) => {
                return Err(FunctionError::failed(format!(
                    "the format specifier at {position} is invalid. If you want to use `{{` as a literal in the string, you need to escape it with `{{{{`"
                )));
            }
            ('}', _) => {
                return Err(FunctionError::failed(format!(
                    "the format specifier at {position} is invalid. You have to terminate `}}` with another `}}` to escape it"
                )));
            }
            _ => out.push(char),
        }
    }
    if args.next().is_some() {
        return Err(FunctionError::failed(
            "too many parameters passed. Ensure that you have the same number of {} in your format string",
        ));
    }
    Ok(out.into())
}
