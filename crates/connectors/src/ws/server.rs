//! `ws_server`: accepts WebSocket connections, each a stream in both directions (`spec/connectors.md` 3.1).

use super::{
    metadata,
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
    Addressing, Built, CodecUse, ConnectError, Connected, Connector, Environment, Field, Handshake, Listener,
    SinkUse, Spec,
    config::{ConfigError, Reader},
    duplex::{Duplex, Stream},
    socket::{self, SocketKind, SocketOptions},
    tls::{ServerTls, TlsKeys},
    url::{Rules, Url},
};
use tremor_event::OriginUri;
use tremor_value::{Record, Value};
use tremor_ws::{Accept, HandshakeOptions, Reject, RejectOptions, Request, Role, ServerHandshake, accept};

/// How long a full outbox may delay those who write to it (`spec/websocket.md` 13).
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a refused peer may take to read the answer.
const LINGER: Duration = Duration::from_secs(1);
/// What a peer that comes when there is no room is told to wait.
const RETRY_AFTER_S: u64 = 5;

/// The table line.
pub(crate) const SPEC: Spec = Spec {
    name: "ws_server",
    summary: "Accepts WebSocket connections; answers find the connection that they belong to.",
    fields: FIELDS,
    needs_config: true,
    codec: CodecUse::Required,
    is_source: true,
    sink: SinkUse::Connections(Addressing::Many { kind: "ws_server", patience: PATIENCE }),
    inputs: &["in"],
    input_aliases: &[],
    is_debug: false,
    build,
};

const FIELDS: &[Field] = &[
    Field {
        name: "url",
        kind: "string",
        default: "",
        text: "`host:port`, `ws://host:port` or `wss://host:port`; the port defaults to 80 or 443.",
    },
    Field {
        name: "tls",
        kind: "record",
        default: "none",
        text: "`cert`, `key`, `chain`, `min_version`, `max_version`.",
    },
    Field { name: "backlog", kind: "integer", default: "128", text: "Length of the accept queue." },
    Field {
        name: "socket_options",
        kind: "record",
        default: "{}",
        text: "`TCP_NODELAY`, `SO_REUSEADDR`, `SO_REUSEPORT`.",
    },
    Field {
        name: "no_delay",
        kind: "bool",
        default: "true",
        text: "The same as `socket_options.TCP_NODELAY`.",
    },
    Field {
        name: "max_connections",
        kind: "integer",
        default: "65536",
        text: "Connections at once; 0: no cap.",
    },
    Field {
        name: "max_pending_handshakes",
        kind: "integer",
        default: "1024",
        text: "Handshakes under way at once.",
    },
];

fn build(config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    let mut settings = Settings::new(config)?;
    let url = Url::required(&mut settings.config, "url", &Rules::WEBSOCKET)?;
    let tls = settings
        .config
        .record("tls")?
        .map(|tls| ServerTls::from_config(tls, TlsKeys::WebSocket))
        .transpose()?;
    if url.scheme() == "wss" && tls.is_none() {
        return Err(settings.config.missing("tls", r#"{"cert": "…", "key": "…"}, since the URL says `wss`"#));
    }
    if url.has_path() {
        tracing::warn!(target: "tremor_runtime", "[Connector::{}] the path of `{url}` is ignored: every path is accepted", environment.alias);
    }
    let socket = SocketOptions::from_config(&mut settings.config, SocketKind::WebSocket)?;
    let backlog = settings.config.or_in("backlog", 128, 1..=65_535)?;
    let mut wire = Wire::read(&mut settings)?;
    wire.options.require_masked_client_frames =
        settings.or("require_masked_client_frames", wire.options.require_masked_client_frames)?;
    wire.options.mask_server_frames = settings.or("mask_server_frames", wire.options.mask_server_frames)?;
    let handshake = HandshakeOptions::default();
    let handshake = HandshakeOptions {
        max_target_bytes: settings.or("max_target_size", handshake.max_target_bytes)?,
        max_header_bytes: settings.or("max_header_size", handshake.max_header_bytes)?,
        max_headers: settings.or("max_headers", handshake.max_headers)?,
        external_port: settings.optional("external_port")?,
        secure: tls.is_some(),
        ..handshake
    };
    let caps = Caps {
        connections: cap(settings.or("max_connections", 65_536)?),
        handshakes: cap(settings.or("max_pending_handshakes", 1024)?),
    };
    settings.finish()?;
    let port = url.port_or(if tls.is_some() { 443 } else { 80 });
    let shared = Shared {
        port,
        tls,
        socket,
        wire,
        handshake: Arc::new(handshake),
        caps,
        environment: environment.clone(),
    };
    Ok(Built::new(Server { url, backlog, shared: Arc::new(shared) }))
}

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
        let _pending =
            self.caps.handshakes.try_acquire().map_err(|_| "too many handshakes are under way".to_owned())?;
        let mut stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let encrypted = within(deadline, tls.accept(tcp)).await.ok_or("no TLS handshake in time")?;
                Box::new(encrypted.map_err(|error| error.to_string())?)
            }
        };
        let Ok(slot) = self.caps.connections.clone().try_acquire_owned() else {
            return Err(refuse(stream, &Reject::unavailable(RETRY_AFTER_S)).await);
        };
        let mut input = BytesMut::new();
        let mut handshake = ServerHandshake::new(self.handshake.clone());
        let request = match within(deadline, read_request(&mut handshake, &mut stream, &mut input)).await {
            Some(Ok(request)) => request,
            Some(Err(Failure::Refused(reject))) => return Err(refuse(stream, &reject).await),
            Some(Err(Failure::Gone(cause))) => return Err(cause),
            None if handshake.has_begun() => return Err(refuse(stream, &Reject::timeout()).await),
            None => return Err("no request in time".into()),
        };
        let answer = accept(&request, &Accept::default()).map_err(|error| error.to_string())?;
        let answered = within(deadline, async {
            stream.write_all(&answer).await?;
            stream.flush().await
        });
        answered.await.ok_or("the peer does not read the answer")?.map_err(|error| error.to_string())?;
        Ok(self.duplex(stream, input, &request, peer, slot))
    }

    fn duplex(
        &self,
        stream: Box<dyn Stream>,
        input: BytesMut,
        request: &Request,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
    ) -> Duplex {
        let address = self.environment.address(peer);
        let of_connection = Record::from_iter([
            ("tls", Value::from(self.tls.is_some())),
            ("peer", peer_record(&address).into()),
            ("conn", Value::from(address.conn)),
            ("path", Value::from(request.path.as_str())),
        ]);
        let (meta, binary_meta) = metadata(SPEC.name, of_connection);
        let origin = OriginUri {
            port: Some(address.port),
            path: vec![self.port.to_string()],
            ..OriginUri::new("tremor-ws-server", address.host.clone())
        };
        Duplex {
            stream,
            input,
            protocol: Box::new(WebSocket::new(Role::Server, &self.wire, binary_meta, slot)),
            origin: Arc::new(origin),
            meta,
            address,
            limits: self.wire.times,
        }
    }
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

/// Answers a request that is not granted, and gives the peer a moment to read it.
async fn refuse(mut stream: Box<dyn Stream>, reject: &Reject) -> String {
    let answer = reject.to_bytes(&RejectOptions::default());
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
