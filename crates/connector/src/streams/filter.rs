//! `where`: which connections something is for, by what is known of them (`spec/websocket.md` 15).

use crate::Likeness;
use smallvec::SmallVec;
use std::sync::Arc;
use tremor_value::{Record, Value, shown};

/// What may stand in it.
pub(super) const MEMBERS: [&str; 6] = ["identity", "route", "params", "tags", "protocol", "path"];

/// Deeper records are not compared.
const MOST_LEVELS: usize = 32;

/// What the metadata of a connection has to be like.
#[derive(Clone, Copy)]
pub(super) struct Filter<'a> {
    /// The metadata key.
    kind: &'static str,
    wanted: &'a Record,
}

impl<'a> Filter<'a> {
    /// Reads `wanted`.
    ///
    /// # Errors
    /// It is no record, nested too deeply, or asks for what is not known of connections.
    pub(super) fn new(kind: &'static str, wanted: &'a Value) -> Result<Self, String> {
        if wanted.is_nested_deeper_than(MOST_LEVELS) {
            return Err(format!("`where` is nested deeper than {MOST_LEVELS} levels"));
        }
        let Some(wanted) = wanted.as_record() else {
            return Err(format!("`where` has to be a record but is {}", wanted.type_name()));
        };
        match wanted.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            Some(unknown) => {
                let (unknown, known) = (shown(unknown), MEMBERS.join("`, `"));
                Err(format!("`where` has `{unknown}`, but it can ask for `{known}` only"))
            }
            None => Ok(Self { kind, wanted }),
        }
    }

    /// What of the metadata of a connection can be asked for.
    pub(super) fn seen(of_connection: &Record) -> Record {
        let seen = MEMBERS.iter().filter_map(|name| Some((*name, of_connection.get(name)?.clone())));
        seen.collect()
    }

    /// The identities one of which a connection has to have to be meant; `None` if that cannot be said.
    pub(super) fn identities(&self) -> Option<SmallVec<[Arc<str>; 1]>> {
        let wanted = self.wanted.get("identity")?;
        let several = wanted.as_array().unwrap_or(std::slice::from_ref(wanted));
        several.iter().map(|one| one.as_str().map(Arc::from)).collect()
    }

    /// Whether a connection may be meant of this route, of which metadata say `route`, and which is `like` that. Its tags can
    /// be any, and of identities it is only known whether there are any.
    pub(super) fn may_be_of(&self, route: Option<&Value>, like: Option<&dyn Likeness>) -> bool {
        self.wanted.iter().all(|(name, wanted)| match (name.as_str(), like) {
            ("route", _) => matches(wanted, route) || route.is_some_and(|route| is_route(wanted, route)),
            ("path", Some(like)) => {
                may_match(wanted, &|path| path.is_some_and(|path| like.may_have_path(path)))
            }
            ("params", Some(like)) => like.params().iter().any(|names| may_be_params(wanted, names)),
            ("protocol", Some(like)) => may_match(wanted, &|protocol| like.may_speak(protocol)),
            ("identity", Some(like)) => {
                may_match(wanted, &|identity| identity.is_none() || like.may_be_known())
            }
            _ => true,
        })
    }

    /// Whether a connection with metadata `meta` is meant.
    pub(super) fn admits(&self, meta: &Value) -> bool {
        let Some(of_connection) = meta.get(self.kind) else { return self.wanted.is_empty() };
        self.wanted.iter().all(|(name, wanted)| {
            let found = of_connection.get(name.as_str());
            matches(wanted, found)
                || name.as_str() == "route" && found.is_some_and(|found| is_route(wanted, found))
        })
    }
}

/// A route is named by its exit or its number.
fn is_route(wanted: &Value, route: &Value) -> bool {
    ["exit", "index"].into_iter().any(|part| route.get(part).is_some_and(|part| matches(wanted, Some(part))))
}

/// All members of a record have to match, one item of a list; everything else has to be the same.
fn matches(wanted: &Value, found: Option<&Value>) -> bool {
    if let Some(members) = wanted.as_record() {
        let found = found.and_then(Value::as_record);
        return found.is_some_and(|found| {
            members.iter().all(|(name, wanted)| matches(wanted, found.get(name.as_str())))
        });
    }
    let is_same = match found {
        Some(found) => found == wanted,
        None => wanted.is_null(),
    };
    is_same || wanted.as_array().is_some_and(|several| several.iter().any(|one| matches(one, found)))
}

/// Whether something that is a text or not there can match, if it can be what `is_possible` says.
fn may_match(wanted: &Value, is_possible: &dyn Fn(Option<&str>) -> bool) -> bool {
    match wanted {
        Value::Array(several) => several.iter().any(|one| may_match(one, is_possible)),
        Value::Null => is_possible(None),
        wanted => wanted.as_str().is_some_and(|text| is_possible(Some(text))),
    }
}

/// Whether parameters with these names can match; without any there is no record of them.
fn may_be_params(wanted: &Value, names: &[String]) -> bool {
    match wanted {
        Value::Array(several) => several.iter().any(|one| may_be_params(one, names)),
        Value::Null => names.is_empty(),
        wanted => wanted.as_record().is_some_and(|members| {
            let may_be = |(name, wanted): (&tremor_value::Str, &Value)| {
                let is_there = names.iter().any(|known| known == name.as_str());
                may_match(wanted, &|value| value.is_some() == is_there)
            };
            !names.is_empty() && members.iter().all(may_be)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Chat;

    impl Likeness for Chat {
        fn may_have_path(&self, path: &str) -> bool {
            path.starts_with("/chat/")
        }

        fn params(&self) -> &[Vec<String>] {
            static PARAMS: std::sync::LazyLock<[Vec<String>; 1]> =
                std::sync::LazyLock::new(|| [vec!["room".to_owned(), "side".to_owned()]]);
            &*PARAMS
        }

        fn may_speak(&self, protocol: Option<&str>) -> bool {
            protocol == Some("v1")
        }

        fn may_be_known(&self) -> bool {
            false
        }
    }

    #[test]
    fn what_no_connection_of_a_route_can_be_like_is_known() {
        let route = json(r#"{"index": 2, "exit": "chat"}"#);
        for (wanted, may_be) in [
            ("{}", true),
            (r#"{"route": "chat", "path": "/chat/7", "tags": {"a": 1}}"#, true),
            (r#"{"route": 1}"#, false),
            (r#"{"path": "/chat/7"}"#, true),
            (r#"{"path": "/other"}"#, false),
            (r#"{"path": ["/other", ["/chat/7"]]}"#, true),
            (r#"{"path": ["/other"]}"#, false),
            (r#"{"path": []}"#, false),
            (r#"{"path": null}"#, false),
            (r#"{"path": 7}"#, false),
            (r#"{"path": {"a": 1}}"#, false),
            (r#"{"params": {"room": "7"}}"#, true),
            (r#"{"params": {"room": ["6", "7"], "side": "x"}}"#, true),
            (r#"{"params": {"room": 7}}"#, false),
            (r#"{"params": {"room": null}}"#, false),
            (r#"{"params": {"hall": "7"}}"#, false),
            (r#"{"params": {"hall": null}}"#, true),
            (r#"{"params": null}"#, false),
            (r#"{"params": [{"hall": "7"}, {"room": "7"}]}"#, true),
            (r#"{"params": "room"}"#, false),
            (r#"{"protocol": "v1"}"#, true),
            (r#"{"protocol": "v2"}"#, false),
            (r#"{"protocol": null}"#, false),
            (r#"{"identity": "ada"}"#, false),
            (r#"{"identity": ["ada", null]}"#, true),
            (r#"{"identity": null}"#, true),
        ] {
            let wanted_value = json(wanted);
            let filter = Filter::new("ws_server", &wanted_value).unwrap();
            assert_eq!(filter.may_be_of(Some(&route), Some(&Chat)), may_be, "{wanted}");
            assert!(filter.may_be_of(Some(&route), None) || wanted.contains("route"), "{wanted}");
        }
    }

    fn json(text: &str) -> Value {
        Value::from_json_str(text).unwrap()
    }

    #[test]
    fn connections_are_chosen_by_what_is_known_of_them() {
        let meta = json(
            r#"{"ws_server": {"identity": "ada", "path": "/chat/7", "route": {"index": 2, "exit": "chat"},
                "params": {"room": "7", "side": "left"}, "tags": {"level": 3, "langs": ["de", "en"]}}}"#,
        );
        for (wanted, is_meant) in [
            ("{}", true),
            (r#"{"identity": "ada"}"#, true),
            (r#"{"identity": "bob"}"#, false),
            (r#"{"identity": ["bob", "ada"]}"#, true),
            (r#"{"identity": []}"#, false),
            (r#"{"identity": "ada", "path": "/"}"#, false),
            (r#"{"route": "chat"}"#, true),
            (r#"{"route": 2}"#, true),
            (r#"{"route": {"exit": "chat"}}"#, true),
            (r#"{"route": ["x", "chat"]}"#, true),
            (r#"{"route": "other"}"#, false),
            (r#"{"params": {"room": "7"}}"#, true),
            (r#"{"params": {"room": ["6", "7"], "side": "left"}}"#, true),
            (r#"{"params": {"room": "8"}}"#, false),
            (r#"{"tags": {"level": 3, "langs": ["de", "en"]}}"#, true),
            (r#"{"tags": {"color": "red"}}"#, false),
            (r#"{"tags": {"color": null}}"#, true),
            (r#"{"protocol": null}"#, true),
            (r#"{"protocol": "chat"}"#, false),
        ] {
            let wanted_value = json(wanted);
            let filter = Filter::new("ws_server", &wanted_value).unwrap();
            assert_eq!(filter.admits(&meta), is_meant, "{wanted}");
        }
    }

    #[test]
    fn what_is_not_known_of_connections_cannot_be_asked_for() {
        for (wanted, told) in [("7", "`where` has to be a record"), (r#"{"user": 1}"#, "`where` has `user`")]
        {
            let error = Filter::new("ws_server", &json(wanted)).err().unwrap();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
