//! `ws_server`: accepts WebSocket connections, each a stream in both directions (`spec/connectors.md` 3.1).

pub(in crate::ws) mod admission;
mod asker;
mod cookies;
mod doorman;
mod endpoint;
mod granting;
mod http2;
mod metadata;
mod opening;
mod pages;
mod peer;
mod petition;
mod proxy;
mod queues;
mod refusing;
mod renewal;
mod replay;
pub(in crate::ws) mod routing;
pub(in crate::ws) mod settings;

use super::{
    exposed::Exposed,
    fields,
    foreign::refuse_at_server,
    guards::Guards,
    metrics::Watch,
    options::{Settings, Wire, open_handshake},
    places,
    schema::Schemas,
};
use admission::Caps;
use async_trait::async_trait;
use cookies::Cookies;
use doorman::Doorman;
use endpoint::{Acceptor, Endpoint, Endpoints};
use http2::{MOST_REQUESTS, Requests};
use opening::Entered;
use pages::Pages;
use peer::{Incoming, Peer};
use proxy::Proxies;
use queues::Queues;
use replay::Replays;
use routing::{Reading, Routing};
use settings::{Admits, Answers, Demands, handshake_options};
use std::{
    future::poll_fn,
    io,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use tremor_connector::{
    Addressing, Announcer, Built, CodecUse, Command, ConnectError, Connected, Connector, Environment, Exit,
    Handshake, Listener, Quota, Replay, SinkUse, Spec,
    config::{ConfigError, Reader},
    duplex::Outgoing,
    files::Following,
    metrics::Measures,
    tls::ServerTls,
};
use tremor_ws::{HandshakeOptions, Trust};

/// The table line.
pub(crate) const SPEC: Spec = Spec {
    name: "ws_server",
    summary: "Accepts WebSocket connections; answers find the connection that they belong to.",
    fields: fields::SERVER,
    below: places::SERVER,
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
    let mut settings = Settings::new(config, environment, refuse_at_server)?;
    let http2 = settings.config.or("http2", false)?;
    let endpoints = Endpoints::read(&mut settings, http2)?;
    let (handshake, shared, outlets) = Shared::read(&mut settings, environment)?;
    let drain_times = settings.drain_times()?;
    let frame_type = settings.frame_type()?;
    settings.finish()?;
    if let Some(error) = endpoints.lacks_tls {
        return Err(error);
    }
    let Outlets { exits, queues, replays } = outlets;
    Ok(Built {
        send_queue: queues.of_all,
        queue_key: queues.key(),
        frame_type,
        queues: queues.of_routes,
        drain_times,
        commands: shared.commands(&endpoints.tls),
        exits,
        gives_out: shared.routing.gives_out(),
        outgoing: shared.schemas.ahead().map(|ahead| -> Arc<dyn Outgoing> { Arc::new(ahead) }),
        replays,
        measures: shared.watch.clone().map(|watch| -> Arc<dyn Measures> { watch }),
        ..Built::new(Server {
            endpoints: endpoints.all,
            tls: endpoints.tls,
            handshake,
            http2,
            shared: Arc::new(shared),
        })
    })
}

/// The command to read the files of `tls` again. That takes a while: what comes of it is logged.
fn reload_tls(tls: Vec<ServerTls>, alias: &str) -> Command {
    let alias = alias.to_owned();
    let reload = move || {
        if tls.is_empty() {
            return Err("there is no `tls` to read again".to_owned());
        }
        let (tls, alias) = (tls.clone(), alias.clone());
        tokio::spawn(async move {
            for tls in tls {
                let _logged = tls.reload(&alias).await;
            }
        });
        Ok(())
    };
    Command { kind: "reload_tls", members: &[], handle: Box::new(move |_record, _connections| reload()) }
}

/// A command that cannot be done without a setting that is not there.
fn lacking(kind: &'static str, members: &'static [&'static str], setting: &str) -> Command {
    let problem = format!("the command `{kind}` needs {setting} in the configuration");
    Command { kind, members, handle: Box::new(move |_record, _connections| Err(problem.clone())) }
}

struct Server {
    endpoints: Vec<Endpoint>,
    /// All settings of TLS.
    tls: Vec<ServerTls>,
    handshake: Demands,
    /// HTTP/2 is spoken, too.
    http2: bool,
    shared: Arc<Shared>,
}

/// One way in.
struct Door {
    /// What origins of events call it.
    name: String,
    tls: Option<ServerTls>,
    handshake: Arc<HandshakeOptions>,
    /// HTTP/2 is spoken, too.
    http2: bool,
}

/// What the connections of one server share.
struct Shared {
    /// From an accepted socket to the 101.
    open_handshake: Option<Duration>,
    answers: Answers,
    guards: Arc<Guards>,
    doorman: Option<Doorman>,
    routing: Routing,
    schemas: Schemas,
    /// Lines that tell of connections without a schema.
    schemas_told: Mutex<Quota>,
    pages: Pages,
    exposed: Exposed,
    admits: Admits,
    proxies: Option<Proxies>,
    cookies: Option<Arc<Cookies>>,
    trust: Trust,
    caps: Caps,
    /// There if somebody wants to know.
    watch: Option<Arc<Watch>>,
    /// Somebody hears of handshakes that were refused.
    is_told: AtomicBool,
    /// Knows what stands behind, once connections are taken.
    announcer: OnceLock<Announcer>,
    /// No more connections are taken.
    is_draining: watch::Sender<bool>,
    environment: Environment,
}

/// What others than the connections themselves have to know of their routes.
struct Outlets {
    exits: Vec<Exit>,
    queues: Queues,
    replays: Vec<Arc<Replay>>,
}

impl Shared {
    /// Reads what is of all connections, and what their requests have to be like.
    fn read<'a>(
        settings: &mut Settings<'a>,
        environment: &'a Environment,
    ) -> Result<(Demands, Self, Outlets), ConfigError> {
        let open_handshake = open_handshake(settings)?;
        let wire = settings::wire(settings, &Wire::default())?;
        let handshake = handshake_options(settings)?;
        let answers = Answers::read(settings)?;
        let guards = Guards::read(settings)?;
        let queues = Queues::read(settings)?;
        let replays = Replays::read(settings)?;
        let mut schemas = Schemas::read(settings, SPEC.name, &environment.alias)?;
        let mut reading = Reading {
            settings: &mut *settings,
            environment,
            guards: &guards,
            wire: &wire,
            queues,
            replays,
            schemas: &mut schemas,
            exits: Vec::new(),
        };
        let routing = reading.routing()?;
        let Reading { mut exits, queues, replays, .. } = reading;
        schemas.tell_of_unused(settings);
        let doorman = Doorman::read(settings, &guards, &mut exits, open_handshake)?;
        let cookies = Cookies::read(settings)?;
        let knows_identities = !guards.is_empty() || doorman.is_some() || cookies.is_some();
        routing.tell_likenesses(knows_identities);
        let max_message = routing.max_message();
        let shared = Self {
            open_handshake,
            answers,
            guards: Arc::new(guards),
            doorman,
            routing,
            schemas,
            schemas_told: Mutex::default(),
            pages: Pages::read(settings)?,
            exposed: Exposed::read(settings)?,
            admits: Admits::read(settings)?,
            proxies: Proxies::read(settings)?,
            cookies,
            trust: settings::trust(settings)?,
            caps: Caps::read(settings, knows_identities, max_message)?,
            watch: Watch::new(environment, true, queues.of_all.when_full),
            is_told: AtomicBool::new(false),
            announcer: OnceLock::new(),
            is_draining: watch::Sender::new(false),
            environment: environment.clone(),
        };
        Ok((handshake, shared, Outlets { exits, queues, replays: replays.all }))
    }

    /// What the flow may tell us to do.
    fn commands(&self, tls: &[ServerTls]) -> Vec<Command> {
        let forget = self.cookies.clone().map(Cookies::command);
        let authorize = self.doorman.as_ref().map(Doorman::command);
        vec![
            forget.unwrap_or_else(|| lacking("forget_cookie", &cookies::COMMAND, "`cookie`")),
            reload_tls(tls.to_vec(), &self.environment.alias),
            authorize.unwrap_or_else(|| {
                lacking("authorize", &doorman::ANSWER, "`authorize`, or a guard of type `flow`,")
            }),
        ]
    }

    fn is_draining(&self) -> bool {
        *self.is_draining.borrow()
    }

    /// Whether nothing will be read from peers any more, since what stands behind has failed for good.
    fn is_cut_off(&self) -> bool {
        self.announcer.get().is_some_and(Announcer::is_cut_off)
    }

    /// Tells whether more connections are taken.
    fn draining(&self) -> watch::Receiver<bool> {
        self.is_draining.subscribe()
    }
}

/// Waits until no more connections are taken, or nobody is there any more who could take some.
async fn begun(mut draining: watch::Receiver<bool>) {
    let _begun_or_gone = draining.wait_for(|is_draining| *is_draining).await;
}

#[async_trait]
impl Connector for Server {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        let shared = self.shared.clone();
        let alias = &shared.environment.alias;
        if let Some(cookies) = shared.cookies.clone() {
            let opened = tokio::task::spawn_blocking(move || cookies.open()).await;
            let opened = opened.map_err(|_| ConnectError::Failed("an internal error".to_owned()))?;
            if let Some(told) = opened.map_err(ConnectError::Failed)? {
                tracing::warn!(target: "tremor_runtime", "[Connector::{alias}] {told}");
            }
        }
        self.shared.schemas.start().await.map_err(ConnectError::Failed)?;
        let mut ways = Vec::with_capacity(self.endpoints.len());
        for endpoint in &self.endpoints {
            let acceptor = endpoint.listen().await?;
            let handshake = self.handshake.of_connections(endpoint.tls.is_some());
            let tls = endpoint.tls.clone();
            let door = Door { name: acceptor.name(), tls, handshake, http2: self.http2 };
            ways.push((acceptor, Arc::new(door)));
        }
        for (acceptor, _) in &ways {
            tracing::info!(target: "tremor_runtime", "[Connector::{alias}] listening on {}", acceptor.address());
        }
        shared.guards.start(alias);
        let watching = self.tls.iter().filter_map(|tls| tls.watch(alias)).collect();
        let (requests, requested) = mpsc::channel(MOST_REQUESTS);
        Ok(Connected::Listener(Box::new(Accepting {
            requests,
            requested,
            ways: Ways { all: ways, last: 0 },
            shared,
            _watching: watching,
        })))
    }
}

struct Accepting {
    ways: Ways<Arc<Door>>,
    /// Where streams of HTTP/2 connections ask to be taken like what is accepted.
    requests: Requests,
    requested: mpsc::Receiver<Handshake>,
    shared: Arc<Shared>,
    /// Follows the files of `tls`.
    _watching: Vec<Following>,
}

/// Listeners, each with what belongs to it.
struct Ways<D> {
    all: Vec<(Acceptor, D)>,
    /// By which somebody came last: the others are asked before it.
    last: usize,
}

impl<D: Clone> Ways<D> {
    /// The next one who comes, by whichever way.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Incoming, Peer, D)>> {
        let numbered = self.all.iter().enumerate();
        let (first, then) = (numbered.clone().skip(self.last + 1), numbered.take(self.last + 1));
        for (number, (acceptor, door)) in first.chain(then) {
            if let Poll::Ready(accepted) = acceptor.poll_accept(cx) {
                self.last = number;
                return Poll::Ready(accepted.map(|(incoming, peer)| (incoming, peer, door.clone())));
            }
        }
        Poll::Pending
    }
}

#[async_trait]
impl Listener for Accepting {
    async fn accept(&mut self) -> io::Result<Handshake> {
        let (incoming, mut peer, door) = tokio::select! {
            accepted = poll_fn(|cx| self.ways.poll_next(cx)) => accepted?,
            Some(handshake) = self.requested.recv() => return Ok(handshake),
        };
        let (shared, requests) = (self.shared.clone(), self.requests.clone());
        Ok(Box::pin(async move {
            let opened = match incoming {
                Incoming::Tcp(tcp, options) => match options.apply_to_accepted(&tcp) {
                    Ok(()) => shared.open(&door, tcp, &mut peer, requests).await,
                    Err(error) => Err(error.to_string().into()),
                },
                #[cfg(unix)]
                Incoming::Unix(stream) => shared.open(&door, stream, &mut peer, requests).await,
            };
            opened.map_err(|not_opened| shared.refused(&door, not_opened, &peer))
        }))
    }

    fn begin(&mut self, announcer: Announcer) {
        self.shared.is_told.store(announcer.leads_on("control"), Relaxed);
        if let Some(doorman) = &self.shared.doorman {
            doorman.begin(announcer.clone());
        }
        self.shared.announcer.get_or_init(|| announcer);
    }

    fn answers_to_the_end(&self) -> bool {
        true
    }

    fn drain(&mut self) -> bool {
        self.shared.is_draining.send_replace(true);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::testing::environment;
    use tokio::net::{TcpListener, TcpStream};
    use tremor_connector::socket::SocketOptions;
    use tremor_value::Value;

    /// All of it is copied once for every client that comes, and again wherever a future that is part of it is passed on by
    /// value: that stands in it twice then.
    #[cfg(unix)]
    #[tokio::test]
    async fn what_a_handshake_needs_is_small() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket").to_str().unwrap().to_owned();
        let config = format!(r#"{{"listen": [{{"type": "unix", "path": "{path}"}}]}}"#);
        let config = Value::from_json_str(&config).unwrap();
        let mut built = build(Reader::new(&config, "config").unwrap(), &environment()).unwrap();
        let Connected::Listener(mut listener) = built.connector.connect().await.unwrap() else {
            panic!("a server listens");
        };
        let _client = tokio::net::UnixStream::connect(path).await.unwrap();
        let handshake = listener.accept().await.unwrap();
        let size = size_of_val(&*handshake);
        assert!(size <= 7168, "{size} bytes");
    }

    #[tokio::test]
    async fn nobody_waits_behind_all_who_come_by_another_way() {
        let (mut ways, mut waiting) = (Ways { all: Vec::new(), last: 0 }, Vec::new());
        for name in ["one", "two", "three"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            for _ in 0..5 {
                waiting.push(TcpStream::connect(address).await.unwrap());
            }
            let acceptor =
                Acceptor::Tcp { listener, port: address.port(), options: SocketOptions::default() };
            ways.all.push((acceptor, name));
        }
        let mut seen = Vec::new();
        for _ in 0..15 {
            seen.push(poll_fn(|cx| ways.poll_next(cx)).await.unwrap().2);
        }
        let firsts = ["one", "two", "three"].map(|name| seen.iter().position(|seen| *seen == name).unwrap());
        assert!(firsts.iter().all(|first| *first < 5), "{seen:?}");
    }
}
