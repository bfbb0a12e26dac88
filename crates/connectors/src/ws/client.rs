//! `ws_client`: holds one WebSocket connection (`spec/connectors.md` 3.2, `spec/websocket.md` 8).

mod agreeing;
mod credentials;
mod endpoint;
mod greeting;
mod http2;
mod judging;
mod metadata;
mod opening;
mod per_origin;
mod place;
mod proxy;
mod refused;
mod sending;
mod wanted;

use super::{
    exposed::Exposed,
    fields,
    foreign::refuse_at_client,
    header_list,
    metrics::Watch,
    options::{KEY, Settings, Wire, open_handshake},
    pace::HeartbeatOptions,
    places,
    schema::Schemas,
};
use async_trait::async_trait;
use credentials::Credentials;
use endpoint::{Dialer, Endpoint, Said};
use futures_util::FutureExt;
use greeting::Greeting;
use http2::Http2;
use place::Place;
use proxy::Proxies;
use sending::{Doors, Each, Sending};
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tremor_connector::{
    Addressing, BackoffUse, Built, CodecUse, ConnectError, Connected, Connector, Environment, Exit, SinkUse,
    Spec, Summons,
    config::{ConfigError, Entry, OneOrMany, Reader},
    duplex,
    metrics::Measures,
    tls::ClientTls,
    url::Url,
};
use tremor_ws::{Authority, ClientHandshake, ExtraHeaders, ProxyVersion, RequestError, Role, is_token};
use wanted::{Home, Wanted, Way, Ways, home, no_way};

/// The table line.
pub(crate) const SPEC: Spec = Spec {
    name: "ws_client",
    summary: "Holds one WebSocket connection: writes events to it and gives what it receives.",
    fields: fields::CLIENT,
    below: places::CLIENT,
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
    let mut settings = Settings::new(config, environment, refuse_at_client)?;
    let per_origin = per_origin::read(&mut settings, environment)?;
    let (send_queue, queue_key) = settings.send_queue_of_all()?;
    let watch = Watch::new(environment, false, send_queue.when_full);
    let mut exits = Vec::new();
    let about = (environment, watch.clone(), per_origin.is_some());
    let client = Arc::new(Client::read(&mut settings, about, &mut exits)?);
    let frame_type = settings.frame_type()?;
    let stable_after = Duration::from_millis(settings.or("stable_after", 10_000)?);
    settings.finish()?;
    let judge_open = judging::judge_open(&client, per_origin.is_some());
    let common = Built {
        backoff: BackoffUse::WebSocketClient { stable_after },
        send_queue,
        queue_key: queue_key.unwrap_or_else(|| KEY.to_owned()),
        frame_type,
        exits,
        gives_out: client.ways.give_out(),
        summons: client.summons.clone(),
        judge_open: Some(judge_open),
        outgoing: client.looks_at_outgoing(per_origin.is_some()),
        measures: watch.map(|watch| -> Arc<dyn Measures> { watch }),
        ..Built::new(Holder { client: client.clone(), said: None })
    };
    Ok(match per_origin {
        Some((per_origin, openings)) => {
            let connector = Box::new(per_origin::ForEach::new(client, openings));
            Built { per_origin: Some(per_origin), connector, ..common }
        }
        None => common,
    })
}

/// `tls`, which may stand in `endpoint`, too.
fn tls<'a>(
    settings: &mut Settings<'a>,
    said: &mut Said<'a>,
    url: &Url,
) -> Result<Option<ClientTls>, ConfigError> {
    let tls = match said.reader.take() {
        Some(mut endpoint) => {
            let is_there = endpoint.entry("tls").is_some();
            if is_there && settings.config.entry("tls").is_some() {
                return Err(endpoint.invalid("tls", "stands in `config` too; say it once"));
            }
            let place = if is_there { &mut endpoint } else { &mut settings.config };
            let tls = ClientTls::for_websocket(place, url)?;
            endpoint.finish()?;
            settings.config.know("tls");
            tls
        }
        None => ClientTls::for_websocket(&mut settings.config, url)?,
    };
    if let Some(insecurity) = tls.as_ref().and_then(|tls| tls.insecurity(&"the server")) {
        settings.warn(&insecurity);
    }
    if tls.is_some() && url.scheme() != "wss" && url.scheme_is_written() {
        settings.warn(&format!("`tls` is on, so `{url}` is spoken to with TLS; write `wss` to say so"));
    }
    Ok(tls)
}

fn dialer(settings: &mut Settings<'_>, said: Said<'_>) -> Result<Dialer, ConfigError> {
    let socket = settings.socket()?;
    let proxies = Proxies::read(settings)?;
    let versions = [("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)];
    let proxy_header = settings.config.word("send_proxy_protocol", &versions)?;
    let is_unix = matches!(said.endpoint, Endpoint::Unix(_));
    if is_unix && proxies.is_any() {
        return Err(settings.config.conflict("proxy", "leads to no unix socket; leave it out"));
    }
    if proxy_header.is_some() && (is_unix || proxies.is_any()) {
        let problem = "is for a server that we connect to by TCP, without `proxy`";
        return Err(settings.config.conflict("send_proxy_protocol", problem));
    }
    Ok(Dialer::new((said.endpoint, said.limit), socket, proxies, proxy_header))
}

fn wire(settings: &mut Settings<'_>) -> Result<Wire, ConfigError> {
    let mut wire = Wire::read(settings, Role::Client, &Wire::default())?;
    wire.options.accept_masked_server_frames =
        settings.flag("accept_masked_server_frames", wire.options.accept_masked_server_frames, Some(true))?;
    wire.options.mask_client_frames =
        settings.flag("mask_client_frames", wire.options.mask_client_frames, Some(false))?;
    if let Some(limit) = settings.limit("server_connection_drop_timeout", 1000)? {
        wire.times.drop = limit;
    }
    Ok(wire)
}

/// `headers`, which leave to `credentials` what is theirs.
fn headers(
    settings: &mut Settings<'_>,
    credentials: Option<&Credentials>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let Some(reader) = settings.optional::<Reader<'_>>("headers")? else { return Ok(Vec::new()) };
    let headers = header_list(&reader, ExtraHeaders::for_request)?;
    let own = credentials.and_then(Credentials::header);
    if let Some((name, _)) =
        headers.iter().find(|(name, _)| own.is_some_and(|own| own.eq_ignore_ascii_case(name)))
    {
        return Err(
            reader.invalid(name, "is sent by `auth`, or by name and password in the URL; say it once")
        );
    }
    Ok(headers)
}

/// `origin`, of the form that RFC 6454 (section 6.2) gives it.
fn origin(settings: &mut Settings<'_>) -> Result<Option<String>, ConfigError> {
    let Some(entry) = settings.entry("origin")? else { return Ok(None) };
    let origin: String = entry.read()?;
    let is_host = |host: &str| !host.ends_with(':') && Authority::parse(host).is_some();
    let fits = origin == "null"
        || origin
            .split_once("://")
            .is_some_and(|(scheme, host)| is_token(scheme.as_bytes()) && is_host(host));
    if fits {
        return Ok(Some(origin));
    }
    Err(entry.invalid(
        "is no origin: `https://host`, maybe with a port, or `null`; `headers` can hold other texts",
    ))
}

/// `give_up_on`: statuses behind which no further attempt is made.
fn give_up_on(settings: &mut Settings<'_>) -> Result<Vec<u16>, ConfigError> {
    let Some(entry) = settings.entry("give_up_on")? else { return Ok(Vec::new()) };
    let OneOrMany(statuses) = entry.read::<OneOrMany<Entry<'_>>>()?;
    let read = |entry: &Entry<'_>| match entry.read()? {
        status @ 200..=599 => Ok(status),
        status => Err(entry.invalid(format!("{status} is no status that refuses: 200 to 599"))),
    };
    statuses.iter().map(read).collect()
}

/// More redirects than that lead nowhere.
const MOST_REDIRECTS: u32 = 100;

fn doors(ways: &Arc<Ways>, home: &Wanted) -> Doors {
    Doors { kind: SPEC.name, ways: ways.clone(), home: home.clone() }
}

struct Client {
    /// The server that the configuration is about, and what is asked for there.
    home: Place,
    /// What is opened unless an event says something else.
    wanted: Wanted,
    ways: Arc<Ways>,
    tls: Option<ClientTls>,
    dialer: Dialer,
    wire: Wire,
    http2: Http2,
    /// The server takes no WebSockets that way, as it has said.
    lacks_http2: AtomicBool,
    open_handshake: Option<Duration>,
    credentials: Option<Credentials>,
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
    origin: Option<String>,
    require_protocol: bool,
    max_redirects: u32,
    give_up_on: Vec<u16>,
    /// No server that asks for patience gets more of it.
    max_retry_after: Option<Duration>,
    /// Which headers of the server's answer events tell.
    exposed: Exposed,
    greeting: Greeting,
    schemas: Schemas,
    /// Looks at what is sent, if there are schemas for that, and one connection.
    sending: Option<Arc<Sending>>,
    heartbeat: Option<Arc<HeartbeatOptions>>,
    /// Tells of events that come while there is no connection, if they open one.
    summons: Option<Summons>,
    environment: Environment,
    /// There if somebody wants to know.
    watch: Option<Arc<Watch>>,
    /// It has tried to connect before.
    has_tried: AtomicBool,
}

impl Client {
    /// Reads nearly everything; the ports by which events leave join `exits`. `is_per_origin`: there will be many
    /// connections.
    fn read(
        settings: &mut Settings<'_>,
        (environment, watch, is_per_origin): (&Environment, Option<Arc<Watch>>, bool),
        exits: &mut Vec<Exit>,
    ) -> Result<Self, ConfigError> {
        let mut said = Said::read(settings)?;
        let (Home { url, userinfo, is_summoned: lacks_url }, protocols) = home(settings, &said.endpoint)?;
        let tls = tls(settings, &mut said, &url)?;
        let home = Place::of(&url, tls.is_some());
        let mut schemas = Schemas::read(settings, SPEC.name, &environment.alias)?;
        let path = home.target.split_once('?').map_or(home.target.as_str(), |(path, _)| path);
        // Events name other paths.
        let only = (!lacks_url && !is_per_origin).then_some(path);
        let ways = Arc::new(Ways::read(settings, exits, (&mut schemas, only), environment)?);
        schemas.tell_of_unused(settings);
        let credentials = Credentials::read(settings, userinfo.as_ref())?;
        let dialer = dialer(settings, said)?;
        let open_handshake = open_handshake(settings)?;
        let wire = wire(settings)?;
        let http2 = Http2::read(settings, tls.is_none() && !lacks_url)?;
        if let Some(hazard) = tls.as_ref().and_then(|tls| tls.hazard(http2 != Http2::Off)) {
            settings.warn(hazard);
        }
        let headers = headers(settings, credentials.as_ref())?;
        let query = settings.optional::<Reader<'_>>("query")?;
        let query = query.map_or_else(|| Ok(Vec::new()), |reader| credentials::query(&reader))?;
        let wanted = Wanted { place: home.clone(), protocols, headers: Vec::new() };
        let summons = (lacks_url && !is_per_origin).then(Summons::default);
        let looks = || Arc::new(Sending::new(doors(&ways, &wanted), summons.clone()));
        let client = Self {
            sending: (ways.say_out() && !is_per_origin).then(looks),
            wanted,
            home,
            ways,
            tls,
            dialer,
            wire,
            http2,
            lacks_http2: false.into(),
            open_handshake,
            credentials,
            headers,
            query,
            origin: origin(settings)?,
            require_protocol: settings.or("require_websocket_subprotocol", false)?,
            max_redirects: settings.in_range("max_redirects", 0, 0..=MOST_REDIRECTS)?,
            give_up_on: give_up_on(settings)?,
            max_retry_after: settings.limit("max_retry_after", 0)?,
            exposed: Exposed::read(settings)?,
            greeting: Greeting::read(settings)?,
            schemas,
            heartbeat: HeartbeatOptions::read(settings)?.map(Arc::new),
            summons,
            environment: environment.clone(),
            watch,
            has_tried: false.into(),
        };
        client.check(settings, (lacks_url, is_per_origin))?;
        Ok(client)
    }

    /// Who looks at what is sent, if there are schemas for that.
    fn looks_at_outgoing(&self, is_per_origin: bool) -> Option<Arc<dyn duplex::Outgoing>> {
        if is_per_origin && self.ways.say_out() {
            return Some(Arc::new(Each::new(doors(&self.ways, &self.wanted), &self.schemas)));
        }
        self.sending.clone().map(|looks| -> Arc<dyn duplex::Outgoing> { looks })
    }

    /// Finds now what would make each attempt fail, and tells of what is hardly meant.
    fn check(
        &self,
        settings: &Settings<'_>,
        (lacks_url, is_per_origin): (bool, bool),
    ) -> Result<(), ConfigError> {
        // With one for each origin it is events that say which path.
        if !lacks_url && !is_per_origin && self.ways.of(&self.wanted).is_none() {
            return Err(settings.config.conflict("routes", no_way(&self.wanted)));
        }
        // Events that open connections may say what is offered.
        if self.require_protocol && self.wanted.protocols.is_empty() && !lacks_url {
            let problem = "needs `subprotocols` to offer, or there is nothing that the server could choose";
            return Err(settings.conflict("require_websocket_subprotocol", problem));
        }
        if self.dialer.endpoint == Endpoint::OfUrl && self.home.port == 0 && !lacks_url {
            return Err(settings.config.invalid("url", "nobody can connect to port 0"));
        }
        let mut sheet = self.sheet(&self.home, &self.wanted, true);
        // A token in a file is not looked for now: it may come later.
        let written = self.credentials.as_ref().filter(|kind| !matches!(kind, Credentials::BearerFile(_)));
        if let Some(added) = written.and_then(|kind| kind.add_to(&mut sheet, true).now_or_never()) {
            added.map_err(|problem| settings.config.conflict("auth", problem))?;
        }
        let request = self.request_of(&self.home, sheet);
        let request = request.map_err(|problem| settings.config.conflict("auth", problem))?;
        ClientHandshake::new(request).map_err(|error| {
            let key = match &error {
                RequestError::Protocol { .. } => "subprotocols",
                RequestError::Origin => "origin",
                RequestError::Host { .. } if self.has_own_host() => "headers",
                RequestError::Header(_) if self.origin.is_some() => "headers",
                _ => "url",
            };
            settings.config.conflict(key, error.to_string())
        })?;
        let is_open = !self.home.secure
            && !self.home.is_loopback()
            && !matches!(self.dialer.endpoint, Endpoint::Unix(_));
        if is_open && self.credentials.is_some() {
            settings.warn(
                "credentials are sent without TLS, so whoever is on the way can read them; write `wss`",
            );
        }
        if matches!(self.credentials, Some(Credentials::Protocol(_))) && self.wanted.protocols.is_empty() {
            settings.warn("`auth.protocol` goes beside subprotocols that are some: most servers want `subprotocols`, too");
        }
        Ok(())
    }
}

impl Client {
    /// Whether `headers` say what `Host` is.
    fn has_own_host(&self) -> bool {
        self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"))
    }

    /// Gets the schemas that all connections need, where there are any.
    async fn learn(&self) -> Result<(), ConnectError> {
        self.schemas.start().await.map_err(ConnectError::Failed)
    }
}

/// Holds one connection.
struct Holder {
    client: Arc<Client>,
    /// What the last event said that opens connections.
    said: Option<Wanted>,
}

impl Holder {
    /// What is to be opened, and by which port its events leave. Waits for an event if one is to say so.
    async fn next_wanted(&mut self) -> Result<(Wanted, Way), ConnectError> {
        let is_again = self.said.is_some();
        if let Some(summons) = &self.client.summons {
            let open = if is_again { summons.take() } else { Some(summons.wait().await) };
            if let Some(open) = open {
                self.said = None;
                self.said = Some(self.client.wanted.changed_by(&open).map_err(ConnectError::Failed)?);
            }
        }
        let wanted = self.said.as_ref().unwrap_or(&self.client.wanted).clone();
        let Some(way) = self.client.ways.of(&wanted) else {
            self.said = None;
            return Err(ConnectError::Failed(no_way(&wanted)));
        };
        self.client.sending.iter().for_each(|sending| sending.goes(way.outgoing()));
        if let Some(summons) = self.client.summons.as_ref().filter(|_| is_again) {
            summons.listen();
        }
        Ok((wanted, way))
    }
}

#[async_trait]
impl Connector for Holder {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        self.client.learn().await?;
        let is_first = self.said.is_none();
        let (wanted, way) = self.next_wanted().await?;
        let looks = self.client.sending.as_ref().and_then(|_| way.outgoing());
        let opened = self.client.open(&wanted, way).await;
        if let Some(summons) = self.client.summons.as_ref().filter(|_| is_first && opened.is_err()) {
            // Another event may say better before it is tried again.
            summons.listen();
        }
        let duplex = opened?;
        if let Some(summons) = &self.client.summons {
            summons.rest();
            // Whatever events have said meanwhile, it is this connection that they are sent by.
            self.client.sending.iter().for_each(|sending| sending.goes(looks.clone()));
        }
        Ok(Connected::Duplex(duplex))
    }
}
