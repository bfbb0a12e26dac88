//! `ws_client`: holds one WebSocket connection (`spec/connectors.md` 3.2).

use super::{
    Metadata, extensions_list, fields, header_list,
    options::{Settings, Wire, open_handshake},
    pace::HeartbeatOptions,
    peer_record,
    protocol::WebSocket,
    read_more,
};
use async_trait::async_trait;
use bytes::BytesMut;
use std::{io, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tremor_connector::{
    Addressing, BackoffUse, Built, CodecUse, ConnectError, Connected, Connector, Environment, SinkUse, Spec,
    config::{ConfigError, OneOrMany, Reader},
    duplex::{Duplex, Stream},
    socket::{self, SocketOptions, Target},
    tls::{ClientTls, explain},
    url::{Rules, Url},
};
use tremor_event::OriginUri;
use tremor_value::{Record, Value};
use tremor_ws::{
    ClientError, ClientHandshake, ClientRequest, DeflateOptions, ExtraHeaders, ProxyVersion, Response, Role,
    host_header, write_proxy_header,
};

/// How long resolving the name and connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The table line.
pub(crate) const SPEC: Spec = Spec {
    name: "ws_client",
    summary: "Holds one WebSocket connection: writes events to it and gives what it receives.",
    fields: fields::CLIENT,
    needs_config: true,
    codec: CodecUse::Required,
    is_source: true,
    sink: SinkUse::Connections(Addressing::Single),
    inputs: &["in", "control"],
    input_aliases: &[],
    is_debug: false,
    build,
};

fn build(config: Reader<'_>, environment: &Environment) -> Result<Built, ConfigError> {
    let mut settings = Settings::new(config, environment)?;
    let url = Url::required(&mut settings.config, "url", &Rules::WEBSOCKET)?;
    if url.userinfo().is_some() {
        let problem = "name and password in the URL are not supported; leave them out, and send what the server \
                       asks for in `headers`, such as {\"Authorization\": \"Basic ...\"}";
        return Err(settings.config.invalid("url", problem));
    }
    let tls = ClientTls::for_websocket(&mut settings.config, &url)?;
    if tls.is_some() && url.scheme() != "wss" && url.scheme_is_written() {
        settings.warn(&format!("`tls` is on, so `{url}` is spoken to with TLS; write `wss` to say so"));
    }
    let socket = settings.socket()?;
    let open_handshake = open_handshake(&mut settings)?;
    let mut wire = Wire::read(&mut settings, &Wire::default())?;
    wire.options.accept_masked_server_frames =
        settings.or("accept_masked_server_frames", wire.options.accept_masked_server_frames)?;
    wire.options.mask_client_frames =
        settings.flag("mask_client_frames", wire.options.mask_client_frames, Some(false))?;
    if let Some(limit) = settings.limit("server_connection_drop_timeout", 1000)? {
        wire.times.drop = limit;
    }
    let secure = tls.is_some();
    let port = url.port_or(if secure { 443 } else { 80 });
    let request = ClientRequest {
        host: host_header(&url.host().to_string(), port, secure),
        target: url.path_and_query().to_owned(),
        headers: headers(&mut settings)?,
        origin: settings.optional("origin")?,
        protocols: settings.or("subprotocols", OneOrMany(Vec::new()))?.0,
        require_protocol: settings.or("require_websocket_subprotocol", false)?,
        extensions: wire.deflate.iter().map(DeflateOptions::offer).collect(),
    };
    let stable_after = Duration::from_millis(settings.or("stable_after", 10_000)?);
    // What a request cannot hold is a mistake of the configuration, so it is found now.
    ClientHandshake::new(request.clone())
        .map_err(|error| settings.config.invalid("url", error.to_string()))?;
    let heartbeat = HeartbeatOptions::read(&mut settings)?.map(Arc::new);
    let versions = [("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)];
    let proxy_header = settings.config.word("send_proxy_protocol", &versions)?;
    let (send_queue, queue_key) = settings.client_send_queue()?;
    settings.finish()?;
    let environment = environment.clone();
    let client = Client {
        url,
        port,
        tls,
        socket,
        wire,
        open_handshake,
        request,
        heartbeat,
        proxy_header,
        environment,
    };
    let backoff = BackoffUse::WebSocketClient { stable_after };
    Ok(Built { backoff, send_queue, queue_key, ..Built::new(client) })
}

fn headers(settings: &mut Settings<'_>) -> Result<ExtraHeaders, ConfigError> {
    let Some(reader) = settings.optional::<Reader<'_>>("headers")? else {
        return Ok(ExtraHeaders::default());
    };
    let headers = header_list(&reader)?;
    ExtraHeaders::for_request(headers).map_err(|error| settings.config.invalid("headers", error.to_string()))
}

struct Client {
    url: Url,
    port: u16,
    tls: Option<ClientTls>,
    socket: SocketOptions,
    wire: Wire,
    open_handshake: Option<Duration>,
    request: ClientRequest,
    heartbeat: Option<Arc<HeartbeatOptions>>,
    /// `send_proxy_protocol`
    proxy_header: Option<ProxyVersion>,
    environment: Environment,
}

#[async_trait]
impl Connector for Client {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let host = self.url.host().target().to_string();
        let failed = |error: String| ConnectError::Failed(error);
        if self.tls.as_ref().is_some_and(ClientTls::is_insecure) {
            let alias = &self.environment.alias;
            tracing::error!(
                target: "tremor_runtime",
                "[Connector::{alias}] `tls.insecure` is on: the certificate of `{host}` is not verified, anybody can pretend to be it"
            );
        }
        let _turn = self.environment.dials.turn(&host, self.port).await;
        let tcp = socket::connect(&host, self.port, &self.socket, CONNECT_LIMIT).await;
        let tcp = tcp.map_err(|error| failed(error.to_string()))?;
        let limit = self.open_handshake;
        let opening = self.open(tcp);
        let opened = match limit {
            None => opening.await,
            Some(limit) => timeout(limit, opening).await.unwrap_or_else(|_| {
                Err(ConnectError::Failed(format!("no handshake within {} ms", limit.as_millis())))
            }),
        };
        let target = Target { host, port: self.port };
        opened.map(Connected::Duplex).map_err(|error| match error {
            ConnectError::Failed(cause) => failed(format!("cannot connect to {target}: {cause}")),
            ConnectError::Later { cause, wait_ms } => {
                ConnectError::Later { cause: format!("cannot connect to {target}: {cause}"), wait_ms }
            }
        })
    }
}

impl Client {
    async fn open(&self, mut tcp: TcpStream) -> Result<Duplex, ConnectError> {
        let io_error = |error: io::Error| ConnectError::Failed(error.to_string());
        let peer = tcp.peer_addr().map_err(io_error)?;
        let local = tcp.local_addr().map_err(io_error)?;
        if let Some(version) = self.proxy_header {
            tcp.write_all(&write_proxy_header(version, local, peer)).await.map_err(io_error)?;
        }
        let mut stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let host = self.url.host().target().to_string();
                let encrypted = tls.connect(&host, tcp).await;
                Box::new(encrypted.map_err(|error| ConnectError::Failed(error.to_string()))?)
            }
        };
        let mut input = BytesMut::new();
        let response = self.shake_hands(&mut stream, &mut input).await?;
        let address = self.environment.address(peer);
        let mut of_connection = Record::from_iter([
            ("tls", Value::from(self.tls.is_some())),
            ("peer", peer_record(&address).into()),
            ("conn", Value::from(address.conn)),
        ]);
        if let Some(protocol) = response.protocol {
            of_connection.insert("protocol", protocol);
        }
        let deflate = match &self.wire.deflate {
            Some(options) => options.agree(&response.extensions),
            None => Ok(None),
        };
        let deflate = deflate.map_err(|error| ConnectError::Failed(error.to_string()))?;
        if let Some(extensions) = extensions_list(response.extensions.first()) {
            of_connection.insert("extensions", extensions);
        }
        let metadata = Metadata::new(SPEC.name, of_connection);
        let origin = OriginUri {
            port: Some(local.port()),
            path: vec![local.port().to_string()],
            ..OriginUri::new("tremor-ws-client", local.ip().to_string())
        };
        let meta = metadata.text();
        let protocol = WebSocket::new(Role::Client, &self.wire, metadata, ())
            .deflate(deflate.as_ref())
            .beating(&self.wire.pace, self.heartbeat.clone());
        Ok(Duplex {
            send_queue: None,
            stream,
            input,
            meta,
            protocol: Box::new(protocol),
            origin: Arc::new(origin),
            exit: None,
            address,
            limits: self.wire.times,
        })
    }

    /// Does the opening handshake; gives what the server agreed to.
    async fn shake_hands(
        &self,
        stream: &mut Box<dyn Stream>,
        input: &mut BytesMut,
    ) -> Result<Response, ConnectError> {
        // A server that speaks TLS 1.3 may refuse our certificate only now.
        let io_error = |error: io::Error| ConnectError::Failed(explain(&error));
        let mut handshake = ClientHandshake::new(self.request.clone())
            .map_err(|error| ConnectError::Failed(error.to_string()))?;
        stream.write_all(handshake.request()).await.map_err(io_error)?;
        stream.flush().await.map_err(io_error)?;
        loop {
            match handshake.advance(input) {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => {}
                Err(error) => return Err(refused(&error)),
            }
            if !read_more(stream, input).await.map_err(io_error)? {
                return Err(refused(&handshake.cut_short(input)));
            }
        }
    }
}

fn refused(error: &ClientError) -> ConnectError {
    let cause = error.to_string();
    match error {
        ClientError::Status(refusal) => match refusal.retry_after {
            Some(seconds) => ConnectError::Later { cause, wait_ms: seconds.saturating_mul(1000) },
            None => ConnectError::Failed(cause),
        },
        _ => ConnectError::Failed(cause),
    }
}
