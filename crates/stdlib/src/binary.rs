//! `binary` (`spec/stdlib.md` 2.3).

use crate::{Outcome, array_of, count};
use tremor_lang::{FunctionError, Native};
use tremor_value::{Bytes, Value};

pub(crate) const FUNCTIONS: &[Native] = &[
    Native::pure("binary", "len", 1, |_, args| match args {
        [Value::Bytes(bytes)] => Ok(count(bytes.len())),
        _ => Err(FunctionError::BadType),
    }),
    Native::pure("binary", "from_bytes", 1, |_, args| match args {
        [items] => from_bytes(array_of(items)?),
        _ => Err(FunctionError::BadType),
    }),
    Native::pure("binary", "into_bytes", 1, |_, args| match args {
        [Value::Bytes(bytes)] => {
            Ok(bytes.iter().map(|byte| Value::from(u64::from(*byte))).collect::<Vec<_>>().into())
        }
        _ => Err(FunctionError::failed("cannot convert a non-binary into an array of bytes")),
    }),
];

fn from_bytes(items: &[Value]) -> Outcome {
    let bytes: Option<Vec<u8>> =
        items.iter().map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
    let bytes = bytes.ok_or_else(|| FunctionError::failed("array contains non bytes"))?;
    Ok(Value::from(Bytes::from(bytes)))
}
