//! From an accepted socket to the 101 (`spec/websocket.md` 3).

use super::{SPEC, Shared, refusing::NotOpened};
use crate::ws::{Metadata, peer_record, protocol::WebSocket, read_more};
use bytes::BytesMut;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};
use tremor_connector::{
    duplex::{Duplex, Stream},
    tls::{PeerCertificate, explain},
};
use tremor_event::OriginUri;
use tremor_value::{Record, Value};
use tremor_ws::{Accept, Authority, Reject, Request, Role, ServerHandshake, accept};

/// What a peer that comes when there is no room is told to wait.
const RETRY_AFTER_S: u64 = 5;

impl Shared {
    /// Everything from the accepted socket to the 101, under one deadline.
    pub(super) async fn open(&self, tcp: TcpStream, peer: SocketAddr) -> Result<Duplex, NotOpened> {
        let deadline = self.wire.open_handshake.map(|limit| Instant::now() + limit);
        self.socket.apply_to_accepted(&tcp).map_err(|error| error.to_string())?;
        let Ok(_pending) = self.caps.handshakes.try_acquire() else {
            // Whoever expects TLS would not understand an answer, and a handshake is what there is no room for.
            return Err(match self.tls {
                None => self.refuse(Box::new(tcp), &Reject::unavailable(RETRY_AFTER_S)).await,
                Some(_) => "too many handshakes are under way".into(),
            });
        };
        let (mut stream, certificate): (Box<dyn Stream>, _) = match &self.tls {
            None => (Box::new(tcp), None),
            Some(tls) => {
                let encrypted = within(deadline, tls.accept(tcp)).await.ok_or("no TLS handshake in time")?;
                let encrypted = encrypted.map_err(|error| error.to_string())?;
                let certificate = encrypted.client_certificate();
                (Box::new(encrypted), certificate)
            }
        };
        let Ok(slot) = self.caps.connections.clone().try_acquire_owned() else {
            return Err(self.refuse(stream, &Reject::unavailable(RETRY_AFTER_S)).await);
        };
        let mut input = BytesMut::new();
        let mut handshake = ServerHandshake::new(self.handshake.clone());
        let request = match within(deadline, read_request(&mut handshake, &mut stream, &mut input)).await {
            Some(Ok(request)) => request,
            Some(Err(Failure::Refused(reject))) => return Err(self.refuse(stream, &reject).await),
            Some(Err(Failure::Gone(cause))) => return Err(cause.into()),
            None if handshake.has_begun() => return Err(self.refuse(stream, &Reject::timeout()).await),
            None => return Err("no request in time".into()),
        };
        let agreed = admissible(&request).and_then(|()| self.answers.protocol(&request.protocols));
        let protocol = match agreed {
            Ok(protocol) => protocol,
            Err(reject) => return Err(self.refuse(stream, &reject).await),
        };
        let agreed = Accept { protocol, headers: Some(&self.answers.headers), ..Accept::default() };
        let answer = accept(&request, &agreed).map_err(|error| error.to_string())?;
        let answered = within(deadline, async {
            stream.write_all(&answer).await?;
            stream.flush().await
        });
        answered.await.ok_or("the peer does not read the answer")?.map_err(|error| error.to_string())?;
        Ok(self.duplex((stream, input), &request, protocol, (peer, certificate.as_ref()), slot))
    }

    fn duplex(
        &self,
        (stream, input): (Box<dyn Stream>, BytesMut),
        request: &Request,
        protocol: Option<&str>,
        (peer, certificate): (SocketAddr, Option<&PeerCertificate>),
        slot: OwnedSemaphorePermit,
    ) -> Duplex {
        let address = self.environment.address(peer);
        let mut of_connection = Record::from_iter([
            ("tls", Value::from(self.tls.is_some())),
            ("peer", peer_record(&address).into()),
            ("conn", Value::from(address.conn)),
            ("path", Value::from(request.path.as_str())),
        ]);
        if let Some(protocol) = protocol {
            of_connection.insert("protocol", protocol);
        }
        if let Some(certificate) = certificate {
            of_connection.insert("tls_peer", certificate.to_value());
        }
        let metadata = Metadata::new(SPEC.name, of_connection);
        let origin = self.origin(address.host.clone(), address.port);
        Duplex {
            stream,
            input,
            meta: metadata.text(),
            protocol: Box::new(WebSocket::new(Role::Server, &self.wire, metadata, slot)),
            origin: Arc::new(origin),
            exit: None,
            address,
            limits: self.wire.times,
        }
    }
}

impl Shared {
    /// Of what comes from a peer.
    pub(super) fn origin(&self, host: String, port: u16) -> OriginUri {
        OriginUri {
            port: Some(port),
            path: vec![self.port.to_string()],
            ..OriginUri::new("tremor-ws-server", host)
        }
    }
}

/// Refuses paths that climb (`spec/websocket.md` 6.2) and origins that are none (4).
fn admissible(request: &Request) -> Result<(), Reject> {
    let is_dots =
        |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if request.path.split('/').any(is_dots) {
        return Err(Reject::new(400, "path", "the path has a segment `.` or `..`".to_owned()));
    }
    if request.origin.as_deref().is_some_and(|origin| !is_origin(origin)) {
        return Err(Reject::new(403, "origin", "the origin is not `scheme://host` or `null`".to_owned()));
    }
    Ok(())
}

/// As RFC 6454 writes them. `file://` has no host and is sent all the same.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return text == "null" };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme && (Authority::parse(host).is_some() || text == "file://")
}

/// Why there is no request.
enum Failure {
    Refused(Reject),
    Gone(String),
}

async fn read_request(
    handshake: &mut ServerHandshake,
    stream: &mut Box<dyn Stream>,
    input: &mut BytesMut,
) -> Result<Request, Failure> {
    loop {
        if let Some(request) = handshake.advance(input).map_err(Failure::Refused)? {
            return Ok(request);
        }
        match read_more(stream, input).await {
            Ok(true) => {}
            Ok(false) => return Err(Failure::Gone("the peer went away during the handshake".into())),
            Err(error) => return Err(Failure::Gone(explain(&error))),
        }
    }
}

async fn within<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        None => Some(future.await),
        Some(deadline) => timeout_at(deadline, future).await.ok(),
    }
}
