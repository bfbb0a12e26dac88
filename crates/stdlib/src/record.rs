//! `record` (`spec/stdlib.md` 2.13).

use crate::{Outcome, array_of, count, debug, record_of, text};
use tremor_lang::{FunctionError, Native};
use tremor_value::{Record, Value};

pub(crate) const FUNCTIONS: &[Native] = &[
    Native::pure("record", "len", 1, |_, args| unary(args, |record| count(record.len()))),
    Native::pure("record", "is_empty", 1, |_, args| unary(args, |record| record.is_empty().into())),
    Native::pure("record", "contains", 2, |_, args| {
        binary(args, |record, key| Ok(record.contains_key(text(key)?).into()))
    })
    .warns(
        "`record::contains(the_record, the_key)` can be replaced by `present the_record[the_key]` for better performance",
    ),
    Native::pure("record", "keys", 1, |_, args| {
        unary(args, |record| record.keys().map(|key| Value::from(key.clone())).collect::<Vec<_>>().into())
    }),
    Native::pure("record", "values", 1, |_, args| {
        unary(args, |record| record.values().cloned().collect::<Vec<_>>().into())
    }),
    Native::pure("record", "to_array", 1, |_, args| {
        unary(args, |record| {
            let pair = |(key, value): (&tremor_value::Str, &Value)| {
                Value::from(vec![Value::from(key.clone()), value.clone()])
            };
            record.iter().map(pair).collect::<Vec<_>>().into()
        })
    }),
    Native::pure("record", "from_array", 1, |_, args| match args {
        [items] => from_array(array_of(items)?),
        _ => Err(FunctionError::BadType),
    }),
    Native::pure("record", "extract", 2, |_, args| {
        binary(args, |record, keys| {
            let keys = array_of(keys)?;
            let wanted = |key: &str| keys.iter().any(|wanted| wanted.as_str() == Some(key));
            let kept: Record = record
                .iter()
                .filter(|(key, _)| wanted(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            Ok(kept.into())
        })
    }),
    Native::pure("record", "combine", 2, |_, args| {
        binary(args, |left, right| {
            let mut combined = left.clone();
            for (key, value) in record_of(right)?.iter() {
                combined.insert(key.clone(), value.clone());
            }
            Ok(combined.into())
        })
    })
    .warns(
        "`record::combine(one_record, two_record)` can be replaced by `merge one_record of two_record end` for better performance",
    ),
    Native::pure("record", "rename", 2, |_, args| {
        binary(args, |record, names| {
            let names = record_of(names)?;
            let mut renamed = Record::with_capacity(record.len());
            for (key, value) in record.iter() {
                let name = names.get(key).and_then(Value::as_str).unwrap_or(key);
                renamed.insert(name, value.clone());
            }
            Ok(renamed.into())
        })
    }),
];

fn unary(args: &[&Value], apply: fn(&Record) -> Value) -> Outcome {
    match args {
        [record] => record_of(record).map(apply),
        _ => Err(FunctionError::BadType),
    }
}

fn binary(args: &[&Value], apply: fn(&Record, &Value) -> Outcome) -> Outcome {
    match args {
        [record, other] => apply(record_of(record)?, other),
        _ => Err(FunctionError::BadType),
    }
}

fn from_array(items: &[Value]) -> Outcome {
    let mut record = Record::with_capacity(items.len());
    for item in items {
        match item.as_array() {
            Some([Value::String(key), value]) => {
                record.insert(key.clone(), value.clone());
            }
            Some([_, _]) => {
                return Err(FunctionError::failed("The first element of the tuple needs to be a string: []"));
            }
            Some(other) => {
                return Err(FunctionError::failed(format!(
                    "Onlay arrays that consist of tuples (arrays of two elements) can be trurned into an record this array contained {} elements",
                    other.len()
                )));
            }
            None => {
                let mut form = "Onlay arrays that consist of tuples (arrays of two elements) can be turned into records but this array contained: ".to_owned();
                debug::append(&mut form, item);
                return Err(FunctionError::Failed(form));
            }
        }
    }
    Ok(record.into())
}
