//! `float`, `integer`, `math` (`spec/stdlib.md` 2.5, 2.6, 2.8).

use crate::{Outcome, text};
use std::num::IntErrorKind;
use tremor_lang::{FunctionError, Native};
use tremor_value::Value;

pub(crate) const FUNCTIONS: &[Native] = &[
    Native::pure("float", "parse", 1, |_, args| one(args).and_then(parse_float)),
    Native::pure("float", "is_finite", 1, |_, args| {
        one(args).and_then(|value| test(value, true, f64::is_finite))
    }),
    Native::pure("float", "is_nan", 1, |_, args| one(args).and_then(|value| test(value, false, f64::is_nan))),
    Native::pure("float", "is_infinite", 1, |_, args| {
        one(args).and_then(|value| test(value, false, f64::is_infinite))
    }),
    Native::pure("integer", "parse", 1, |_, args| one(args).and_then(parse_integer)),
    Native::pure("math", "floor", 1, |_, args| one(args).and_then(|value| round(value, f64::floor))),
    Native::pure("math", "ceil", 1, |_, args| one(args).and_then(|value| round(value, f64::ceil))),
    Native::pure("math", "round", 1, |_, args| one(args).and_then(|value| round(value, f64::round))),
    Native::pure("math", "trunc", 1, |_, args| one(args).and_then(|value| round(value, f64::trunc))),
    Native::pure("math", "max", 2, |_, args| extreme(args, Ord::max, f64::max)),
    Native::pure("math", "min", 2, |_, args| extreme(args, Ord::min, f64::min)),
];

fn one<'a>(args: &[&'a Value]) -> Result<&'a Value, FunctionError> {
    args.first().copied().ok_or(FunctionError::BadType)
}

fn parse_float(value: &Value) -> Outcome {
    let input = text(value)?;
    if input.is_empty() {
        return Err(FunctionError::failed("cannot parse float from empty string"));
    }
    input.parse::<f64>().map(Value::from).map_err(|_| FunctionError::failed("invalid float literal"))
}

fn parse_integer(value: &Value) -> Outcome {
    let parsed = text(value)?.parse::<i64>();
    parsed.map(Value::from).map_err(|error| {
        FunctionError::failed(match error.kind() {
            IntErrorKind::Empty => "cannot parse integer from empty string",
            IntErrorKind::PosOverflow => "number too large to fit in target type",
            IntErrorKind::NegOverflow => "number too small to fit in target type",
            _ => "invalid digit found in string",
        })
    })
}

fn test(value: &Value, of_integers: bool, of_float: fn(f64) -> bool) -> Outcome {
    match value {
        Value::I64(_) | Value::U64(_) => Ok(Value::from(of_integers)),
        Value::F64(number) => Ok(Value::from(of_float(*number))),
        other => {
            let found = if other.as_record().is_some() { "object" } else { other.type_name() };
            Err(FunctionError::failed(format!("Expected type i128, got `{found}`")))
        }
    }
}

/// Rounds; results beyond the integers saturate.
fn round(value: &Value, round: fn(f64) -> f64) -> Outcome {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "these casts saturate, which is what is asked for; NaN gives 0"
    )]
    match value {
        Value::I64(_) | Value::U64(_) => Ok(value.clone()),
        Value::F64(number) => {
            let rounded = round(*number);
            Ok(if rounded < 0.0 { Value::from(rounded as i64) } else { Value::from(rounded as u64) })
        }
        _ => Err(FunctionError::BadType),
    }
}

fn extreme(args: &[&Value], of_integers: fn(i128, i128) -> i128, of_floats: fn(f64, f64) -> f64) -> Outcome {
    let [left, right] = args else { return Err(FunctionError::BadType) };
    if let (Some(l), Some(r)) = (integer(left), integer(right)) {
        let result = of_integers(l, r);
        let mixed = (l < 0 || r < 0) && (i64::try_from(l).is_err() || i64::try_from(r).is_err());
        if !mixed {
            let number = i64::try_from(result).map(Value::from);
            return number
                .or_else(|_| u64::try_from(result).map(Value::from))
                .map_err(|_| FunctionError::BadType);
        }
    }
    match (double(left), double(right)) {
        (Some(l), Some(r)) => Ok(Value::from(of_floats(l, r))),
        _ => Err(FunctionError::BadType),
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::I64(number) => Some((*number).into()),
        Value::U64(number) => Some((*number).into()),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "the language widens integers to doubles")]
fn double(value: &Value) -> Option<f64> {
    match value {
        Value::I64(number) => Some(*number as f64),
        Value::U64(number) => Some(*number as f64),
        Value::F64(number) => Some(*number),
        _ => None,
    }
}
