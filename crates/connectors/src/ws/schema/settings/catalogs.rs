//! What the configuration says of where schemas come from.

use super::{
    super::{
        catalog::{Catalog, From},
        registry::{Flavour, Registry},
    },
    directions::version,
};
use crate::ws::{
    http::Place,
    options::{NEVER, Settings},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use tremor_codec::model::MAX_SCHEMA_BYTES;
use tremor_connector::{
    config::{ConfigError, Entry, Reader},
    files,
    socket::cause_of,
    tls::{ClientTlsSetting, TlsKeys},
};
use tremor_value::{Value, json};

/// Reads one of `catalogs`.
pub(super) fn catalog(
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
    let is_https = url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    if is_tls_said && (tls.is_none() || !is_https) {
        return Err(reader.conflict("tls", "says whom to trust at an `https` URL, and there is none"));
    }
    let place = Place::new(url, tls, settings.alias);
    let mut place = place.map_err(|problem| reader.invalid("url", problem))?;
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
    let text = text_of(&path);
    let text = text.map_err(|error| reader.invalid("path", format!("`{}`: {error}", path.display())))?;
    Ok((text, None))
}

/// The text of a file, which a schema can have.
fn text_of(path: &Path) -> Result<String, String> {
    let bytes = files::read(path, MAX_SCHEMA_BYTES).map_err(|error| cause_of(&error))?;
    String::from_utf8(bytes).map_err(|error| format!("it is no UTF-8: {}", error.utf8_error()))
}
