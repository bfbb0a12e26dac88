//! Payload schemas (`spec/websocket.md` 17).
//!
//! [`settings`] reads what is wanted, [`catalog`] keeps the schemas that are known and gets the others, [`registry`] speaks
//! to registries. A connection that has schemas gets an [`Incoming`] and an [`Outgoing`], which look at its messages.

mod catalog;
mod incoming;
mod outgoing;
mod registry;
mod settings;

pub(super) use catalog::Missing;
pub(super) use incoming::{Aside, Incoming, Look};
pub(super) use outgoing::{Ahead, Outgoing};
pub(super) use settings::{Opened, Plans, Schemas};

use tremor_codec::model::Violation;
use tremor_value::{Record, Value, sentence, shown};

/// What is told of a message that is not what its schema says (`spec/asyncapi.md` 5.4).
fn contract(direction: &'static str, schema: &Value, violations: &[Violation]) -> Value {
    let errors = violations.iter().map(|violation| {
        Value::from(Record::from_iter([
            ("pointer", violation.pointer.as_str()),
            ("rule", violation.rule.as_str()),
            ("message", violation.message.as_str()),
        ]))
    });
    let candidate =
        Record::from_iter([("message", schema.clone()), ("errors", Value::from(errors.collect::<Vec<_>>()))]);
    let members = [
        ("direction", Value::from(direction)),
        ("schema", schema.clone()),
        ("candidates", Value::from(vec![Value::from(candidate)])),
    ];
    Record::from_iter(members).into()
}

/// The same in one line.
fn in_words(schema: &Value, violations: &[Violation]) -> String {
    let what = match violations.first() {
        None => String::new(),
        Some(Violation { pointer, message, .. }) if pointer.is_empty() => format!(": {}", sentence(message)),
        Some(Violation { pointer, message, .. }) => format!(": `{}`: {}", shown(pointer), sentence(message)),
    };
    match schema {
        Value::Null => format!("the message is not what its schema says{what}"),
        Value::String(name) => format!("the message is not what the schema `{name}` says{what}"),
        id => format!("the message is not what schema {id} says{what}"),
    }
}
