//! `url` (`spec/stdlib.md` 2.19).

use crate::{Outcome, text};
use std::fmt::Write;
use tremor_lang::{FunctionError, Native};
use tremor_value::Value;

pub(crate) const FUNCTIONS: &[Native] = &[
    Native::contextual("url", "encode", 1, |_, args| match args {
        [input] => text(input).map(encode),
        _ => Err(FunctionError::BadType),
    }),
    Native::contextual("url", "decode", 1, |_, args| match args {
        [input] => text(input).and_then(decode),
        _ => Err(FunctionError::BadType),
    }),
];

fn encode(input: &str) -> Value {
    let mut encoded = String::with_capacity(input.len());
    for byte in input.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded.into()
}

fn decode(input: &str) -> Outcome {
    let mut bytes = Vec::with_capacity(input.len());
    let mut rest = input.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes)
        .map(Value::from)
        .map_err(|_| FunctionError::failed(format!("Could not urldecode value: {input}")))
}

fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        b'a'..=b'f' => hex - b'a' + 10,
        _ => hex.wrapping_sub(b'A').wrapping_add(10),
    }
}
