//! `array` and `range` (`spec/stdlib.md` 2.1, 2.11).

use crate::{Outcome, array_of, count, debug, plain, text};
use std::sync::Arc;
use tremor_lang::{FunctionError, Native};
use tremor_value::Value;

/// Items beyond which `range` refuses: some tens of megabytes.
const LONGEST_RANGE: i128 = 1_000_000;

pub(crate) const FUNCTIONS: &[Native] = &[
    Native::pure("array", "len", 1, |_, args| unary(args, |items| Ok(count(items.len())))),
    Native::pure("array", "is_empty", 1, |_, args| unary(args, |items| Ok(items.is_empty().into()))),
    Native::pure("array", "contains", 2, |_, args| {
        binary(args, |items, wanted| Ok(items.iter().any(|item| item.strict_eq(wanted)).into()))
    }),
    Native::pure("array", "push", 2, |_, args| {
        binary(args, |items, item| Ok(items.iter().chain([item]).cloned().collect::<Vec<_>>().into()))
    })
    .updates(|_, items, others| match others {
        [item] => items_of(items).map(|items| items.push((*item).clone())),
        _ => Err(FunctionError::BadType),
    })
    .warns(
        "`array::push(the_array, element)` can be replaced by `the_array + [element]` for better performance",
    ),
    Native::pure("array", "concatenate", 2, |_, args| {
        binary(args, |left, right| Ok([left, array_of(right)?].concat().into()))
    })
    .updates(|_, items, others| match others {
        [others] => {
            let others = array_of(others)?;
            items_of(items).map(|items| items.extend_from_slice(others))
        }
        _ => Err(FunctionError::BadType),
    })
    .warns(
        "`array::concatenate(one_array, two_array)` can be replaced by `one_array + two_array` for better performance",
    ),
    Native::pure("array", "zip", 2, |_, args| binary(args, |left, right| zip(left, array_of(right)?))),
    Native::pure("array", "unzip", 1, |_, args| unary(args, unzip)),
    Native::pure("array", "flatten", 1, |_, args| one(args).map(flatten)),
    Native::pure("array", "coalesce", 1, |_, args| {
        unary(args, |items| Ok(items.iter().filter(|item| !item.is_null()).cloned().collect::<Vec<_>>().into()))
    }),
    Native::pure("array", "join", 2, |_, args| binary(args, |items, by| join(items, text(by)?))),
    Native::pure("array", "sort", 1, |_, args| unary(args, |items| Ok(sort(items).into()))),
    Native::pure("array", "reverse", 1, |_, args| {
        unary(args, |items| Ok(items.iter().rev().cloned().collect::<Vec<_>>().into()))
    }),
    Native::pure("range", "range", 2, |_, args| match args {
        [from, to] => range(from, to),
        _ => Err(FunctionError::BadType),
    }),
];

fn one<'a>(args: &[&'a Value]) -> Result<&'a Value, FunctionError> {
    args.first().copied().ok_or(FunctionError::BadType)
}

fn unary(args: &[&Value], apply: fn(&[Value]) -> Outcome) -> Outcome {
    apply(array_of(one(args)?)?)
}

fn binary(args: &[&Value], apply: fn(&[Value], &Value) -> Outcome) -> Outcome {
    match args {
        [items, other] => apply(array_of(items)?, other),
        _ => Err(FunctionError::BadType),
    }
}

/// The items of an array that is changed; they are copied if somebody else holds them too.
fn items_of(value: &mut Value) -> Result<&mut Vec<Value>, FunctionError> {
    match value {
        Value::Array(items) => Ok(Arc::make_mut(items)),
        _ => Err(FunctionError::BadType),
    }
}

fn zip(left: &[Value], right: &[Value]) -> Outcome {
    if left.len() != right.len() {
        return Err(FunctionError::failed(format!(
            "Zipping two arrays requires them to have the same length, but the first array provided has {} elements while the second one has {} elements",
            left.len(),
            right.len()
        )));
    }
    let pairs = left.iter().zip(right).map(|(left, right)| Value::from(vec![left.clone(), right.clone()]));
    Ok(pairs.collect::<Vec<_>>().into())
}

fn unzip(items: &[Value]) -> Outcome {
    let (mut lefts, mut rights) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for item in items {
        let message = "Only arrays that consist of tuples (arrays of two elements) can be unzipped but this array contained";
        match item.as_array() {
            Some([left, right]) => {
                lefts.push(left.clone());
                rights.push(right.clone());
            }
            Some(other) => {
                return Err(FunctionError::failed(format!("{message} {} elements", other.len())));
            }
            None => {
                let mut form = format!("{message}: ");
                debug::append(&mut form, item);
                return Err(FunctionError::Failed(form));
            }
        }
    }
    Ok(Value::from(vec![Value::from(lefts), Value::from(rights)]))
}

/// Keeps a list of what is still to come instead of recursing.
fn flatten(value: &Value) -> Value {
    let mut flat = Vec::new();
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(items) => waiting.extend(items.iter().rev()),
            leaf => flat.push(leaf.clone()),
        }
    }
    flat.into()
}

fn join(items: &[Value], by: &str) -> Outcome {
    let mut joined = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            joined.push_str(by);
        }
        plain::append(&mut joined, item);
    }
    Ok(joined.into())
}

/// A stable merge sort: the order of mixed numbers is not transitive, which the sort of the standard library answers
/// with a panic.
fn sort(items: &[Value]) -> Vec<Value> {
    let mut runs: Vec<Vec<Value>> = items.iter().map(|item| vec![item.clone()]).collect();
    while runs.len() > 1 {
        let mut merged = Vec::with_capacity(runs.len().div_ceil(2));
        let mut pairs = runs.into_iter();
        while let Some(left) = pairs.next() {
            merged.push(match pairs.next() {
                Some(right) => merge(left, right),
                None => left,
            });
        }
        runs = merged;
    }
    runs.pop().unwrap_or_default()
}

fn merge(left: Vec<Value>, right: Vec<Value>) -> Vec<Value> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(l), Some(r)) = (left.peek(), right.peek()) {
        let next = if l.total_cmp(r).is_gt() { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

fn range(from: &Value, to: &Value) -> Outcome {
    let integer = |value: &Value| match value {
        Value::I64(number) => Ok(i128::from(*number)),
        Value::U64(number) => Ok(i128::from(*number)),
        _ => Err(FunctionError::BadType),
    };
    let (first, past) = (integer(from)?, integer(to)?);
    let fits_signed = from.as_i64().is_some() && to.as_i64().is_some();
    if !fits_signed && (first < 0 || past < 0) {
        return Err(FunctionError::BadType);
    }
    if past - first > LONGEST_RANGE {
        return Err(FunctionError::failed(format!("a range can have at most {LONGEST_RANGE} items")));
    }
    let number = |n: i128| i64::try_from(n).map(Value::from).or_else(|_| u64::try_from(n).map(Value::from));
    let numbers: Result<Vec<Value>, _> = (first..past).map(number).collect();
    numbers.map(Value::from).map_err(|_| FunctionError::BadType)
}
