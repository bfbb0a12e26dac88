//! A message, written by its schema.

use super::{Avro, MAX_DEPTH, Violation};
use crate::model::push_pointer;
use apache_avro::{
    Schema,
    schema::{InnerDecimalSchema, RecordSchema, UuidSchema},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use tremor_value::Value;

pub(super) struct Writer<'w> {
    pub(super) avro: &'w Avro,
    pub(super) out: Vec<u8>,
    pub(super) pointer: String,
    /// Variants that may still be tried.
    pub(super) attempts: usize,
    /// What the rest may take: defaults have defaults, and variants are tried over and over.
    pub(super) effort: usize,
}

impl Writer<'_> {
    fn wrong(&self, rule: &str, message: impl Into<String>) -> Violation {
        Violation::new(self.pointer.as_str(), rule, message)
    }

    fn mismatch(&self, expected: &str, value: &Value) -> Violation {
        self.wrong("type", format!("expected {expected} but got {}", value.type_name()))
    }

    fn long(&mut self, number: i64) {
        let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
        while left > 0x7f {
            self.out.push(u8::try_from(left & 0x7f).unwrap_or_default() | 0x80);
            left >>= 7;
        }
        self.out.push(u8::try_from(left).unwrap_or_default());
    }

    fn len(&mut self, len: usize) {
        self.long(i64::try_from(len).unwrap_or(i64::MAX));
    }

    fn integer(&mut self, value: &Value, bits: u32) -> Result<(), Violation> {
        let number = value.as_i64().ok_or_else(|| self.mismatch("integer", value))?;
        if bits == 32 && i32::try_from(number).is_err() {
            return Err(self.wrong("type", format!("{number} does not fit 32 bits")));
        }
        self.long(number);
        Ok(())
    }

    fn number(&self, value: &Value) -> Result<f64, Violation> {
        value.as_f64().ok_or_else(|| self.mismatch("number", value))
    }

    /// The bytes that a text stands for, as JSON has them everywhere here.
    fn bytes_of(&self, value: &Value) -> Result<Vec<u8>, Violation> {
        let text = value.as_str().ok_or_else(|| self.mismatch("bytes in Base64", value))?;
        STANDARD.decode(text).map_err(|_| self.wrong("encoding", "expected bytes in Base64"))
    }

    fn fixed(&mut self, value: &Value, size: usize) -> Result<(), Violation> {
        let bytes = self.bytes_of(value)?;
        if bytes.len() != size {
            return Err(self.wrong("length", format!("expected {size} bytes but got {}", bytes.len())));
        }
        self.out.extend_from_slice(&bytes);
        Ok(())
    }

    fn within(
        &mut self,
        name: &str,
        act: impl FnOnce(&mut Self) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let before = self.pointer.len();
        push_pointer(&mut self.pointer, name);
        act(self)?;
        self.pointer.truncate(before);
        Ok(())
    }

    fn spend(&mut self, effort: usize) -> Result<(), Violation> {
        match self.effort.checked_sub(effort) {
            Some(left) => {
                self.effort = left;
                Ok(())
            }
            None => Err(self.wrong(
                "complexity",
                "it takes too many steps to write: defaults or variants of unions multiply",
            )),
        }
    }

    pub(super) fn write(&mut self, schema: &Schema, value: &Value, depth: usize) -> Result<(), Violation> {
        self.spend(1)?;
        if depth > 2 * MAX_DEPTH {
            return Err(self.wrong("depth", format!("it nests deeper than {MAX_DEPTH} levels")));
        }
        match schema {
            Schema::Null if value.is_null() => {}
            Schema::Null => return Err(self.mismatch("null", value)),
            Schema::Boolean => {
                let is_true = value.as_bool().ok_or_else(|| self.mismatch("bool", value))?;
                self.out.push(u8::from(is_true));
            }
            Schema::Int | Schema::Date | Schema::TimeMillis => self.integer(value, 32)?,
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => self.integer(value, 64)?,
            Schema::Float => {
                let number = self.number(value)?;
                if number.abs() > f64::from(f32::MAX) {
                    return Err(self.wrong("type", format!("{number} does not fit a float of 32 bits")));
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "it fits, and nearest is what a float means"
                )]
                self.out.extend_from_slice(&(number as f32).to_le_bytes());
            }
            Schema::Double => {
                let number = self.number(value)?;
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            Schema::String | Schema::Uuid(UuidSchema::String) => {
                let text = value.as_str().ok_or_else(|| self.mismatch("string", value))?;
                self.len(text.len());
                self.out.extend_from_slice(text.as_bytes());
            }
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => {
                self.sized_bytes(value)?;
            }
            Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                self.fixed(value, fixed.size)?;
            }
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Fixed(fixed) => self.fixed(value, fixed.size)?,
                InnerDecimalSchema::Bytes => self.sized_bytes(value)?,
            },
            Schema::Enum(symbols) => {
                let text = value.as_str().ok_or_else(|| self.mismatch("string", value))?;
                let number = symbols.symbols.iter().position(|symbol| symbol == text);
                let number =
                    number.ok_or_else(|| self.wrong("enum", format!("`{text}` is none of the symbols")))?;
                self.len(number);
            }
            Schema::Union(union) => return self.first_that_fits(union.variants(), value, depth),
            Schema::Array(array) => self.items(&array.items, value, depth + 1)?,
            Schema::Map(map) => self.members(&map.types, value, depth + 1)?,
            Schema::Record(record) => return self.record(record, value, depth),
            Schema::Ref { name } => match self.avro.named(name) {
                Some(schema) => return self.write(schema, value, depth + 1),
                None => return Err(self.wrong("schema", "the schema refers to a name that it does not have")),
            },
        }
        Ok(())
    }

    /// Those of an array.
    fn items(&mut self, each: &Schema, value: &Value, depth: usize) -> Result<(), Violation> {
        let items = value.as_array().ok_or_else(|| self.mismatch("array", value))?;
        if !items.is_empty() {
            self.len(items.len());
        }
        for (number, item) in items.iter().enumerate() {
            self.within(&number.to_string(), |writer| writer.write(each, item, depth))?;
        }
        self.len(0);
        Ok(())
    }

    /// Those of a map.
    fn members(&mut self, each: &Schema, value: &Value, depth: usize) -> Result<(), Violation> {
        let members = value.as_record().ok_or_else(|| self.mismatch("record", value))?;
        if !members.is_empty() {
            self.len(members.len());
        }
        for (key, member) in members.iter() {
            self.len(key.len());
            self.out.extend_from_slice(key.as_bytes());
            self.within(key, |writer| writer.write(each, member, depth))?;
        }
        self.len(0);
        Ok(())
    }

    fn sized_bytes(&mut self, value: &Value) -> Result<(), Violation> {
        let bytes = self.bytes_of(value)?;
        self.len(bytes.len());
        self.out.extend_from_slice(&bytes);
        Ok(())
    }

    fn record(&mut self, record: &RecordSchema, value: &Value, depth: usize) -> Result<(), Violation> {
        let members = value.as_record().ok_or_else(|| self.mismatch("record", value))?;
        let is_field = |key: &str| record.fields.iter().any(|field| field.name == key);
        if let Some(key) = members.keys().find(|key| !is_field(key)) {
            return Err(self.wrong("fields", format!("there is no field `{key}`")));
        }
        for field in &record.fields {
            self.within(&field.name, |writer| match (members.get(&field.name), &field.default) {
                (Some(member), _) => writer.write(&field.schema, member, depth + 1),
                (None, Some(default)) => writer.default(&field.schema, default, depth + 1),
                (None, None) if writer.is_nullable(&field.schema) => {
                    writer.write(&field.schema, &Value::Null, depth + 1)
                }
                (None, None) => {
                    Err(writer.wrong("required", format!("the field `{}` is missing", field.name)))
                }
            })?;
        }
        Ok(())
    }

    fn default(
        &mut self,
        schema: &Schema,
        default: &serde_json::Value,
        depth: usize,
    ) -> Result<(), Violation> {
        let text = default.to_string();
        self.spend(text.len())?;
        let value = Value::from_json_str(&text);
        let value = value.map_err(|error| self.wrong("default", error.to_string()))?;
        self.write(schema, &value, depth)
    }

    fn is_nullable(&self, schema: &Schema) -> bool {
        match schema {
            Schema::Null => true,
            Schema::Union(union) => union.variants().contains(&Schema::Null),
            _ => false,
        }
    }

    fn first_that_fits(&mut self, variants: &[Schema], value: &Value, depth: usize) -> Result<(), Violation> {
        let (length, place) = (self.out.len(), self.pointer.len());
        let mut deepest: Option<Violation> = None;
        for (number, variant) in variants.iter().enumerate() {
            let Some(left) = self.attempts.checked_sub(1) else {
                return Err(
                    self.wrong("complexity", "it takes too many attempts to find the variants of unions")
                );
            };
            self.attempts = left;
            self.len(number);
            match self.write(variant, value, depth + 1) {
                Ok(()) => return Ok(()),
                Err(violation) if violation.rule == "complexity" => return Err(violation),
                Err(violation) => {
                    if deepest.as_ref().is_none_or(|deepest| deepest.pointer.len() < violation.pointer.len())
                    {
                        deepest = Some(violation);
                    }
                }
            }
            self.out.truncate(length);
            self.pointer.truncate(place);
        }
        match deepest.filter(|deepest| deepest.pointer.len() > place) {
            Some(deepest) => Err(deepest),
            None => Err(self.wrong("union", format!("no variant takes {}", value.type_name()))),
        }
    }
}
