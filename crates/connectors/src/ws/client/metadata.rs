//! What the events of a connection tell of its handshake (`spec/websocket.md` 15): of what was asked for, and of who has
//! answered what.

use super::{Client, credentials::Credentials};
use crate::ws::{
    exposed::{listed, scheme},
    extensions_list,
};
use tremor_connector::tls::PeerCertificate;
use tremor_value::Record;
use tremor_ws::{ClientRequest, Response, guard::Places, query_pairs};

/// What was asked of a server.
pub(super) struct Sent {
    authority: String,
    target: String,
    origin: Option<String>,
}

impl Sent {
    pub(super) fn of(request: &ClientRequest) -> Self {
        Self {
            authority: request.host().to_ascii_lowercase(),
            target: request.target.clone(),
            origin: request.origin.clone(),
        }
    }
}

/// What is told of a connection, besides whom it leads to; what does not change between its messages.
pub(super) fn describe(
    client: &Client,
    sent: &Sent,
    (response, is_encrypted): (&Response, bool),
    certificate: Option<&PeerCertificate>,
    shown: &mut Record,
) {
    let (path, query) = match sent.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (sent.target.as_str(), None),
    };
    shown.insert("path", path);
    shown.insert("authority", sent.authority.as_str());
    shown.insert("scheme", scheme(is_encrypted));
    if let Some(query) = query {
        let secret = client.credentials.as_ref().and_then(Credentials::parameter);
        let pairs = query_pairs(query).into_iter().map(|(name, value)| {
            let value = if secret == Some(name.as_str()) { "***".to_owned() } else { value };
            (name, value)
        });
        shown.insert("query", listed(pairs));
    }
    if let Some(origin) = &sent.origin {
        shown.insert("origin", origin.as_str());
    }
    let headers = client.exposed.record(&response.headers, &Places::default());
    if !headers.is_empty() {
        shown.insert("headers", headers);
    }
    if let Some(protocol) = &response.protocol {
        shown.insert("protocol", protocol.as_str());
    }
    if let Some(extensions) = extensions_list(response.extensions.first()) {
        shown.insert("extensions", extensions);
    }
    if let Some(certificate) = certificate {
        shown.insert("tls_peer", certificate.to_value());
    }
}
