//! What schema registries are asked.

use super::catalog::{Key, Missing};
use crate::ws::http::Place;
use bytes::Bytes;
use std::{collections::BTreeSet, fmt::Write as _, time::Duration};
use tremor_codec::model::{Document, MAX_SCHEMA_BYTES};
use tremor_value::{Value, json};

/// An answer may have so many bytes: escapes in JSON can make a text six times as long.
const MAX_BYTES: usize = 6 * MAX_SCHEMA_BYTES;

/// Schemas that others refer to, at most.
const MAX_REFERENCES: usize = 64;

/// How long a schema with all that it refers to may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A server of schemas.
pub(super) struct Registry {
    place: Place,
    /// What stands in front of all paths.
    base: String,
    flavour: Flavour,
}

/// Whose language it speaks.
pub(super) enum Flavour {
    /// That of the registry which began it.
    Confluent {
        /// The context that subjects and ids are of, if it is not the usual one.
        context: Option<String>,
    },
    /// That of Apicurio, version 2.
    Apicurio {
        /// The group of artifacts.
        group: String,
        /// Ids are those of contents, and not global ones.
        by_content: bool,
    },
}

/// A schema as a registry has it.
pub(super) struct Found {
    pub(super) document: Document,
    pub(super) id: Option<u64>,
    /// What it is written in, in upper case, if that was told.
    pub(super) format: Option<String>,
}

/// What a schema refers to.
struct Reference {
    name: String,
    key: Key,
    group: Option<String>,
}

impl Registry {
    pub(super) fn new(place: Place, flavour: Flavour) -> Result<Self, String> {
        let path = place.url.path_and_query();
        if path.contains('?') || place.url.fragment().is_some() {
            return Err("is where paths begin, so it ends without `?` and `#`".to_owned());
        }
        let mut base = path.trim_end_matches('/').to_owned();
        if matches!(flavour, Flavour::Apicurio { .. }) && !base.ends_with("/apis/registry/v2") {
            base.push_str("/apis/registry/v2");
        }
        Ok(Self { place, base, flavour })
    }

    pub(super) fn is_open(&self) -> bool {
        self.place.is_open()
    }

    /// The schema that `key` names, with all that it refers to.
    pub(super) async fn find(&self, key: &Key) -> Result<Found, Missing> {
        let found = tokio::time::timeout(LIMIT, self.find_all(key)).await;
        found.unwrap_or_else(|_| {
            let limit = LIMIT.as_secs();
            Err(Missing::failed(format!("it and what it refers to took more than {limit} seconds")))
        })
    }

    async fn find_all(&self, key: &Key) -> Result<Found, Missing> {
        let (mut found, references) = self.one(key, None).await?;
        let (mut known, mut bytes) = (BTreeSet::new(), found.document.text.len());
        // Those whose references are not looked at yet stand behind those that are.
        let mut waiting = references;
        while let Some(Reference { name, key, group }) = waiting.pop() {
            if !known.insert(name.clone()) {
                continue;
            }
            if known.len() > MAX_REFERENCES {
                return Err(Missing::failed(format!("it refers to more than {MAX_REFERENCES} schemas")));
            }
            let (other, more) = self.one(&key, group.as_deref()).await?;
            bytes += other.document.text.len();
            if bytes > MAX_SCHEMA_BYTES {
                let most = MAX_SCHEMA_BYTES;
                return Err(Missing::failed(format!(
                    "it is longer than {most} bytes with what it refers to"
                )));
            }
            found.document.references.insert(0, (name, other.document.text));
            waiting.extend(more);
        }
        Ok(found)
    }

    async fn one(&self, key: &Key, group: Option<&str>) -> Result<(Found, Vec<Reference>), Missing> {
        match &self.flavour {
            Flavour::Confluent { context } => self.confluent(key, context.as_deref()).await,
            Flavour::Apicurio { group: usual, by_content } => {
                self.apicurio(key, group.unwrap_or(usual), *by_content).await
            }
        }
    }

    async fn confluent(&self, key: &Key, context: Option<&str>) -> Result<(Found, Vec<Reference>), Missing> {
        let target = match (key, context) {
            (Key::Id(id), None) => format!("/schemas/ids/{id}"),
            (Key::Id(id), Some(context)) => {
                format!("/schemas/ids/{id}?subject={}", escaped(&format!(":.{context}:")))
            }
            (Key::Subject { subject, version }, context) => {
                let subject = match context {
                    None => escaped(subject),
                    Some(context) => escaped(&format!(":.{context}:{subject}")),
                };
                format!("/subjects/{subject}/versions/{}", escaped(version))
            }
        };
        let answer = self.json(&target).await?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let schema = text("schema").ok_or_else(|| Missing::failed("the answer has no `schema`"))?;
        let id = match key {
            Key::Id(id) => Some(*id),
            Key::Subject { .. } => answer.get("id").and_then(Value::as_u64),
        };
        let listed = answer.get("references").and_then(Value::as_array).unwrap_or_default();
        let references = listed.iter().filter_map(|reference| {
            let version = reference.get("version")?.as_u64()?.to_string();
            let subject = reference.get("subject")?.as_str()?.to_owned();
            let name = reference.get("name")?.as_str()?.to_owned();
            Some(Reference { name, key: Key::Subject { subject, version }, group: None })
        });
        let document = Document { text: schema.to_owned(), references: Vec::new() };
        let format = text("schemaType").unwrap_or("AVRO").to_ascii_uppercase();
        Ok((Found { document, id, format: Some(format) }, references.collect()))
    }

    async fn apicurio(
        &self,
        key: &Key,
        group: &str,
        by_content: bool,
    ) -> Result<(Found, Vec<Reference>), Missing> {
        let word = if by_content { "contentId" } else { "globalId" };
        let (id, format) = match key {
            Key::Id(id) => (*id, None),
            Key::Subject { subject, version } => {
                let artifact = format!("/groups/{}/artifacts/{}", escaped(group), escaped(subject));
                let meta = match version.as_str() {
                    "latest" => format!("{artifact}/meta"),
                    version => format!("{artifact}/versions/{}/meta", escaped(version)),
                };
                let answer = self.json(&meta).await?;
                let id = answer.get(word).and_then(Value::as_u64);
                let format = answer.get("type").and_then(Value::as_str).map(str::to_ascii_uppercase);
                (id.ok_or_else(|| Missing::failed(format!("the answer has no `{word}`")))?, format)
            }
        };
        let content = self.get(&format!("/ids/{word}s/{id}")).await?;
        let text =
            String::from_utf8(content.to_vec()).map_err(|_| Missing::failed("the schema is not UTF-8"))?;
        let references = match self.json(&format!("/ids/{word}s/{id}/references")).await {
            Ok(references) => references,
            Err(missing) if missing.is_gone => Value::Null,
            Err(missing) => return Err(missing),
        };
        let references = references.as_array().unwrap_or_default().iter().filter_map(|reference| {
            let text = |name: &str| reference.get(name).and_then(Value::as_str).map(str::to_owned);
            let version = text("version").unwrap_or_else(|| "latest".to_owned());
            let key = Key::Subject { subject: text("artifactId")?, version };
            Some(Reference { name: text("name")?, key, group: text("groupId") })
        });
        let document = Document { text, references: Vec::new() };
        Ok((Found { document, id: Some(id), format }, references.collect()))
    }

    async fn json(&self, target: &str) -> Result<Value, Missing> {
        let body = self.get(target).await?;
        json::Parser::new().parse(&body).map_err(|error| Missing::failed(format!("the answer is {error}")))
    }

    async fn get(&self, target: &str) -> Result<Bytes, Missing> {
        let accept = "application/vnd.schemaregistry.v1+json, application/json, */*;q=0.5";
        let target = format!("{}{target}", self.base);
        let answer = self.place.get(&target, accept, MAX_BYTES).await;
        let shown = || format!("`{}{target}`", self.place.start());
        match answer {
            Ok((200, body)) => Ok(body),
            Ok((404, _)) => Err(Missing { is_gone: true, cause: format!("{} is not there", shown()) }),
            Ok((status, _)) => Err(Missing::failed(format!("{} answers {status}", shown()))),
            Err(error) => Err(Missing::failed(format!("{}: {error}", shown()))),
        }
    }
}

/// A text as one segment of a path, or one value of a query.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            // Two of them alone would be another place.
            b'.' if text.bytes().any(|byte| byte != b'.') => out.push('.'),
            byte => {
                let _infallible = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
