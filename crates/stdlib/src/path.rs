//! `path` (`spec/stdlib.md` 2.9).

use crate::Outcome;
use tremor_lang::{FunctionError, Native};
use tremor_value::Value;

pub(crate) const FUNCTIONS: &[Native] = &[Native::pure("path", "try_default", 3, |_, args| match args {
    [base, segments, otherwise] => try_default(base, segments, otherwise),
    _ => Err(FunctionError::BadType),
})];

fn try_default(base: &Value, segments: &Value, otherwise: &Value) -> Outcome {
    if base.is_null() {
        return Ok(otherwise.clone());
    }
    if !base.is_container() {
        return Err(FunctionError::failed("Expected record or array or literal `null` as first argument"));
    }
    let Some(segments) = segments.as_array() else {
        return Err(FunctionError::failed("Expected path segment array as second argument"));
    };
    let (mut current, mut steps) = (base, 0);
    for segment in segments {
        let next = match (segment, current) {
            (Value::String(key), Value::Record(record)) => record.get(key),
            (index, Value::Array(items)) => {
                index.as_u64().and_then(|index| items.get(usize::try_from(index).ok()?))
            }
            // A segment that means nothing here is skipped.
            _ => continue,
        };
        let Some(next) = next else { return Ok(otherwise.clone()) };
        current = next;
        steps += 1;
    }
    Ok(if steps > 0 && steps < segments.len() { otherwise.clone() } else { current.clone() })
}
