//! What the events of a connection tell of its handshake (`spec/websocket.md` 15).

use super::{SPEC, peer::Peer, proxy, routing::Chosen};
use crate::ws::{Metadata, extensions_list, guards::describe, options::Settings};
use tremor_connector::{
    config::{ConfigError, Entry},
    tls::PeerCertificate,
};
use tremor_value::{Record, Str, Value};
use tremor_ws::guard::{Places, Session};
use tremor_ws::{Extension, Headers, ProxyDetails, Request, query_pairs};

/// `expose_headers`: which headers of a request are told.
pub(super) enum Exposed {
    /// All but those of the handshake itself and those that hold secrets.
    Usual,
    All,
    /// These, in small letters.
    These(Vec<String>),
}

/// Parts of the names of headers that hold secrets.
const SECRETS: [&str; 8] =
    ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "credential"];

impl Exposed {
    pub(super) fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let Some(entry) = settings.config.entry("expose_headers") else { return Ok(Self::Usual) };
        match entry.value().as_str() {
            Some("all") => return Ok(Self::All),
            Some("none") => return Ok(Self::These(Vec::new())),
            Some(_) => return Err(entry.mismatch("`all`, `none`, or a list of names")),
            None => {}
        }
        let name = |entry: &Entry<'_>| Ok(entry.read::<&str>()?.to_ascii_lowercase());
        let names = entry.read::<Vec<Entry<'_>>>()?;
        names.iter().map(name).collect::<Result<_, _>>().map(Self::These)
    }

    fn includes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.iter().any(|own| own == name),
            Self::Usual => {
                let is_own = matches!(name, "host" | "upgrade" | "connection" | "origin")
                    || name.starts_with("sec-websocket-");
                !is_own && !SECRETS.iter().any(|part| name.contains(part))
            }
        }
    }

    /// The headers that are told, without what is in `secrets`.
    fn record(&self, headers: &Headers, secrets: &Places) -> Record {
        if matches!(self, Self::These(names) if names.is_empty()) {
            return Record::default();
        }
        let named = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let shown = named.filter(|(name, _)| self.includes(name));
        listed(shown.filter_map(|(name, value)| {
            let value = secrets.strike_header(&name, value)?;
            Some((name, String::from_utf8_lossy(&value).into_owned()))
        }))
    }
}

/// A string for each name, or a list for one that comes again.
fn listed(pairs: impl Iterator<Item = (String, String)>) -> Record {
    let mut record = Record::default();
    for (name, value) in pairs {
        let value = Value::from(value);
        match record.get_mut(&name) {
            None => {
                record.insert(Str::from(name), value);
            }
            Some(Value::Array(all)) => std::sync::Arc::make_mut(all).push(value),
            Some(first) => *first = Value::from(vec![std::mem::take(first), value]),
        }
    }
    record
}

/// How a peer reached us.
pub(super) struct Reached<'a> {
    pub(super) peer: &'a Peer,
    /// Id of the connection.
    pub(super) conn: u64,
    pub(super) is_encrypted: bool,
    pub(super) certificate: Option<&'a PeerCertificate>,
    /// What was agreed on compression.
    pub(super) extension: Option<&'a Extension>,
    pub(super) proxy: &'a ProxyDetails,
    /// What guards know of it.
    pub(super) sessions: &'a [&'a Session],
    /// The cookie by which it is known.
    pub(super) cookie: Option<&'a str>,
}

/// The metadata of a connection; what does not change between its messages is made here, once.
pub(super) fn metadata(
    request: &Request,
    chosen: &Chosen<'_>,
    reached: &Reached<'_>,
    (exposed, secrets): (&Exposed, &Places),
) -> Metadata {
    let authority = &request.authority;
    let authority = match authority.port() {
        Some(port) => format!("{}:{port}", authority.host()),
        None => authority.host().to_owned(),
    };
    let mut shown = Record::from_iter([
        ("tls", Value::from(reached.is_encrypted)),
        ("peer", reached.peer.record().into()),
        ("conn", Value::from(reached.conn)),
        ("path", Value::from(request.path.as_str())),
        ("authority", Value::from(authority)),
        ("scheme", Value::from(if request.secure { "https" } else { "http" })),
    ]);
    // What there is not takes no memory: there are many connections.
    if let Some(query) = &request.query {
        shown.insert("query", listed(query_pairs(&secrets.strike_query(query)).into_iter()));
    }
    if !chosen.params.is_empty() {
        shown.insert("params", listed(chosen.params.iter().cloned()));
    }
    if let Some(origin) = &request.origin {
        shown.insert("origin", origin.as_str());
    }
    let headers = exposed.record(&request.headers, secrets);
    if !headers.is_empty() {
        shown.insert("headers", headers);
    }
    if let Some(protocol) = chosen.protocol {
        shown.insert("protocol", protocol);
    }
    if let Some(extensions) = extensions_list(reached.extension) {
        shown.insert("extensions", extensions);
    }
    if let Some(certificate) = reached.certificate {
        shown.insert("tls_peer", certificate.to_value());
    }
    if let Some(proxy) = proxy::shown(reached.proxy) {
        shown.insert("proxy", proxy);
    }
    describe(reached.sessions, &mut shown);
    if let Some(cookie) = reached.cookie {
        shown.insert("cookie", cookie);
        // Nobody else says who it is.
        if reached.sessions.is_empty() {
            shown.insert("identity", cookie);
        }
    }
    if let Some(route) = &chosen.way.shown {
        shown.insert("route", route.clone());
    }
    Metadata::new(SPEC.name, shown)
}
