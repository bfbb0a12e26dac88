//! `ws_server`: accepts WebSocket connections, each a stream in both directions (`spec/connectors.md` 3.1).

use super::{
    Metadata, fields, header_list,
    options::{Settings, Wire},
    peer_record,
    protocol::WebSocket,
    read_more,
};
use async_trait::async_trait;
use bytes::BytesMut;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};
use tremor_connector::{
    Addressing, Built, CodecUse, ConnectError, Connected, Connector, Environment, Handshake, Listener,
    SinkUse, Spec,
    config::{ConfigError, OneOrMany, Reader},
    duplex::{Duplex, Stream},
    socket::{self, SocketOptions},
    tls::{ServerTls, TlsKeys},
    url::{Rules, Url},
};
use tremor_event::OriginUri;
use tremor_value::{Record, Value};
use tremor_ws::{
    Accept, Authority, ExtraHeaders, HandshakeOptions, Reject, RejectOptions, Request, Role, ServerHandshake,
    accept,
};

/// How long a refused peer may take to read the answer.
const LINGER: Duration = Duration::from_secs(1);
/// What a peer that comes when there is no room is told to wait.
const RETRY_AFTER_S: u64 = 5;

/// The table line.
pub(crate) const SPEC: Spec = Spec {
    name: "ws_server",
    summary: "Accepts WebSocket connections; answers find the connection that they belong to.",
    fields: fields::SERVER,
    needs_config: true,
    codec: CodecUse::Required,
    is_source: true,
    sink: SinkUse::Connections(Addressing::Many { kind: "ws_server" }),
    inputs: &["in"],
    input_aliases: &[],
    is_debug: false,
    build,
};

fn build(config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    let mut settings = Settings::new(config, environment)?;
    let url = Url::required(&mut settings.config, "url", &Rules::WEBSOCKET)?;
    if url.userinfo().is_some() {
        let problem = "name and password have no meaning in the address of a server; leave them out";
        return Err(settings.config.invalid("url", problem));
    }
    let tls = settings
        .config
        .record("tls")?
        .map(|tls| ServerTls::from_config(tls, TlsKeys::WebSocket))
        .transpose()?;
    let lacks_tls = (url.scheme() == "wss" && tls.is_none())
        .then(|| settings.config.missing("tls", r#"{"cert": "…", "key": "…"}, since the URL says `wss`"#));
    if url.has_path() {
        settings.warn(&format!("the path of `{url}` is ignored: every path is accepted"));
    }
    if tls.as_ref().is_some_and(ServerTls::ignores_dhparam) {
        settings.warn("`tls.dhparam` has no effect: finite-field key exchange is never used");
    }
    let socket = settings.socket()?;
    let backlog = settings.config.or_in("backlog", 128, 1..=65_535)?;
    let mut wire = Wire::read(&mut settings)?;
    wire.options.require_masked_client_frames =
        settings.or("require_masked_client_frames", wire.options.require_masked_client_frames)?;
    wire.options.mask_server_frames =
        settings.flag("mask_server_frames", wire.options.mask_server_frames, Some(true))?;
    let handshake = handshake_options(&mut settings, tls.is_some())?;
    let answers = Answers::read(&mut settings)?;
    let send_queue = settings.server_send_queue()?;
    let caps = Caps {
        connections: cap(settings.or("max_connections", 65_536)?),
        handshakes: cap(settings.or("max_pending_handshakes", 1024)?),
    };
    settings.finish()?;
    if let Some(error) = lacks_tls {
        return Err(error);
    }
    let port = url.port_or(if tls.is_some() { 443 } else { 80 });
    let shared = Shared {
        port,
        tls,
        socket,
        wire,
        handshake: Arc::new(handshake),
        answers,
        caps,
        environment: environment.clone(),
    };
    Ok(Built { send_queue, ..Built::new(Server { url, backlog, shared: Arc::new(shared) }) })
}

/// What requests have to be like.
fn handshake_options(settings: &mut Settings<'_>, secure: bool) -> Result<HandshakeOptions, ConfigError> {
    let defaults = HandshakeOptions::default();
    let mut allowed_hosts = Vec::new();
    if let Some(entry) = settings.entry("allowed_hosts")? {
        for host in entry.read::<Vec<String>>()? {
            let authority = Authority::parse(&host);
            allowed_hosts.push(
                authority.ok_or_else(|| entry.invalid(format!("`{host}` is no `host` or `host:port`")))?,
            );
        }
        if allowed_hosts.is_empty() {
            return Err(entry.invalid("an empty list admits nobody; leave it out to admit every host"));
        }
    }
    let options = HandshakeOptions {
        max_target_bytes: settings.or("max_target_size", defaults.max_target_bytes)?,
        max_header_bytes: settings.or("max_header_size", defaults.max_header_bytes)?,
        max_headers: settings.or("max_headers", defaults.max_headers)?,
        allowed_hosts,
        external_port: settings.optional("external_port")?,
        secure,
        enable_rfc6455: settings.or("enable_rfc6455", defaults.enable_rfc6455)?,
        enable_hybi10: settings.or("enable_hybi10", defaults.enable_hybi10)?,
    };
    if !options.enable_rfc6455 && !options.enable_hybi10 {
        let problem = "without it no version of the protocol is left (see `enable_hybi10`)";
        return Err(settings.config.invalid("enable_rfc6455", problem));
    }
    Ok(options)
}

/// What requests are answered with.
struct Answers {
    protocols: Vec<String>,
    /// Among several that fit, our order decides and not the client's.
    prefers_own: bool,
    require_protocol: bool,
    headers: ExtraHeaders,
    reject: RejectOptions,
}

impl Answers {
    fn read(settings: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let server = settings.or("show_server_version", false)?.then(|| SERVER.to_owned());
        let mut headers = match settings.optional::<Reader<'_>>("response_headers")? {
            Some(reader) => header_list(&reader)?,
            None => Vec::new(),
        };
        if let Some(server) = &server {
            headers.push(("Server".to_owned(), server.clone()));
        }
        let headers = ExtraHeaders::for_response(headers)
            .map_err(|error| settings.config.invalid("response_headers", error.to_string()))?;
        let protocols = settings.or("subprotocols", OneOrMany(Vec::new()))?.0;
        let require_protocol = settings.or("require_websocket_subprotocol", false)?;
        if require_protocol && protocols.is_empty() {
            let problem = "needs `subprotocols`, or nobody could connect";
            return Err(settings.config.invalid("require_websocket_subprotocol", problem));
        }
        let words = [("client", false), ("server", true)];
        let prefers_own = settings.word("subprotocol_preference", &words)?.unwrap_or(false);
        let error_bodies = settings.or("error_bodies", true)?;
        let reject = RejectOptions { error_bodies, server };
        Ok(Self { protocols, prefers_own, require_protocol, headers, reject })
    }

    /// The subprotocol for a request with these offers (`spec/websocket.md` 5).
    fn protocol(&self, offers: &[String]) -> Result<Option<&str>, Reject> {
        let own = self.protocols.iter();
        let chosen = if self.prefers_own {
            own.clone().find(|own| offers.contains(own))
        } else {
            offers.iter().find_map(|offer| own.clone().find(|own| *own == offer))
        };
        if chosen.is_none() && self.require_protocol {
            let reason = format!("a subprotocol is needed: {}", self.protocols.join(", "));
            return Err(Reject::new(400, "subprotocol", reason));
        }
        Ok(chosen.map(String::as_str))
    }
}

/// What `Server` says where it is shown.
const SERVER: &str = concat!("tremor/", env!("CARGO_PKG_VERSION"));

struct Server {
    url: Url,
    backlog: u32,
    shared: Arc<Shared>,
}

/// What the connections of one server share.
struct Shared {
    port: u16,
    tls: Option<ServerTls>,
    socket: SocketOptions,
    wire: Wire,
    handshake: Arc<HandshakeOptions>,
    answers: Answers,
    caps: Caps,
    environment: Environment,
}

struct Caps {
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

/// A semaphore of `most` permits, 0 meaning as many as there can be.
fn cap(most: usize) -> Arc<Semaphore> {
    let permits = if most == 0 { Semaphore::MAX_PERMITS } else { most.min(Semaphore::MAX_PERMITS) };
    Arc::new(Semaphore::new(permits))
}

#[async_trait]
impl Connector for Server {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let host = self.url.host().to_string();
        let listener = socket::listen(&host, self.shared.port, self.backlog, &self.shared.socket).await;
        let listener = listener.map_err(|error| ConnectError::Failed(error.to_string()))?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(target: "tremor_runtime", "[Connector::{}] listening on {address}", self.shared.environment.alias);
        }
        Ok(Connected::Listener(Box::new(Accepting { listener, shared: self.shared.clone() })))
    }
}

struct Accepting {
    listener: TcpListener,
    shared: Arc<Shared>,
}

#[async_trait]
impl Listener for Accepting {
    async fn accept(&mut self) -> io::Result<Handshake> {
        let (tcp, peer) = self.listener.accept().await?;
        let shared = self.shared.clone();
        Ok(Box::pin(async move {
            let opened = shared.open(tcp, peer).await;
            opened.map_err(|cause| format!("{peer}: {cause}"))
        }))
    }
}

impl Shared {
    /// Everything from the accepted socket to the 101, under one deadline.
    async fn open(&self, tcp: TcpStream, peer: SocketAddr) -> Result<Duplex, String> {
        let deadline = self.wire.open_handshake.map(|limit| Instant::now() + limit);
        self.socket.apply_to_accepted(&tcp).map_err(|error| error.to_string())?;
        let Ok(_pending) = self.caps.handshakes.try_acquire() else {
            // Whoever expects TLS would not understand an answer, and a handshake is what there is no room for.
            return Err(match self.tls {
                None => self.refuse(Box::new(tcp), &Reject::unavailable(RETRY_AFTER_S)).await,
                Some(_) => "too many handshakes are under way".to_owned(),
            });
        };
        let mut stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let encrypted = within(deadline, tls.accept(tcp)).await.ok_or("no TLS handshake in time")?;
                Box::new(encrypted.map_err(|error| error.to_string())?)
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
            Some(Err(Failure::Gone(cause))) => return Err(cause),
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
        Ok(self.duplex((stream, input), &request, protocol, peer, slot))
    }

    fn duplex(
        &self,
        (stream, input): (Box<dyn Stream>, BytesMut),
        request: &Request,
        protocol: Option<&str>,
        peer: SocketAddr,
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
        let metadata = Metadata::new(SPEC.name, of_connection);
        let origin = OriginUri {
            port: Some(address.port),
            path: vec![self.port.to_string()],
            ..OriginUri::new("tremor-ws-server", address.host.clone())
        };
        Duplex {
            stream,
            input,
            meta: metadata.text(),
            protocol: Box::new(WebSocket::new(Role::Server, &self.wire, metadata, slot)),
            origin: Arc::new(origin),
            address,
            limits: self.wire.times,
        }
    }
}

impl Shared {
    /// Answers a request that is not granted, and gives the peer a moment to read it.
    async fn refuse(&self, mut stream: Box<dyn Stream>, reject: &Reject) -> String {
        let answer = reject.to_bytes(&self.answers.reject);
        let said = async {
            stream.write_all(&answer).await?;
            stream.shutdown().await?;
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // Whether it was read or not, the connection is over.
        let _over = timeout(LINGER, said).await;
        format!("answered {}: {}", reject.status, reject.reason)
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
            Err(error) => return Err(Failure::Gone(error.to_string())),
        }
    }
}

async fn within<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        None => Some(future.await),
        Some(deadline) => timeout_at(deadline, future).await.ok(),
    }
}
