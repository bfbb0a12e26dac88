//! What the metadata of an element says of its way (`spec/websocket.md` 15).

use super::{filter::Filter, members, table::named};
use crate::{duplex::Ending, outbox::Asked};
use std::sync::Arc;
use tremor_value::{Record, Value, shown};

/// Longest payload of a ping.
const MOST_PING_BYTES: usize = 125;

/// The metadata of an element, as far as it is for the sink.
#[derive(Default)]
pub(super) struct Instructions<'a> {
    /// Ids of connections.
    pub(super) to: Option<Vec<u64>>,
    pub(super) filter: Option<Filter<'a>>,
    pub(super) except: Option<Except>,
    /// What is asked of the connections themselves.
    pub(super) asked: Option<Arc<Asked>>,
    /// How the connection is opened, of kinds where events say that.
    pub(super) open: Option<&'a Value>,
}

/// Connections that are left out.
pub(super) struct Except {
    conns: Vec<u64>,
    /// Where the event came from, too.
    pub(super) origin: bool,
}

impl Except {
    pub(super) fn contains(&self, conn: u64) -> bool {
        self.conns.contains(&conn)
    }

    pub(super) fn conns(&self) -> &[u64] {
        &self.conns
    }

    pub(super) fn add(&mut self, conn: u64) {
        self.conns.push(conn);
    }
}

impl<'a> Instructions<'a> {
    /// Reads what stands under `kind`; `key` names the member that says what a message stands for, if that matters.
    ///
    /// # Errors
    /// What cannot be done as it is written.
    pub(super) fn read(kind: &'static str, key: Option<&str>, of_kind: &'a Value) -> Result<Self, String> {
        let mut read = Self::default();
        let Some(members) = of_kind.as_record() else { return Ok(read) };
        let mut asked = Asked::default();
        for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            let is_key = key == Some(name.as_str());
            if is_key {
                asked.key = Some(value.clone());
            }
            if members::is_of_messages(name) {
                continue;
            }
            match name.as_str() {
                "to" => read.to = Some(ids("to", value)?),
                "where" => read.filter = Some(Filter::new(kind, value)?),
                "except" => read.except = Some(except(value)?),
                "open" => read.open = Some(value),
                "close" => asked.close = Some(of_close(value)?),
                "ping" if *value != Value::Bool(false) => asked.ping = Some(ping(value)?),
                "compress" => match value.as_bool() {
                    Some(compress) => asked.is_plain = !compress,
                    None => return Err(format!("`compress` has to be a bool but is {}", value.type_name())),
                },
                "conn" if value.as_u64().is_none() => return Err(no_number(value)),
                // Each connection reads it, but what is wrong is wrong for all of them.
                "binary" if value.as_bool().is_none() => {
                    return Err(format!("`${kind}.binary` has to be a bool but is {}", value.type_name()));
                }
                "ping" | "conn" | "binary" => {}
                _ if is_key => {}
                _ => members::pass(kind, name)?,
            }
        }
        read.asked = (asked != Asked::default()).then(|| Arc::new(asked));
        Ok(read)
    }

    /// Whether it is for whoever it would be for without any metadata.
    pub(super) fn names_nobody(&self) -> bool {
        self.to.is_none() && self.filter.is_none() && self.except.is_none()
    }
}

/// The ids of connections that stand under `key`: one, or a list of them.
///
/// # Errors
/// Something else does.
pub(super) fn ids(key: &str, value: &Value) -> Result<Vec<u64>, String> {
    match not_id(value, |_| false) {
        Some(got) => Err(format!("`{key}` takes ids of connections, not {got}")),
        None => Ok(named(value)),
    }
}

/// What is no id in a list of them, or alone, unless it is `as_good`.
fn not_id(value: &Value, as_good: impl Fn(&Value) -> bool) -> Option<String> {
    let several = value.as_array().unwrap_or(std::slice::from_ref(value));
    let wrong = several.iter().find(|item| item.as_u64().is_none() && !as_good(item))?;
    Some(match wrong {
        Value::String(text) => format!("`{}`", shown(text)),
        Value::I64(number) => number.to_string(),
        other => other.type_name().to_owned(),
    })
}

#[cold]
fn no_number(conn: &Value) -> String {
    let got = not_id(conn, |_| false).unwrap_or_else(|| conn.type_name().to_owned());
    format!("`conn` is the number of a connection, not {got}; several are named by `to`")
}

fn except(value: &Value) -> Result<Except, String> {
    let several = value.as_array().unwrap_or(std::slice::from_ref(value));
    let is_self = |item: &Value| item.as_str() == Some("self");
    if let Some(got) = not_id(value, is_self) {
        return Err(format!("`except` takes ids of connections and `self`, not {got}"));
    }
    Ok(Except { conns: named(value), origin: several.iter().any(is_self) })
}

/// `{"code", "reason"}` of a close.
fn of_close(value: &Value) -> Result<Ending, String> {
    match value.as_record() {
        Some(said) => {
            members::check("`close`", said, &[&members::OF_CLOSE])?;
            ending(said)
        }
        None => Err(format!("`close` has to be a record but is {}", value.type_name())),
    }
}

/// The close that `code` (1000) and `reason` (none) of a record ask for.
///
/// # Errors
/// They are no code that may be sent (`spec/websocket.md` 11) and no text.
pub(super) fn ending(members: &Record) -> Result<Ending, String> {
    let given = |name| members.get(name).filter(|value| !value.is_null());
    let code = match given("code") {
        None => 1000,
        Some(code) => {
            let sendable = code.as_u64().and_then(|code| u16::try_from(code).ok());
            sendable.filter(|code| may_be_sent(*code)).ok_or_else(|| {
                let code = shown(code);
                format!("a connection cannot be closed with code {code}: it may be 1000 to 1003, 1007 to 1014 or 3000 to 4999")
            })?
        }
    };
    let reason = match given("reason") {
        None => "",
        Some(reason) => reason.as_str().ok_or_else(|| {
            format!("the `reason` of a close has to be a string but is {}", reason.type_name())
        })?,
    };
    Ok(Ending::Said { code, reason: reason.into() })
}

/// Whether a goodbye may have this code (`spec/websocket.md` 11).
pub(super) fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The payload of a ping: text, bytes, or nothing for `true`.
///
/// # Errors
/// It is something else, or too long.
pub(super) fn ping(value: &Value) -> Result<Vec<u8>, String> {
    let payload = match (value.as_text_bytes(), value) {
        (Some(bytes), _) => bytes,
        (None, Value::Bytes(bytes)) => bytes.as_ref(),
        (None, Value::Bool(true)) => &[],
        _ => return Err(format!("a ping carries a string or bytes, not {}", value.type_name())),
    };
    if payload.len() > MOST_PING_BYTES {
        let len = payload.len();
        return Err(format!("a ping carries {MOST_PING_BYTES} bytes at most, not {len}"));
    }
    Ok(payload.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn json(text: &str) -> Value {
        Value::from_json_str(text).unwrap()
    }

    #[test]
    fn what_is_asked_of_a_connection_is_read() {
        let value = json(
            r#"{"close": {"code": 4001, "reason": "bye"}, "ping": "now", "compress": false, "key": "a",
                "peer": {}, "where": null}"#,
        );
        let read = Instructions::read("ws_server", Some("key"), &value).unwrap();
        let close = Ending::Said { code: 4001, reason: "bye".into() };
        let asked =
            Asked { close: Some(close), ping: Some(b"now".to_vec()), is_plain: true, key: Some("a".into()) };
        assert_eq!(read.asked.as_deref(), Some(&asked));
        assert!(read.names_nobody());
        for nothing in [r#"{"conn": 7, "compress": true, "ping": false, "key": 1}"#, "{}", "7"] {
            let nothing = json(nothing);
            let read = Instructions::read("ws_server", None, &nothing).unwrap();
            assert!(read.asked.is_none() && read.names_nobody());
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_reason() {
        let long = format!(r#"{{"ping": "{}"}}"#, "x".repeat(126));
        for (written, told) in [
            (r#"{"close": 4001}"#, "`close` has to be a record but is integer"),
            (r#"{"close": {"code": 1006}}"#, "a connection cannot be closed with code 1006"),
            (r#"{"close": {"code": 5000}}"#, "a connection cannot be closed with code 5000"),
            (r#"{"close": {"code": "1000"}}"#, "a connection cannot be closed with code \"1000\""),
            (r#"{"close": {"reason": 1}}"#, "the `reason` of a close has to be a string"),
            (r#"{"ping": 7}"#, "a ping carries a string or bytes, not integer"),
            (&long, "a ping carries 125 bytes at most, not 126"),
            (r#"{"compress": "no"}"#, "`compress` has to be a bool"),
            (r#"{"binary": "yes"}"#, "`$ws_server.binary` has to be a bool but is string"),
            (r#"{"except": "me"}"#, "`except` takes ids of connections and `self`, not `me`"),
            (r#"{"except": [1, -1]}"#, "`except` takes ids of connections and `self`, not -1"),
            (r#"{"to": "7"}"#, "`to` takes ids of connections, not `7`"),
            (r#"{"to": [7, 1.5]}"#, "`to` takes ids of connections, not float"),
            (r#"{"to": {"conn": 7}}"#, "`to` takes ids of connections, not record"),
            (r#"{"where": []}"#, "`where` has to be a record but is"),
            (r#"{"to": 7, "wher": {}}"#, "`$ws_server.wher` says nothing; did you mean `where`?"),
            (r#"{"Close": {}}"#, "`$ws_server.Close` says nothing; did you mean `close`?"),
            (r#"{"close": {"reson": "x"}}"#, "`close` has no `reson`; did you mean `reason`?"),
            (r#"{"conn": "7"}"#, "`conn` is the number of a connection, not `7`"),
            (r#"{"conn": -1}"#, "`conn` is the number of a connection, not -1"),
            (r#"{"conn": [7]}"#, "`conn` is the number of a connection, not array"),
        ] {
            let value = json(written);
            let error = Instructions::read("ws_server", None, &value).err().unwrap_or_default();
            assert!(error.starts_with(told), "{written}: {error}");
        }
    }

    #[test]
    fn what_others_have_written_is_quoted_in_one_line_of_bounded_length() {
        let text = format!("\\n[ERROR] forged{}", "x".repeat(300_000));
        for written in [
            format!(r#"{{"to": "{text}"}}"#),
            format!(r#"{{"conn": "{text}"}}"#),
            format!(r#"{{"except": ["{text}"]}}"#),
            format!(r#"{{"where": {{"{text}": 1}}}}"#),
            format!(r#"{{"close": {{"{text}": 1}}}}"#),
            format!(r#"{{"close": {{"code": "{text}"}}}}"#),
            format!(r#"{{"close": {{"code": [{}1]}}}}"#, "1,".repeat(100_000)),
        ] {
            let error = Instructions::read("ws_server", None, &json(&written)).err().unwrap();
            assert!(error.len() < 300 && !error.contains('\n'), "{error}");
        }
    }

    /// What is read here, and what elsewhere: by whom an element is for, as what it is sent, what it is like.
    const HERE: [(&str, &str); 8] = [
        ("to", "1"),
        ("where", "{}"),
        ("except", "1"),
        ("open", "{}"),
        ("close", "{}"),
        ("ping", "true"),
        ("compress", "false"),
        ("key", "1"),
    ];
    const ELSEWHERE: [&str; 4] = ["conn", "peer", "binary", "schema"];

    #[test]
    fn what_messages_bring_is_handed_back_as_it_is() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/websocket-metadata.md");
        let page = std::fs::read_to_string(page).unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('|'));
        let names = rows.flat_map(|(names, _)| names.split(',').map(|name| name.trim_matches([' ', '`'])));
        let names: BTreeSet<&str> = names.collect();
        assert!(names.len() > 20 && names.contains("roles"), "{names:?}");
        for name in names.into_iter().filter(|name| *name != "conn") {
            assert!(members::is_of_messages(name) || ELSEWHERE.contains(&name), "{name}");
            let value = if name == "binary" { "true" } else { "{}" };
            let meta = json(&format!(r#"{{"{name}": {value}, "conn": 7, "sched": null}}"#));
            let read = Instructions::read("ws_server", None, &meta).map(|read| read.names_nobody());
            assert_eq!(read, Ok(true), "{name}");
        }
        // A member that `key` of a queue names, here or elsewhere.
        for (key, meta) in [(Some("closed"), r#"{"closed": "x"}"#), (None, r#"{"symbol": "x", "k": 1}"#)] {
            assert!(Instructions::read("ws_server", key, &json(meta)).is_ok(), "{meta}");
        }
    }

    #[test]
    fn the_guide_has_every_member_that_is_read_and_no_other() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/websocket-control.md");
        let page = std::fs::read_to_string(page).unwrap();
        let (_, table) = page.split_once("\n## Where an event goes\n").unwrap();
        let (table, _) = table.split_once("\n## ").unwrap();
        let named = |line: &'static str| line.trim().strip_prefix('"')?.split_once('"').map(|(name, _)| name);
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let documented: BTreeSet<&str> = rows.map(|(name, _)| name).collect();
        let known: BTreeSet<&str> = HERE.iter().map(|(name, _)| *name).chain(ELSEWHERE).collect();
        assert_eq!(documented, known);
        // The arms of what reads them.
        let (_, arms) = include_str!("instructions.rs").split_once("match name.as_str() {\n").unwrap();
        let arms: BTreeSet<&str> =
            arms.lines().take_while(|line| !line.trim().starts_with("\"conn\"")).filter_map(named).collect();
        let here: BTreeSet<&str> = HERE.iter().map(|(name, _)| *name).filter(|name| *name != "key").collect();
        assert_eq!(arms, here);
        for (name, value) in HERE {
            let of_kind = Value::from_json_str(&format!(r#"{{"{name}": {value}}}"#)).unwrap();
            let read = Instructions::read("ws_server", Some("key"), &of_kind).unwrap();
            let does = !read.names_nobody() || read.open.is_some() || read.asked.is_some();
            assert!(does, "`{name}` says nothing");
        }
        for name in ELSEWHERE {
            let value = if name == "binary" { "true" } else { "1" };
            let of_kind = Value::from_json_str(&format!(r#"{{"{name}": {value}}}"#)).unwrap();
            let read = Instructions::read("ws_server", None, &of_kind).unwrap();
            assert!(
                read.names_nobody() && read.open.is_none() && read.asked.is_none(),
                "`{name}` says something"
            );
        }
    }
}
