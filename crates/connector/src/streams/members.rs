//! Which members something for connections can have: one that is misspelt would be left out without a word.

use crate::config::nearest;
use tremor_value::{Record, Str, Value, shown};

/// What metadata say of the way of an element.
const OF_ELEMENTS: [&str; 12] =
    ["to", "where", "except", "conn", "peer", "binary", "compress", "key", "ping", "close", "schema", "open"];

/// What a close says.
pub(super) const OF_CLOSE: [&str; 2] = ["code", "reason"];

/// Which connections a command is for.
pub(super) const OF_CONNECTIONS: [&str; 2] = ["conn", "where"];

/// What events of port `control` tell: a command may be made of one of them, with more in it.
const OF_EVENTS: [&str; 23] = [
    "kind",
    "conn",
    "code",
    "reason",
    "clean",
    "by",
    "duration_ns",
    "in",
    "out",
    "status",
    "messages",
    "bytes",
    "data",
    "expires_at",
    "connections",
    "guard",
    "identity",
    "last_received",
    "from",
    "to",
    "unknown",
    "method",
    "left_out",
];

/// Whether metadata of a message that came may have it, and the connector does nothing about it: most members are of that sort.
#[inline]
pub(super) fn is_of_messages(name: &str) -> bool {
    match name.len() {
        3 => matches!(name, "tls" | "seq"),
        4 => matches!(name, "path" | "tags" | "size"),
        5 => matches!(name, "query" | "route" | "roles" | "guard" | "proxy"),
        6 => matches!(name, "scheme" | "params" | "origin" | "cookie" | "frames"),
        7 => name == "headers",
        8 => matches!(name, "protocol" | "identity" | "tls_peer"),
        9 => name == "authority",
        10 => matches!(name, "extensions" | "attributes" | "compressed"),
        _ => false,
    }
}

/// Whether metadata may have a member that does nothing here. There are some of the flow: the queue of another connector may
/// go by them. One that is nearly what says something is a typing error.
///
/// # Errors
/// It is one.
pub(super) fn pass(kind: &str, name: &str) -> Result<(), String> {
    match OF_ELEMENTS.iter().find(|known| is_nearly(name, known)) {
        Some(near) if *near != name => {
            Err(format!("`${kind}.{}` says nothing; did you mean `{near}`?", shown(name)))
        }
        _ => Ok(()),
    }
}

/// Names shorter than this have too many neighbours that mean something else.
const SHORT: usize = 4;

/// Whether `name` is `known` but for one letter that is wrong, missing, too much, or changed places with the next, or but for
/// the case of letters.
fn is_nearly(name: &str, known: &str) -> bool {
    if name.len().abs_diff(known.len()) > 1 {
        return false;
    }
    let (name, known) = (name.as_bytes(), known.as_bytes());
    let is_same = |(one, other): &(&u8, &u8)| one.eq_ignore_ascii_case(other);
    let front = name.iter().zip(known).take_while(is_same).count();
    let most = name.len().min(known.len()) - front;
    let back = name.iter().rev().zip(known.iter().rev()).take(most).take_while(is_same).count();
    let differs = |text: &'_ [u8]| text.len() - front - back;
    let letter = |text: &[u8], at: usize| text.get(front + at).map(u8::to_ascii_lowercase);
    match (differs(name), differs(known)) {
        (0, 0) => true,
        _ if known.len() < SHORT => false,
        (1, 0 | 1) | (0, 1) => true,
        (2, 2) => letter(name, 0) == letter(known, 1) && letter(name, 1) == letter(known, 0),
        _ => false,
    }
}

/// Refuses what `what` has besides `known`, unless events of port `control` have it. Null is nothing.
///
/// # Errors
/// Nobody knows it.
pub(super) fn check(what: &str, members: &Record, known: &[&[&str]]) -> Result<(), String> {
    let is_known = |name: &str| known.iter().any(|known| known.contains(&name)) || OF_EVENTS.contains(&name);
    let given = members.iter().filter(|(_, value): &(&Str, &Value)| !value.is_null());
    match given.map(|(name, _)| name).find(|name| !is_known(name)) {
        Some(name) => Err(unknown(what, name, &known.concat())),
        None => Ok(()),
    }
}

#[cold]
fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let near = nearest(name, known.iter().copied());
    let name = shown(name);
    match near {
        Some(near) => format!("{what} has no `{name}`; did you mean `{near}`?"),
        None if known.is_empty() => format!("{what} has no `{name}`: it has nothing but its kind"),
        None => format!("{what} has no `{name}`; it can have `{}`", known.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_typing_error_is_seen() {
        for (name, known, expected) in [
            ("wher", "where", true),
            ("whree", "where", true),
            ("wheere", "where", true),
            ("here", "where", true),
            ("whera", "where", true),
            ("Where", "where", true),
            ("TO", "to", true),
            ("too", "to", false),
            ("ts", "to", false),
            ("keys", "key", false),
            ("were", "except", false),
            ("opened", "open", false),
            ("compressed", "compress", false),
            ("erehw", "where", false),
            ("", "open", false),
            ("d\u{ed}a", "ping", false),
        ] {
            assert_eq!(is_nearly(name, known), expected, "{name} {known}");
        }
        for (name, passes) in [("where", true), ("wher", false), ("mine", true), ("k", true)] {
            assert_eq!(pass("ws_server", name).is_ok(), passes, "{name}");
        }
        let error = pass("ws_server", "wher\n").unwrap_err();
        assert_eq!(error, "`$ws_server.wher` says nothing; did you mean `where`?");
    }

    #[test]
    fn what_is_no_member_is_refused_with_what_may_be_meant() {
        let members = |text: &str| match Value::from_json_str(text).unwrap() {
            Value::Record(record) => Record::clone(&record),
            _ => panic!("no record"),
        };
        for (written, expected) in [
            (r#"{"cod": 1}"#, "it has no `cod`; did you mean `code`?"),
            (r#"{"code": 1, "spread": 1}"#, "it has no `spread`; it can have `code`, `reason`"),
        ] {
            assert_eq!(check("it", &members(written), &[&OF_CLOSE]), Err(expected.to_owned()));
        }
        assert_eq!(
            check("it", &members(r#"{"x": 1}"#), &[]),
            Err("it has no `x`: it has nothing but its kind".to_owned())
        );
        let fits = r#"{"kind": "pressure", "conn": 1, "messages": 1, "bytes": 1, "code": 1, "left_out": 1, "cod": null}"#;
        assert_eq!(check("it", &members(fits), &[&OF_CLOSE]), Ok(()));
    }
}
