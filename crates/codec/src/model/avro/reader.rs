//! A message, read by its schema.

use super::{Avro, MAX_DEPTH, Violation};
use crate::model::push_pointer;
use apache_avro::{
    Schema,
    schema::{InnerDecimalSchema, UuidSchema},
};
use bytes::Bytes;
use tremor_value::{Record, Value};

pub(super) struct Reader<'r> {
    pub(super) avro: &'r Avro,
    pub(super) rest: &'r [u8],
    pub(super) pointer: String,
    /// Values that may still come.
    pub(super) left: usize,
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

    pub(super) fn read(&mut self, schema: &Schema, depth: usize) -> Result<Value, Violation> {
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
            Schema::Array(array) => self.items(&array.items, depth + 1),
            Schema::Map(map) => self.members(&map.types, depth + 1),
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

    /// Those of an array.
    fn items(&mut self, each: &Schema, depth: usize) -> Result<Value, Violation> {
        let mut items = Vec::new();
        loop {
            let count = self.block()?;
            if count == 0 {
                return Ok(Value::from(items));
            }
            for _ in 0..count {
                let name = items.len().to_string();
                items.push(self.within(&name, |reader| reader.read(each, depth))?);
            }
        }
    }

    /// Those of a map.
    fn members(&mut self, each: &Schema, depth: usize) -> Result<Value, Violation> {
        let mut members = Record::default();
        loop {
            let count = self.block()?;
            if count == 0 {
                return Ok(Value::from(members));
            }
            for _ in 0..count {
                let key = self.text()?;
                let key = key.as_str().unwrap_or_default();
                let value = self.within(key, |reader| reader.read(each, depth))?;
                members.insert(key, value);
            }
        }
    }
}
