//! `credentials`: where they are (`spec/websocket.md` 7.1).

use tremor_connector::config::{ConfigError, Entry, OneOrMany, Reader};
use tremor_ws::{
    guard::{Places, Template},
    is_token,
};

/// Reads `headers`, `query`, `cookies` and `protocols`.
pub(super) fn read(mut config: Reader<'_>) -> Result<Places, ConfigError> {
    let mut places = Places {
        headers: named(&mut config, "headers")?,
        query: named(&mut config, "query")?,
        cookies: named(&mut config, "cookies")?,
        protocols: Vec::new(),
    };
    for (key, list) in [("query", &places.query), ("cookies", &places.cookies)] {
        if list.iter().any(|(_, template)| *template == Template::Login) {
            let problem = "`Basic {username}:{password}` is the way of the header `authorization` only";
            return Err(config.invalid(key, problem));
        }
    }
    if let Some(entry) = config.entry("protocols") {
        let template = Template::parse_protocol(entry.read()?);
        places.protocols.push(template.map_err(|error| entry.invalid(error.to_string()))?);
    }
    let none = config.invalid_itself("names no place: write `headers`, `query`, `cookies` or `protocols`");
    config.finish()?;
    if places == Places::default() { Err(none) } else { Ok(places) }
}

/// Names with one template each, or several that are tried in order.
fn named(config: &mut Reader<'_>, key: &'static str) -> Result<Vec<(String, Template)>, ConfigError> {
    let Some(reader) = config.record(key)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (name, entry) in reader.entries() {
        if name.is_empty() {
            return Err(entry.invalid("a place needs a name"));
        }
        if key == "headers" && !is_token(name.as_bytes()) {
            return Err(reader.invalid(name, "is no name of a header: no request can have it"));
        }
        if key == "cookies"
            && name.contains(|letter: char| "=;,".contains(letter) || !letter.is_ascii_graphic())
        {
            return Err(reader.invalid(name, "is no name of a cookie: no request can have it"));
        }
        for template in entry.read::<OneOrMany<Entry<'_>>>()?.0 {
            let parsed = Template::parse(template.read()?);
            let parsed = parsed.map_err(|error| template.invalid(error.to_string()))?;
            found.push((name.to_string(), parsed));
        }
    }
    Ok(found)
}
