//! The line protocol of InfluxDB: one line as a value.
//!
//! Stands here because the language reads it (`influx||`), codecs may, and those do not know each other. Source:
//! `spec/language-script.md` 9.10, `spec/codecs.md` A.9.

use crate::{Record, Str, Value};
use std::{borrow::Cow, fmt};

/// What is wrong with a line, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineError {
    /// What is wrong.
    pub problem: LineProblem,
    /// Byte in the line as given, counted from 0.
    pub position: usize,
}

/// What can be wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineProblem {
    /// A measurement, key or tag value is empty.
    EmptyName,
    /// A tag or field has no `=` and so no value.
    NoValue,
    /// There are no fields behind the measurement and its tags.
    NoFields,
    /// A line feed, `=` or other separator stands where it has to be escaped.
    Unescaped,
    /// A string is not closed.
    OpenString,
    /// Something stands behind the closing quote of a string.
    AfterString,
    /// The value of a field is no number, bool or string.
    FieldValue,
    /// The timestamp is no integer from 0 to 2^64 − 1.
    Timestamp,
}

impl fmt::Display for LineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.problem {
            LineProblem::EmptyName => "a measurement, a key or the value of a tag is empty",
            LineProblem::NoValue => "a tag or field has no value; write `key=value`",
            LineProblem::NoFields => {
                "there are no fields; they follow the measurement and its tags after a blank"
            }
            LineProblem::Unescaped => "this character stands here only behind a backslash",
            LineProblem::OpenString => "a string is not closed by `\"`",
            LineProblem::AfterString => "behind a string there is neither a comma nor a blank",
            LineProblem::FieldValue => {
                "the value of a field is no float, no integer such as `3i`, no bool and no string in quotes"
            }
            LineProblem::Timestamp => "the timestamp is no integer of nanoseconds",
        };
        write!(formatter, "{text} (byte {})", self.position)
    }
}

impl std::error::Error for LineError {}

/// The line as `{"measurement": string, "tags": {name: string}, "fields": {name: value}, "timestamp": nanoseconds}`;
/// `None` if it is blank or a comment. White space around it is ignored.
///
/// A line without timestamp gets `ingest_ns`. Of equal keys the last counts. Takes time linear in the line.
///
/// # Errors
/// [`LineError`] if it is no line of the protocol.
pub fn parse(line: &str, ingest_ns: u64) -> Result<Option<Record>, LineError> {
    let Some(mut reader) = Reader::new(line) else { return Ok(None) };
    let (mut tags, mut fields) = (Record::default(), Record::default());
    let measurement = reader.measurement()?;
    while let Some((key, value)) = reader.tag()? {
        tags.insert(Str::from(key), Value::String(value.into()));
    }
    while let Some((key, value)) = reader.field()? {
        fields.insert(Str::from(key), value.into_value());
    }
    let timestamp = reader.timestamp()?.unwrap_or(ingest_ns);
    let members: [(&str, Value); 4] = [
        ("measurement", Value::String(measurement.into())),
        ("tags", tags.into()),
        ("fields", fields.into()),
        ("timestamp", timestamp.into()),
    ];
    Ok(Some(members.into_iter().collect()))
}

/// Whether [`parse`] gives a value, without making it.
///
/// # Errors
/// As [`parse`].
pub fn check(line: &str) -> Result<bool, LineError> {
    let Some(mut reader) = Reader::new(line) else { return Ok(false) };
    reader.measurement()?;
    while reader.tag()?.is_some() {}
    while reader.field()?.is_some() {}
    reader.timestamp()?;
    Ok(true)
}

/// A key and what belongs to it.
type Named<'l, T> = (Cow<'l, str>, T);

/// The value of a field.
enum Field<'l> {
    Scalar(Value),
    Text(Cow<'l, str>),
}

impl Field<'_> {
    fn into_value(self) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::Text(text) => Value::String(text.into()),
        }
    }
}

/// Reads a line from left to right.
struct Reader<'l> {
    rest: &'l str,
    /// Where the rest begins in the line as given.
    position: usize,
    /// No field was read so far.
    at_first_field: bool,
}

impl<'l> Reader<'l> {
    /// `None` for a line that says nothing.
    fn new(line: &'l str) -> Option<Self> {
        let from_start = line.trim_start();
        let rest = from_start.trim_end();
        if rest.is_empty() || rest.starts_with('#') {
            return None;
        }
        Some(Self { rest, position: line.len() - from_start.len(), at_first_field: true })
    }

    fn error(&self, problem: LineProblem) -> LineError {
        LineError { problem, position: self.position }
    }

    /// Takes `bytes` of the rest, which have to end between characters.
    fn take(&mut self, bytes: usize) -> &'l str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.position += taken.len();
        taken
    }

    fn skip(&mut self, byte: char) -> bool {
        let found = self.rest.starts_with(byte);
        if found {
            self.take(byte.len_utf8());
        }
        found
    }

    /// Takes a name up to one of the separators `ends`, which is left; backslashes before separators and backslashes are
    /// dropped.
    fn name(&mut self, ends: &[char]) -> Result<Cow<'l, str>, LineError> {
        let mut name = Cow::Borrowed("");
        loop {
            let plain = self.rest.find(['\\', ',', ' ', '=', '\n']).unwrap_or(self.rest.len());
            extend(&mut name, self.take(plain));
            let mut following = self.rest.chars();
            match (following.next(), following.next()) {
                (Some('\\'), Some(escaped @ ('\\' | ',' | ' ' | '='))) => {
                    self.take('\\'.len_utf8());
                    extend(&mut name, self.take(escaped.len_utf8()));
                }
                (Some('\\'), _) => extend(&mut name, self.take('\\'.len_utf8())),
                (Some(end), _) if !ends.contains(&end) => return Err(self.error(LineProblem::Unescaped)),
                _ if name.is_empty() => return Err(self.error(LineProblem::EmptyName)),
                _ => return Ok(name),
            }
        }
    }

    fn measurement(&mut self) -> Result<Cow<'l, str>, LineError> {
        self.name(&[',', ' '])
    }

    /// The next tag; at the blank that ends them `None`.
    fn tag(&mut self) -> Result<Option<Named<'l, Cow<'l, str>>>, LineError> {
        if !self.skip(',') {
            return Ok(None);
        }
        let key = self.key()?;
        let value = self.name(&[',', ' '])?;
        Ok(Some((key, value)))
    }

    /// A key and the `=` behind it.
    fn key(&mut self) -> Result<Cow<'l, str>, LineError> {
        let key = self.name(&['=', ',', ' '])?;
        if self.skip('=') { Ok(key) } else { Err(self.error(LineProblem::NoValue)) }
    }

    /// The next field; at the blank before the timestamp, and at the end, `None`.
    fn field(&mut self) -> Result<Option<Named<'l, Field<'l>>>, LineError> {
        if self.at_first_field {
            if !self.skip(' ') {
                return Err(self.error(LineProblem::NoFields));
            }
            self.at_first_field = false;
        } else if !self.skip(',') {
            return Ok(None);
        }
        let key = self.key()?;
        let value = if self.skip('"') { Field::Text(self.string()?) } else { Field::Scalar(self.scalar()?) };
        Ok(Some((key, value)))
    }

    /// A string behind its opening quote, and its closing one.
    fn string(&mut self) -> Result<Cow<'l, str>, LineError> {
        let start = self.position;
        let mut text = Cow::Borrowed("");
        loop {
            let Some(plain) = self.rest.find(['\\', '"']) else {
                return Err(LineError { problem: LineProblem::OpenString, position: start });
            };
            extend(&mut text, self.take(plain));
            if self.skip('"') {
                break;
            }
            let backslash = self.take('\\'.len_utf8());
            if self.rest.starts_with(['\\', '"']) {
                extend(&mut text, self.take('"'.len_utf8()));
            } else {
                extend(&mut text, backslash);
            }
        }
        if self.rest.is_empty() || self.rest.starts_with([',', ' ']) {
            Ok(text)
        } else {
            Err(self.error(LineProblem::AfterString))
        }
    }

    fn scalar(&mut self) -> Result<Value, LineError> {
        let wrong = self.error(LineProblem::FieldValue);
        let length = self.rest.find([',', ' ']).unwrap_or(self.rest.len());
        let text = self.take(length);
        let value = match text {
            "t" | "T" | "true" | "True" | "TRUE" => Some(Value::Bool(true)),
            "f" | "F" | "false" | "False" | "FALSE" => Some(Value::Bool(false)),
            _ => match text.strip_suffix('i') {
                Some(digits) => integer(digits),
                None => float(text),
            },
        };
        value.ok_or(wrong)
    }

    /// The timestamp, if there is one. Nothing may follow it.
    fn timestamp(&mut self) -> Result<Option<u64>, LineError> {
        if !self.skip(' ') {
            return Ok(None);
        }
        let digits = self.rest.bytes().all(|byte| byte.is_ascii_digit());
        let number = self.rest.parse().ok().filter(|_| digits);
        number.map(Some).ok_or(self.error(LineProblem::Timestamp))
    }
}

/// Puts a piece behind a text; the first one is only referred to.
fn extend<'l>(text: &mut Cow<'l, str>, piece: &'l str) {
    if text.is_empty() {
        *text = Cow::Borrowed(piece);
    } else if !piece.is_empty() {
        text.to_mut().push_str(piece);
    }
}

/// All integers that values can hold.
fn integer(text: &str) -> Option<Value> {
    let small = text.parse::<i64>().map(Value::from);
    small.or_else(|_| text.parse::<u64>().map(Value::from)).ok()
}

/// Finite ones only: infinities and what is no number cannot be written either.
fn float(text: &str) -> Option<Value> {
    text.parse::<f64>().ok().filter(|float| float.is_finite()).map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> String {
        match parse(line, 23) {
            Ok(Some(record)) => Value::from(record).to_string(),
            Ok(None) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn problem(line: &str) -> (LineProblem, usize) {
        let error = parse(line, 0).unwrap_err();
        assert_eq!(check(line), Err(error));
        (error.problem, error.position)
    }

    #[test]
    fn a_whole_line() {
        assert_eq!(
            read("cpu,host=a load=1.5,n=3i 17"),
            r#"{"measurement":"cpu","tags":{"host":"a"},"fields":{"load":1.5,"n":3},"timestamp":17}"#
        );
        assert_eq!(read("  m f=1\r\n"), r#"{"measurement":"m","tags":{},"fields":{"f":1.0},"timestamp":23}"#);
        assert_eq!(
            read("power,room=a\\ 1 ok=true,w=7i 15"),
            r#"{"measurement":"power","tags":{"room":"a 1"},"fields":{"ok":true,"w":7},"timestamp":15}"#
        );
    }

    #[test]
    fn values_of_fields() {
        let fields = |fields: &str| match parse(&format!("m {fields}"), 0) {
            Ok(Some(record)) => record.get("fields").unwrap().to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(fields("a=1,b=-1.5e3,c=.5"), r#"{"a":1.0,"b":-1500.0,"c":0.5}"#);
        assert_eq!(
            fields("a=-9223372036854775808i,b=18446744073709551615i"),
            r#"{"a":-9223372036854775808,"b":18446744073709551615}"#
        );
        assert_eq!(
            fields("a=t,b=T,c=true,d=True,e=TRUE"),
            r#"{"a":true,"b":true,"c":true,"d":true,"e":true}"#
        );
        assert_eq!(
            fields("a=f,b=F,c=false,d=False,e=FALSE"),
            r#"{"a":false,"b":false,"c":false,"d":false,"e":false}"#
        );
        assert_eq!(fields(r#"a="",b="x, y=z",c="\"\\\n""#), r#"{"a":"","b":"x, y=z","c":"\"\\\\n"}"#);
        assert_eq!(fields("a=\"two\nlines\",b=\"é\""), r#"{"a":"two\nlines","b":"é"}"#);
        assert_eq!(fields("a=1,b=2,a=3"), r#"{"a":3.0,"b":2.0}"#);
    }

    #[test]
    fn escapes_in_names() {
        assert_eq!(
            read(r"a\ b\,c\=d\\e\n,k\==\,v f\ g=1i"),
            r#"{"measurement":"a b,c=d\\e\\n","tags":{"k=":",v"},"fields":{"f g":1},"timestamp":23}"#
        );
        // A backslash in the last place stands for itself.
        assert_eq!(problem(r"m f\"), (LineProblem::NoValue, 4));
    }

    #[test]
    fn lines_that_say_nothing() {
        for line in ["", " ", "\n", "# cpu load=1", "  #"] {
            assert_eq!(read(line), "nothing");
            assert_eq!(check(line), Ok(false));
        }
    }

    #[test]
    fn what_is_no_line() {
        use LineProblem::{
            AfterString, EmptyName, FieldValue, NoFields, NoValue, OpenString, Timestamp, Unescaped,
        };
        assert_eq!(problem("cpu"), (NoFields, 3));
        assert_eq!(problem(" cpu,a=b"), (NoFields, 8));
        assert_eq!(problem(",a=b c=1"), (EmptyName, 0));
        assert_eq!(problem("cpu,host load=1"), (NoValue, 8));
        assert_eq!(problem("cpu,host= load=1"), (EmptyName, 9));
        assert_eq!(problem("cpu,=a load=1"), (EmptyName, 4));
        assert_eq!(problem("cpu, load=1"), (EmptyName, 4));
        assert_eq!(problem("c=u load=1"), (Unescaped, 1));
        assert_eq!(problem("c\nu load=1"), (Unescaped, 1));
        assert_eq!(problem("cpu,a=b=c load=1"), (Unescaped, 7));
        assert_eq!(problem("cpu  load=1"), (EmptyName, 4));
        assert_eq!(problem("cpu load"), (NoValue, 8));
        assert_eq!(problem("cpu load=1,"), (EmptyName, 11));
        assert_eq!(problem("cpu load=\"x"), (OpenString, 10));
        assert_eq!(problem("cpu load=\"x\\\""), (OpenString, 10));
        assert_eq!(problem("cpu load=\"x\"y"), (AfterString, 12));
        for value in
            ["", "x", "i", "1ii", "1.5i", "nan", "inf", "-infinity", "1e999", "18446744073709551616i", "1\n2"]
        {
            assert_eq!(problem(&format!("cpu load={value},b=1")), (FieldValue, 9), "{value}");
        }
        for timestamp in ["x", "-1", "+1", "1.0", "18446744073709551616", "1 2", " 1"] {
            assert_eq!(problem(&format!("cpu load=1 {timestamp}")), (Timestamp, 11), "{timestamp}");
        }
    }

    #[test]
    fn messages_say_where() {
        assert_eq!(read("cpu,host load=1"), "a tag or field has no value; write `key=value` (byte 8)");
    }

    #[test]
    fn long_lines_are_read_once() {
        // Each of them would take some 10^11 steps if the work grew with the square of the length.
        for unit in ["\\", "\\,", "a\\ ", "a=b,", "\""] {
            let much = unit.repeat((1 << 20) / unit.len());
            for line in [
                much.clone(),
                format!("m,{much} f=1"),
                format!("m f=\"{much}\""),
                format!("m {much}f=1 {much}"),
            ] {
                assert_eq!(check(&line).ok(), parse(&line, 0).map(|record| record.is_some()).ok());
            }
        }
    }

    fn escaped(name: &str) -> String {
        name.chars().flat_map(|c| [Some('\\').filter(|_| ", =\\".contains(c)), Some(c)]).flatten().collect()
    }

    proptest! {
        #[test]
        fn any_text(line in "[a-c,= \\\\\"\n1ti.#-]{0,30}|.{0,20}") {
            let parsed = parse(&line, 0);
            prop_assert_eq!(check(&line), parsed.map(|record| record.is_some()));
        }

        #[test]
        fn what_is_escaped_is_read_as_it_was(
            measurement in "[a-c, =\\\\\"é]{1,6}",
            tag in ("[a-c, =\\\\\"é]{1,6}", "[a-c, =\\\\\"é]{1,6}"),
            text in "[a-c, =\\\\\"é\n]{0,6}",
        ) {
            let quoted: String = text.replace('\\', "\\\\").replace('"', "\\\"");
            let line = format!("{},{}={} s=\"{quoted}\"", escaped(&measurement), escaped(&tag.0), escaped(&tag.1));
            let record = parse(&line, 0).unwrap().unwrap();
            prop_assert_eq!(record.get("measurement").and_then(Value::as_str), Some(measurement.as_str()));
            prop_assert_eq!(record.get("tags").unwrap(), &Value::from(Record::from_iter([(tag.0, Value::from(tag.1))])));
            prop_assert_eq!(record.get("fields").unwrap(), &Value::from(Record::from_iter([("s", Value::from(text))])));
        }
    }
}
