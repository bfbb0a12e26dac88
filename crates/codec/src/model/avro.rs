//! Avro values without a container.
//!
//! The library reads schemas. Messages are read and written here: the library makes room for as many items as a message
//! announces, and says of a wrong one neither where nor in what way. Mapping: `spec/codecs.md` A.16.

mod reader;
mod writer;

use super::{Document, Invalid, MAX_DEPTH, Violation, bytes_or_text};
use apache_avro::{
    Schema,
    schema::{InnerDecimalSchema, Name, UuidSchema},
};
use reader::Reader;
use std::collections::HashMap;
use tremor_value::{Value, json};
use writer::Writer;

/// Values that any message may have, and how many more for every byte: items may take no bytes at all.
const VALUES: usize = 1024;
/// Attempts that the variants of unions in one message may take.
const ATTEMPTS: usize = 200_000;

/// Records that the defaults of a schema may have: each may have defaults of its own, which the library goes through.
const MAX_RECORDS_IN_DEFAULTS: usize = 24;
/// What writing any message may take: a value is one, and so is each byte of a default. How much more for every byte.
const EFFORT: usize = 4_000_000;
const EFFORT_PER_BYTE: usize = 16;

/// A schema with all the names in it.
#[derive(Debug)]
pub struct Avro {
    schema: Schema,
    named: HashMap<Name, Schema>,
    view: bool,
}

/// What is wrong, and what led to that.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

impl Avro {
    pub(super) fn compile(document: &Document, view: bool) -> Result<Self, String> {
        let others = document.references.iter().map(|(_, text)| text.as_str());
        let texts = others.clone().chain([document.text.as_str()]);
        // What is no JSON is told by the library.
        let read = texts.filter_map(|text| serde_json::from_str(text).ok());
        if read.map(|schema| records_in_defaults(&schema)).sum::<usize>() > MAX_RECORDS_IN_DEFAULTS {
            return Err(format!("its defaults have more than {MAX_RECORDS_IN_DEFAULTS} records"));
        }
        // A name alone stands for a simple type, which need not be written as JSON.
        let text = document.text.trim();
        let quoted = format!("\"{text}\"");
        let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let text = if is_word { &quoted } else { text };
        let (schema, others) =
            Schema::parse_str_with_list(text, others).map_err(|error| with_causes(&error))?;
        let mut avro = Self { schema: Schema::Null, named: HashMap::new(), view };
        for schema in others.iter().chain([&schema]) {
            avro.collect(schema)?;
        }
        avro.schema = schema;
        Ok(avro)
    }

    fn collect(&mut self, schema: &Schema) -> Result<(), String> {
        match schema {
            Schema::Array(array) => self.collect(&array.items),
            Schema::Map(map) => self.collect(&map.types),
            Schema::Union(union) => union.variants().iter().try_for_each(|variant| self.collect(variant)),
            Schema::Record(record) => {
                self.named.insert(record.name.clone(), schema.clone());
                record.fields.iter().try_for_each(|field| self.collect(&field.schema))
            }
            Schema::Enum(of_name) => {
                self.named.insert(of_name.name.clone(), schema.clone());
                Ok(())
            }
            Schema::Fixed(of_name) | Schema::Duration(of_name) | Schema::Uuid(UuidSchema::Fixed(of_name)) => {
                self.named.insert(of_name.name.clone(), schema.clone());
                Ok(())
            }
            Schema::Decimal(decimal) => {
                if let InnerDecimalSchema::Fixed(fixed) = &decimal.inner {
                    self.named.insert(fixed.name.clone(), schema.clone());
                }
                Ok(())
            }
            Schema::BigDecimal => Err("the logical type `big-decimal` is not supported".to_owned()),
            _ => Ok(()),
        }
    }

    pub(super) fn incoming(&self, payload: &[u8]) -> Result<Option<Vec<u8>>, Invalid> {
        let value = self.read(payload)?;
        Ok(self.view.then(|| json::to_string(&value).into_bytes()))
    }

    pub(super) fn outgoing(&self, payload: &[u8]) -> Result<Option<Vec<u8>>, Invalid> {
        if !self.view {
            return self.read(payload).map(|_| None);
        }
        let value = json::Parser::new()
            .parse(payload)
            .map_err(|error| Invalid::unreadable(payload, Violation::new("", "json", error.to_string())))?;
        if value.is_nested_deeper_than(MAX_DEPTH) {
            let message = format!("it nests deeper than {MAX_DEPTH} levels");
            return Err(Invalid { violations: vec![Violation::new("", "depth", message)], value });
        }
        let mut writer = Writer {
            avro: self,
            out: Vec::new(),
            pointer: String::new(),
            attempts: ATTEMPTS,
            effort: EFFORT.saturating_add(EFFORT_PER_BYTE.saturating_mul(payload.len())),
        };
        match writer.write(&self.schema, &value, 0) {
            Ok(()) => Ok(Some(writer.out)),
            Err(violation) => Err(Invalid { violations: vec![violation], value }),
        }
    }

    fn read(&self, payload: &[u8]) -> Result<Value, Invalid> {
        let left = VALUES.saturating_add(payload.len());
        let mut reader = Reader { avro: self, rest: payload, pointer: String::new(), left };
        let read = reader.read(&self.schema, 0);
        let violation = match read {
            Ok(value) if reader.rest.is_empty() => return Ok(value),
            Ok(_) => Violation::new("", "length", format!("{} bytes follow the value", reader.rest.len())),
            Err(violation) => violation,
        };
        Err(Invalid { violations: vec![violation], value: bytes_or_text(payload) })
    }

    fn named(&self, name: &Name) -> Option<&Schema> {
        self.named.get(name)
    }
}

/// How many records there may be in the defaults of a schema; empty maps are none.
fn records_in_defaults(schema: &serde_json::Value) -> usize {
    use serde_json::Value as Json;
    fn records(default: &Json) -> usize {
        match default {
            Json::Object(members) => 1 + members.values().map(records).sum::<usize>(),
            Json::Array(items) => items.iter().map(records).sum(),
            _ => 0,
        }
    }
    fn is_map(of_field: &Json) -> bool {
        match of_field {
            Json::Array(variants) => variants.first().is_some_and(is_map),
            of_field => of_field.get("type").is_some_and(|word| word == "map"),
        }
    }
    match schema {
        Json::Array(schemas) => schemas.iter().map(records_in_defaults).sum(),
        Json::Object(members) => {
            let inner = members.iter().filter(|(key, _)| *key != "default");
            let own = match members.get("default") {
                Some(Json::Object(default))
                    if default.is_empty() && members.get("type").is_some_and(is_map) =>
                {
                    0
                }
                default => default.map_or(0, records),
            };
            own + inner.map(|(_, inner)| records_in_defaults(inner)).sum::<usize>()
        }
        _ => 0,
    }
}
