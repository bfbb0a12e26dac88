//! Which members something for connections can have: one that is misspelt would be left out without a word.

use crate::config::nearest;
use tremor_value::{Record, Str, Value};

/// What metadata say of the way of an element.
const OF_ELEMENTS: [&str; 12] =
    ["to", "where", "except", "conn", "peer", "binary", "compress", "key", "ping", "close", "schema", "open"];

/// What a close says.
pub(super) const OF_CLOSE: [&str; 2] = ["code", "reason"];

/// Which connections a command is for.
pub(super) const OF_CONNECTIONS: [&str; 2] = ["conn", "where"];

/// What events of port `control` tell: a command may be made of one of them, with more in it.
const OF_EVENTS: [&str; 22] = [
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
];

/// Whether metadata of a message that came may have it: they are handed back as they are.
fn is_of_messages(name: &str) -> bool {
    matches!(
        name,
        "tls"
            | "protocol"
            | "extensions"
            | "path"
            | "authority"
            | "scheme"
            | "query"
            | "params"
            | "origin"
            | "headers"
            | "route"
            | "tls_peer"
            | "identity"
            | "roles"
            | "attributes"
            | "guard"
            | "cookie"
            | "proxy"
            | "tags"
            | "seq"
            | "size"
            | "frames"
            | "compressed"
    )
}

/// Whether metadata may have it without that [`Instructions`](super::instructions::Instructions) do anything about it.
///
/// # Errors
/// Nobody knows it.
pub(super) fn pass(kind: &str, name: &str) -> Result<(), String> {
    if is_of_messages(name) || matches!(name, "peer" | "binary" | "schema" | "key") {
        return Ok(());
    }
    Err(unknown(&format!("`${kind}` of an event that is sent"), name, &OF_ELEMENTS))
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
    let shown: String = name.chars().filter(|letter| !letter.is_control()).take(MOST_SHOWN).collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("{what} has no `{shown}`; did you mean `{near}`?"),
        None if known.is_empty() => format!("{what} has no `{shown}`: it has nothing but its kind"),
        None => format!("{what} has no `{shown}`; it can have `{}`", known.join("`, `")),
    }
}

/// Characters of a name that are shown.
const MOST_SHOWN: usize = 60;
