//! JSON of tokens and keys, read strictly.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// A JSON value of a token or a key.
///
/// Reading refuses what two readers could understand differently: a member that comes twice, bytes that are not
/// UTF-8, text behind the value. It also refuses numbers that no double holds, and more than 127 nested values.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number beyond the range of `Int`.
    Large(u64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads one value; `None` if `bytes` are not exactly one, or break one of the rules above.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&BTreeMap<String, Json>> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The items of an array.
    pub fn as_list(&self) -> Option<&[Json]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// The member of `members` that `path` names: a member with that very name, else the steps between the dots.
///
/// The name goes first because claims may be URLs, which have dots.
pub(super) fn at<'j>(members: &'j BTreeMap<String, Json>, path: &str) -> Option<&'j Json> {
    if let Some(found) = members.get(path) {
        return Some(found);
    }
    let (first, rest) = path.split_once('.')?;
    at(members.get(first)?.as_object()?, rest)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Strict)
    }
}

struct Strict;

impl<'de> Visitor<'de> for Strict {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Large(value), Json::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, Json>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member comes twice"));
            }
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        let text = br#"{"a": [null, true, -1, 18446744073709551615, 1.5, "\u00e9"], "b": {"c": {"d": 1}}}"#;
        let json = Json::parse(text).unwrap();
        let members = json.as_object().unwrap();
        let items = [
            Json::Null,
            Json::Bool(true),
            Json::Int(-1),
            Json::Large(u64::MAX),
            Json::Float(1.5),
            Json::Text("é".into()),
        ];
        assert_eq!(members.get("a").unwrap().as_list().unwrap(), items);
        assert_eq!(at(members, "b.c.d"), Some(&Json::Int(1)));
        assert_eq!(at(members, "b.c.e"), None);
        assert_eq!(at(members, "a.c"), None);
        assert_eq!(at(members, ""), None);
    }

    #[test]
    fn names_with_dots_are_found() {
        let json = Json::parse(br#"{"https://a.example/roles": "x", "a": {"b.c": 1}, "a.b": 2}"#).unwrap();
        let members = json.as_object().unwrap();
        assert_eq!(at(members, "https://a.example/roles"), Some(&Json::Text("x".into())));
        assert_eq!(at(members, "a.b.c"), Some(&Json::Int(1)));
        assert_eq!(at(members, "a.b"), Some(&Json::Int(2)));
    }

    #[test]
    fn doubtful_texts_are_refused() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"b": {"a": 1, "\u0061": 2}}"#,
            r#"{"a": 1} x"#,
            r#"{"a": 1}{}"#,
            r#"{"a": 1,}"#,
            r#"{"a": 1e999}"#,
            r#"{"a": NaN}"#,
            r#"{"a": 01}"#,
            r#"{"a": "\ud800"}"#,
            "{'a': 1}",
            "\u{feff}{}",
            "",
        ] {
            assert_eq!(Json::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Json::parse(b"\"\xff\""), None);
        assert_eq!(Json::parse(&b"[".repeat(1_000_000)), None);
        assert_eq!(Json::parse(&b"{\"a\":".repeat(1_000_000)), None);
        assert!(Json::parse(&[b"[".repeat(100), b"]".repeat(100)].concat()).is_some());
    }
}
