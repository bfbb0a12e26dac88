//! `ws_server`: accepts WebSocket connections, each a stream in both directions (`spec/connectors.md` 3.1).

mod opening;
mod refusing;
mod settings;

use super::{
    fields,
    options::{Settings, Wire},
};
use async_trait::async_trait;
use settings::{Answers, Caps, cap, handshake_options};
use std::{io, sync::Arc};
use tokio::net::TcpListener;
use tremor_connector::{
    Addressing, Built, CodecUse, ConnectError, Connected, Connector, Environment, Handshake, Listener,
    SinkUse, Spec,
    config::{ConfigError, Reader},
    socket::{self, SocketOptions},
    tls::{ServerTls, TlsKeys, Watching},
    url::{Rules, Url},
};
use tremor_ws::HandshakeOptions;

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
    for hazard in tls.iter().flat_map(ServerTls::hazards) {
        settings.warn(&hazard);
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

#[async_trait]
impl Connector for Server {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let host = self.url.host().to_string();
        let listener = socket::listen(&host, self.shared.port, self.backlog, &self.shared.socket).await;
        let listener = listener.map_err(|error| ConnectError::Failed(error.to_string()))?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(target: "tremor_runtime", "[Connector::{}] listening on {address}", self.shared.environment.alias);
        }
        let shared = self.shared.clone();
        let watching = shared.tls.as_ref().and_then(|tls| tls.watch(&shared.environment.alias));
        Ok(Connected::Listener(Box::new(Accepting { listener, shared, _watching: watching })))
    }
}

struct Accepting {
    listener: TcpListener,
    shared: Arc<Shared>,
    /// Follows the files of `tls`.
    _watching: Option<Watching>,
}

#[async_trait]
impl Listener for Accepting {
    async fn accept(&mut self) -> io::Result<Handshake> {
        let (tcp, peer) = self.listener.accept().await?;
        let shared = self.shared.clone();
        Ok(Box::pin(async move {
            let opened = shared.open(tcp, peer).await;
            opened.map_err(|not_opened| shared.refused(not_opened, peer))
        }))
    }
}
