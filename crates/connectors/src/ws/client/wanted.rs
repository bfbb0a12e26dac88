//! What an attempt is for: from the configuration, and from the event that opens the connection
//! (`spec/websocket.md` 8, 20).

use super::{
    endpoint::Endpoint,
    place::{Place, path_problem},
};
use crate::ws::{
    fields,
    foreign::finish_in_route,
    header_list,
    options::{Settings, address, unix_endpoint},
    schema::{Incoming, Outgoing, Plans, Schemas},
    server::{
        routing::{NO_ROUTES, conditions, exit, paths},
        settings::token_list,
    },
};
use std::sync::Arc;
use tremor_connector::{
    ConnectError, Environment, Exit,
    config::{ConfigError, Entry, OneOrMany, Reader},
    url::{Rules, Url, Userinfo},
};
use tremor_value::{Record, Value, sentence, shown};
use tremor_ws::{Asked, Authority, Candidate, ExtraHeaders, Headers, Route, Routes, is_token};

/// The words for schemes, and whether they mean TLS.
const SCHEMES: [(&str, bool); 4] = [("ws", false), ("http", false), ("wss", true), ("https", true)];

/// What is to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) place: Place,
    /// Subprotocols to offer.
    pub(super) protocols: Vec<String>,
    /// Headers that an event brings.
    pub(super) headers: Vec<(String, String)>,
}

/// What the configuration says of where to connect.
pub(super) struct Home {
    pub(super) url: Url,
    /// Name and password in the URL.
    pub(super) userinfo: Option<Userinfo>,
    /// Events open the connection.
    pub(super) is_summoned: bool,
}

/// `options.defaults`
#[derive(Default)]
struct Defaults {
    secure: Option<bool>,
    authority: Option<String>,
    path: Option<String>,
    protocol: Option<String>,
}

impl Defaults {
    /// `url`: what it says already.
    fn read(settings: &mut Settings<'_>, url: Option<&Url>) -> Result<Self, ConfigError> {
        let Some(mut reader) = settings.optional::<Reader<'_>>("defaults")? else {
            return Ok(Self::default());
        };
        let secure = reader.word("scheme", &SCHEMES)?;
        let defaults = Self {
            secure,
            authority: reader.optional("authority")?,
            path: reader.optional("path")?,
            protocol: reader.optional("protocol")?,
        };
        if let Some(authority) = &defaults.authority
            && Authority::parse(authority).is_none()
        {
            return Err(reader.invalid("authority", "is no `host` or `host:port`"));
        }
        if let Some(authority) = &defaults.authority {
            let server = Url::parse(&format!("ws://{authority}"), &Rules::WEBSOCKET);
            let server = server.map_err(|error| reader.invalid("authority", error.to_string()))?;
            if server.port() == Some(0) {
                return Err(reader.invalid("authority", "nobody can connect to port 0"));
            }
        }
        if defaults.protocol.as_ref().is_some_and(|protocol| !is_token(protocol.as_bytes())) {
            let problem =
                "is no subprotocol: visible characters of ASCII without separators, such as `v1.example`";
            return Err(reader.invalid("protocol", problem));
        }
        if let Some(problem) = defaults.path.as_deref().and_then(path_problem) {
            return Err(reader.invalid("path", problem));
        }
        if defaults.path.as_ref().is_some_and(|path| path.contains(' ')) {
            settings.warn(&format!("{}.path: {}", reader.path_text(), A_SPACE));
        }
        if defaults.path.as_ref().is_some_and(|path| path.contains('#')) {
            return Err(reader.invalid("path", "has no fragment; for the sign `#` itself write `%23`"));
        }
        if let Some(url) = url {
            let is_secure = url.scheme_is_written().then(|| url.scheme() == "wss");
            let said = [
                ("authority", defaults.authority.is_some(), "which server that is"),
                ("path", defaults.path.is_some() && url.has_path(), "a path"),
                (
                    "scheme",
                    secure.zip(is_secure).is_some_and(|(own, of_url)| own != of_url),
                    "another scheme",
                ),
            ];
            if let Some((key, _, what)) = said.into_iter().find(|(_, is_said, _)| *is_said) {
                return Err(reader.conflict(key, format!("`url` says {what} already; write one of them")));
            }
        }
        reader.finish()?;
        Ok(defaults)
    }
}

/// Reads `url`, `defaults` and `subprotocols`: the place that is meant unless an event says another, and what is
/// offered there.
pub(super) fn home(
    settings: &mut Settings<'_>,
    endpoint: &Endpoint,
) -> Result<(Home, Vec<String>), ConfigError> {
    let url = match settings.config.entry("url") {
        None => None,
        Some(entry) => {
            let url = address(&entry)?;
            tell_of(&url, &entry, endpoint, settings);
            Some(url)
        }
    };
    let defaults = Defaults::read(settings, url.as_ref())?;
    let protocols = settings.optional::<OneOrMany<Entry<'_>>>("subprotocols")?;
    let protocols = protocols.map(|list| token_list(&list.0)).transpose()?;
    let protocols = match (protocols, &defaults.protocol) {
        (Some(_), Some(_)) => {
            let problem = "there is `defaults.protocol` already; write one of them";
            return Err(settings.config.invalid("subprotocols", problem));
        }
        (Some(protocols), None) => protocols,
        (None, protocol) => protocol.iter().cloned().collect(),
    };
    let userinfo = url.as_ref().and_then(Url::userinfo).cloned();
    let is_summoned = url.is_none() && *endpoint == Endpoint::OfUrl;
    let Defaults { secure, authority, path, .. } = defaults;
    if let (Some(url), None, None, None) = (&url, secure, &authority, &path) {
        return Ok((Home { url: url.clone(), userinfo, is_summoned }, protocols));
    }
    let of_endpoint = || match endpoint {
        Endpoint::OfUrl => None,
        Endpoint::Tcp { host, port, .. } if host.contains(':') => Some(format!("[{host}]:{port}")),
        Endpoint::Tcp { host, port, .. } => Some(format!("{host}:{port}")),
        Endpoint::Unix(_) => Some("localhost".to_owned()),
    };
    let of_url = || url.as_ref().map(|url| url.authority(0));
    let Some(authority) = authority.or_else(of_url).or_else(of_endpoint) else {
        let like = r#"a string such as "ws://127.0.0.1:4242/", unless `defaults` has an `authority`"#;
        return Err(settings.config.missing("url", like));
    };
    let scheme = match (secure, &url) {
        (Some(true), _) => "wss://",
        (Some(false), _) => "ws://",
        (None, Some(url)) if url.scheme_is_written() => {
            if url.scheme() == "wss" {
                "wss://"
            } else {
                "ws://"
            }
        }
        (None, _) => "",
    };
    let path = path.or_else(|| url.as_ref().map(|url| url.path_and_query().to_owned())).unwrap_or_default();
    let text = format!("{scheme}{authority}{path}");
    let composed = Url::parse(&text, &Rules::WEBSOCKET);
    let url =
        composed.map_err(|error| settings.config.conflict("options", format!("`defaults`: {error}")))?;
    Ok((Home { url, userinfo, is_summoned }, protocols))
}

const A_SPACE: &str = "has a space in it, which is sent as `%20`; write that if it is meant";

/// What works and is hardly meant in the address that `entry` holds.
fn tell_of(url: &Url, entry: &Entry<'_>, endpoint: &Endpoint, settings: &Settings<'_>) {
    if !url.host_is_written() && *endpoint == Endpoint::OfUrl {
        let is_path = !url.scheme_is_written() && url.port().is_none();
        let or = match is_path.then(|| unix_endpoint(url.path_and_query())) {
            Some(endpoint) => format!(" (or, for a unix socket, {endpoint})"),
            None => String::new(),
        };
        settings.warn(&format!(
            "`url` names no host, so it is `localhost`: write `{}://localhost:{}{}`{or}",
            url.scheme(),
            url.port_or(if url.scheme() == "wss" { 443 } else { 80 }),
            url.path_and_query(),
        ));
    } else if !url.scheme_is_written() && url.port().is_none() {
        let (url_at, host, path) = (entry.path_text(), url.host(), url.path_and_query());
        settings.warn(&format!("{url_at}: says no scheme and no port, so it is `ws://{host}:80{path}`"));
    }
    if entry.value().as_str().is_some_and(|text| text.trim().contains(' ')) {
        settings.warn(&format!("{}: {A_SPACE}", entry.path_text()));
    }
}

impl Wanted {
    /// The same, but for what an event says under `open`.
    ///
    /// # Errors
    /// It says what cannot be done; in words.
    pub(super) fn changed_by(&self, open: &Value) -> Result<Self, String> {
        if open.is_null() {
            return Ok(self.clone());
        }
        let read = || {
            let mut reader = Reader::new(open, "$ws_client.open")?;
            let secure = reader.word("scheme", &SCHEMES)?;
            let authority = reader.entry("authority");
            let path = reader.entry("path");
            let protocols = reader.optional::<OneOrMany<String>>("protocol")?;
            let headers = match reader.optional::<Reader<'_>>("headers")? {
                Some(headers) => header_list(&headers, ExtraHeaders::for_request)?,
                None => Vec::new(),
            };
            reader.finish()?;
            let secure = secure.unwrap_or(self.place.secure);
            let mut place = Place { secure, ..self.place.clone() };
            if let Some(entry) = authority {
                let named = Authority::parse(entry.read()?);
                let named = named.ok_or_else(|| entry.invalid("is no `host` or `host:port`"))?;
                let host = named.host().trim_matches(['[', ']']).to_owned();
                place = Place { host, port: named.effective_port(secure), ..place };
            } else if secure != self.place.secure && self.place.has_default_port() {
                place.port = if secure { 443 } else { 80 };
            }
            if let Some(entry) = path {
                place = place.at(entry.read()?).map_err(|problem| entry.invalid(problem))?;
            }
            let protocols = protocols.map_or_else(|| self.protocols.clone(), |protocols| protocols.0);
            Ok(Self { place, protocols, headers })
        };
        read().map_err(|error: ConfigError| sentence(error).to_string())
    }

    /// The headers of a request: those of the event, and of `configured` what it does not say.
    pub(super) fn headers_with(&self, configured: &[(String, String)]) -> Vec<(String, String)> {
        let is_said = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let unsaid = configured.iter().filter(|(name, _)| !is_said(name));
        unsaid.chain(&self.headers).cloned().collect()
    }
}

/// Where the events of connections leave.
pub(super) struct Ways {
    routes: Routes,
    /// The port of each route, and what its messages are like.
    ends: Vec<(Arc<str>, Option<Plans>)>,
    /// For what no route takes, if anything is taken then.
    fallback: Option<Option<Arc<str>>>,
    /// What its messages are like.
    usual: Option<Plans>,
}

/// Where the events of one connection leave, and what its messages are like.
pub(super) struct Way {
    pub(super) exit: Option<Arc<str>>,
    /// `route` of the metadata.
    pub(super) shown: Option<Value>,
    pub(super) schemas: Option<Plans>,
    /// `params` of the metadata: what the route reads from the path.
    pub(super) params: Vec<(String, String)>,
}

impl Way {
    /// Who looks at what is sent, if anybody does.
    pub(super) fn outgoing(&self) -> Option<Arc<Outgoing>> {
        self.schemas.as_ref()?.outgoing_to(&self.params)
    }

    /// Who looks at what the connection brings, if anybody does.
    pub(super) async fn looks(&self) -> Result<Option<Box<Incoming>>, ConnectError> {
        let Some(plans) = &self.schemas else { return Ok(None) };
        let opened = plans.open(&self.params).await;
        let opened = opened.map_err(|missing| ConnectError::Failed(missing.cause))?;
        Ok(plans.incoming(&opened))
    }
}

impl Ways {
    /// Reads `routes` and `exit`; new ports go to `exits`. `path`: the only one that there is, if there is only one.
    pub(super) fn read(
        settings: &mut Settings<'_>,
        exits: &mut Vec<Exit>,
        (schemas, path): (&mut Schemas, Option<&str>),
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let written = settings.config.optional::<Vec<Reader<'_>>>("routes")?;
        if written.as_ref().is_some_and(Vec::is_empty) {
            settings.warn(NO_ROUTES);
        }
        let written = written.unwrap_or_default();
        let (mut routes, mut ends) = (Vec::new(), Vec::new());
        for mut config in written {
            let Some(entry) = config.entry("exit") else {
                return Err(config.missing("exit", "the name of the port by which the events leave"));
            };
            let port = exit(&entry, exits)?;
            let mut patterns = paths(config.members());
            if patterns.is_empty() {
                patterns.extend(path);
            }
            let plans = match config.record("options")? {
                None => schemas.of_route(None, &patterns)?,
                Some(options) => {
                    let mut options = Settings::alone(options, environment);
                    let plans = schemas.of_route(Some(&mut options), &patterns)?;
                    finish_in_route(options, fields::CLIENT)?;
                    plans
                }
            };
            ends.push((port, plans));
            let when = config.optional::<OneOrMany<Reader<'_>>>("when")?.map_or_else(Vec::new, |when| when.0);
            if let Some(condition) = when.iter().find(|one| one.members().get("headers").is_some()) {
                return Err(condition.invalid("headers", "tells nothing here: all connections send the same"));
            }
            let when = conditions(when, settings)?;
            routes.push(Route { when, ..Route::default() });
            config.finish()?;
        }
        let fallback = match settings.config.entry("exit") {
            Some(entry) => Some(Some(exit(&entry, exits)?)),
            None => ends.is_empty().then_some(None),
        };
        let usual = match &fallback {
            Some(_) => schemas.of_others(path.as_slice())?,
            None => None,
        };
        Ok(Self { routes: Routes(routes), ends, fallback, usual })
    }

    /// Whether the events of any connection leave by `out`.
    pub(super) fn give_out(&self) -> bool {
        let of_fallback = self.fallback.iter().map(|exit| exit.as_deref().unwrap_or("out"));
        self.ends.iter().map(|(exit, _)| exit.as_ref()).chain(of_fallback).any(|exit: &str| exit == "out")
    }

    /// The way of a connection; `None`: no route takes it.
    pub(super) fn of(&self, wanted: &Wanted) -> Option<Way> {
        let authority = Authority::parse(&wanted.place.host_header())?;
        let target = &wanted.place.target;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target.as_str(), None),
        };
        let headers = Headers::default();
        let asked = Asked::new((wanted.place.secure, &authority), (path, query), &headers, &wanted.protocols);
        let taken = self.routes.candidates(&asked).next();
        if let Some(Candidate { route, params, .. }) = taken {
            let params = params.ok()?;
            let (exit, schemas) = self.ends.get(route)?.clone();
            let index = Value::from(u64::try_from(route).unwrap_or(u64::MAX));
            let shown = Record::from_iter([("index", index), ("exit", Value::from(exit.as_ref()))]);
            return Some(Way { exit: Some(exit), shown: Some(shown.into()), schemas, params });
        }
        let exit = self.fallback.clone()?;
        let shown =
            exit.as_ref().map(|exit| Record::from_iter([("exit", Value::from(exit.as_ref()))]).into());
        Some(Way { exit, shown, schemas: self.usual.clone(), params: Vec::new() })
    }

    /// Whether anything is said of what is sent on any of them.
    pub(super) fn say_out(&self) -> bool {
        let plans = self.ends.iter().filter_map(|(_, plans)| plans.as_ref());
        plans.chain(&self.usual).any(Plans::say_out)
    }
}

/// Words for what no route takes.
pub(super) fn no_way(wanted: &Wanted) -> String {
    let Place { target, .. } = &wanted.place;
    let path = target.split('?').next().unwrap_or_default();
    format!(
        "no route takes a connection to {} with path {}, and there is no `exit` beside `routes`",
        wanted.place.server(),
        shown(path)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        let place =
            Place { secure: false, host: "feed.example".to_owned(), port: 80, target: "/a?b".to_owned() };
        Wanted { place, protocols: vec!["v1".to_owned()], headers: Vec::new() }
    }

    #[test]
    fn an_event_changes_what_it_names() {
        let changed = |open: &str| {
            let wanted = wanted().changed_by(&Value::from_json_str(open).unwrap())?;
            let Wanted { place, protocols, .. } = wanted;
            Ok::<_, String>(format!(
                "{} {} {} {}",
                place.secure,
                place.host_header(),
                place.target,
                protocols.join(",")
            ))
        };
        for (open, expected) in [
            ("null", "false feed.example /a?b v1"),
            ("{}", "false feed.example /a?b v1"),
            (r#"{"path": "/c"}"#, "false feed.example /c v1"),
            (r#"{"scheme": "https"}"#, "true feed.example /a?b v1"),
            (
                r#"{"authority": "Other.example:81", "path": "/d\u00eda"}"#,
                "false other.example:81 /d%C3%ADa v1",
            ),
            (r#"{"authority": "[::1]", "scheme": "wss"}"#, "true [::1] /a?b v1"),
            (r#"{"protocol": "v2"}"#, "false feed.example /a?b v2"),
            (r#"{"protocol": ["v2", "v3"]}"#, "false feed.example /a?b v2,v3"),
        ] {
            assert_eq!(changed(open).as_deref(), Ok(expected), "{open}");
        }
        for bad in [
            "1",
            r#"{"path": "c"}"#,
            r#"{"path": 1}"#,
            r#"{"authority": "a b"}"#,
            r#"{"authority": "me:pw@a"}"#,
            r#"{"scheme": "ftp"}"#,
            r#"{"host": "a"}"#,
        ] {
            assert!(changed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_that_cannot_be_asked_for_is_told_why() {
        let long = format!("/{}", "x".repeat(9000));
        for (path, expected) in [
            ("", "does not begin with `/`"),
            ("a", "does not begin with `/`"),
            ("/a#b", "has a fragment"),
            ("/a\u{85}", "the URL has a control character in it"),
            (&long, "the URL is longer than 8192 bytes"),
        ] {
            let open = Record::from_iter([("path", Value::from(path))]).into();
            let refused = wanted().changed_by(&open).unwrap_err();
            assert!(refused.contains("path") && refused.contains(expected), "{refused}");
        }
        let open = Value::from_json_str(r#"{"path": "/\u00e9?a=%23#"}"#).unwrap();
        assert!(wanted().changed_by(&open).is_err());
        let open = Value::from_json_str(r#"{"path": "/\u00e9?a=%23"}"#).unwrap();
        assert_eq!(wanted().changed_by(&open).unwrap().place.shown(), "ws://feed.example/%C3%A9");
    }
}
