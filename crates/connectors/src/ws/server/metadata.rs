//! What the events of a connection tell of its handshake (`spec/websocket.md` 15).

use super::{SPEC, peer::Peer, proxy, routing::Chosen};
use crate::ws::{
    Metadata,
    exposed::{Exposed, listed, scheme},
    extensions_list,
    guards::describe,
};
use tremor_connector::tls::PeerCertificate;
use tremor_value::{Record, Value};
use tremor_ws::guard::{Places, Session};
use tremor_ws::{Extension, Head, Headers, ProxyDetails, Request, query_pairs};

/// How a peer reached us.
#[derive(Clone, Copy)]
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

/// The metadata of a connection; what does not change between its messages is made here, once. Also of a handshake for
/// which no route is chosen yet.
pub(super) fn metadata(
    request: &Request,
    chosen: Option<&Chosen<'_, '_>>,
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
        ("scheme", scheme(request.secure)),
    ]);
    // What there is not takes no memory: there are many connections.
    if let Some(query) = &request.query {
        shown.insert("query", listed(query_pairs(&secrets.strike_query(query)).into_iter()));
    }
    if let Some(chosen) = chosen.filter(|chosen| !chosen.params.is_empty()) {
        shown.insert("params", listed(chosen.params.iter().cloned()));
    }
    if let Some(origin) = &request.origin {
        shown.insert("origin", origin.as_str());
    }
    let headers = exposed.record(&request.headers, secrets);
    if !headers.is_empty() {
        shown.insert("headers", headers);
    }
    if let Some(protocol) = chosen.and_then(|chosen| chosen.protocol) {
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
    if let Some(route) = chosen.and_then(|chosen| chosen.way.shown.as_ref()) {
        shown.insert("route", route.clone());
    }
    Metadata::new(SPEC.name, shown)
}

/// A request that is refused: as much of it as was read, as it was sent.
pub(super) struct Asked<'a> {
    path: &'a str,
    query: Option<&'a str>,
    headers: &'a Headers,
}

impl<'a> Asked<'a> {
    /// Of which nothing else is known.
    pub(super) fn head(head: &'a Head) -> Self {
        let (path, query) = head.sent();
        Self { path, query, headers: &head.headers }
    }

    /// That asks for a WebSocket as it should.
    pub(super) fn request(request: &'a Request) -> Self {
        Self { path: &request.path, query: request.query.as_deref(), headers: &request.headers }
    }

    /// The path as it was sent.
    pub(super) fn path(&self) -> &'a str {
        self.path
    }

    /// What is told of it, under the names that metadata of connections have.
    pub(super) fn shown(&self, exposed: &Exposed, secrets: &Places) -> Record {
        let mut shown = Record::from_iter([("path", Value::from(self.path))]);
        if let Some(query) = self.query {
            shown.insert("query", listed(query_pairs(&secrets.strike_query(query)).into_iter()));
        }
        if let Some(origin) = self.headers.get("origin") {
            shown.insert("origin", String::from_utf8_lossy(origin).into_owned());
        }
        let headers = exposed.record(self.headers, secrets);
        if !headers.is_empty() {
            shown.insert("headers", headers);
        }
        shown
    }
}
