//! Roughly how much memory values hold on to: what queues are bounded by where no input bytes say it.

use tremor_value::Value;

/// Levels that are looked at; what lies deeper counts as nothing.
const LEVELS: usize = 16;
/// Values that are looked at; the others count as nothing.
const MOST_VALUES: usize = 10_000;

/// Roughly the bytes that `value` holds on to, itself not included. Looks at a bounded number of values.
#[must_use]
pub fn weight(value: &Value) -> usize {
    let mut left = MOST_VALUES;
    weigh(value, LEVELS, &mut left)
}

fn weigh(value: &Value, levels: usize, left: &mut usize) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(items) => all(&mut items.iter(), levels, left),
        Value::Record(record) => all(&mut record.values(), levels, left),
        _ => 0,
    }
}

fn all(values: &mut dyn Iterator<Item = &Value>, levels: usize, left: &mut usize) -> usize {
    let Some(levels) = levels.checked_sub(1) else { return 0 };
    let mut total = 0;
    for value in values {
        let Some(fewer) = left.checked_sub(1) else { return total };
        *left = fewer;
        total += size_of::<Value>() + weigh(value, levels, left);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_count_wherever_they_are_and_large_values_cost_bounded_time() {
        assert_eq!(weight(&Value::from(1_u64)), 0);
        assert_eq!(weight(&Value::from("four")), 4);
        let nested = Value::from_json_str(r#"{"a": ["four", "five5"]}"#).unwrap();
        assert_eq!(weight(&nested), 9 + 3 * size_of::<Value>());
        let wide = Value::from(vec![Value::from(1_u64); 1_000_000]);
        assert_eq!(weight(&wide), MOST_VALUES * size_of::<Value>());
    }
}
