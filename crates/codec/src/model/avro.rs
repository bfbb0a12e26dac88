//! Avro values without a container.
//!
//! The library reads schemas. Messages are read and written here: the library makes room for as many items as a message
//! announces, and says of a wrong one neither where nor in what way. Mapping: `spec/codecs.md` A.16.

use super::{Document, Invalid, MAX_DEPTH, Violation, bytes_or_text, push_pointer};
use apache_avro::{
    Schema,
    schema::{InnerDecimalSchema, Name, RecordSchema, UuidSchema},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use std::collections::HashMap;
use tremor_value::{Record, Value, json};

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
            Schema::parse_str_with_list(text, others).map_err(|error| error.to_string())?;
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

struct Reader<'r> {
    avro: &'r Avro,
    rest: &'r [u8],
    pointer: String,
    /// Values that may still come.
    left: usize,
}

impl Reader<'_> {
    fn wrong(&self, rule: &str, message: impl Into<String>) -> Violation {
        Violation::new(self.pointer.as_str(), rule, message)
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Violation> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.wrong("length", "the message ends too early")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.wrong("length", "the message ends too early")),
        }
    }

    fn long(&mut self) -> Result<i64, Violation> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(self.wrong("type", "an integer is longer than 64 bits"))
    }

    fn int(&mut self) -> Result<i64, Violation> {
        let number = self.long()?;
        match i32::try_from(number) {
            Ok(_) => Ok(number),
            Err(_) => Err(self.wrong("type", format!("{number} does not fit 32 bits"))),
        }
    }

    fn len(&mut self) -> Result<usize, Violation> {
        let announced = self.long()?;
        let len = usize::try_from(announced).ok().filter(|len| *len <= self.rest.len());
        len.ok_or_else(|| self.wrong("length", format!("a length of {announced} is more than there is")))
    }

    fn text(&mut self) -> Result<Value, Violation> {
        let len = self.len()?;
        let text = std::str::from_utf8(self.take(len)?).map(Value::from);
        text.map_err(|_| self.wrong("encoding", "a string is not UTF-8"))
    }

    fn bytes(&mut self, len: usize) -> Result<Value, Violation> {
        self.take(len).map(|bytes| Value::from(Bytes::copy_from_slice(bytes)))
    }

    fn float(&self, number: f64) -> Result<Value, Violation> {
        if number.is_finite() || !self.avro.view {
            return Ok(Value::from(number));
        }
        Err(self.wrong("view", format!("{number} has no form in JSON")))
    }

    /// Items that the next block has; 0 at the end.
    fn block(&mut self) -> Result<usize, Violation> {
        let announced = self.long()?;
        if announced < 0 {
            let _bytes_of_block = self.long()?;
        }
        let count = usize::try_from(announced.unsigned_abs()).ok().filter(|count| *count <= self.left);
        count.ok_or_else(|| self.wrong("length", format!("{} items are too many", announced.unsigned_abs())))
    }

    fn within<T>(
        &mut self,
        name: &str,
        act: impl FnOnce(&mut Self) -> Result<T, Violation>,
    ) -> Result<T, Violation> {
        let before = self.pointer.len();
        push_pointer(&mut self.pointer, name);
        let done = act(self)?;
        self.pointer.truncate(before);
        Ok(done)
    }

    fn read(&mut self, schema: &Schema, depth: usize) -> Result<Value, Violation> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("depth", format!("it nests deeper than {MAX_DEPTH} levels")));
        }
        let Some(left) = self.left.checked_sub(1) else {
            return Err(self.wrong("complexity", "it has too many values for its size"));
        };
        self.left = left;
        match schema {
            Schema::Null => Ok(Value::Null),
            Schema::Boolean => match self.array()? {
                [0] => Ok(Value::from(false)),
                [1] => Ok(Value::from(true)),
                [other] => Err(self.wrong("type", format!("{other} is no boolean"))),
            },
            Schema::Int | Schema::Date | Schema::TimeMillis => self.int().map(Value::from),
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => self.long().map(Value::from),
            Schema::Float => {
                let number = f32::from_le_bytes(self.array()?);
                self.float(number.into())
            }
            Schema::Double => {
                let number = f64::from_le_bytes(self.array()?);
                self.float(number)
            }
            Schema::String | Schema::Uuid(UuidSchema::String) => self.text(),
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => {
                let len = self.len()?;
                self.bytes(len)
            }
            Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                self.bytes(fixed.size)
            }
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Fixed(fixed) => self.bytes(fixed.size),
                InnerDecimalSchema::Bytes => {
                    let len = self.len()?;
                    self.bytes(len)
                }
            },
            Schema::Enum(symbols) => {
                let number = self.int()?;
                let symbol = usize::try_from(number).ok().and_then(|number| symbols.symbols.get(number));
                let symbol =
                    symbol.ok_or_else(|| self.wrong("enum", format!("there is no symbol {number}")))?;
                Ok(Value::from(symbol.as_str()))
            }
            Schema::Union(union) => {
                let number = self.long()?;
                let variant = usize::try_from(number).ok().and_then(|number| union.variants().get(number));
                let variant =
                    variant.ok_or_else(|| self.wrong("union", format!("there is no variant {number}")))?;
                self.read(variant, depth + 1)
            }
            Schema::Array(array) => {
                let mut items = Vec::new();
                loop {
                    let count = self.block()?;
                    if count == 0 {
                        return Ok(Value::from(items));
                    }
                    for _ in 0..count {
                        let name = items.len().to_string();
                        items.push(self.within(&name, |reader| reader.read(&array.items, depth + 1))?);
                    }
                }
            }
            Schema::Map(map) => {
                let mut members = Record::default();
                loop {
                    let count = self.block()?;
                    if count == 0 {
                        return Ok(Value::from(members));
                    }
                    for _ in 0..count {
                        let key = self.text()?;
                        let key = key.as_str().unwrap_or_default();
                        let value = self.within(key, |reader| reader.read(&map.types, depth + 1))?;
                        members.insert(key, value);
                    }
                }
            }
            Schema::Record(record) => {
                let mut members = Record::default();
                for field in &record.fields {
                    let value = self.within(&field.name, |reader| reader.read(&field.schema, depth + 1))?;
                    members.insert(field.name.as_str(), value);
                }
                Ok(Value::from(members))
            }
            Schema::Ref { name } => match self.avro.named(name) {
                Some(schema) => self.read(schema, depth + 1),
                None => Err(self.wrong("schema", "the schema refers to a name that it does not have")),
            },
        }
    }
}

struct Writer<'w> {
    avro: &'w Avro,
    out: Vec<u8>,
    pointer: String,
    /// Variants that may still be tried.
    attempts: usize,
    /// What the rest may take: defaults have defaults, and variants are tried over and over.
    effort: usize,
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

    fn write(&mut self, schema: &Schema, value: &Value, depth: usize) -> Result<(), Violation> {
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
            Schema::Array(array) => {
                let items = value.as_array().ok_or_else(|| self.mismatch("array", value))?;
                if !items.is_empty() {
                    self.len(items.len());
                }
                for (number, item) in items.iter().enumerate() {
                    self.within(&number.to_string(), |writer| writer.write(&array.items, item, depth + 1))?;
                }
                self.len(0);
            }
            Schema::Map(map) => {
                let members = value.as_record().ok_or_else(|| self.mismatch("record", value))?;
                if !members.is_empty() {
                    self.len(members.len());
                }
                for (key, member) in members.iter() {
                    self.len(key.len());
                    self.out.extend_from_slice(key.as_bytes());
                    self.within(key, |writer| writer.write(&map.types, member, depth + 1))?;
                }
                self.len(0);
            }
            Schema::Record(record) => return self.record(record, value, depth),
            Schema::Ref { name } => match self.avro.named(name) {
                Some(schema) => return self.write(schema, value, depth + 1),
                None => return Err(self.wrong("schema", "the schema refers to a name that it does not have")),
            },
        }
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
