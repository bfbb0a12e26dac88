//! `ws_server`: accepts WebSocket connections, each a stream in both directions (`spec/connectors.md` 3.1).

mod admission;
mod metadata;
mod opening;
mod pages;
mod proxy;
mod refusing;
mod routing;
mod settings;

use super::{
    fields,
    guards::Guards,
    options::{Settings, Wire, open_handshake},
};
use admission::Caps;
use async_trait::async_trait;
use metadata::Exposed;
use pages::Pages;
use proxy::Proxies;
use routing::{Reading, Routing};
use settings::{Admits, Answers, handshake_options};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::net::TcpListener;
use tremor_connector::{
    Addressing, Built, CodecUse, Command, ConnectError, Connected, Connector, Environment, Handshake,
    Listener, SinkUse, Spec,
    config::{ConfigError, Reader},
    socket::{self, SocketOptions},
    tls::{ServerTls, TlsKeys, Watching},
    url::{Rules, Url},
};
use tremor_ws::{HandshakeOptions, Trust};

/// The table line.
pub(crate) const SPEC: Spec = Spec {
    name: "ws_server",
    summary: "Accepts WebSocket connections; answers find the connection that they belong to.",
    fields: fields::SERVER,
    needs_config: true,
    codec: CodecUse::Required,
    is_source: true,
    sink: SinkUse::Connections(Addressing::Many { kind: "ws_server" }),
    inputs: &["in", "broadcast", "control"],
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
    let open_handshake = open_handshake(&mut settings)?;
    let wire = settings::wire(&mut settings, &Wire::default())?;
    let handshake = handshake_options(&mut settings, tls.is_some())?;
    let answers = Answers::read(&mut settings)?;
    let guards = Guards::read(&mut settings)?;
    let exits = Vec::new();
    let mut reading = Reading { settings: &mut settings, environment, guards: &guards, wire: &wire, exits };
    let routing = reading.routing()?;
    let exits = reading.exits;
    let gives_out = routing.gives_out();
    let (send_queue, queue_key) = settings.server_send_queue()?;
    let drain_times = settings.drain_times()?;
    let shared = Shared {
        port: url.port_or(if tls.is_some() { 443 } else { 80 }),
        tls,
        socket,
        open_handshake,
        handshake: Arc::new(handshake),
        answers,
        guards,
        routing,
        pages: Pages::read(&mut settings)?,
        exposed: Exposed::read(&mut settings)?,
        admits: Admits::read(&mut settings)?,
        proxies: Proxies::read(&mut settings)?,
        trust: settings::trust(&mut settings)?,
        caps: Caps::read(&mut settings)?,
        is_draining: AtomicBool::new(false),
        environment: environment.clone(),
    };
    settings.finish()?;
    if let Some(error) = lacks_tls {
        return Err(error);
    }
    let commands = vec![reload_tls(shared.tls.as_ref(), &shared.environment.alias)];
    Ok(Built {
        send_queue,
        queue_key,
        drain_times,
        commands,
        exits,
        gives_out,
        ..Built::new(Server { url, backlog, shared: Arc::new(shared) })
    })
}

/// The command to read the files of `tls` again. That takes a while: what comes of it is logged.
fn reload_tls(tls: Option<&ServerTls>, alias: &str) -> Command {
    let (tls, alias) = (tls.cloned(), alias.to_owned());
    let reload = move || {
        let (tls, alias) = (tls.clone().ok_or("there is no `tls` to read again")?, alias.clone());
        tokio::spawn(async move {
            let _logged = tls.reload(&alias).await;
        });
        Ok(())
    };
    Command { kind: "reload_tls", handle: Box::new(move |_record, _connections| reload()) }
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
    /// From an accepted socket to the 101.
    open_handshake: Option<Duration>,
    handshake: Arc<HandshakeOptions>,
    answers: Answers,
    guards: Guards,
    routing: Routing,
    pages: Pages,
    exposed: Exposed,
    admits: Admits,
    proxies: Option<Proxies>,
    trust: Trust,
    caps: Caps,
    /// No more connections are taken.
    is_draining: AtomicBool,
    environment: Environment,
}

impl Shared {
    fn is_draining(&self) -> bool {
        self.is_draining.load(Relaxed)
    }
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
        shared.guards.start(&shared.environment.alias);
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
        let (tcp, mut peer) = self.listener.accept().await?;
        let shared = self.shared.clone();
        Ok(Box::pin(async move {
            let opened = shared.open(tcp, &mut peer).await;
            opened.map_err(|not_opened| shared.refused(not_opened, peer))
        }))
    }

    fn drain(&mut self) -> bool {
        self.shared.is_draining.store(true, Relaxed);
        true
    }
}
