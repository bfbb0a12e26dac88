//! The binary form of an event in the log.
//!
//! What an event carries comes back as it was (but for its origin, which is the log from then on): bytes, floats that JSON has no word for, any depth. Numbers
//! are LEB128 (7 bits per byte, the lowest first) unless said otherwise:
//!
//! ```text
//! entry    = ingest_ns id value(metadata) value(payload)
//! id       = source stream event pull count (source stream min_pull max_pull)*
//! value    = tag content
//! text     = length bytes
//! ```
//!
//! Containers are written as their tag and count with the members behind; both directions keep a stack of their own,
//! so no depth can overflow the thread's.

use thiserror::Error;
use tremor_event::{Event, EventId, Tracked};
use tremor_value::{Record, Str, Value};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
/// An integer that is not negative.
const NATURAL: u8 = 3;
/// A negative integer, as the number of steps below −1.
const NEGATIVE: u8 = 4;
/// Eight bytes, the lowest first.
const FLOAT: u8 = 5;
const STRING: u8 = 6;
const BYTES: u8 = 7;
const ARRAY: u8 = 8;
const RECORD: u8 = 9;

/// What cannot be an entry: it was damaged in a way that its checksum does not show, or is no entry at all.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub(super) struct NoEntry(&'static str);

/// Appends the entry for `event` to `out`.
pub(super) fn encode(event: &Event, out: &mut Vec<u8>) {
    number(out, event.ingest_ns);
    put_id(out, &event.id);
    put_value(out, event.meta.value());
    put_value(out, event.payload.value());
}

/// The event that `entry` stands for. `is_batch` is kept elsewhere, and there is nobody yet who waits for it.
pub(super) fn decode(entry: &[u8], is_batch: bool) -> Result<Event, NoEntry> {
    let mut rest = Rest(entry);
    let ingest_ns = rest.number()?;
    let id = rest.id()?;
    let meta = rest.value()?;
    if meta.as_record().is_none() {
        meta.release();
        return Err(NoEntry("its metadata is no record"));
    }
    let payload = rest.value()?.into();
    if rest.0.is_empty() {
        Ok(Event { id, payload, meta: meta.into(), ingest_ns, origin: None, is_batch, receipt: None })
    } else {
        Err(NoEntry("there is more behind its payload"))
    }
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        let [low, ..] = number.to_le_bytes();
        out.push(low | 0x80);
        number >>= 7;
    }
    let [low, ..] = number.to_le_bytes();
    out.push(low);
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_id(out: &mut Vec<u8>, id: &EventId) {
    let tracked: Vec<Tracked> = id.tracked().collect();
    // An id that tracks nothing but itself gives itself as the only entry.
    let own = Tracked { source: id.source, stream: id.stream, min_pull: id.pull, max_pull: id.pull };
    let tracked = if tracked == [own] { &[] } else { tracked.as_slice() };
    [id.source, id.stream, id.event, id.pull, tracked.len() as u64]
        .into_iter()
        .for_each(|part| number(out, part));
    for entry in tracked {
        [entry.source, entry.stream, entry.min_pull, entry.max_pull]
            .into_iter()
            .for_each(|part| number(out, part));
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    // What is still to be written, the next last: values, and keys in front of theirs.
    enum Part<'a> {
        Key(&'a str),
        Value(&'a Value),
    }
    let mut waiting = vec![Part::Value(value)];
    while let Some(part) = waiting.pop() {
        let value = match part {
            Part::Key(key) => {
                text(out, key.as_bytes());
                continue;
            }
            Part::Value(value) => value,
        };
        match value {
            Value::Null => out.push(NULL),
            Value::Bool(false) => out.push(FALSE),
            Value::Bool(true) => out.push(TRUE),
            Value::I64(integer) => {
                let (tag, steps) = u64::try_from(*integer)
                    .map_or_else(|_| (NEGATIVE, (-1 - integer).unsigned_abs()), |natural| (NATURAL, natural));
                out.push(tag);
                number(out, steps);
            }
            Value::U64(natural) => {
                out.push(NATURAL);
                number(out, *natural);
            }
            Value::F64(float) => {
                out.push(FLOAT);
                out.extend_from_slice(&float.to_bits().to_le_bytes());
            }
            Value::String(string) => {
                out.push(STRING);
                text(out, string.as_bytes());
            }
            Value::Bytes(bytes) => {
                out.push(BYTES);
                text(out, bytes);
            }
            Value::Array(items) => {
                out.push(ARRAY);
                number(out, items.len() as u64);
                waiting.extend(items.iter().rev().map(Part::Value));
            }
            Value::Record(record) => {
                out.push(RECORD);
                number(out, record.len() as u64);
                let members = record.iter().rev();
                waiting.extend(members.flat_map(|(key, value)| [Part::Value(value), Part::Key(key)]));
            }
        }
    }
}

/// What of an entry is still to be read.
struct Rest<'a>(&'a [u8]);

/// A container of which not all members are there yet.
enum Open {
    Array(Vec<Value>, usize),
    Record(Record, Str, usize),
}

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Result<u8, NoEntry> {
        let (first, rest) = self.0.split_first().ok_or(NoEntry("it ends too early"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, NoEntry> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(NoEntry("it has a number of more than 64 bits"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], NoEntry> {
        let claimed = self.number()?;
        let split = usize::try_from(claimed).ok().and_then(|len| self.0.split_at_checked(len));
        let (bytes, rest) = split.ok_or(NoEntry("a text in it is longer than it is"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, NoEntry> {
        std::str::from_utf8(self.bytes()?).map_err(|_| NoEntry("a text in it is not UTF-8"))
    }

    /// How many members of at least `size` bytes follow. No more than there is room for: what is claimed is not
    /// believed.
    fn count(&mut self, size: usize) -> Result<usize, NoEntry> {
        let claimed = usize::try_from(self.number()?).ok();
        claimed.filter(|count| *count <= self.0.len() / size).ok_or(NoEntry("it claims more than it has"))
    }

    fn id(&mut self) -> Result<EventId, NoEntry> {
        let mut id = EventId::new(self.number()?, self.number()?, self.number()?, self.number()?);
        for _ in 0..self.count(4)? {
            let (source, stream) = (self.number()?, self.number()?);
            for _smallest_then_largest in 0..2 {
                id.track(&EventId::new(source, stream, 0, self.number()?));
            }
        }
        Ok(id)
    }

    fn value(&mut self) -> Result<Value, NoEntry> {
        let mut open = Vec::new();
        let value = self.value_within(&mut open);
        for unfinished in open {
            if let Open::Array(items, _) = unfinished {
                Value::from(items).release();
            }
        }
        value
    }

    fn value_within(&mut self, open: &mut Vec<Open>) -> Result<Value, NoEntry> {
        loop {
            let mut done = match self.scalar_or_open(open)? {
                Some(value) => value,
                None => continue,
            };
            // Hand it to the container around it, and that one to the next if it is complete.
            loop {
                match open.pop() {
                    None => return Ok(done),
                    Some(Open::Array(mut items, left)) => {
                        items.push(done);
                        if left > 1 {
                            open.push(Open::Array(items, left - 1));
                            break;
                        }
                        done = items.into();
                    }
                    Some(Open::Record(mut record, key, left)) => {
                        record.insert(key, done);
                        if left > 1 {
                            let key = self.text()?.into();
                            open.push(Open::Record(record, key, left - 1));
                            break;
                        }
                        done = record.into();
                    }
                }
            }
        }
    }

    /// The next value, unless it is a container with members: that one is opened.
    fn scalar_or_open(&mut self, open: &mut Vec<Open>) -> Result<Option<Value>, NoEntry> {
        Ok(Some(match self.byte()? {
            NULL => Value::Null,
            FALSE => false.into(),
            TRUE => true.into(),
            NATURAL => self.number()?.into(),
            NEGATIVE => {
                let steps = i64::try_from(self.number()?);
                Value::I64(-1 - steps.map_err(|_| NoEntry("it has an integer that is too small"))?)
            }
            FLOAT => {
                let (bits, rest) = self.0.split_first_chunk().ok_or(NoEntry("it ends within a float"))?;
                self.0 = rest;
                f64::from_bits(u64::from_le_bytes(*bits)).into()
            }
            STRING => self.text()?.into(),
            BYTES => Value::from(tremor_value::Bytes::copy_from_slice(self.bytes()?)),
            ARRAY => match self.count(1)? {
                0 => Vec::new().into(),
                count => {
                    open.push(Open::Array(Vec::new(), count));
                    return Ok(None);
                }
            },
            RECORD => match self.count(2)? {
                0 => Value::record(),
                count => {
                    let key = self.text()?.into();
                    open.push(Open::Record(Record::default(), key, count));
                    return Ok(None);
                }
            },
            _ => return Err(NoEntry("it has a value of an unknown type")),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(payload: Value) -> Event {
        Event {
            id: EventId::new(1, 2, 3, u64::MAX),
            payload: payload.into(),
            meta: Value::from_json_str(r#"{"a": {"b": [1, -1, 1.5, null, true, false, "", "ü"]}}"#)
                .unwrap()
                .into(),
            ingest_ns: 1 << 63,
            origin: None,
            is_batch: true,
            receipt: None,
        }
    }

    fn there_and_back(event: &Event) -> Event {
        let mut entry = Vec::new();
        encode(event, &mut entry);
        decode(&entry, event.is_batch).unwrap()
    }

    #[test]
    fn everything_comes_back() {
        let mut original = event(Value::from(u64::MAX));
        original.id.track(&EventId::new(0, 0, 0, 4));
        original.id.track(&EventId::new(0, 0, 0, 9));
        original.id.track(&EventId::new(7, 1, 0, 0));
        let back = there_and_back(&original);
        assert_eq!(back.id, original.id);
        assert_eq!((&back.payload, &back.meta), (&original.payload, &original.meta));
        assert_eq!((back.ingest_ns, back.is_batch), (1 << 63, true));

        let mut plain = event(Value::Null);
        plain.id = EventId::new(0, 0, 0, 0);
        assert_eq!(there_and_back(&plain).id, plain.id);
    }

    #[test]
    fn values_that_json_has_no_form_for_come_back() {
        for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE, 1.0] {
            let back = there_and_back(&event(float.into())).payload.into_value();
            assert_eq!(back.as_f64().map(f64::to_bits), Some(float.to_bits()), "floats stay floats");
        }
        for integer in [0, 1, -1, 127, 128, -129, i64::MIN, i64::MAX] {
            let back = there_and_back(&event(integer.into())).payload.into_value();
            assert!(matches!(back, Value::I64(same) if same == integer), "{integer}");
        }
        let bytes = Value::from(tremor_value::Bytes::from_static(&[0, 255, 128]));
        let back = there_and_back(&event(bytes)).payload.into_value();
        assert!(matches!(back, Value::Bytes(same) if same[..] == [0, 255, 128]));
    }

    #[test]
    fn no_depth_is_too_deep() {
        let mut deep = Value::from(1_i64);
        for level in 0..100_000 {
            let around = Record::from_iter([("a", deep)]);
            deep = if level % 2 == 0 { around.into() } else { vec![around.into()].into() };
        }
        let back = there_and_back(&event(deep));
        assert!(back.payload.value().is_nested_deeper_than(99_999));
    }

    #[test]
    fn what_ends_early_or_lies_is_refused() {
        let mut entry = Vec::new();
        encode(&event(Value::from_json_str(r#"{"a": [1, {"b": "text"}], "c": 1.5}"#).unwrap()), &mut entry);
        for end in 0..entry.len() {
            assert!(decode(&entry[..end], false).is_err(), "cut at {end}");
        }
        entry.push(0);
        assert!(decode(&entry, false).is_err(), "something follows");
        let head = [0, 0, 0, 0, 0, 0];
        assert!(decode(&[&head[..], &[RECORD, 0, NULL]].concat(), false).is_ok());
        for huge in [
            &[ARRAY, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f][..],
            &[RECORD, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[STRING, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[NATURAL, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            &[NEGATIVE, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[RECORD + 1],
        ] {
            assert!(decode(&[&head[..], huge].concat(), false).is_err(), "{huge:?}");
        }
        // Lists with one list in it each, and behind the innermost the end.
        let nested = [&head[..], &[RECORD, 0], &[ARRAY, 1].repeat(100_000)].concat();
        assert!(decode(&nested, false).is_err());
        let finished = [&head[..], &[ARRAY, 2], &[ARRAY, 1].repeat(100_000), &[NULL]].concat();
        assert!(decode(&finished, false).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes: Vec<u8>) {
            let _either = decode(&bytes, false);
        }

        #[test]
        fn numbers_come_back(original: u64) {
            let mut out = Vec::new();
            number(&mut out, original);
            prop_assert_eq!(Rest(&out).number(), Ok(original));
        }
    }
}
