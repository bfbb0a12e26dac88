//! What the configuration says of schemas.

use super::{
    Ahead, Incoming, Outgoing,
    catalog::{Catalog, Current, Entry as Known, From, Key, Missing, Wanted},
    registry::{Flavour, Registry},
};
use crate::ws::{
    http::Place,
    options::{NEVER, Settings},
};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use tremor_codec::model::{Bounds, Format, Model, Number, Simple, Text, Violation};
use tremor_connector::{
    config::{ConfigError, Entry, Key as At, Reader},
    tls::{ClientTlsSetting, TlsKeys},
};
use tremor_value::{Value, json};
use tremor_ws::is_wire_code;

/// The schemas of one connector.
#[derive(Default)]
pub(in crate::ws) struct Schemas {
    kind: &'static str,
    alias: String,
    catalogs: BTreeMap<String, Arc<Catalog>>,
    /// Of connections whose route says nothing else.
    usual: Plans,
    /// Of all ways there are.
    all: Vec<Arc<Plan>>,
}

/// What is wanted of the messages of connections.
#[derive(Clone, Default)]
pub(in crate::ws) struct Plans {
    kind: &'static str,
    into: Option<Arc<Plan>>,
    out: Option<Arc<Plan>>,
}

/// What is wanted in one direction.
pub(super) struct Plan {
    shape: Option<(Format, Option<String>)>,
    pub(super) catalog: Option<Arc<Catalog>>,
    reference: Option<Reference>,
    pub(super) id_from: IdFrom,
    pub(super) on_invalid_in: OnInvalidIn,
    pub(super) on_invalid_out: OnInvalidOut,
    /// The model, where it needs no schema.
    pub(super) fixed: Option<Arc<Current>>,
    /// The keys that lead to it.
    at: Vec<At>,
}

#[derive(Clone)]
enum Reference {
    Id(u64),
    Subject {
        subject: Vec<Piece>,
        version: String,
    },
    /// The subject is that of the route.
    Topic {
        version: String,
    },
}

/// A piece of the name of a subject.
#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// What the path has there.
    Param(String),
}

/// What says which schema a message has, besides the configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IdFrom {
    None,
    /// What stands in front of it: a zero byte, and so many bytes.
    Prefix(usize),
    Metadata,
}

#[derive(Clone, Copy)]
pub(super) enum OnInvalidIn {
    Err,
    Drop,
    Close(u16),
}

#[derive(Clone, Copy)]
pub(super) enum OnInvalidOut {
    Fail,
    Drop,
    Pass,
}

/// The schemas of one connection.
#[derive(Default)]
pub(in crate::ws) struct Opened {
    into: Option<Arc<Known>>,
    out: Option<Arc<Known>>,
}

impl Schemas {
    /// Reads `schema`. `patterns` are the paths that connections have, where no route says that.
    pub(in crate::ws) fn read(
        settings: &mut Settings<'_>,
        kind: &'static str,
        alias: &str,
    ) -> Result<Self, ConfigError> {
        let mut schemas = Self { kind, alias: alias.to_owned(), ..Self::default() };
        schemas.usual.kind = kind;
        if let Some(reader) = settings.optional::<Reader<'_>>("schema")? {
            schemas.usual = schemas.plans(reader, settings)?;
        }
        Ok(schemas)
    }

    /// Those of a route: what its `options` say, and otherwise what the connector says. `patterns`: of its paths.
    pub(in crate::ws) fn of_route(
        &mut self,
        options: Option<&mut Settings<'_>>,
        patterns: &[&str],
    ) -> Result<Option<Plans>, ConfigError> {
        let mut plans = self.usual.clone();
        if let Some(options) = options
            && let Some(reader) = options.optional::<Reader<'_>>("schema")?
        {
            let own = self.plans(reader, options)?;
            plans.into = own.into.or(plans.into);
            plans.out = own.out.or(plans.out);
        }
        self.settle(plans, patterns)
    }

    /// Those of connections that no route is for; `patterns` of their paths.
    pub(in crate::ws) fn of_others(&mut self, patterns: &[&str]) -> Result<Option<Plans>, ConfigError> {
        self.settle(self.usual.clone(), patterns)
    }

    fn settle(&mut self, plans: Plans, patterns: &[&str]) -> Result<Option<Plans>, ConfigError> {
        let on = |plan: Option<Arc<Plan>>| plan.map(|plan| Plan::on(&plan, patterns)).transpose();
        let plans = Plans { kind: self.kind, into: on(plans.into)?, out: on(plans.out)? };
        self.all.extend(plans.into.iter().chain(&plans.out).cloned());
        Ok((plans.into.is_some() || plans.out.is_some()).then_some(plans))
    }

    /// Reads one `schema`.
    fn plans(&mut self, mut reader: Reader<'_>, settings: &Settings<'_>) -> Result<Plans, ConfigError> {
        if let Some(catalogs) = reader.record("catalogs")? {
            for (name, entry) in catalogs.entries() {
                if self.catalogs.contains_key(name.as_str()) {
                    return Err(entry.invalid("there is a catalog of that name already"));
                }
                let catalog = catalog(name, &entry, &self.alias, settings)?;
                self.catalogs.insert(name.to_string(), Arc::new(catalog));
            }
        }
        let into = reader.record("in")?.map(|reader| self.plan(reader, true)).transpose()?;
        let out = reader.record("out")?.map(|reader| self.plan(reader, false)).transpose()?;
        reader.finish()?;
        Ok(Plans { kind: self.kind, into: into.map(Arc::new), out: out.map(Arc::new) })
    }

    fn plan(&self, mut reader: Reader<'_>, is_in: bool) -> Result<Plan, ConfigError> {
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
            return Err(reader.invalid("catalog", format!("`{name}` is none of `catalogs`: {known}")));
        };
        plan.reference = reference(reader, catalog)?;
        let words = [("none", Source::None), ("prefix", Source::Prefix), ("metadata", Source::Metadata)];
        let from = reader.word("id_from", &words)?.unwrap_or(Source::None);
        plan.id_from = match (from, catalog.id_bytes) {
            (Source::None, _) => IdFrom::None,
            (_, None) => {
                return Err(reader.invalid("id_from", "this catalog has no ids; only registries have them"));
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

    /// Gets the schemas that are known to be needed.
    ///
    /// # Errors
    /// One cannot be had, and its catalog is not lazy; in words.
    pub(in crate::ws) async fn start(&self) -> Result<(), String> {
        for plan in &self.all {
            let (Some(catalog), Some(wanted)) = (&plan.catalog, plan.fixed_reference()) else { continue };
            if catalog.is_lazy {
                let catalog = catalog.clone();
                tokio::spawn(async move {
                    let _wanted_again_later = catalog.get(&wanted).await.is_err();
                });
                continue;
            }
            catalog
                .get(&wanted)
                .await
                .map_err(|missing| format!("{wanted} cannot be had: {}", missing.cause))?;
        }
        Ok(())
    }

    /// Who gets schemas that elements name, if any do.
    pub(in crate::ws) fn ahead(&self) -> Option<Ahead> {
        let named = self.all.iter().filter(|plan| plan.id_from == IdFrom::Metadata);
        let named: Vec<_> = named.map(|plan| Outgoing::new(plan.clone(), None, self.kind)).collect();
        (!named.is_empty()).then_some(Ahead(named))
    }
}

/// `on_invalid` and `close_code` of what comes in.
fn invalid_in(reader: &mut Reader<'_>) -> Result<OnInvalidIn, ConfigError> {
    let words = [("err", OnInvalidIn::Err), ("drop", OnInvalidIn::Drop), ("close", OnInvalidIn::Close(1007))];
    let read = reader.word("on_invalid", &words)?.unwrap_or(OnInvalidIn::Err);
    let Some(entry) = reader.entry("close_code") else { return Ok(read) };
    let code: u16 = entry.read()?;
    if !matches!(read, OnInvalidIn::Close(_)) {
        return Err(entry.invalid("has a meaning only where `on_invalid` is `close`"));
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
            return Err(entry.invalid("has a meaning only beside `subject` or `strategy`"));
        }
        Some(entry) => version(&entry)?,
    };
    if let Some(id) = id {
        if catalog.id_bytes.is_none() {
            return Err(reader.invalid("id", "this catalog has no ids; write `subject`"));
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
fn version(entry: &Entry<'_>) -> Result<String, ConfigError> {
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
                    return Err(reader.invalid("minLength", "is more than `maxLength`: no text could pass"));
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

/// Reads one of `catalogs`.
fn catalog(
    name: &str,
    entry: &Entry<'_>,
    alias: &str,
    settings: &Settings<'_>,
) -> Result<Catalog, ConfigError> {
    let mut reader: Reader<'_> = entry.read()?;
    let kinds = [
        ("inline", Origin::Inline),
        ("filesystem", Origin::Files),
        ("schema-registry", Origin::Confluent),
        ("confluent-schema-registry", Origin::Confluent),
        ("karapace-schema-registry", Origin::Confluent),
        ("apicurio-registry", Origin::Apicurio),
    ];
    let origin = reader.required_word("type", &kinds)?;
    let shown = format!("[Connector::{alias}] catalog `{name}`");
    if matches!(origin, Origin::Inline | Origin::Files) {
        let subjects = reader.required::<Reader<'_>>("subjects")?;
        let mut read = BTreeMap::new();
        for (subject, entry) in subjects.entries() {
            let mut reader: Reader<'_> = entry.read()?;
            let schema = if origin == Origin::Inline { inline(&mut reader)? } else { file(&mut reader)? };
            reader.finish()?;
            read.insert(subject.to_string(), schema);
        }
        reader.finish()?;
        return Ok(Catalog::new(shown, From::Here(read), NEVER));
    }
    let max_age = Duration::from_secs(reader.or_in("max_age", 300, 1..=31_536_000)?);
    let is_lazy = reader.or("lazy", false)?;
    let (flavour, width) = match origin {
        Origin::Apicurio => {
            let words = [("default", 8), ("legacy", 4)];
            let width = reader.word("id_encoding", &words)?.unwrap_or(8);
            let group = reader.or("group_id", "default".to_owned())?;
            let words = [("globalId", false), ("contentId", true)];
            let by_content = reader.word("use_id", &words)?.unwrap_or(false);
            (Flavour::Apicurio { group, by_content }, width)
        }
        _ => {
            let context: Option<String> = reader.optional("context")?;
            (Flavour::Confluent { context: context.filter(|context| context != "default") }, 4)
        }
    };
    let has_indexes = matches!(flavour, Flavour::Confluent { .. });
    let is_tls_said = reader.members().get("tls").is_some_and(|tls| !tls.is_null());
    let tls = ClientTlsSetting::from_config(&mut reader, TlsKeys::Common)?.enabled();
    let url: &str = reader.required("url")?;
    let is_https =
        url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) || !url.contains("://");
    if is_tls_said && (tls.is_none() || !is_https) {
        return Err(reader.invalid("tls", "says whom to trust at an `https` URL, and there is none"));
    }
    let mut place = Place::new(url, tls).map_err(|problem| reader.invalid("url", problem))?;
    let mut has_credentials = false;
    reader.hide("credentials");
    if let Some(mut credentials) = reader.record("credentials")? {
        if let Some(mut headers) = credentials.record("headers")? {
            if let Some(entry) = headers.entry("authorization") {
                place = place.authorized(entry.read()?).map_err(|problem| entry.invalid(problem))?;
                has_credentials = true;
            }
            headers.finish()?;
        }
        credentials.finish()?;
    }
    let registry = Registry::new(place, flavour).map_err(|problem| reader.invalid("url", problem))?;
    if registry.is_open() {
        let more = if has_credentials { ", and read the credentials" } else { "" };
        settings.warn(&format!(
            "schemas of catalog `{name}` come without TLS: whoever is in between can change them{more}"
        ));
    }
    reader.finish()?;
    let mut catalog = Catalog::new(shown, From::Registry(Box::new(registry)), max_age);
    catalog.is_lazy = is_lazy;
    catalog.id_bytes = Some(width);
    catalog.has_indexes = has_indexes;
    Ok(catalog)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Inline,
    Files,
    Confluent,
    Apicurio,
}

/// `schema` and `version` of a subject.
fn inline(reader: &mut Reader<'_>) -> Result<(String, Option<String>), ConfigError> {
    let entry = reader.entry("schema").ok_or_else(|| reader.missing("schema", "the schema"))?;
    let text = match entry.value() {
        Value::String(text) => text.to_string(),
        other if other.is_container() => json::to_string(other),
        _ => return Err(entry.mismatch("string, record or list")),
    };
    let version = reader.entry("version").map(|entry| version(&entry)).transpose()?;
    Ok((text, version))
}

/// `path` of a subject.
fn file(reader: &mut Reader<'_>) -> Result<(String, Option<String>), ConfigError> {
    let path: PathBuf = reader.required("path")?;
    let read = std::fs::read_to_string(&path);
    let text = read.map_err(|error| reader.invalid("path", format!("`{}`: {error}", path.display())))?;
    Ok((text, None))
}

impl Plan {
    /// The same for connections to paths like these.
    fn on(plan: &Arc<Self>, patterns: &[&str]) -> Result<Arc<Self>, ConfigError> {
        let mut plan = plan.clone();
        if let Some(Reference::Topic { version }) = &plan.reference {
            let subject = topic(patterns).map_err(|problem| plan.wrong("strategy", problem))?;
            let reference =
                Reference::Subject { subject: vec![Piece::Text(subject)], version: version.clone() };
            plan = Arc::new(Self { reference: Some(reference), ..plan.copy() });
        }
        if let Some(Reference::Subject { subject, .. }) = &plan.reference {
            for piece in subject {
                let Piece::Param(name) = piece else { continue };
                let capture = format!("{{{name}}}");
                if patterns.is_empty() || patterns.iter().any(|pattern| !pattern.contains(&capture)) {
                    let problem = format!("there are connections whose path has no `{capture}`");
                    return Err(plan.wrong("subject", problem));
                }
            }
        }
        if let (Some(catalog), Some(wanted)) = (&plan.catalog, plan.fixed_reference())
            && catalog.is_here()
        {
            let key = if matches!(wanted.key, Key::Id(_)) { "id" } else { "subject" };
            catalog.at_hand(&wanted).map_err(|missing| plan.wrong(key, missing.cause))?;
        }
        Ok(plan)
    }

    fn copy(&self) -> Self {
        Self {
            shape: self.shape.clone(),
            catalog: self.catalog.clone(),
            reference: self.reference.clone(),
            id_from: self.id_from,
            on_invalid_in: self.on_invalid_in,
            on_invalid_out: self.on_invalid_out,
            fixed: self.fixed.clone(),
            at: self.at.clone(),
        }
    }

    fn wrong(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        let mut path = self.at.clone();
        path.push(At::Field(key.into()));
        ConfigError { path, problem: tremor_connector::config::Problem::Invalid(problem.into()), word: None }
    }

    fn wanted(&self, key: Key) -> Wanted {
        let (format, record) = self.shape.clone().unwrap_or((Format::Json, None));
        Wanted { key, format, record }
    }

    /// The schema of that number.
    pub(super) fn of_id(&self, id: u64) -> Wanted {
        self.wanted(Key::Id(id))
    }

    /// The schema that is meant, if that does not depend on the connection.
    pub(super) fn fixed_reference(&self) -> Option<Wanted> {
        self.reference_with(&[]).ok().flatten()
    }

    /// The schema that is meant by a connection with these parameters of its path.
    fn reference_with(&self, params: &[(String, String)]) -> Result<Option<Wanted>, Missing> {
        Ok(match &self.reference {
            None | Some(Reference::Topic { .. }) => None,
            Some(Reference::Id(id)) => Some(self.of_id(*id)),
            Some(Reference::Subject { subject, version }) => {
                let mut name = String::new();
                for piece in subject {
                    match piece {
                        Piece::Text(text) => name.push_str(text),
                        Piece::Param(param) => {
                            let found = params.iter().find(|(known, _)| known == param);
                            let (_, value) = found.ok_or_else(|| Missing {
                                is_gone: true,
                                cause: format!("the path has no `{param}`"),
                            })?;
                            name.push_str(value);
                        }
                    }
                }
                Some(self.wanted(Key::Subject { subject: name, version: version.clone() }))
            }
        })
    }

    async fn open(&self, params: &[(String, String)]) -> Result<Option<Arc<Known>>, Missing> {
        let (Some(catalog), Some(wanted)) = (&self.catalog, self.reference_with(params)?) else {
            return Ok(None);
        };
        if catalog.is_here() {
            catalog.at_hand(&wanted).map(Some)
        } else {
            catalog.get(&wanted).await.map(Some)
        }
    }

    pub(super) fn catalog_or_none(&self) -> Result<&Arc<Catalog>, Violation> {
        self.catalog.as_ref().ok_or_else(|| Violation::new("", "schema", "there is no catalog"))
    }
}

/// The subject of messages on a path, as registries name those of a topic.
fn topic(patterns: &[&str]) -> Result<String, String> {
    let Some((first, others)) = patterns.split_first() else {
        return Err("the subject is that of the path of a route, and here is none".to_owned());
    };
    if others.iter().any(|other| other != first) {
        return Err("the subject is that of the path of a route, and here are several".to_owned());
    }
    if first.contains(['*', '?']) {
        return Err(format!("the subject is that of the path of a route, and `{first}` is many"));
    }
    let segments: Vec<_> = first
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| segment.trim_matches(['{', '}']))
        .collect();
    if segments.is_empty() {
        return Err(format!("`{first}` gives no subject a name"));
    }
    Ok(format!("{}-value", segments.join(".")))
}

impl Plans {
    /// Gets the schemas of a connection with these parameters of its path.
    ///
    /// # Errors
    /// They cannot be had.
    pub(in crate::ws) async fn open(&self, params: &[(String, String)]) -> Result<Opened, Missing> {
        let mut opened = Opened::default();
        if let Some(plan) = &self.into {
            opened.into = plan.open(params).await?;
        }
        if let Some(plan) = &self.out {
            opened.out = plan.open(params).await?;
        }
        Ok(opened)
    }

    /// Who looks at what a connection brings.
    pub(in crate::ws) fn incoming(&self, opened: &Opened) -> Option<Box<Incoming>> {
        let plan = self.into.as_ref()?;
        Some(Box::new(Incoming::new(plan.clone(), opened.into.clone(), self.kind)))
    }

    /// Who looks at what is sent on a connection.
    pub(in crate::ws) fn outgoing(&self, opened: &Opened) -> Option<Arc<Outgoing>> {
        let plan = self.out.as_ref()?;
        Some(Arc::new(Outgoing::new(plan.clone(), opened.out.clone(), self.kind)))
    }
}
