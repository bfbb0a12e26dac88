//! What the configuration says of one direction.

use super::{
    super::catalog::{Catalog, Current},
    IdFrom, OnInvalidIn, OnInvalidOut, Piece, Plan, Reference, Schemas,
};
use tremor_codec::model::{Bounds, Format, Model, Number, Simple, Text};
use tremor_connector::config::{ConfigError, Entry, Reader};
use tremor_value::Value;
use tremor_ws::is_wire_code;

impl Schemas {
    /// Reads `in` or `out`.
    pub(super) fn plan(&self, mut reader: Reader<'_>, is_in: bool) -> Result<Plan, ConfigError> {
        let models = [
            ("json", Kind::Json),
            ("avro", Kind::Avro),
            ("protobuf", Kind::Protobuf),
            ("string", Kind::Text),
            ("int32", Kind::Int32),
            ("int64", Kind::Int64),
            ("float", Kind::Float),
            ("double", Kind::Double),
            ("boolean", Kind::Boolean),
        ];
        let kind = reader.required_word("model", &models)?;
        let (mut on_invalid_in, mut on_invalid_out) = (OnInvalidIn::Err, OnInvalidOut::Fail);
        if is_in {
            on_invalid_in = invalid_in(&mut reader)?;
        } else {
            let words =
                [("fail", OnInvalidOut::Fail), ("drop", OnInvalidOut::Drop), ("pass", OnInvalidOut::Pass)];
            on_invalid_out = reader.word("on_invalid", &words)?.unwrap_or(on_invalid_out);
        }
        let at = reader.path().to_vec();
        let mut plan = Plan {
            shape: None,
            catalog: None,
            reference: None,
            id_from: IdFrom::None,
            on_invalid_in,
            on_invalid_out,
            fixed: None,
            at,
        };
        let view = match kind {
            Kind::Avro | Kind::Protobuf => reader.word("view", &[("json", true)])?.unwrap_or(false),
            _ => false,
        };
        match kind {
            Kind::Json => self.schema(&mut plan, &mut reader, is_in, Format::Json, None)?,
            Kind::Avro => self.schema(&mut plan, &mut reader, is_in, Format::Avro { view }, None)?,
            Kind::Protobuf => {
                let record = reader.optional("record")?;
                let format = Format::Protobuf { view, indexes: false };
                self.schema(&mut plan, &mut reader, is_in, format, record)?;
            }
            simple => plan.fixed = Some(Current::simple(Model::Simple(simple.read(&mut reader)?))),
        }
        reader.finish()?;
        Ok(plan)
    }

    /// Reads where the schema of a direction comes from.
    fn schema(
        &self,
        plan: &mut Plan,
        reader: &mut Reader<'_>,
        is_in: bool,
        format: Format,
        record: Option<String>,
    ) -> Result<(), ConfigError> {
        let name: &str = reader.required_like("catalog", "the name of one of `catalogs`")?;
        let Some(catalog) = self.catalogs.get(name) else {
            let known: Vec<_> = self.catalogs.keys().map(|name| format!("`{name}`")).collect();
            let known = if known.is_empty() {
                "there are none".to_owned()
            } else {
                format!("they are {}", known.join(", "))
            };
            return Err(reader.conflict("catalog", format!("`{name}` is none of `catalogs`: {known}")));
        };
        plan.reference = reference(reader, catalog)?;
        let words = [("none", Source::None), ("prefix", Source::Prefix), ("metadata", Source::Metadata)];
        let from = reader.word("id_from", &words)?.unwrap_or(Source::None);
        plan.id_from = match (from, catalog.id_bytes) {
            (Source::None, _) => IdFrom::None,
            (_, None) => {
                return Err(reader.conflict("id_from", "this catalog has no ids; only registries have them"));
            }
            (Source::Prefix, Some(width)) => IdFrom::Prefix(width),
            (Source::Metadata, Some(_)) => IdFrom::Metadata,
        };
        let needs_reference = match plan.id_from {
            IdFrom::None => true,
            IdFrom::Prefix(_) => !is_in,
            IdFrom::Metadata => false,
        };
        if needs_reference && plan.reference.is_none() {
            return Err(reader.missing("subject", "the name of a schema; or `id`, or `strategy`"));
        }
        let format = match (format, plan.id_from) {
            (Format::Protobuf { view, .. }, IdFrom::Prefix(_)) => {
                Format::Protobuf { view, indexes: catalog.has_indexes }
            }
            (format, _) => format,
        };
        plan.shape = Some((format, record));
        plan.catalog = Some(catalog.clone());
        Ok(())
    }
}

/// `on_invalid` and `close_code` of what comes in.
fn invalid_in(reader: &mut Reader<'_>) -> Result<OnInvalidIn, ConfigError> {
    let words = [("err", OnInvalidIn::Err), ("drop", OnInvalidIn::Drop), ("close", OnInvalidIn::Close(1007))];
    let read = reader.word("on_invalid", &words)?.unwrap_or(OnInvalidIn::Err);
    let Some(entry) = reader.entry("close_code") else { return Ok(read) };
    let code: u16 = entry.read()?;
    if !matches!(read, OnInvalidIn::Close(_)) {
        return Err(entry.conflict("has a meaning only where `on_invalid` is `close`"));
    }
    if !is_wire_code(code) {
        return Err(entry.invalid(format!("{code} can not be sent as the code of a close")));
    }
    Ok(OnInvalidIn::Close(code))
}

/// `id`, or `subject` and `version`, or `strategy`.
fn reference(reader: &mut Reader<'_>, catalog: &Catalog) -> Result<Option<Reference>, ConfigError> {
    let id: Option<u64> = reader.optional("id")?;
    let subject: Option<&str> = reader.optional("subject")?;
    let strategy = reader.word("strategy", &[("topic", ())])?;
    let given = [("id", id.is_some()), ("subject", subject.is_some()), ("strategy", strategy.is_some())];
    let mut given = given.iter().filter(|(_, is)| *is).map(|(name, _)| *name);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        return Err(reader.invalid(second, format!("says another schema than `{first}`; write one of them")));
    }
    let version = match reader.entry("version") {
        None => "latest".to_owned(),
        Some(entry) if subject.is_none() && strategy.is_none() => {
            return Err(entry.conflict("has a meaning only beside `subject` or `strategy`"));
        }
        Some(entry) => version(&entry)?,
    };
    if let Some(id) = id {
        if catalog.id_bytes.is_none() {
            return Err(reader.conflict("id", "this catalog has no ids; write `subject`"));
        }
        return Ok(Some(Reference::Id(id)));
    }
    if let Some(subject) = subject {
        let subject = pieces(subject).map_err(|problem| reader.invalid("subject", problem))?;
        return Ok(Some(Reference::Subject { subject, version }));
    }
    Ok(strategy.map(|()| Reference::Topic { version }))
}

/// A version: a number or a word.
pub(super) fn version(entry: &Entry<'_>) -> Result<String, ConfigError> {
    match entry.value() {
        Value::String(text) if !text.is_empty() => Ok(text.to_string()),
        Value::I64(_) | Value::U64(_) => entry.read::<u64>().map(|version| version.to_string()),
        _ => Err(entry.mismatch("version: a number, or `latest`")),
    }
}

/// The name of a subject, with `{name}` for what the path has there.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((name, behind)) = behind.split_once('}').filter(|(name, _)| !name.is_empty()) else {
            return Err("has a `{` without a name and `}` behind it".to_owned());
        };
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Param(name.to_owned()));
        rest = behind;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    if pieces.is_empty() { Err("is empty".to_owned()) } else { Ok(pieces) }
}

/// What models there are.
#[derive(Clone, Copy)]
enum Kind {
    Json,
    Avro,
    Protobuf,
    Text,
    Int32,
    Int64,
    Float,
    Double,
    Boolean,
}

#[derive(Clone, Copy)]
enum Source {
    None,
    Prefix,
    Metadata,
}

impl Kind {
    /// Reads the settings of a model that needs no schema.
    fn read(self, reader: &mut Reader<'_>) -> Result<Simple, ConfigError> {
        Ok(match self {
            Self::Int32 => Simple::Number(Number::Int32(range(reader)?)),
            Self::Int64 => Simple::Number(Number::Int64(range(reader)?)),
            Self::Float => Simple::Number(Number::Float(range(reader)?)),
            Self::Double => Simple::Number(Number::Double(range(reader)?)),
            Self::Boolean => Simple::Boolean,
            Self::Text | Self::Json | Self::Avro | Self::Protobuf => {
                let encodings = [("utf_8", false), ("utf_16", true)];
                let is_utf16 = reader.word("encoding", &encodings)?.unwrap_or(false);
                let (min, max) = (reader.optional("minLength")?, reader.optional("maxLength")?);
                let text = Text::new(is_utf16, min, max);
                if min.zip(max).is_some_and(|(min, max)| min > max) {
                    return Err(reader.conflict("minLength", "is more than `maxLength`: no text could pass"));
                }
                Simple::Text(match reader.entry("pattern") {
                    None => text,
                    Some(entry) => text.matching(entry.read()?).map_err(|problem| entry.invalid(problem))?,
                })
            }
        })
    }
}

fn range<N>(reader: &mut Reader<'_>) -> Result<Bounds<N>, ConfigError>
where
    N: PartialOrd + Copy + std::str::FromStr + std::fmt::Display,
{
    let Some(entry) = reader.entry("range") else { return Ok(Bounds::default()) };
    Bounds::parse(entry.read()?).map_err(|problem| entry.invalid(problem))
}
